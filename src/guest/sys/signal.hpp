#pragma once

/// Signals: man 2 sigaction, sigprocmask, sigaltstack, kill, sigsuspend, sigtimedwait, sigqueue.

#include "guest/abi/signal.hpp"
#include "guest/abi/time.hpp"
#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_rt_sigaction(task&,
                        int number,
                        guest_ptr<const abi::sigaction> in,
                        guest_ptr<abi::sigaction> old,
                        std::uint64_t set_size);
sysret sys_rt_sigprocmask(task&,
                          int how,
                          guest_ptr<const std::uint64_t> in,
                          guest_ptr<std::uint64_t> old,
                          std::uint64_t set_size);
sysret sys_rt_sigreturn(task&);
sysret sys_rt_sigpending(task&, guest_ptr<std::uint64_t> out, std::uint64_t set_size);
sysret sys_rt_sigsuspend(task&, guest_ptr<const std::uint64_t> mask, std::uint64_t set_size);
sysret sys_rt_sigtimedwait(task&,
                           guest_ptr<const std::uint64_t> set,
                           guest_ptr<abi::siginfo> info,
                           guest_ptr<const abi::timespec> timeout,
                           std::uint64_t set_size);
sysret sys_rt_sigqueueinfo(task&, int process, int number, guest_ptr<const abi::siginfo> info);
sysret sys_rt_tgsigqueueinfo(
    task&, int process, int thread, int number, guest_ptr<const abi::siginfo> info);
sysret sys_sigaltstack(task&, guest_ptr<const abi::stack> in, guest_ptr<abi::stack> old);
sysret sys_kill(task&, int process, int number);
sysret sys_pidfd_send_signal(
    task&, int fd, int number, guest_ptr<const abi::siginfo> info, unsigned flags);
sysret sys_tkill(task&, int thread, int number);
sysret sys_tgkill(task&, int process, int thread, int number);
sysret sys_pause(task&);

}  // namespace hearth::guest
