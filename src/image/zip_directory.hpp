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
    std::uint64_t local_offset =
        0;  ///< of the local header: the order in which libarchive gives the entries
    std::uint32_t file_type = 0;  ///< S_IFMT of the Unix mode; 0: none is told
};

/// Ascending by local_offset, each of which is there once only.
/// @errors errc::bad_package: no end record (not a zip, or truncated), or a directory that runs out
/// of the file
result<std::vector<zip_directory_entry>> read_zip_directory(std::string_view zip,
                                                            std::uint64_t most);

}  // namespace hearth::image
