#pragma once

/// Waiting for several descriptions: man 2 poll, select, epoll_ctl, epoll_wait.

#include "guest/abi/file.hpp"
#include "guest/abi/time.hpp"
#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_poll(task&, guest_ptr<::pollfd> fds, unsigned count, int timeout_ms);
sysret sys_ppoll(task&,
                 guest_ptr<::pollfd> fds,
                 unsigned count,
                 guest_ptr<abi::timespec> timeout,
                 guest_ptr<const signal_set> mask,
                 std::uint64_t mask_size);
sysret sys_select(task&,
                  int count,
                  guest_ptr<std::uint64_t> read,
                  guest_ptr<std::uint64_t> write,
                  guest_ptr<std::uint64_t> except,
                  guest_ptr<abi::timeval> timeout);
sysret sys_pselect6(task&,
                    int count,
                    guest_ptr<std::uint64_t> read,
                    guest_ptr<std::uint64_t> write,
                    guest_ptr<std::uint64_t> except,
                    guest_ptr<abi::timespec> timeout,
                    guest_ptr<const abi::sigset_argument> mask);
sysret sys_epoll_create(task&, int size);
sysret sys_epoll_create1(task&, int flags);
sysret sys_epoll_ctl(task&, int epoll, int operation, int fd, guest_ptr<const ::epoll_event> event);
sysret sys_epoll_wait(task&, int epoll, guest_ptr<::epoll_event> events, int most, int timeout_ms);
sysret sys_epoll_pwait(task&,
                       int epoll,
                       guest_ptr<::epoll_event> events,
                       int most,
                       int timeout_ms,
                       guest_ptr<const signal_set> mask,
                       std::uint64_t mask_size);
sysret sys_epoll_pwait2(task&,
                        int epoll,
                        guest_ptr<::epoll_event> events,
                        int most,
                        guest_ptr<const abi::timespec> timeout,
                        guest_ptr<const signal_set> mask,
                        std::uint64_t mask_size);

}  // namespace hearth::guest
