#include "mm_world.hpp"

using namespace mm_test;

TEST_CASE("a large mapping gets its frames by faults that bring more each time") {
    world w;
    const gva a = w.map(8 << 20, rw, gva{0x1000'0000});
    std::vector<std::uint64_t> steps;
    int faults = 0;
    for (gva p = a; p < a + (8 << 20); p += 4096) {
        page_entry* e = w.entry(p);
        if (e && !e->empty()) continue;
        ++faults;
        REQUIRE(w.touch(p, true));
    }
    REQUIRE(faults < 16);  // 2,048 pages
    w.check();
}

TEST_CASE("a small writable mapping never faults to the host") {
    world w;
    const gva a = w.map(eager_limit, rw);
    for (gva p = a; p < a + eager_limit; p += 4096)
        REQUIRE(w.entry(p)->has(page_entry::present | page_entry::writable | page_entry::user));
    REQUIRE(!w.entry(a)->touched());
}

TEST_CASE("faults outside every mapping and in the system area are SIGSEGV") {
    world w;
    w.map(4096, r, gva{0x40'0000});
    for (const std::uint64_t a :
         {std::uint64_t{0}, std::uint64_t{0x3f'ffff}, std::uint64_t{0x40'1000},
          layout::system_area.value, layout::va_of(layout::vdso).value,
          std::uint64_t{0x8000'0000'0000}, ~std::uint64_t{0}})
        for (const std::uint32_t code : {4U, 6U, 0x14U, 7U, 0xffffffffU})
            REQUIRE(w.space->fault(gva{a}, code) == fault_result::segv_maperr);
    REQUIRE(w.space->fault(gva{0x40'0000}, 6) == fault_result::segv_accerr);
    w.check();
}

TEST_CASE("the stack grows by faults down to its limit and keeps its guard gap") {
    world w;
    address_space::map_request q;
    const gva top = layout::system_area - (1 << 20);
    q.length = 132 << 10, q.prot = rw, q.hint = top - (132 << 10), q.fixed = true;
    q.grows_down = true, q.name = "[stack]";
    REQUIRE(w.space->map(q));
    REQUIRE(w.touch(top - (132 << 10) - 1, true));
    REQUIRE(w.touch(top - (4 << 20), true));
    REQUIRE(w.touch(top - (8 << 20), true));
    REQUIRE(w.space->fault(top - (8 << 20) - 1, 6) == fault_result::segv_maperr);
    REQUIRE(w.put(top - (6 << 20), "x"));
    w.check();

    world v;
    REQUIRE(v.space->map(q));
    v.map(4096, rw, top - (3 << 20));
    REQUIRE(v.touch(top - (3 << 20) + 4096 + (1 << 20), true));
    REQUIRE(v.space->fault(top - (3 << 20) + 4096 + (1 << 20) - 1, 6) == fault_result::segv_maperr);
    v.check();
}

TEST_CASE("memory is out only when every frame is in real use") {
    world w(64_MiB, 1024);
    const gva a = w.map(32 << 20, rw, gva{0x1000'0000});
    // One page in each 64 KiB: faults bring neighbours that nobody touches, and those must come
    // back.
    std::uint64_t touched = 0;
    for (gva p = a; p < a + (32 << 20); p += 64 << 10) {
        REQUIRE(w.touch(p, true));
        ++touched;
    }
    REQUIRE(touched == 512);
    for (gva p = a; p < a + (32 << 20); p += 4096) {
        page_entry* e = w.entry(p);
        if (e && e->touched()) continue;
        if (!w.touch(p, true)) break;
        ++touched;
    }
    REQUIRE(w.frames.exhausted());
    REQUIRE(w.frames.used_pages() == 1024);
    REQUIRE(touched + w.tables().size() == 1024);
    REQUIRE(w.space->touched_pages() == touched);
    w.check();
    // Everything can be given back and had again.
    w.space->clear();
    REQUIRE(w.frames.used_pages() == w.tables().size());
    w.check();
    REQUIRE(w.put(w.map(4096), "x"));
}

TEST_CASE("a system call that runs out of memory copying says so in the allocator") {
    world w(64_MiB, 64);
    const gva a = w.map(1 << 20, rw);
    std::vector<std::byte> data(1 << 20);
    REQUIRE(w.space->write(a, data).error().number == EFAULT);
    REQUIRE(w.frames.exhausted());
    w.check();
}

TEST_CASE(
    "a fault on anonymous memory has the host make the pages around it, and leaves them "
    "untouched") {
    world w;
    address_space::map_request q;
    q.length = 4 << 20, q.prot = rw;
    const gva a = *w.space->map(q);
    REQUIRE(w.touch(a, true));
    const auto* next = w.entry(a + 4096);
    REQUIRE(next);
    REQUIRE_FALSE(next->touched());
    unsigned char resident = 0;
    REQUIRE(::mincore(w.memory.at(next->frame(), 4096), 4096, &resident) == 0);
    CHECK(resident & 1);
    CHECK(w.space->touched_pages() == 1);
    w.check();
}
