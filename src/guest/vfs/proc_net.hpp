#pragma once

/// /proc/[pid]/net: the guest's interfaces and sockets (man 5 proc). All processes have the same.

#include "guest/vfs/made_files.hpp"

namespace hearth::guest::vfs::proc {

[[nodiscard]] made_files net_files();

}  // namespace hearth::guest::vfs::proc
