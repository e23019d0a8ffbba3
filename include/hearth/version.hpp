#pragma once

/// The version of the headers. `hearth::version()` is the version of the library linked.
#define HEARTH_VERSION_MAJOR 0
#define HEARTH_VERSION_MINOR 1
#define HEARTH_VERSION_PATCH 0

namespace hearth {

/// @return "major.minor.patch" of the library, a static string.
const char* version() noexcept;

}  // namespace hearth
