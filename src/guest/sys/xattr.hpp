#pragma once

/// Extended attributes: man 7 xattr. Those of the class "user", on files and directories of the
/// writable trees.

#include "guest/guest_ptr.hpp"
#include "guest/kernel/sysret.hpp"
#include "guest/kernel/task.hpp"

#include <cstdint>

namespace hearth::guest {

using xattr_name = guest_ptr<const char>;
using xattr_value = guest_ptr<const void>;
using xattr_room = guest_ptr<void>;

sysret sys_setxattr(
    task&, guest_ptr<const char> path, xattr_name, xattr_value, std::uint64_t size, int flags);
sysret sys_lsetxattr(
    task&, guest_ptr<const char> path, xattr_name, xattr_value, std::uint64_t size, int flags);
sysret sys_fsetxattr(task&, int fd, xattr_name, xattr_value, std::uint64_t size, int flags);
sysret sys_getxattr(task&, guest_ptr<const char> path, xattr_name, xattr_room, std::uint64_t size);
sysret sys_lgetxattr(task&, guest_ptr<const char> path, xattr_name, xattr_room, std::uint64_t size);
sysret sys_fgetxattr(task&, int fd, xattr_name, xattr_room, std::uint64_t size);
sysret sys_listxattr(task&, guest_ptr<const char> path, xattr_room, std::uint64_t size);
sysret sys_llistxattr(task&, guest_ptr<const char> path, xattr_room, std::uint64_t size);
sysret sys_flistxattr(task&, int fd, xattr_room, std::uint64_t size);
sysret sys_removexattr(task&, guest_ptr<const char> path, xattr_name);
sysret sys_lremovexattr(task&, guest_ptr<const char> path, xattr_name);
sysret sys_fremovexattr(task&, int fd, xattr_name);

}  // namespace hearth::guest
