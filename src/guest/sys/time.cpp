#include "guest/sys/time.hpp"

#include "guest/abi/signal.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/kernel/signals.hpp"

#include <algorithm>
#include <limits>

namespace hearth::guest {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr std::int64_t most_seconds = std::numeric_limits<std::int64_t>::max() / 1'000'000'000;
constexpr int max_timers = 1024;

/// What a clock says now. EINVAL: there is no such clock.
outcome<nanoseconds> clock_now(task& t, int clock) {
    auto& host = t.kernel().host();
    switch (clock) {
        case abi::clock_realtime:
        case abi::clock_realtime_coarse:
        case abi::clock_realtime_alarm:
        case abi::clock_tai:
            return host.realtime_now();  // the TAI offset is 0 until someone sets it
        case abi::clock_monotonic:
        case abi::clock_monotonic_raw:
        case abi::clock_monotonic_coarse:
        case abi::clock_boottime:
        case abi::clock_boottime_alarm:
            return host.monotonic_now();
        case abi::clock_process_cputime:
            return t.kernel().cpu_time_of(t.process());
        case abi::clock_thread_cputime:
            return t.kernel().cpu_time_of(t.state());
        default:
            break;
    }
    // CPU clocks of a process or thread: ~pid << 3 | which, plus 4 for a thread
    // (clock_getcpuclockid).
    if (clock < 0 && (clock & 3) < 3) {
        const auto id = ~(clock >> 3);
        const bool thread = clock & 4;
        auto& state = t.kernel().state();
        if (thread) {
            // Another process's threads are not to be seen.
            const auto it = state.tasks.find(id ? id : t.state().tid);
            if (it != state.tasks.end() && it->second.process == t.process().id)
                return t.kernel().cpu_time_of(it->second);
        } else if (const auto it = state.processes.find(id ? id : t.process().id);
                   it != state.processes.end()) {
            return t.kernel().cpu_time_of(it->second);
        }
    }
    return os_error{EINVAL};
}

bool realtime(int clock) noexcept {
    return clock == abi::clock_realtime || clock == abi::clock_tai ||
           clock == abi::clock_realtime_alarm;
}

outcome<nanoseconds> to_duration(const abi::timeval& v) noexcept {
    if (v.seconds < 0 || v.microseconds < 0 || v.microseconds >= 1'000'000) return os_error{EINVAL};
    return guest::to_duration(abi::timespec{v.seconds, v.microseconds * 1000});
}

/// What is left of a timer; at least a tick while it runs, for 0 means that it does not.
nanoseconds left_of(const interval_timer& timer, nanoseconds now, nanoseconds tick) {
    if (!timer.deadline) return nanoseconds{0};
    return std::max(tick, *timer.deadline - now);
}

abi::itimerval real_timer_value(task& t, nanoseconds now) {
    const auto& real = t.process().timers.real;
    return {to_timeval(real.interval), to_timeval(left_of(real, now, microseconds{1}))};
}

sysret sleep_until(task& t,
                   nanoseconds deadline,
                   bool relative,
                   guest_ptr<abi::timespec> remaining) {
    if (const auto* wait = t.wait(); wait && wait->deadline) deadline = *wait->deadline;
    const auto now = t.kernel().host().monotonic_now();
    if (now >= deadline) {
        t.kernel().yield();  // who sleeps lets others go first, however short it is
        return 0;
    }
    if (t.interrupted()) {
        if (relative && remaining) {
            if (auto r = t.write(remaining, to_timespec(deadline - now)); !r) return r.error();
        }
        return sysret::error(EINTR);
    }
    wait_state wait;
    wait.deadline = deadline;
    return sysret::park(std::move(wait));
}

posix_timer* find_timer(task& t, int id) {
    auto& timers = t.process().timers.posix;
    const auto it = timers.find(id);
    return it == timers.end() ? nullptr : &it->second;
}

abi::itimerspec timer_value(task& t, const posix_timer& timer) {
    const auto now = t.kernel().host().monotonic_now();
    return {to_timespec(timer.schedule.interval),
            to_timespec(left_of(timer.schedule, now, nanoseconds{1}))};
}

}  // namespace

nanoseconds monotonic_at(task& t, int clock, nanoseconds when) {
    if (!realtime(clock)) return when;
    auto& host = t.kernel().host();
    const auto mono = host.monotonic_now();
    return deadline_after(mono, std::max(nanoseconds{0}, when - host.realtime_now()));
}

