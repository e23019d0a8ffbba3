#pragma once

/// What stat(2) says of a file, whatever tree it stands in. A value.

#include <sys/stat.h>

#include <chrono>
#include <cstdint>

namespace hearth::guest::vfs {

struct attributes {
    std::uint64_t device = 0, inode = 0;
    std::uint32_t mode = 0;  ///< type and permission bits, as st_mode
    std::uint64_t links = 1;
    std::uint32_t uid = 0, gid = 0;
    std::uint64_t special = 0;  ///< st_rdev
    std::uint64_t size = 0;
    std::uint64_t block_size = 4096;
    std::uint64_t blocks = 0;  ///< of 512 bytes
    std::chrono::nanoseconds accessed{}, modified{}, changed{}, born{};

    bool operator==(const attributes&) const = default;

    [[nodiscard]] bool is_directory() const noexcept { return S_ISDIR(mode); }
    [[nodiscard]] bool is_regular() const noexcept { return S_ISREG(mode); }
    [[nodiscard]] bool is_symlink() const noexcept { return S_ISLNK(mode); }
    [[nodiscard]] bool is_character_device() const noexcept { return S_ISCHR(mode); }
};

}  // namespace hearth::guest::vfs
