// Locks as values: how those of one owner join and part, and what bounds them. What processes see
// of them is tests/guests/file_locks.c.

#include "guest/vfs/file_locks.hpp"
#include "vfs_world.hpp"

#include <algorithm>

namespace {

using namespace vfs_test;
using vfs::file_lock;

const vfs::lock_place place{7, 0, {}};

file_lock record(std::uint64_t first,
                 std::uint64_t last,
                 bool exclusive = true,
                 part_id owner = 1) {
    return {.exclusive = exclusive, .first = first, .last = last, .files = owner};
}
/// "w0-9 r20-" of a file, in order.
std::string shown(const vfs::vfs_state& state) {
    const auto it = state.locks.find(place);
    if (it == state.locks.end()) return "";
    auto locks = it->second;
    std::ranges::sort(locks, {}, &file_lock::first);
    std::string out;
    for (const file_lock& l : locks)
        out += (out.empty() ? "" : " ") + std::string(l.exclusive ? "w" : "r") +
               std::to_string(l.first) + "-" +
               (l.last == file_lock::to_the_end ? "" : std::to_string(l.last));
    return out;
}

}  // namespace

TEST_CASE("an owner's records join, part and change where they meet") {
    vfs::vfs_state state;
    const auto set = [&](const file_lock& l) {
        REQUIRE(vfs::set_lock(state, place, l));
        return shown(state);
    };
    const auto clear = [&](std::uint64_t first, std::uint64_t last) {
        REQUIRE(vfs::clear_lock(state, place, record(first, last)));
        return shown(state);
    };
    CHECK(set(record(10, 19)) == "w10-19");
    CHECK(set(record(20, 29)) == "w10-29");
    CHECK(set(record(0, 8)) == "w0-8 w10-29");
    CHECK(set(record(9, 9)) == "w0-29");
    CHECK(set(record(5, 6, false)) == "w0-4 r5-6 w7-29");
    CHECK(set(record(3, 20, false)) == "w0-2 r3-20 w21-29");
    CHECK(clear(10, 10) == "w0-2 r3-9 r11-20 w21-29");
    CHECK(set(record(25, file_lock::to_the_end)) == "w0-2 r3-9 r11-20 w21-");
    CHECK(clear(30, 39) == "w0-2 r3-9 r11-20 w21-29 w40-");
    CHECK(set(record(0, file_lock::to_the_end)) == "w0-");
    CHECK(clear(0, file_lock::to_the_end).empty());
    CHECK(state.locks.empty());
}

TEST_CASE("locks are in the way of others' that overlap, unless all only read") {
    vfs::vfs_state state;
    REQUIRE(vfs::set_lock(state, place, record(10, 19, false)));
    const auto in_way = [&](const file_lock& l) {
        return vfs::conflict(state, place, l) != nullptr;
    };
    CHECK_FALSE(in_way(record(10, 19, true, 1)));
    CHECK_FALSE(in_way(record(10, 19, false, 2)));
    CHECK(in_way(record(10, 19, true, 2)));
    CHECK(in_way(record(0, 10, true, 2)));
    CHECK_FALSE(in_way(record(0, 9, true, 2)));
    CHECK_FALSE(in_way(record(20, file_lock::to_the_end, true, 2)));
    CHECK(in_way({.exclusive = true, .description = 3}));  // F_OFD_SETLK
    CHECK_FALSE(in_way({.whole = true, .exclusive = true, .description = 3}));
    CHECK_FALSE(vfs::conflict(state, {8, 0, {}}, record(10, 19, true, 2)));
}

TEST_CASE("locks go with who has them") {
    vfs::vfs_state state;
    REQUIRE(vfs::set_lock(state, place, record(0, 9, true, 1)));
    REQUIRE(vfs::set_lock(state, place, record(10, 19, true, 2)));
    REQUIRE(vfs::set_lock(state, place,
                          {.exclusive = true, .first = 20, .last = 29, .description = 5}));
    REQUIRE(vfs::set_lock(state, place, {.whole = true, .exclusive = true, .description = 5}));
    vfs::forget_records(state, 2);
    vfs::forget_locks(state, description_id{4});
    CHECK(state.locks.at(place).size() == 3);
    vfs::forget_locks(state, description_id{5});
    CHECK(shown(state) == "w0-9");
    vfs::forget_records(state, 1);
    CHECK(state.locks.empty());
}

TEST_CASE("there are no more locks than that") {
    world w;
    const auto fd = w.open("/tmp/f", O_CREAT | O_RDWR);
    struct ::flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_len = 1;
    std::int64_t r = 0;
    std::size_t n = 0;
    for (; n < 2 * vfs::max_locks && r == 0; ++n) {
        lock.l_start = static_cast<off_t>(2 * n);
        w.put_value(world::buffer, lock);
        r = w.call(SYS_fcntl, {w.fd_of(fd), F_SETLK, world::buffer});
    }
    CHECK(r == -ENOLCK);
    CHECK(n <= vfs::max_locks);
    // One that would become two is refused as well; all of them go with the descriptor.
    lock.l_start = 0, lock.l_len = 0;
    lock.l_type = F_UNLCK;
    w.put_value(world::buffer, lock);
    CHECK(w.call(SYS_fcntl, {w.fd_of(fd), F_SETLK, world::buffer}) == 0);
    CHECK(w.state().locks.empty());
    lock.l_type = F_WRLCK;
    w.put_value(world::buffer, lock);
    CHECK(w.call(SYS_fcntl, {w.fd_of(fd), F_SETLK, world::buffer}) == 0);
    w.close(fd);
    CHECK(w.state().locks.empty());
}
