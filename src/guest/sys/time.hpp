#pragma once

/// Clocks, sleeping and timers: man 2 clock_gettime, clock_nanosleep, setitimer, timer_create.

#include "guest/abi/time.hpp"
#include "guest/kernel/task.hpp"

#include <chrono>
#include <optional>

namespace hearth::guest {

/// A timespec as a length of time. EINVAL: negative, or nanoseconds out of range. Longer than about
/// 292 years is that long, as the kernel's ktime saturates.
outcome<std::chrono::nanoseconds> to_duration(const abi::timespec& value) noexcept;
abi::timespec to_timespec(std::chrono::nanoseconds value) noexcept;
abi::timeval to_timeval(std::chrono::nanoseconds value) noexcept;
/// now + length, saturating.
std::chrono::nanoseconds deadline_after(std::chrono::nanoseconds now,
                                        std::chrono::nanoseconds length) noexcept;

/// The guest's CLOCK_MONOTONIC at which that clock shows `when`.
std::chrono::nanoseconds monotonic_at(task& t, int clock, std::chrono::nanoseconds when);

sysret sys_clock_gettime(task&, int clock, guest_ptr<abi::timespec> out);
sysret sys_clock_getres(task&, int clock, guest_ptr<abi::timespec> out);
sysret sys_clock_settime(task&, int clock, guest_ptr<const abi::timespec> in);
sysret sys_adjtimex(task&, guest_ptr<abi::timex> place);
sysret sys_clock_adjtime(task&, int clock, guest_ptr<abi::timex> place);
sysret sys_gettimeofday(task&, guest_ptr<abi::timeval> out, guest_ptr<abi::timezone> zone);
sysret sys_settimeofday(task&,
                        guest_ptr<const abi::timeval> in,
                        guest_ptr<const abi::timezone> zone);
sysret sys_time(task&, guest_ptr<std::int64_t> out);
sysret sys_times(task&, guest_ptr<abi::tms> out);
sysret sys_nanosleep(task&,
                     guest_ptr<const abi::timespec> request,
                     guest_ptr<abi::timespec> remaining);
sysret sys_clock_nanosleep(task&,
                           int clock,
                           int flags,
                           guest_ptr<const abi::timespec> request,
                           guest_ptr<abi::timespec> remaining);
sysret sys_alarm(task&, unsigned seconds);
sysret sys_getitimer(task&, int which, guest_ptr<abi::itimerval> out);
sysret sys_setitimer(task&,
                     int which,
                     guest_ptr<const abi::itimerval> in,
                     guest_ptr<abi::itimerval> old);
sysret sys_timer_create(task&,
                        int clock,
                        guest_ptr<const abi::sigevent> event,
                        guest_ptr<std::int32_t> id);
sysret sys_timer_settime(
    task&, int id, int flags, guest_ptr<const abi::itimerspec> in, guest_ptr<abi::itimerspec> old);
sysret sys_timer_gettime(task&, int id, guest_ptr<abi::itimerspec> out);
sysret sys_timer_getoverrun(task&, int id);
sysret sys_timer_delete(task&, int id);

}  // namespace hearth::guest
