#pragma once

/// Managed runtimes' interpreters are asked which they are, as functions would see them.

#include "image/managed_runtime.hpp"

#include <filesystem>

namespace hearth {

/// Runs each in a microVM of its own, on the caller's thread and for ten seconds at most.
image::version_question ask_in_microvm(std::filesystem::path guest_root, int kick_signal_offset);

}  // namespace hearth
