#pragma once

/// Advisory locks: flock, and the commands of fcntl for records.

#include "guest/kernel/sysret.hpp"
#include "guest/sys/files.hpp"

#include <cstdint>

namespace hearth::guest {

sysret sys_flock(task& t, int fd, int operation);
/// F_GETLK, F_SETLK, F_SETLKW and the same with F_OFD_.
sysret record_lock(task& t, const files::opened& o, int command, std::uint64_t argument);

}  // namespace hearth::guest
