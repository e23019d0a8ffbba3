#pragma once

/// man 2 ioctl: what terminals, pipes and sockets are asked.

#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_ioctl(task&, int fd, unsigned request, std::uint64_t argument);

}  // namespace hearth::guest
