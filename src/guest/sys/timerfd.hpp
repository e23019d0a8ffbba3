#pragma once

/// Timers and signals as descriptors: man 2 timerfd_create, signalfd.

#include "guest/abi/time.hpp"
#include "guest/kernel/task.hpp"
#include "guest/vfs/user_buffers.hpp"

namespace hearth::guest {

sysret sys_timerfd_create(task&, int clock, int flags);
sysret sys_timerfd_settime(
    task&, int fd, int flags, guest_ptr<const abi::itimerspec> in, guest_ptr<abi::itimerspec> old);
sysret sys_timerfd_gettime(task&, int fd, guest_ptr<abi::itimerspec> out);
sysret sys_signalfd(task&, int fd, guest_ptr<const std::uint64_t> mask, std::uint64_t size);
sysret sys_signalfd4(
    task&, int fd, guest_ptr<const std::uint64_t> mask, std::uint64_t size, int flags);

/// read(2) of a signal descriptor: the caller's own pending signals. EAGAIN, EINVAL
outcome<std::size_t> read_signals(task& t, signal_set mask, vfs::user_buffers& to);

}  // namespace hearth::guest
