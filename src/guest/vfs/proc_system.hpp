#pragma once

/// The fixed part of /proc: the machine, and the kernel's settings as a guest finds them, which it
/// cannot change.

#include "guest/vfs/made_files.hpp"

namespace hearth::guest::vfs::proc {

[[nodiscard]] made_files system_files();

}  // namespace hearth::guest::vfs::proc
