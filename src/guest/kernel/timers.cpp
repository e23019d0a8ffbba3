/// Timers that send signals: alarm, setitimer and timer_create, on the host's clock and on CPU
/// time; RLIMIT_CPU.
///
/// Deadlines of CPU time come nearer only while their owner is on the vCPU. The kick for one is
/// asked for anew each time another task gets it.

#include "guest/abi/process.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/kernel/signals.hpp"

#include <algorithm>

namespace hearth::guest {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

/// Kicks for CPU time come at multiples of this, so that they stay where they are from call to
/// call. Linux looks every 1 to 10 ms (CONFIG_HZ).
constexpr nanoseconds kick_step = 1ms;
/// RLIMIT_CPU from here on is none: in nanoseconds it is no number.
constexpr std::uint64_t most_limit = 1ull << 33;

bool running(const process_timers& timers) {
    return timers.real.deadline || timers.virtual_.deadline || timers.profiling.deadline ||
           timers.cpu_limit || std::ranges::any_of(timers.posix, [](const auto& entry) {
               return entry.second.schedule.deadline.has_value();
           });
}

/// How many times a timer was due; sets it for the next.
std::int64_t take_due(interval_timer& timer, nanoseconds now) {
    if (!timer.deadline || *timer.deadline > now) return 0;
    if (timer.interval.count() <= 0) {
        timer.deadline.reset();
        return 1;
    }
    const auto times = (now - *timer.deadline) / timer.interval + 1;
    *timer.deadline += timer.interval * times;
    return times;
}

void consider(std::optional<nanoseconds>& first, std::optional<nanoseconds> at) {
    if (at && (!first || *at < *first)) first = at;
}

}  // namespace

void kernel::watch_timers(const process_state& p) {
    if (std::ranges::find(state_.timed, p.id) == state_.timed.end()) state_.timed.push_back(p.id);
}

std::optional<nanoseconds> kernel::first_timer() const {
    std::optional<nanoseconds> first;
    for (const pid id : state_.timed) {
        const auto p = state_.processes.find(id);
        if (p == state_.processes.end()) continue;
        consider(first, p->second.timers.real.deadline);
        for (const auto& [number, timer] : p->second.timers.posix)
            if (timer.clock >= 0) consider(first, timer.schedule.deadline);
    }
    return first;
}

/// How long the running task may run until some timer on CPU time is due.
std::optional<nanoseconds> kernel::running_time_left() const {
    std::optional<nanoseconds> left;
    if (state_.timed.empty()) [[likely]]
        return left;
    const auto task = state_.tasks.find(state_.running);
    if (task == state_.tasks.end()) return left;
    const pid process = task->second.process;
    for (const pid id : state_.timed) {
        const auto p = state_.processes.find(id);
        if (p == state_.processes.end()) continue;
        const auto& timers = p->second.timers;
        const auto on = [&](std::int32_t clock, std::optional<nanoseconds> deadline) {
            if (!deadline ||
                cpu_clock_owner(clock) != (is_thread_clock(clock) ? state_.running : process))
                return;
            if (const auto now = cpu_time_on(clock))
                consider(left, std::max(*deadline - *now, nanoseconds{0}));
        };
        for (const auto& deadline :
             {timers.virtual_.deadline, timers.profiling.deadline, timers.cpu_limit})
            on(cpu_clock(id, false), deadline);
        for (const auto& [number, timer] : timers.posix)
            if (timer.clock < 0) on(timer.clock, timer.schedule.deadline);
    }
    return left;
}

std::optional<nanoseconds> kernel::next_timer() const {
    auto first = first_timer();
    // The running task's slice, while others may want their turn.
    if (contended_ && state_.tasks.size() > 1) consider(first, slice_end_);
    if (const auto left = running_time_left()) {
        const auto now = host_.monotonic_now();
        if (*left < nanoseconds::max() - now - kick_step)
            consider(first, (now + *left + kick_step - nanoseconds{1}) / kick_step * kick_step);
    }
    return first;
}

void kernel::expire_timers() {
    std::erase_if(state_.timed, [&](pid id) {
        const auto p = state_.processes.find(id);
        if (p == state_.processes.end() || !running(p->second.timers)) return true;
        expire_timers_of(p->second);
        return false;
    });
}

void kernel::expire_timers_of(process_state& p) {
    auto& timers = p.timers;
    const auto now = host_.monotonic_now();
    if (take_due(timers.real, now))
        post_signal(p, {.number = abi::sigalrm, .code = abi::si_kernel});
    if (timers.virtual_.deadline && take_due(timers.virtual_, cpu_time_of(p)))
        post_signal(p, {.number = abi::sigvtalrm, .code = abi::si_kernel});
    if (timers.profiling.deadline && take_due(timers.profiling, cpu_time_of(p)))
        post_signal(p, {.number = abi::sigprof, .code = abi::si_kernel});
    if (timers.cpu_limit && cpu_time_of(p) >= *timers.cpu_limit) act_on_cpu_limit(p);
    for (auto& [number, timer] : timers.posix) {
        if (!timer.schedule.deadline) continue;
        const auto time = timer.clock < 0 ? cpu_time_on(timer.clock) : now;
        const auto times = time ? take_due(timer.schedule, *time) : 0;
        if (times != 0 && timer.signal != 0) send_timer_signal(p, timer, number, times);
    }
}

void kernel::send_timer_signal(process_state& p,
                               posix_timer& timer,
                               int number,
                               std::int64_t times) {
    signal_info info{
        .number = timer.signal, .code = abi::si_timer, .address = timer.value, .timer = number};
    auto owner = timer.thread ? state_.tasks.find(timer.thread) : state_.tasks.end();
    auto& queue = owner != state_.tasks.end() ? owner->second.signals.pending : p.pending;
    const bool pending = std::ranges::any_of(queue, [&](const signal_info& s) {
        return s.code == abi::si_timer && s.timer == info.timer;
    });
    constexpr std::int64_t most = 0x7fff'ffff;  // DELAYTIMER_MAX
    const auto overrun = times - (pending ? 0 : 1);
    timer.pending_overrun = static_cast<std::int32_t>(std::min<std::int64_t>(
        most, (pending ? timer.pending_overrun : 0) + std::min(overrun, most)));
    if (pending) return;
    const bool posted =
        owner != state_.tasks.end() ? post_signal(owner->second, info) : post_signal(p, info);
    if (!posted) queue.push_back(info);  // a timer's own place, beside the limit
}

void kernel::set_cpu_limit(process_state& p) {
    p.timers.cpu_limit.reset();
    const auto limit = p.limits.find(abi::rlimit_cpu);
    if (limit == p.limits.end() || limit->second.first >= most_limit) return;
    p.timers.cpu_limit = std::chrono::seconds{limit->second.first};
    watch_timers(p);
}

/// SIGXCPU every second from the soft limit on, which moves up with it; at the hard one SIGKILL
/// (man 2 getrlimit; check_process_timers).
void kernel::act_on_cpu_limit(process_state& p) {
    using std::chrono::seconds;
    auto& [soft, hard] = p.limits.at(abi::rlimit_cpu);
    if (hard < most_limit && cpu_time_of(p) >= seconds{hard}) {
        p.timers.cpu_limit.reset();
        post_signal(p, {.number = abi::sigkill, .code = abi::si_kernel});
        return;
    }
    post_signal(p, {.number = abi::sigxcpu, .code = abi::si_kernel});
    p.timers.cpu_limit = seconds{++soft};
}

}  // namespace hearth::guest
