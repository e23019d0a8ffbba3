#pragma once

/// Advisory locks on files as values (man 2 fcntl, "Advisory record locking"; man 2 flock). Both
/// kinds stand in one list per file and know nothing of each other.

#include <compare>
#include <cstdint>
#include <string>

namespace hearth::guest::vfs {

/// The file that is locked, the same by whatever name and descriptor: an inode of the writable
/// trees, or a place in a read-only one.
struct lock_place {
    std::uint64_t inode = 0;
    std::uint32_t mount = 0;
    std::string inner;
    auto operator<=>(const lock_place&) const = default;
};

struct file_lock {
    static constexpr std::uint64_t to_the_end = ~std::uint64_t{0};
    bool whole = false;  ///< flock(2), else a record
    bool exclusive = false;
    std::uint64_t first = 0, last = to_the_end;  ///< bytes, both in it
    std::uint64_t files = 0;        ///< whose it is, a table of descriptors; 0: a description's
    std::uint32_t description = 0;  ///< then this
    std::int32_t process = 0;       ///< who took it
    bool operator==(const file_lock&) const = default;

    [[nodiscard]] bool is_owner_of(const file_lock& other) const noexcept {
        return whole == other.whole && files == other.files && description == other.description;
    }
    [[nodiscard]] bool overlaps(const file_lock& other) const noexcept {
        return first <= other.last && other.first <= last;
    }
};

/// A lock that somebody waits for.
struct lock_wait {
    lock_place place;
    file_lock lock;
    bool operator==(const lock_wait&) const = default;
};

}  // namespace hearth::guest::vfs
