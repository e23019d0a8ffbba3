#pragma once

/// Users, groups and capabilities of a process: set*id, capset and its like, prctl's part in it.

#include "guest/abi/process.hpp"
#include "guest/kernel/task.hpp"

#include <cstdint>

namespace hearth::guest {

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

/// What prctl(2) asks and sets of capabilities; EINVAL: nothing of it.
sysret credential_control(
    task& t, int option, std::uint64_t a2, std::uint64_t a3, std::uint64_t a4, std::uint64_t a5);

}  // namespace hearth::guest
