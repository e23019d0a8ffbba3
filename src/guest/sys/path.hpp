#pragma once

/// Names and what stands behind them: man 2 mkdir, unlink, rename, link, symlink, readlink, chmod,
/// chown, utimensat, truncate, fallocate, fsync.

#include "guest/abi/file.hpp"
#include "guest/abi/time.hpp"
#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_readlink(task&, guest_ptr<const char> path, guest_ptr<char> out, int size);
sysret sys_readlinkat(
    task&, int directory, guest_ptr<const char> path, guest_ptr<char> out, int size);
sysret sys_mkdir(task&, guest_ptr<const char> path, std::uint32_t mode);
sysret sys_mkdirat(task&, int directory, guest_ptr<const char> path, std::uint32_t mode);
sysret sys_mknod(task&, guest_ptr<const char> path, std::uint32_t mode, unsigned device);
sysret sys_mknodat(
    task&, int directory, guest_ptr<const char> path, std::uint32_t mode, unsigned device);
sysret sys_rmdir(task&, guest_ptr<const char> path);
sysret sys_unlink(task&, guest_ptr<const char> path);
sysret sys_unlinkat(task&, int directory, guest_ptr<const char> path, int flags);
sysret sys_rename(task&, guest_ptr<const char> from, guest_ptr<const char> to);
sysret sys_renameat(task&,
                    int from_directory,
                    guest_ptr<const char> from,
                    int to_directory,
                    guest_ptr<const char> to);
sysret sys_renameat2(task&,
                     int from_directory,
                     guest_ptr<const char> from,
                     int to_directory,
                     guest_ptr<const char> to,
                     unsigned flags);
sysret sys_link(task&, guest_ptr<const char> from, guest_ptr<const char> to);
sysret sys_linkat(task&,
                  int from_directory,
                  guest_ptr<const char> from,
                  int to_directory,
                  guest_ptr<const char> to,
                  int flags);
sysret sys_symlink(task&, guest_ptr<const char> target, guest_ptr<const char> path);
sysret sys_symlinkat(task&,
                     guest_ptr<const char> target,
                     int directory,
                     guest_ptr<const char> path);
sysret sys_chmod(task&, guest_ptr<const char> path, std::uint32_t mode);
sysret sys_fchmod(task&, int fd, std::uint32_t mode);
sysret sys_fchmodat(task&, int directory, guest_ptr<const char> path, std::uint32_t mode);
sysret sys_chown(task&, guest_ptr<const char> path, std::uint32_t uid, std::uint32_t gid);
sysret sys_lchown(task&, guest_ptr<const char> path, std::uint32_t uid, std::uint32_t gid);
sysret sys_fchown(task&, int fd, std::uint32_t uid, std::uint32_t gid);
sysret sys_fchownat(task&,
                    int directory,
                    guest_ptr<const char> path,
                    std::uint32_t uid,
                    std::uint32_t gid,
                    int flags);
sysret sys_utime(task&, guest_ptr<const char> path, guest_ptr<const std::int64_t> times);
sysret sys_utimes(task&, guest_ptr<const char> path, guest_ptr<const abi::timeval> times);
sysret sys_futimesat(task&,
                     int directory,
                     guest_ptr<const char> path,
                     guest_ptr<const abi::timeval> times);
sysret sys_utimensat(task&,
                     int directory,
                     guest_ptr<const char> path,
                     guest_ptr<const abi::timespec> times,
                     int flags);
sysret sys_truncate(task&, guest_ptr<const char> path, std::int64_t length);
sysret sys_ftruncate(task&, int fd, std::int64_t length);
sysret sys_fallocate(task&, int fd, int mode, std::int64_t offset, std::int64_t length);
sysret sys_fsync(task&, int fd);
sysret sys_sync(task&);
sysret sys_sync_file_range(task&, int fd, std::int64_t offset, std::int64_t length, unsigned flags);

}  // namespace hearth::guest
