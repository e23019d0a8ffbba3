#pragma once

/// Where exec gets program files from; the filesystem implements it (its adapter resolves against a
/// working directory), tests use a map.

#include "guest/mm/file_backing.hpp"
#include "guest/outcome.hpp"

#include <string_view>

namespace hearth::guest::exec {

class program_source {
  public:
    virtual ~program_source() = default;
    /// Opens a regular file with execute permission; symbolic links are followed.
    /// ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EACCES (no permission, or not a regular file), EIO.
    virtual outcome<mm::file_backing> open(std::string_view path) = 0;
};

}  // namespace hearth::guest::exec
