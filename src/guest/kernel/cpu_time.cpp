/// Whose the guest's CPU time is: each task's, while it is the one on the vCPU.

#include "guest/kernel/kernel.hpp"

#include <algorithm>

namespace hearth::guest {

void kernel::count_cpu_time() {
    const auto now = host_.cpu_time();
    // A guest that was moved may find the clock behind.
    if (now > state_.running_since) running_task().cpu_time += now - state_.running_since;
    state_.running_since = now;
}

std::chrono::nanoseconds kernel::cpu_time_of(const task_state& ts) const {
    auto time = ts.cpu_time;
    if (ts.tid == state_.running)
        time += std::max(host_.cpu_time() - state_.running_since, std::chrono::nanoseconds{0});
    return time;
}

std::chrono::nanoseconds kernel::cpu_time_of(const process_state& p) const {
    auto sum = p.ended_threads_time;
    for (const auto& [tid, ts] : state_.tasks)
        if (ts.process == p.id) sum += cpu_time_of(ts);
    return sum;
}

std::optional<std::chrono::nanoseconds> kernel::cpu_time_on(std::int32_t clock) const {
    const pid owner = cpu_clock_owner(clock);
    if (is_thread_clock(clock)) {
        const auto ts = state_.tasks.find(owner);
        if (ts != state_.tasks.end()) return cpu_time_of(ts->second);
    } else {
        const auto p = state_.processes.find(owner);
        if (p != state_.processes.end()) return cpu_time_of(p->second);
    }
    return std::nullopt;
}

}  // namespace hearth::guest
