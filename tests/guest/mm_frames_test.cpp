#include "mm_world.hpp"

using namespace mm_test;

TEST_CASE("frames are handed out from the bottom, windows from the top, and never twice") {
    frame_allocator a(gpa{0x10000}, gpa{0x20000}, 8);
    REQUIRE(a.allocate(2) == gpa{0x10000});
    REQUIRE(a.allocate(1) == gpa{0x12000});
    REQUIRE(a.reserve_window(4) == gpa{0x1c000});
    REQUIRE(a.used_pages() == 3);
    a.release(gpa{0x10000}, 2);
    REQUIRE(a.allocate(1) == gpa{0x10000});
    REQUIRE(a.peak_pages() == 3);
}

TEST_CASE("the limit counts frames and charges but not windows") {
    frame_allocator a(gpa{0x10000}, gpa{0x30000}, 8);
    REQUIRE(a.reserve_window(16));
    REQUIRE(a.charge(5));
    REQUIRE(a.allocate(3));
    REQUIRE(!a.allocate(1));
    REQUIRE(!a.charge(1));
    REQUIRE(!a.charge(~std::uint64_t{0}));
    REQUIRE(!a.allocate(~std::uint64_t{0}));
    REQUIRE(!a.reserve_window(~std::uint64_t{0}));
    a.uncharge(5);
    REQUIRE(a.allocate(5));
    REQUIRE(a.used_pages() == 8);
}

TEST_CASE("released frames coalesce, so that a long run can be had again") {
    frame_allocator a(gpa{0x10000}, gpa{0x20000}, 16);
    std::vector<gpa> got;
    for (int i = 0; i < 16; ++i) got.push_back(*a.allocate(1));
    for (std::size_t i = 0; i < 16; i += 2) a.release(got[i], 1);
    REQUIRE(!a.allocate(2));
    REQUIRE(a.allocate_some(2)->pages == 1);
    a.release(got[0], 1);
    for (std::size_t i = 1; i < 16; i += 2) a.release(got[i], 1);
    REQUIRE(a.allocate(16) == gpa{0x10000});
}

TEST_CASE("a frame allocator is a value") {
    frame_allocator a(gpa{0x10000}, gpa{0x40000}, 16);
    (void)a.allocate(3);
    frame_allocator b = a;
    REQUIRE(a == b);
    const auto x = a.allocate(1), y = b.allocate(1);
    REQUIRE(x == y);
    REQUIRE(a == b);
    b.release(*y, 1);
    REQUIRE(!(a == b));
}
