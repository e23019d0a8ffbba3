#pragma once

/// Descriptors: man 2 open, openat2, close, dup, fcntl, memfd_create, umask.

#include "guest/abi/file.hpp"
#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_open(task&, guest_ptr<const char> path, int flags, std::uint32_t mode);
sysret sys_creat(task&, guest_ptr<const char> path, std::uint32_t mode);
sysret sys_openat(task&, int directory, guest_ptr<const char> path, int flags, std::uint32_t mode);
sysret sys_openat2(task&,
                   int directory,
                   guest_ptr<const char> path,
                   guest_ptr<const void> how,
                   std::uint64_t size);
sysret sys_close(task&, int fd);
sysret sys_close_range(task&, unsigned first, unsigned last, unsigned flags);
sysret sys_dup(task&, int fd);
sysret sys_dup2(task&, int fd, int to);
sysret sys_dup3(task&, int fd, int to, int flags);
sysret sys_fcntl(task&, int fd, int command, std::uint64_t argument);
sysret sys_memfd_create(task&, guest_ptr<const char> name, unsigned flags);
sysret sys_umask(task&, std::uint32_t mask);

}  // namespace hearth::guest
