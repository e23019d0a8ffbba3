#pragma once

/// Attributes: man 2 stat, statx, access, statfs.

#include "guest/abi/file.hpp"
#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_stat(task&, guest_ptr<const char> path, guest_ptr<struct ::stat> out);
sysret sys_lstat(task&, guest_ptr<const char> path, guest_ptr<struct ::stat> out);
sysret sys_fstat(task&, int fd, guest_ptr<struct ::stat> out);
sysret sys_newfstatat(
    task&, int directory, guest_ptr<const char> path, guest_ptr<struct ::stat> out, int flags);
sysret sys_statx(task&,
                 int directory,
                 guest_ptr<const char> path,
                 int flags,
                 unsigned mask,
                 guest_ptr<struct ::statx> out);
sysret sys_access(task&, guest_ptr<const char> path, int mode);
sysret sys_faccessat(task&, int directory, guest_ptr<const char> path, int mode);
sysret sys_faccessat2(task&, int directory, guest_ptr<const char> path, int mode, int flags);
sysret sys_statfs(task&, guest_ptr<const char> path, guest_ptr<struct ::statfs> out);
sysret sys_fstatfs(task&, int fd, guest_ptr<struct ::statfs> out);

}  // namespace hearth::guest
