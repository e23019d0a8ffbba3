#pragma once

/// A directory or a program as a deployment package.

#include <hearth/error.hpp>

#include <filesystem>
#include <string>

namespace hearth::cli {

/// The zip of a directory (its files, symbolic links and their modes, in the order of their names,
/// without times: equal directories give equal zips), of one ELF program (as `bootstrap`), or the
/// zip file itself.
/// @errors errc::bad_package: nothing there, a file that is neither, a device or a socket inside;
/// errc::package_too_large: over Lambda's limits; errc::io_failed
result<std::string> make_zip(const std::filesystem::path& from);

}  // namespace hearth::cli
