#pragma once

/// man 2 pipe, eventfd.

#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_pipe(task&, guest_ptr<int[2]> fds);
sysret sys_pipe2(task&, guest_ptr<int[2]> fds, int flags);
sysret sys_eventfd(task&, unsigned initial);
sysret sys_eventfd2(task&, unsigned initial, int flags);

}  // namespace hearth::guest
