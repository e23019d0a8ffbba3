/// Whose the guest's CPU time is: each task's, while it is the one on the vCPU.

#include "guest/kernel/kernel.hpp"

namespace hearth::guest {

void kernel::count_cpu_time() {
    const auto now = host_.cpu_time();
    // A guest that was moved may find the clock behind.
    if (now > state_.running_since) running_task().cpu_time += now - state_.running_since;
    state_.running_since = now;
}

std::chrono::nanoseconds kernel::cpu_time_of(const task_state& ts) {
    count_cpu_time();
    return ts.cpu_time;
}

std::chrono::nanoseconds kernel::cpu_time_of(const process_state& p) {
    count_cpu_time();
    auto sum = p.ended_threads_time;
    for (const auto& [tid, ts] : state_.tasks)
        if (ts.process == p.id) sum += ts.cpu_time;
    return sum;
}

}  // namespace hearth::guest
