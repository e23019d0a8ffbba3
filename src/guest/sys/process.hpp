#pragma once

/// Processes and what they are called: ids, limits, prctl, scheduling, exit and wait.

#include "guest/abi/process.hpp"
#include "guest/kernel/task.hpp"

#include <cstdint>

namespace hearth::guest {

sysret sys_exit(task&, int code);
sysret sys_exit_group(task&, int code);
sysret sys_getpid(task&);
sysret sys_gettid(task&);
sysret sys_getppid(task&);
sysret sys_getpgrp(task&);
sysret sys_getpgid(task&, int process);
sysret sys_setpgid(task&, int process, int group);
sysret sys_getsid(task&, int process);
sysret sys_setsid(task&);

sysret sys_prctl(task&,
                 int option,
                 std::uint64_t arg2,
                 std::uint64_t arg3,
                 std::uint64_t arg4,
                 std::uint64_t arg5);
sysret sys_arch_prctl(task&, int option, std::uint64_t argument);
sysret sys_personality(task&, std::uint32_t persona);

sysret sys_getrlimit(task&, std::uint32_t resource, guest_ptr<abi::rlimit64> out);
sysret sys_setrlimit(task&, std::uint32_t resource, guest_ptr<const abi::rlimit64> in);
sysret sys_prlimit64(task&,
                     int process,
                     std::uint32_t resource,
                     guest_ptr<const abi::rlimit64> in,
                     guest_ptr<abi::rlimit64> old);
sysret sys_getrusage(task&, int who, guest_ptr<abi::rusage> out);

sysret sys_set_tid_address(task&, guest_ptr<std::int32_t> at);

}  // namespace hearth::guest
