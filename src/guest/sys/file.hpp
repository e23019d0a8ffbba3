#pragma once

/// Reading, writing and moving in files: man 2 read, readv, pread, preadv2, lseek, sendfile,
/// copy_file_range.

#include "guest/abi/file.hpp"
#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_read(task&, int fd, guest_ptr<void> buffer, std::uint64_t count);
sysret sys_write(task&, int fd, guest_ptr<const void> buffer, std::uint64_t count);
sysret sys_vmsplice(
    task&, int fd, guest_ptr<const abi::iovec> iov, std::uint64_t count, unsigned flags);
sysret sys_pread64(task&, int fd, guest_ptr<void> buffer, std::uint64_t count, std::int64_t offset);
sysret sys_pwrite64(
    task&, int fd, guest_ptr<const void> buffer, std::uint64_t count, std::int64_t offset);
sysret sys_readv(task&, int fd, guest_ptr<const abi::iovec> iov, std::uint64_t count);
sysret sys_writev(task&, int fd, guest_ptr<const abi::iovec> iov, std::uint64_t count);
sysret sys_preadv(task&,
                  int fd,
                  guest_ptr<const abi::iovec> iov,
                  std::uint64_t count,
                  std::int64_t offset,
                  std::uint64_t high);
sysret sys_pwritev(task&,
                   int fd,
                   guest_ptr<const abi::iovec> iov,
                   std::uint64_t count,
                   std::int64_t offset,
                   std::uint64_t high);
sysret sys_preadv2(task&,
                   int fd,
                   guest_ptr<const abi::iovec> iov,
                   std::uint64_t count,
                   std::int64_t offset,
                   std::uint64_t high,
                   int flags);
sysret sys_pwritev2(task&,
                    int fd,
                    guest_ptr<const abi::iovec> iov,
                    std::uint64_t count,
                    std::int64_t offset,
                    std::uint64_t high,
                    int flags);
sysret sys_lseek(task&, int fd, std::int64_t offset, int whence);
sysret sys_sendfile(task&, int out, int in, guest_ptr<std::int64_t> offset, std::uint64_t count);
sysret sys_copy_file_range(task&,
                           int in,
                           guest_ptr<std::int64_t> in_offset,
                           int out,
                           guest_ptr<std::int64_t> out_offset,
                           std::uint64_t count,
                           unsigned flags);
sysret sys_readahead(task&, int fd, std::int64_t offset, std::uint64_t count);
sysret sys_fadvise64(task&, int fd, std::int64_t offset, std::int64_t length, int advice);

}  // namespace hearth::guest
