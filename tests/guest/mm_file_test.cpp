#include "mm_world.hpp"

using namespace mm_test;

TEST_CASE("a large host file is mapped into a window and a small one copied") {
    world w;
    const auto before = w.frames.used_pages();
    const gva big = *w.map_file(pattern_file(300'000), 300'000, r);
    REQUIRE(w.state.windows.size() == 1);
    REQUIRE(w.entry(big)->has(page_entry::window));
    REQUIRE(w.frames.used_pages() - before <= 6);  // tables, and the page in which the file ends
    for (std::uint64_t i : {0, 1, 72})
        REQUIRE(w.get(big + i * 4096, 4) == std::string(4, static_cast<char>('a' + i % 26)));
    const gva small = *w.map_file(pattern_file(5000), 5000, r);
    REQUIRE(!w.entry(small)->has(page_entry::window));
    REQUIRE(w.get(small + 4096, 2) == "bb");
    w.check();
    REQUIRE(w.space->unmap(big, 300'000));
    REQUIRE(w.state.windows.empty());
    w.check();
}

TEST_CASE("a program's segment is copied at once where another part of a file is a window") {
    world w;
    address_space::map_request q;
    q.file = pattern_file(program_window_threshold), q.prot = rx, q.program = true;
    q.length = program_window_threshold - 4096;
    const auto used = w.frames.used_pages();
    const gva copied = *w.space->map(q);
    REQUIRE(w.state.windows.empty());
    REQUIRE(w.frames.used_pages() - used >= q.length / 4096);
    for (std::uint64_t i : {0, 1, 126}) {
        const auto* e = w.entry(copied + i * 4096);
        REQUIRE(e);
        REQUIRE(e->has(page_entry::present | page_entry::accessed));
        REQUIRE(!e->has(page_entry::window));
        REQUIRE(w.get(copied + i * 4096, 2) == std::string(2, static_cast<char>('a' + i % 26)));
    }
    q.length = program_window_threshold;
    const gva mapped = *w.space->map(q);
    REQUIRE(w.entry(mapped)->has(page_entry::window));
    q.length = window_threshold, q.program = false;
    const gva other = *w.space->map(q);
    REQUIRE(w.entry(other)->has(page_entry::window));
    w.check();
}

TEST_CASE("what a private mapping may write is copied at once, up to a limit") {
    world w;
    const std::uint64_t size = written_copy_limit;
    const file_backing f = pattern_file(size + 4096);
    const auto used = w.frames.used_pages();
    const gva a = *w.map_file(f, size, rw);
    REQUIRE(w.state.windows.empty());
    REQUIRE(w.frames.used_pages() - used >= size / 4096);
    for (gva at = a; at < a + size; at = at + 4096) {
        REQUIRE(w.entry(at)->has(page_entry::writable | page_entry::accessed | page_entry::dirty));
        REQUIRE(w.get(at, 1)[0] == static_cast<char>('a' + (at - a) / 4096 % 26));
    }
    REQUIRE(w.map_file(f, size + 4096, rw));
    REQUIRE_FALSE(w.state.windows.empty());
    w.check();
}

TEST_CASE("a program's segment is not copied ahead where memory is short") {
    world w(64_MiB, 200);
    address_space::map_request q;
    q.file = pattern_file(program_window_threshold), q.prot = rx, q.program = true;
    q.length = program_window_threshold - 4096;
    const gva a = *w.space->map(q);
    REQUIRE(w.frames.used_pages() < 16);
    REQUIRE(w.get(a + 5 * 4096, 2) == "ff");
    w.check();
}

TEST_CASE("after the end of a file come zeroes to the end of the page, then SIGBUS") {
    for (const std::uint64_t lead : {0, 8192}) {
        world w;
        const file_backing f = pattern_file(25 * 4096 + 10, lead);
        const gva a = *w.map_file(f, 40 * 4096, r);
        REQUIRE(w.get(a + 25 * 4096, 16) == "zzzzzzzzzz" + std::string(6, '\0'));
        REQUIRE(w.get(a + 26 * 4096, 1) == "EFAULT");
        REQUIRE(w.space->fault(a + 26 * 4096, 4) == fault_result::bus_adrerr);
        REQUIRE(w.space->fault(a + 39 * 4096, 4) == fault_result::bus_adrerr);
        w.check();
        const gva b = *w.map_file(f, 4096, r, 100 * 4096);
        REQUIRE(w.space->fault(b, 4) == fault_result::bus_adrerr);
        w.check();
    }
    world w;
    const gva a = *w.map_file(bytes_file("short"), 8192, rw);
    REQUIRE(w.get(a, 7) == std::string("short\0\0", 7));
    REQUIRE(w.space->fault(a + 4096, 4) == fault_result::bus_adrerr);
    w.check();
}

TEST_CASE("private writes stay private, are charged, and DONTNEED shows the file again") {
    const std::uint64_t pages = GENERATE(40, 600);  // copied; a window
    world w;
    const file_backing f = pattern_file(pages * 4096);
    const gva a = *w.map_file(f, pages * 4096, rw);
    const gva b = *w.map_file(f, pages * 4096, r);
    REQUIRE(w.frames.used_pages() >= pages);
    REQUIRE(w.put(a + 4096, "mine"));
    REQUIRE(w.get(a + 4096, 5) == "mineb");
    REQUIRE(w.get(b + 4096, 5) == "bbbbb");
    w.check();
    REQUIRE(w.space->advise(a, pages * 4096, MADV_DONTNEED));
    REQUIRE(w.get(a + 4096, 5) == "bbbbb");
    w.check();
    REQUIRE(w.space->unmap(a, pages * 4096));
    REQUIRE(w.space->unmap(b, 20 * 4096));
    REQUIRE(w.state.windows.size() == 1);
    REQUIRE(w.get(b + 20 * 4096, 1) == "u");
    w.check();
}

TEST_CASE(
    "a read-only file page made writable is charged then; without room mprotect says ENOMEM") {
    world w(64_MiB, 64);
    const gva a = *w.map_file(pattern_file(50 * 4096), 50 * 4096, r);
    REQUIRE(w.space->protect(a, 10 * 4096, rw));
    REQUIRE(w.put(a, "x"));
    w.check();
    const gva b = *w.map_file(pattern_file(60 * 4096), 60 * 4096, r);
    REQUIRE(w.space->protect(b, 60 * 4096, rw).error().number == ENOMEM);
    w.check();
    REQUIRE(w.space->protect(a, 10 * 4096, r));
    REQUIRE(w.get(a, 1) == "x");
    w.check();
}

TEST_CASE("a large private writable mapping is charged as it is written") {
    world w(64_MiB, 512);
    const gva a = *w.map_file(pattern_file(9 << 20), 9 << 20, rw);
    REQUIRE(w.frames.used_pages() < 16);
    REQUIRE(w.touch(a, false));
    REQUIRE(!w.entry(a)->has(page_entry::writable));
    REQUIRE(w.touch(a, true));
    REQUIRE(w.frames.used_pages() < 32);
    REQUIRE(w.put(a + (4 << 20), "x"));
    w.check();
    std::vector<std::byte> zeroes(4 << 20);
    REQUIRE(!w.space->write(a, zeroes));
    REQUIRE(w.frames.exhausted());
    w.check();
}

TEST_CASE("shared writable files are refused, shared read-only ones cannot become writable") {
    world w;
    address_space::map_request q;
    q.length = 4096, q.prot = rw, q.shared = true, q.file = bytes_file("x");
    REQUIRE(w.space->map(q).error().number == ENODEV);
    q.prot = r;
    const gva a = *w.space->map(q);
    REQUIRE(w.space->protect(a, 4096, rw).error().number == EACCES);
    w.check();
}

TEST_CASE("a host file cut short under a mapping is EFAULT to the host, never SIGBUS") {
    world w;
    const std::uint64_t size = written_copy_limit + 100 * 4096;  // smaller ones are copied
    const file_backing f = pattern_file(size);
    const gva a = *w.map_file(f, size, rw);
    REQUIRE_FALSE(w.state.windows.empty());
    REQUIRE(::ftruncate(f.fd->get(), 10 * 4096) == 0);
    REQUIRE(w.get(a, 1) == "a");
    REQUIRE(w.get(a + 50 * 4096, 1) == "EFAULT");
    REQUIRE(!w.put(a + 50 * 4096, "x"));
    REQUIRE(w.space->read_string(a + 50 * 4096, 100).error().number == EFAULT);
    for (const bool write : {false, true}) {
        const auto n = w.space->for_each_span(a + 50 * 4096, 4096, write,
                                              [](std::span<std::byte> s) { return s.size(); });
        REQUIRE(n.error().number == EFAULT);
    }
    REQUIRE(w.map_file(f, 5000, r, 50 * 4096));  // copied: nothing there
    REQUIRE(w.space->fault(w.state.vmas.begin()->first, 4) == fault_result::bus_adrerr);
    w.check();
}

TEST_CASE("a moved window keeps its pages and goes when the last one does") {
    world w;
    const std::uint64_t size = written_copy_limit + 30 * 4096;
    const gva a = *w.map_file(pattern_file(size), size, rw);
    REQUIRE_FALSE(w.state.windows.empty());
    REQUIRE(w.put(a, "moved"));
    const gva b{0x2000'0000};
    REQUIRE(*w.space->remap(a, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, b) == b);
    REQUIRE(w.get(b, 6) == "moveda");
    REQUIRE(w.get(b + 29 * 4096, 1) == "d");
    w.check();
    REQUIRE(w.space->unmap(b, size));
    REQUIRE(w.state.windows.empty());
    w.check();
}
