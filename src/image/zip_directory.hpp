#pragma once

/// A zip's central directory, read from the raw bytes: what libarchive does not tell. Its names are
/// C strings, so a NUL inside one is invisible there; and it would start unpacking before the
/// number of entries is known. Pure; every offset is checked.

#include <hearth/error.hpp>

#include <cstdint>
#include <string_view>
#include <vector>

namespace hearth::image {

struct zip_directory_entry {
    std::string_view name;  ///< raw bytes, into the zip
    bool encrypted = false;
};

/// @errors errc::bad_package: no end record (not a zip, or truncated), or a directory that runs out
/// of the file
result<std::vector<zip_directory_entry>> read_zip_directory(std::string_view zip,
                                                            std::uint64_t max_entries);

}  // namespace hearth::image
