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

/// A clock of CPU time by its owner (cpu_clock). EINVAL: it is not one, or not to be seen.
outcome<int> find_cpu_clock(task& t, int clock) {
    if (clock == abi::clock_process_cputime) return cpu_clock(t.process().id, false);
    if (clock == abi::clock_thread_cputime) return cpu_clock(t.state().tid, true);
    if (clock >= 0 || (clock & 3) == 3) return os_error{EINVAL};
    const bool thread = is_thread_clock(clock);
    auto owner = cpu_clock_owner(clock);
    if (owner == 0) owner = thread ? t.state().tid : t.process().id;
    auto& state = t.kernel().state();
    if (thread) {  // another process's threads are not to be seen
        const auto ts = state.tasks.find(owner);
        if (ts == state.tasks.end() || ts->second.process != t.process().id)
            return os_error{EINVAL};
    } else if (!state.processes.contains(owner)) {
        return os_error{EINVAL};
    }
    return cpu_clock(owner, thread);
}

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
        default:
            break;
    }
    const auto cpu = find_cpu_clock(t, clock);
    if (!cpu) return cpu.error();
    return t.kernel().cpu_time_on(*cpu).value_or(nanoseconds{0});
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

struct interval_clock {
    interval_timer* timer = nullptr;
    nanoseconds now{};  ///< on the clock it counts
};
/// EINVAL: there is no such timer.
outcome<interval_clock> find_interval_timer(task& t, int which) {
    auto& timers = t.process().timers;
    switch (which) {
        case abi::itimer_real:
            return interval_clock{&timers.real, t.kernel().host().monotonic_now()};
        case abi::itimer_virtual:  // time in the host's part of a call counts as the guest's own
            return interval_clock{&timers.virtual_, t.kernel().cpu_time_of(t.process())};
        case abi::itimer_prof:
            return interval_clock{&timers.profiling, t.kernel().cpu_time_of(t.process())};
        default:
            return os_error{EINVAL};
    }
}

abi::itimerval interval_value(const interval_clock& c) {
    return {to_timeval(c.timer->interval), to_timeval(left_of(*c.timer, c.now, microseconds{1}))};
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

sysret sleep_on_cpu_clock(task& t,
                          cpu_deadline until,
                          bool relative,
                          guest_ptr<abi::timespec> remaining) {
    const auto now = t.kernel().cpu_time_on(until.clock);
    if (!now || *now >= until.at) return 0;
    if (t.interrupted()) {
        if (relative && remaining) {
            if (auto r = t.write(remaining, to_timespec(until.at - *now)); !r) return r.error();
        }
        return sysret::error(EINTR);
    }
    wait_state wait;
    wait.cpu_time = until;
    return sysret::park(std::move(wait));
}

posix_timer* find_timer(task& t, int id) {
    auto& timers = t.process().timers.posix;
    const auto it = timers.find(id);
    return it == timers.end() ? nullptr : &it->second;
}

/// On the clock that a timer counts; nothing if that is of CPU time and its owner is gone.
std::optional<nanoseconds> timer_now(task& t, const posix_timer& timer) {
    if (timer.clock < 0) return t.kernel().cpu_time_on(timer.clock);
    return t.kernel().host().monotonic_now();
}

abi::itimerspec timer_value(task& t, const posix_timer& timer) {
    const auto now = timer_now(t, timer);
    if (!now) return {};
    return {to_timespec(timer.schedule.interval),
            to_timespec(left_of(timer.schedule, *now, nanoseconds{1}))};
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
    if (t.wait() && t.wait()->cpu_time)
        return sleep_on_cpu_clock(t, *t.wait()->cpu_time, relative, remaining);
    if (t.wait()) return sleep_until(t, {}, relative, remaining);
    int cpu = 0;
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
        case abi::clock_thread_cputime:
            return sysret::error(EOPNOTSUPP);
        default: {
            const auto found = find_cpu_clock(t, clock);
            if (!found) return found.error();
            if (*found == cpu_clock(t.state().tid, true))
                return sysret::error(EINVAL);  // one's own stands still in one's sleep
            cpu = *found;
        }
    }
    const auto value = t.read(request);
    if (!value) return value.error();
    const auto length = to_duration(*value);
    if (!length) return length.error();
    if (cpu) {
        const auto now = t.kernel().cpu_time_on(cpu).value_or(nanoseconds{0});
        return sleep_on_cpu_clock(t, {cpu, relative ? deadline_after(now, *length) : *length},
                                  relative, remaining);
    }
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
    if (length) {
        real.deadline = deadline_after(now, seconds{std::min(length, 0x7fff'ffffu)});
        t.kernel().watch_timers(t.process());
    }
    // Rounded, but never down to 0 while there was one.
    const auto rounded = (left + std::chrono::milliseconds{500}) / seconds{1};
    return left.count() && rounded == 0 ? 1 : rounded;
}

sysret sys_getitimer(task& t, int which, guest_ptr<abi::itimerval> out) {
    const auto timer = find_interval_timer(t, which);
    if (!timer) return timer.error();
    return t.write(out, interval_value(*timer));
}

sysret sys_setitimer(task& t,
                     int which,
                     guest_ptr<const abi::itimerval> in,
                     guest_ptr<abi::itimerval> old) {
    abi::itimerval value{};
    if (in) {  // null means zero, with a warning in the kernel's log
        const auto read = t.read(in);
        if (!read) return read.error();
        value = *read;
    }
    const auto length = to_duration(value.value), interval = to_duration(value.interval);
    if (!length) return length.error();
    if (!interval) return interval.error();
    const auto timer = find_interval_timer(t, which);
    if (!timer) return timer.error();
    const auto before = interval_value(*timer);
    *timer->timer = {};
    if (length->count()) {
        timer->timer->deadline = deadline_after(timer->now, *length);
        timer->timer->interval = *interval;
        t.kernel().watch_timers(t.process());
    }
    return old ? sysret(t.write(old, before)) : sysret(0);
}

sysret sys_timer_create(task& t,
                        int clock,
                        guest_ptr<const abi::sigevent> event,
                        guest_ptr<std::int32_t> id) {
    if (clock != abi::clock_realtime && clock != abi::clock_monotonic &&
        clock != abi::clock_boottime && clock != abi::clock_tai) {
        const auto cpu = find_cpu_clock(t, clock);
        if (!cpu) return sysret::error(clock_now(t, clock) ? EOPNOTSUPP : EINVAL);
        clock = *cpu;
    }
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
    const auto now = timer_now(t, *timer);
    if (!now) return sysret::error(ESRCH);
    const auto before = timer_value(t, *timer);
    timer->schedule = {};
    timer->overrun = timer->pending_overrun = 0;
    if (length->count()) {
        timer->schedule.deadline = flags & abi::timer_abstime
                                       ? monotonic_at(t, timer->clock, *length)
                                       : deadline_after(*now, *length);
        timer->schedule.interval = *interval;
        t.kernel().watch_timers(t.process());
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
