#pragma once

/// What a mapping of a file stands on: immutable content, either a host file (mapped, so clones and
/// functions share the page cache) or bytes in memory (copied into frames). A value: the shared
/// parts never change.

#include "base/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace hearth::guest::mm {

struct file_backing {
    std::shared_ptr<const unique_fd> fd;  ///< a host file or memfd; or null and then
    std::shared_ptr<const std::vector<std::byte>> bytes;  ///< content in memory
    std::uint64_t fd_offset =
        0;  ///< where the file begins inside fd (a package memfd holds many); page multiple
    std::uint64_t size = 0;
    std::string path;  ///< as the guest knows it, for /proc/self/maps

    bool operator==(const file_backing&) const = default;
};

/// Copies [offset, offset + into.size()) of the file in; what lies past its end is left alone.
/// @return bytes copied: all that the file has there. Less than that, or -1: the host could not
/// supply them
///         (an I/O error, or somebody cut the file short).
std::int64_t read_backing(const file_backing& file,
                          std::uint64_t offset,
                          std::span<std::byte> into) noexcept;

}  // namespace hearth::guest::mm
