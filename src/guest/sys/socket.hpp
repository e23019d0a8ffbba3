#pragma once

/// Sockets: man 2 socket, connect, sendmsg, recvmsg and their kin. Connections lead to services in
/// this process (the Runtime API), or stay inside the guest: its loopback and AF_UNIX.

#include "guest/abi/file.hpp"
#include "guest/abi/time.hpp"
#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_socket(task&, int family, int type, int protocol);
sysret sys_socketpair(task&, int family, int type, int protocol, guest_ptr<int[2]> fds);
sysret sys_connect(task&, int fd, guest_ptr<const void> address, int length);
sysret sys_bind(task&, int fd, guest_ptr<const void> address, int length);
sysret sys_listen(task&, int fd, int backlog);
sysret sys_accept(task&, int fd, guest_ptr<void> address, guest_ptr<int> length);
sysret sys_accept4(task&, int fd, guest_ptr<void> address, guest_ptr<int> length, int flags);
sysret sys_getsockname(task&, int fd, guest_ptr<void> address, guest_ptr<int> length);
sysret sys_getpeername(task&, int fd, guest_ptr<void> address, guest_ptr<int> length);
sysret sys_getsockopt(
    task&, int fd, int level, int option, guest_ptr<void> value, guest_ptr<int> length);
sysret sys_setsockopt(
    task&, int fd, int level, int option, guest_ptr<const void> value, int length);
sysret sys_sendto(task&,
                  int fd,
                  guest_ptr<const void> buffer,
                  std::uint64_t count,
                  int flags,
                  guest_ptr<const void> address,
                  int length);
sysret sys_recvfrom(task&,
                    int fd,
                    guest_ptr<void> buffer,
                    std::uint64_t count,
                    int flags,
                    guest_ptr<void> address,
                    guest_ptr<int> length);
sysret sys_sendmsg(task&, int fd, guest_ptr<const abi::msghdr> message, int flags);
sysret sys_recvmsg(task&, int fd, guest_ptr<abi::msghdr> message, int flags);
sysret sys_sendmmsg(task&, int fd, guest_ptr<void> messages, unsigned count, int flags);
sysret sys_recvmmsg(task&,
                    int fd,
                    guest_ptr<void> messages,
                    unsigned count,
                    int flags,
                    guest_ptr<abi::timespec> timeout);
sysret sys_shutdown(task&, int fd, int how);

}  // namespace hearth::guest
