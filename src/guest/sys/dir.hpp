#pragma once

/// Directories: man 2 getdents64, getcwd, chdir.

#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_getdents64(task&, int fd, guest_ptr<void> out, unsigned size);
sysret sys_getdents(task&, int fd, guest_ptr<void> out, unsigned size);
sysret sys_getcwd(task&, guest_ptr<char> out, std::uint64_t size);
sysret sys_chdir(task&, guest_ptr<const char> path);
sysret sys_fchdir(task&, int fd);
sysret sys_chroot(task&, guest_ptr<const char> path);

}  // namespace hearth::guest
