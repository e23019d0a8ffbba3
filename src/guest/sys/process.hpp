#pragma once

/// Processes and what they are called: ids, credentials, limits, prctl, scheduling, exit and wait.

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

sysret sys_getuid(task&);
sysret sys_getgid(task&);
sysret sys_geteuid(task&);
sysret sys_getegid(task&);
sysret sys_setuid(task&, std::uint32_t uid);
sysret sys_setgid(task&, std::uint32_t gid);
sysret sys_setreuid(task&, std::uint32_t real, std::uint32_t effective);
sysret sys_setregid(task&, std::uint32_t real, std::uint32_t effective);
sysret sys_setresuid(task&, std::uint32_t real, std::uint32_t effective, std::uint32_t saved);
sysret sys_setresgid(task&, std::uint32_t real, std::uint32_t effective, std::uint32_t saved);
sysret sys_getresuid(task&,
                     guest_ptr<std::uint32_t> real,
                     guest_ptr<std::uint32_t> effective,
                     guest_ptr<std::uint32_t> saved);
sysret sys_getresgid(task&,
                     guest_ptr<std::uint32_t> real,
                     guest_ptr<std::uint32_t> effective,
                     guest_ptr<std::uint32_t> saved);
sysret sys_setfsuid(task&, std::uint32_t uid);
sysret sys_setfsgid(task&, std::uint32_t gid);
sysret sys_getgroups(task&, int size, guest_ptr<std::uint32_t> out);
sysret sys_setgroups(task&, int size, guest_ptr<const std::uint32_t> in);
sysret sys_capget(task&, guest_ptr<abi::cap_header> header, guest_ptr<abi::cap_data> out);
sysret sys_capset(task&, guest_ptr<abi::cap_header> header, guest_ptr<const abi::cap_data> in);

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
