#pragma once

/// The machine a guest believes to be on: uname, sysinfo, scheduling, and what a guest may not
/// touch.

#include "guest/abi/process.hpp"
#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_uname(task&, guest_ptr<abi::utsname> out);
sysret sys_sysinfo(task&, guest_ptr<abi::sysinfo> out);

sysret sys_sched_yield(task&);
sysret sys_sched_getaffinity(task&, int thread, std::uint32_t length, guest_ptr<void> out);
sysret sys_sched_setaffinity(task&, int thread, std::uint32_t length, guest_ptr<const void> in);
sysret sys_sched_getscheduler(task&, int thread);
sysret sys_sched_setscheduler(task&, int thread, int policy, guest_ptr<const abi::sched_param> in);
sysret sys_sched_getparam(task&, int thread, guest_ptr<abi::sched_param> out);
sysret sys_sched_setparam(task&, int thread, guest_ptr<const abi::sched_param> in);
sysret sys_sched_get_priority_max(task&, int policy);
sysret sys_sched_get_priority_min(task&, int policy);
sysret sys_sched_rr_get_interval(task&, int thread, guest_ptr<abi::timespec> out);
sysret sys_getcpu(task&,
                  guest_ptr<std::uint32_t> cpu,
                  guest_ptr<std::uint32_t> node,
                  guest_ptr<void> cache);
sysret sys_getpriority(task&, int which, int who);
sysret sys_setpriority(task&, int which, int who, int value);
sysret sys_membarrier(task&, int command, std::uint32_t flags, int cpu);
sysret sys_restart_syscall(task&);

}  // namespace hearth::guest
