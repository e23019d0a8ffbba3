#include "mm_world.hpp"

using namespace mm_test;

TEST_CASE("mappings are placed top down below mmap_base and like neighbours join") {
    world w;
    const gva a = w.map(8192), b = w.map(4096);
    REQUIRE(a == w.state.mmap_base - 8192);
    REQUIRE(b == a - 4096);
    REQUIRE(w.state.vmas.size() == 1);
    w.check();
}

TEST_CASE("a hint is followed when free and ignored when not") {
    world w;
    address_space::map_request q;
    q.length = 4096, q.prot = rw, q.hint = gva{0x1234'5000};
    REQUIRE(*w.space->map(q) == gva{0x1234'5000});
    REQUIRE(*w.space->map(q) != gva{0x1234'5000});
    q.low_2gib = true;
    REQUIRE(*w.space->map(q) < gva{0x8000'0000});
    w.check();
}

TEST_CASE("MAP_FIXED replaces, MAP_FIXED_NOREPLACE refuses") {
    world w;
    const gva a = w.map(4 * 4096, rw, gva{0x10'0000});
    REQUIRE(w.put(a + 4096, "old"));
    address_space::map_request q;
    q.length = 4096, q.prot = r, q.hint = a + 4096, q.fixed_noreplace = true;
    REQUIRE(w.space->map(q).error().number == EEXIST);
    q.fixed_noreplace = false, q.fixed = true;
    REQUIRE(*w.space->map(q) == a + 4096);
    REQUIRE(w.state.vmas.size() == 3);
    REQUIRE(w.get(a + 4096, 3) == std::string(3, '\0'));
    REQUIRE(!w.put(a + 4096, "x"));
    w.check();
}

TEST_CASE("absurd mapping requests have Linux's errnos") {
    world w;
    const auto try_map = [&](std::uint64_t length, std::uint64_t hint, bool fixed) {
        address_space::map_request q;
        q.length = length, q.prot = rw, q.hint = gva{hint}, q.fixed = fixed;
        auto m = w.space->map(q);
        return m ? 0 : m.error().number;
    };
    REQUIRE(try_map(0, 0, false) == EINVAL);
    REQUIRE(try_map(~std::uint64_t{0}, 0, false) == ENOMEM);
    REQUIRE(try_map(std::uint64_t{1} << 47, 0, false) == ENOMEM);
    REQUIRE(try_map(4096, 0x1001, true) == EINVAL);
    REQUIRE(try_map(4096, 0x1000, true) == EPERM);
    REQUIRE(try_map(4096, layout::system_area.value, true) == ENOMEM);
    REQUIRE(try_map(8192, layout::system_area.value - 4096, true) == ENOMEM);
    REQUIRE(try_map(4096, 0xffff'ffff'ffff'f000, true) == ENOMEM);
    REQUIRE(w.state.vmas.empty());
}

TEST_CASE("reservations without access cost no frames, however large") {
    world w;
    const auto before = w.frames.used_pages();
    const gva a = w.map(std::uint64_t{1} << 40, none);
    REQUIRE(w.frames.used_pages() == before);
    REQUIRE(w.space->protect(a + 4096 * 100, 4096 * 33, rw));  // malloc's arenas
    REQUIRE(w.state.vmas.size() == 3);
    REQUIRE(w.put(a + 4096 * 100, "x"));
    REQUIRE(w.space->fault(a, 6) == fault_result::segv_accerr);
    w.check();
    REQUIRE(w.space->unmap(a, std::uint64_t{1} << 40));
    REQUIRE(w.state.vmas.empty());
    w.check();
}

TEST_CASE("munmap takes out the middle, gives frames back, and accepts holes") {
    world w;
    const gva a = w.map(16 * 4096, rw, gva{0x20'0000});
    for (int i = 0; i < 16; ++i) REQUIRE(w.put(a + static_cast<std::uint64_t>(i) * 4096, "data"));
    const auto used = w.frames.used_pages();
    REQUIRE(w.space->unmap(a + 4 * 4096, 4 * 4096));
    REQUIRE(w.frames.used_pages() == used - 4);
    REQUIRE(w.get(a + 3 * 4096, 4) == "data");
    REQUIRE(w.get(a + 4 * 4096, 4) == "EFAULT");
    REQUIRE(w.space->unmap(a, 16 * 4096));
    REQUIRE(w.space->unmap(a, 16 * 4096));
    REQUIRE(w.space->unmap(a + 1, 4096).error().number == EINVAL);
    REQUIRE(w.space->unmap(a, 0).error().number == EINVAL);
    REQUIRE(w.space->unmap(layout::system_area, 4096).error().number == EINVAL);
    REQUIRE(w.space->unmap(gva{4096}, ~std::uint64_t{0} - 8191).error().number == EINVAL);
    w.check();
    // What comes back from the frames is zero, not the old data.
    const gva b = w.map(16 * 4096);
    REQUIRE(w.get(b, 4) == std::string(4, '\0'));
}

TEST_CASE("mprotect splits, joins again, keeps contents, and stops at a hole with ENOMEM") {
    world w;
    const gva a = w.map(8 * 4096, rw, gva{0x30'0000});
    REQUIRE(w.put(a + 2 * 4096, "kept"));
    REQUIRE(w.space->protect(a + 2 * 4096, 4096, none));
    REQUIRE(w.state.vmas.size() == 3);
    REQUIRE(w.get(a + 2 * 4096, 4) == "EFAULT");
    w.check();
    REQUIRE(w.space->protect(a + 2 * 4096, 4096, r));
    REQUIRE(w.get(a + 2 * 4096, 4) == "kept");
    REQUIRE(!w.put(a + 2 * 4096, "x"));
    REQUIRE(w.space->protect(a + 2 * 4096, 4096, rw));
    REQUIRE(w.state.vmas.size() == 1);
    REQUIRE(w.space->unmap(a + 5 * 4096, 4096));
    REQUIRE(w.space->protect(a, 8 * 4096, r).error().number == ENOMEM);
    REQUIRE(!w.put(a + 4 * 4096, "x"));
    REQUIRE(w.put(a + 6 * 4096, "x"));
    REQUIRE(w.space->protect(a + 1, 4096, r).error().number == EINVAL);
    REQUIRE(w.space->protect(gva{0x7000'0000}, 4096, r).error().number == ENOMEM);
    REQUIRE(w.space->protect(layout::system_area, 4096, rw).error().number == ENOMEM);
    w.check();
}

TEST_CASE("execution and writing need their own permission") {
    world w;
    const gva a = w.map(4096, rw, gva{0x40'0000});
    REQUIRE(w.touch(a, true));
    REQUIRE(w.entry(a)->has(page_entry::no_execute));
    REQUIRE(w.space->fault(a, 0x15) == fault_result::segv_accerr);
    REQUIRE(w.space->protect(a, 4096, rx));
    REQUIRE(!w.entry(a)->has(page_entry::no_execute));
    REQUIRE(!w.entry(a)->has(page_entry::writable));
    REQUIRE(w.space->fault(a, 0x15) == fault_result::resolved);
    REQUIRE(w.space->fault(a, 7) == fault_result::segv_accerr);
    // Write-only exists on no x86: it reads too.
    REQUIRE(w.space->protect(a, 4096, protection{false, true, false}));
    REQUIRE(w.touch(a, false));
    w.check();
}

TEST_CASE("brk grows, shrinks, refuses collisions, and keeps bytes") {
    world w;
    const gva start = w.state.brk_start;
    REQUIRE(w.space->set_brk(gva{0}) == start);
    REQUIRE(w.space->set_brk(start + 5000) == start + 5000);
    REQUIRE(w.put(start + 4990, "heap"));
    REQUIRE(w.state.vmas.begin()->second.name == "[heap]");
    REQUIRE(w.space->set_brk(start + 40000) == start + 40000);
    REQUIRE(w.state.vmas.size() == 1);
    REQUIRE(w.get(start + 4990, 4) == "heap");
    REQUIRE(w.space->set_brk(start + 100) == start + 100);
    REQUIRE(w.get(start + 4990, 4) == "EFAULT");
    w.map(4096, rw, gva{0x70'0000});
    REQUIRE(w.space->set_brk(gva{0x70'0001}) == start + 100);
    REQUIRE(w.space->set_brk(gva{0x70'0000}) == gva{0x70'0000});
    REQUIRE(w.space->set_brk(layout::system_area + 5) == gva{0x70'0000});
    REQUIRE(w.space->set_brk(gva{~std::uint64_t{0}}) == gva{0x70'0000});
    REQUIRE(w.space->set_brk(start) == start);
    w.check();
}

TEST_CASE("mremap grows in place, moves with contents, shrinks, and refuses nonsense") {
    world w;
    const gva a = w.map(4 * 4096, rw, gva{0x50'0000});
    REQUIRE(w.put(a + 3 * 4096, "tail"));
    REQUIRE(*w.space->remap(a, 4 * 4096, 8 * 4096, 0, {}) == a);
    REQUIRE(w.put(a + 7 * 4096, "more"));
    w.map(4096, r, a + 8 * 4096);
    REQUIRE(w.space->remap(a, 8 * 4096, 9 * 4096, 0, {}).error().number == ENOMEM);
    const gva b = *w.space->remap(a, 8 * 4096, 100 * 4096, MREMAP_MAYMOVE, {});
    REQUIRE(b != a);
    REQUIRE(w.get(b + 3 * 4096, 4) == "tail");
    REQUIRE(w.get(b + 7 * 4096, 4) == "more");
    REQUIRE(w.get(a, 1) == "EFAULT");
    w.check();
    REQUIRE(*w.space->remap(b, 100 * 4096, 2 * 4096, 0, {}) == b);
    REQUIRE(w.get(b + 3 * 4096, 4) == "EFAULT");
    const gva c{0x900'0000};
    REQUIRE(*w.space->remap(b, 2 * 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, c) == c);
    REQUIRE(w.get(b + 4096, 1) == "EFAULT");
    REQUIRE(w.space->remap(c, 4096, 8192, MREMAP_FIXED, c).error().number == EINVAL);
    REQUIRE(w.space->remap(c, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, c).error().number ==
            EINVAL);
    REQUIRE(w.space->remap(c + 1, 4096, 8192, 1, {}).error().number == EINVAL);
    REQUIRE(w.space->remap(c, 4096, 8192, 64, {}).error().number == EINVAL);
    REQUIRE(w.space->remap(c, 0, 8192, 1, {}).error().number == EINVAL);
    REQUIRE(w.space->remap(c, 8192, 4096, 1, {}).error().number == EFAULT);
    REQUIRE(w.space->remap(c, ~std::uint64_t{0}, 4096, 1, {}).error().number == EINVAL);
    REQUIRE(w.space->remap(layout::system_area, 4096, 8192, 1, {}).error().number == EFAULT);
    REQUIRE(w.put(c, "kept"));
    const gva d = *w.space->remap(c, 4096, 4096, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, {});
    REQUIRE(w.get(d, 4) == "kept");
    REQUIRE(w.get(c, 4) == std::string(4, '\0'));
    w.check();
}

TEST_CASE("madvise(DONTNEED) empties, keeps the mapping, and reports holes") {
    world w;
    const gva a = w.map(4 * 4096, rw, gva{0x60'0000});
    REQUIRE(w.put(a, "gone"));
    const auto used = w.frames.used_pages();
    REQUIRE(w.space->advise(a, 4 * 4096, MADV_DONTNEED));
    REQUIRE(w.frames.used_pages() == used - 4);
    REQUIRE(w.get(a, 4) == std::string(4, '\0'));
    REQUIRE(w.space->advise(a, 5 * 4096, MADV_DONTNEED).error().number == ENOMEM);
    REQUIRE(w.space->advise(a, 4096, 12345).error().number == EINVAL);
    REQUIRE(w.space->advise(a + 1, 4096, MADV_DONTNEED).error().number == EINVAL);
    REQUIRE(w.space->advise(a, ~std::uint64_t{0}, MADV_DONTNEED).error().number == EINVAL);
    REQUIRE(w.space->advise(layout::system_area, 4096, MADV_DONTNEED).error().number == ENOMEM);
    w.check();
}

TEST_CASE("mincore and msync see what is mapped") {
    world w;
    const gva a = w.map(1 << 20, rw, gva{0x100'0000});
    REQUIRE(w.touch(a + 3 * 4096, true));
    std::vector<std::byte> pages(256);
    REQUIRE(w.space->residency(a, 1 << 20, pages));
    REQUIRE(pages[3] == std::byte{1});
    REQUIRE(std::count(pages.begin(), pages.end(), std::byte{1}) == 1);
    REQUIRE(w.space->residency(a, (1 << 20) + 1, pages).error().number == EINVAL);
    REQUIRE(w.space->residency(a - 4096, 8192, pages).error().number == ENOMEM);
    REQUIRE(w.space->sync(a, 1 << 20));
    REQUIRE(w.space->sync(a, (1 << 20) + 1).error().number == ENOMEM);
}

TEST_CASE("the number of mappings is bounded") {
    world w;
    address_space::map_request q;
    q.length = 4096, q.prot = none, q.fixed = true;
    std::uint64_t made = 0;
    int error = 0;
    for (std::uint64_t i = 0; i < 70'000; ++i) {
        q.hint = gva{0x1000'0000 + i * 8192};
        if (auto m = w.space->map(q); m)
            ++made;
        else
            error = m.error().number;
    }
    REQUIRE(made < max_vmas);
    REQUIRE(made > 65'000);
    REQUIRE(error == ENOMEM);
    w.space->clear();
    REQUIRE(w.state.vmas.empty());
}

TEST_CASE("an mm_state is a value") {
    world w;
    w.map(1 << 20);
    (void)w.map_file(pattern_file(200'000), 200'000, r);
    const mm_state copy = w.state;
    const frame_allocator frames = w.frames;
    REQUIRE(copy == w.state);
    const gva a = w.map(4096, r);
    REQUIRE(!(copy == w.state));
    REQUIRE(w.space->unmap(a, 4096));
    REQUIRE(copy == w.state);
    REQUIRE(frames == w.frames);
}