outcome<nanoseconds> to_duration(const abi::timespec& v) noexcept {
    if (v.seconds < 0 || v.nanoseconds < 0 || v.nanoseconds >= 1'000'000'000)
        return os_error{EINVAL};
    if (v.seconds >= most_seconds) return nanoseconds::max();
    return seconds{v.seconds} + nanoseconds{v.nanoseconds};
}
abi::timespec to_timespec(nanoseconds v) noexcept {
    const auto s = duration_cast<seconds>(v);
    return {s.count(), (v - s).count()};
}
abi::timeval to_timeval(nanoseconds v) noexcept {
    const auto s = duration_cast<seconds>(v);
    return {s.count(), duration_cast<microseconds>(v - s).count()};
}
nanoseconds deadline_after(nanoseconds now, nanoseconds length) noexcept {
    return length > nanoseconds::max() - now ? nanoseconds::max() : now + length;
}

sysret sys_clock_gettime(task& t, int clock, guest_ptr<abi::timespec> out) {
    const auto now = clock_now(t, clock);
    if (!now) return now.error();
    return t.write(out, to_timespec(*now));
}

sysret sys_clock_getres(task& t, int clock, guest_ptr<abi::timespec> out) {
    if (auto now = clock_now(t, clock); !now) return now.error();
    if (!out) return 0;
    // As a kernel with HZ=250 reports; our coarse clocks are in truth as fine as the others.
    const bool coarse = clock == abi::clock_realtime_coarse || clock == abi::clock_monotonic_coarse;
    return t.write(out, {0, coarse ? 4'000'000 : 1});
}

sysret sys_clock_settime(task& t, int clock, guest_ptr<const abi::timespec> in) {
    if (clock != abi::clock_realtime) return sysret::error(EINVAL);
    const auto value = t.read(in);
    if (!value) return value.error();
    if (auto d = to_duration(*value); !d) return d.error();
    return sysret::error(EPERM);
}

sysret sys_gettimeofday(task& t, guest_ptr<abi::timeval> out, guest_ptr<abi::timezone> zone) {
    if (out) {
        if (auto r = t.write(out, to_timeval(t.kernel().host().realtime_now())); !r)
            return r.error();
    }
    if (zone) return t.write(zone, {0, 0});
    return 0;
}

sysret sys_settimeofday(task& t,
                        guest_ptr<const abi::timeval> in,
                        guest_ptr<const abi::timezone> zone) {
    if (in) {
        const auto value = t.read(in);
        if (!value) return value.error();
        if (auto d = to_duration(*value); !d) return d.error();
    }
    if (zone) {
        if (auto z = t.read(zone); !z) return z.error();
    }
    return sysret::error(EPERM);
}

sysret sys_time(task& t, guest_ptr<std::int64_t> out) {
    const auto now = duration_cast<seconds>(t.kernel().host().realtime_now()).count();
    if (out) {
        if (auto r = t.write(out, now); !r) return r.error();
    }
    return now;
}

sysret sys_times(task& t, guest_ptr<abi::tms> out) {
    auto& host = t.kernel().host();
    const auto ticks = [](nanoseconds v) {
        return v.count() / (1'000'000'000 / abi::ticks_per_second);
    };
    if (out) {
        // Time in the host's part of a call cannot be told from the guest's own: all of it is user
        // time.
        const auto own = ticks(t.kernel().cpu_time_of(t.process()));
        if (auto r = t.write(out, {own, 0, ticks(t.process().children_time), 0}); !r)
            return r.error();
    }
    return ticks(host.monotonic_now());
}

sysret sys_nanosleep(task& t,
                     guest_ptr<const abi::timespec> request,
                     guest_ptr<abi::timespec> remaining) {
    if (t.wait()) return sleep_until(t, {}, true, remaining);
    const auto value = t.read(request);
    if (!value) return value.error();
    const auto length = to_duration(*value);
    if (!length) return length.error();
    return sleep_until(t, deadline_after(t.kernel().host().monotonic_now(), *length), true,
                       remaining);
}

sysret sys_clock_nanosleep(task& t,
                           int clock,
                           int flags,
                           guest_ptr<const abi::timespec> request,
                           guest_ptr<abi::timespec> remaining) {
    const bool relative = !(flags & abi::timer_abstime);
    if (t.wait()) return sleep_until(t, {}, relative, remaining);
    switch (clock) {
        case abi::clock_realtime:
        case abi::clock_monotonic:
        case abi::clock_boottime:
        case abi::clock_tai:
        case abi::clock_realtime_alarm:
        case abi::clock_boottime_alarm:
            break;
        case abi::clock_monotonic_raw:
        case abi::clock_realtime_coarse:
        case abi::clock_monotonic_coarse:
            return sysret::error(EOPNOTSUPP);
        case abi::clock_process_cputime:
            return sysret::error(EOPNOTSUPP);  // it stands still while we sleep
        default:
            return sysret::error(EINVAL);
    }
    const auto value = t.read(request);
    if (!value) return value.error();
    const auto length = to_duration(*value);
    if (!length) return length.error();
    const auto deadline = relative ? deadline_after(t.kernel().host().monotonic_now(), *length)
                                   : monotonic_at(t, clock, *length);
    return sleep_until(t, deadline, relative, remaining);
}

sysret sys_alarm(task& t, unsigned length) {
    auto& real = t.process().timers.real;
    const auto now = t.kernel().host().monotonic_now();
    const auto left = left_of(real, now, nanoseconds{1});
    real = {};
    // man 2 alarm: an implementation's limit is INT_MAX seconds, as in alarm_setitimer.
    if (length) real.deadline = deadline_after(now, seconds{std::min(length, 0x7fff'ffffu)});
    // Rounded, but never down to 0 while there was one.
    const auto rounded = (left + std::chrono::milliseconds{500}) / seconds{1};
    return left.count() && rounded == 0 ? 1 : rounded;
}

sysret sys_getitimer(task& t, int which, guest_ptr<abi::itimerval> out) {
    if (which == abi::itimer_virtual || which == abi::itimer_prof)
        return t.write(out, {});  // never armed
    if (which != abi::itimer_real) return sysret::error(EINVAL);
    return t.write(out, real_timer_value(t, t.kernel().host().monotonic_now()));
}

sysret sys_setitimer(task& t,
                     int which,
                     guest_ptr<const abi::itimerval> in,
                     guest_ptr<abi::itimerval> old) {
    if (which < abi::itimer_real || which > abi::itimer_prof) return sysret::error(EINVAL);
    abi::itimerval value{};
    if (in) {  // null means zero, with a warning in the kernel's log
        const auto read = t.read(in);
        if (!read) return read.error();
        value = *read;
    }
    const auto length = to_duration(value.value), interval = to_duration(value.interval);
    if (!length) return length.error();
    if (!interval) return interval.error();
    if (which != abi::itimer_real) {
        if (length->count()) return sysret::error(ENOSYS);
        return old ? sysret(t.write(old, {})) : sysret(0);
    }
    const auto now = t.kernel().host().monotonic_now();
    const auto before = real_timer_value(t, now);
    auto& real = t.process().timers.real;
    real = {};
    if (length->count()) {
        real.deadline = deadline_after(now, *length);
        real.interval = *interval;
    }
    return old ? sysret(t.write(old, before)) : sysret(0);
}

sysret sys_timer_create(task& t,
                        int clock,
                        guest_ptr<const abi::sigevent> event,
                        guest_ptr<std::int32_t> id) {
    if (clock != abi::clock_realtime && clock != abi::clock_monotonic &&
        clock != abi::clock_boottime && clock != abi::clock_tai)
        return sysret::error(clock_now(t, clock) ? EOPNOTSUPP : EINVAL);
    auto& timers = t.process().timers.posix;
    int number = 0;
    while (timers.contains(number)) ++number;
    if (number >= max_timers) return sysret::error(EAGAIN);

    posix_timer timer{
        .clock = clock, .signal = abi::sigalrm, .value = static_cast<std::uint64_t>(number)};
    if (event) {
        const auto e = t.read(event);
        if (!e) return e.error();
        timer.value = e->value;
        timer.signal = e->signal;
        switch (e->notify) {
            case abi::sigev_none:
                timer.signal = 0;
                break;
            case abi::sigev_signal:
                break;
            case abi::sigev_signal | abi::sigev_thread_id: {
                const auto& tasks = t.kernel().state().tasks;
                const auto owner = tasks.find(e->thread);
                if (owner == tasks.end() || owner->second.process != t.process().id)
                    return sysret::error(EINVAL);
                timer.thread = e->thread;
                break;
            }
            default:
                return sysret::error(EINVAL);
        }
        if (e->notify != abi::sigev_none && !signals::valid(e->signal))
            return sysret::error(EINVAL);
    }
    if (auto r = t.write(id, number); !r) return r.error();
    timers.emplace(number, timer);
    return 0;
}

sysret sys_timer_settime(task& t,
                         int id,
                         int flags,
                         guest_ptr<const abi::itimerspec> in,
                         guest_ptr<abi::itimerspec> old) {
    if (!in) return sysret::error(EINVAL);
    const auto value = t.read(in);
    if (!value) return value.error();
    const auto length = to_duration(value->value), interval = to_duration(value->interval);
    if (!length || !interval) return sysret::error(EINVAL);
    auto* timer = find_timer(t, id);
    if (!timer) return sysret::error(EINVAL);
    const auto before = timer_value(t, *timer);
    timer->schedule = {};
    timer->overrun = timer->pending_overrun = 0;
    if (length->count()) {
        timer->schedule.deadline = flags & abi::timer_abstime
                                       ? monotonic_at(t, timer->clock, *length)
                                       : deadline_after(t.kernel().host().monotonic_now(), *length);
        timer->schedule.interval = *interval;
    }
    return old ? sysret(t.write(old, before)) : sysret(0);
}

sysret sys_timer_gettime(task& t, int id, guest_ptr<abi::itimerspec> out) {
    const auto* timer = find_timer(t, id);
    if (!timer) return sysret::error(EINVAL);
    return t.write(out, timer_value(t, *timer));
}

sysret sys_timer_getoverrun(task& t, int id) {
    const auto* timer = find_timer(t, id);
    return timer ? sysret(timer->overrun) : sysret::error(EINVAL);
}

sysret sys_timer_delete(task& t, int id) {
    return t.process().timers.posix.erase(id) ? sysret(0) : sysret::error(EINVAL);
}

}  // namespace hearth::guest
