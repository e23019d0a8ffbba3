#pragma once

/// Waiting for children: man 2 wait4, waitid.

#include "guest/abi/process.hpp"
#include "guest/abi/signal.hpp"
#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_wait4(task&,
                 int process,
                 guest_ptr<std::int32_t> status,
                 int options,
                 guest_ptr<abi::rusage> usage);
sysret sys_waitid(task&,
                  int type,
                  int id,
                  guest_ptr<abi::siginfo> info,
                  int options,
                  guest_ptr<abi::rusage> usage);

}  // namespace hearth::guest
