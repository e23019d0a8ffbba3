#pragma once

/// Which processor this is, as far as a guest's state depends on it: its model, the features that
/// CPUID shows, and the layout of the XSAVE area. A snapshot goes on only where it was taken: a
/// program has chosen its code paths by what it saw then.

#include <string>

namespace hearth::detail {

/// One line: vendor, family, model and stepping, then a digest of the features. The same on every
/// CPU of the machine and after a restart.
std::string cpu_fingerprint();

}  // namespace hearth::detail
