#include "mm_world.hpp"

using namespace mm_test;

TEST_CASE("reads and writes cross pages and respect protections") {
    world w;
    const gva a = w.map(4 << 20, rw, gva{0x1000'0000});
    std::string text(100'000, 'x');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i % 251);
    REQUIRE(w.put(a + 4000, text));
    REQUIRE(w.get(a + 4000, text.size()) == text);
    REQUIRE(w.entry(a)->has(page_entry::dirty));
    REQUIRE(!w.entry(a + 30 * 4096)->has(page_entry::dirty));
    REQUIRE(w.space->protect(a + 4096, 4096, r));
    REQUIRE(!w.put(a + 4000, text));
    REQUIRE(w.get(a + 4000, text.size()) == text);
    w.check();
}

TEST_CASE("wild pointers are EFAULT, whatever the length") {
    world w;
    const gva a = w.map(8192, rw, gva{0x1000'0000});
    std::vector<std::byte> buffer(100);
    for (const std::uint64_t p :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0xfff}, a.value + 8192, a.value + 8150,
          layout::system_area.value, layout::pml4.value, layout::va_of(layout::vvar).value,
          std::uint64_t{0x7fff'ffff'ffff}, std::uint64_t{0x8000'0000'0000},
          std::uint64_t{0xffff'8000'0000'0000}, ~std::uint64_t{0}, ~std::uint64_t{0} - 50}) {
        REQUIRE(w.space->read(gva{p}, buffer).error().number == EFAULT);
        REQUIRE(w.space->write(gva{p}, buffer).error().number == EFAULT);
        if (p != a.value + 8150) {
            REQUIRE(w.space->read_string(gva{p}, 4096).error().number == EFAULT);
            const auto n = w.space->for_each_span(gva{p}, ~std::size_t{0}, true,
                                                  [](std::span<std::byte> s) { return s.size(); });
            REQUIRE(n.error().number == EFAULT);
        }
        REQUIRE(!w.space->accessible(gva{p}, 100, false));
        REQUIRE(!w.space->accessible(gva{p}, ~std::uint64_t{0}, true));
        REQUIRE(w.space->read(gva{p}, {}));
    }
    REQUIRE(w.space->accessible(a, 8192, true));
    REQUIRE(!w.space->accessible(a, 8193, true));
    // A length that runs away is used as far as memory goes.
    std::size_t seen = 0;
    const auto n =
        w.space->for_each_span(a + 1, ~std::size_t{0}, false, [&](std::span<std::byte> s) {
            seen += s.size();
            return s.size();
        });
    REQUIRE(*n == 8191);
    REQUIRE(seen == 8191);
    w.check();
}

TEST_CASE("strings end at their zero, at a limit, or at a fault") {
    world w;
    const gva a = w.map(8192, rw, gva{0x1000'0000});
    REQUIRE(w.put(a + 4090, "hello, world"));
    REQUIRE(*w.space->read_string(a + 4090, 4096) == "hello, world");
    REQUIRE(*w.space->read_string(a + 4090, 13) == "hello, world");
    REQUIRE(w.space->read_string(a + 4090, 12).error().number == ENAMETOOLONG);
    REQUIRE(w.put(a, std::string(8192, 'y')));
    REQUIRE(w.space->read_string(a, 4096).error().number == ENAMETOOLONG);
    REQUIRE(w.space->read_string(a + 8000, 4096).error().number == EFAULT);
}

TEST_CASE("a span callback that stops early leaves the rest untouched") {
    world w;
    const gva a = w.map(1 << 20, rw, gva{0x1000'0000});
    const auto used = w.frames.used_pages();
    const auto n = w.space->for_each_span(a, 1 << 20, true, [](std::span<std::byte> s) {
        std::memset(s.data(), 'q', 10);
        return std::size_t{10};
    });
    REQUIRE(*n == 10);
    REQUIRE(w.get(a, 11) == std::string(10, 'q') + '\0');
    REQUIRE(!w.entry(a + 4096)->has(page_entry::dirty));
    REQUIRE(w.frames.used_pages() - used < 64);
    w.check();
}
