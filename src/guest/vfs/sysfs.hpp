#pragma once

/// What programs read below /sys: one processor, one memory node, the interfaces, and no devices;
/// and the control group that the guest is, by version 2 of the interface
/// (Documentation/admin-guide/cgroup-v2.rst): its memory limit is the function's memory size.

#include "guest/vfs/made_files.hpp"

namespace hearth::guest::vfs {

/// Of mount::kind::sys or mount::kind::cgroup.
[[nodiscard]] made_files made_files_of(mount::kind what);

}  // namespace hearth::guest::vfs
