/// Stopping and continuing processes (POSIX job control; man 7 signal, man 2 wait).
///
/// A process is stopped as a whole, by a stop signal that none of its handlers takes: its tasks are
/// not given the vCPU, and their waits stand, until SIGCONT or SIGKILL is sent.

#include "guest/kernel/kernel.hpp"
#include "guest/kernel/signals.hpp"

#include <algorithm>

namespace hearth::guest {

bool kernel::stopped(const task_state& ts) const {
    const auto p = state_.processes.find(ts.process);
    return p != state_.processes.end() && p->second.job.stopped_by != 0;
}

bool kernel::orphaned(pid group, const process_state* without) const {
    return std::ranges::none_of(state_.processes, [&](const auto& entry) {
        const process_state& p = entry.second;
        if (p.group != group || p.ended || &p == without) return false;
        const auto parent = state_.processes.find(p.parent);
        return parent != state_.processes.end() && parent->second.group != group &&
               parent->second.session == p.session;
    });
}

bool kernel::send_job_signal(process_state& to, int number, bool takes) {
    const auto bit = signal_bit(number);
    if (number == abi::sigcont || number == abi::sigkill) {
        if (number == abi::sigcont) signals::discard(to, state_.tasks, signals::stop_signals);
        if (to.job.stopped_by) {
            to.job = {.continue_untold = number == abi::sigcont};
            if (number == abi::sigcont) tell_of_job(to, abi::cld_continued, abi::sigcont);
        }
        return true;
    }
    if (!(bit & signals::stop_signals)) return true;
    signals::discard(to, state_.tasks, signal_bit(abi::sigcont));
    if (!signals::stops(actions_of(state_, to), number)) return true;
    if (to.parent == 0) return false;
    // With nobody who would continue it (man 3 tcsetpgrp, "orphaned process group").
    if (number != abi::sigstop && orphaned(to.group)) return false;
    if (!takes) return true;
    if (!to.job.stopped_by) to.job = {.stopped_by = number, .stop_untold = true};
    return false;
}

/// Parents hear of what has stopped since, also where unblocking a signal did it. @return whether
/// anything had
bool kernel::tell_of_stops() {
    bool any = false;
    for (auto& [id, p] : state_.processes) {
        if (!p.job.stopped_by || p.job.told) continue;
        p.job.told = any = true;
        tell_of_job(p, abi::cld_stopped, p.job.stopped_by);
    }
    return any;
}

void kernel::tell_of_job(process_state& p, int code, int signal) {
    contended_ = true;
    const auto parent = state_.processes.find(p.parent);
    if (parent == state_.processes.end()) return;
    if (actions_of(state_, parent->second)[abi::sigchld].flags & abi::sa_nocldstop) return;
    post_signal(parent->second, {.number = abi::sigchld,
                                 .code = code,
                                 .sender_pid = p.id,
                                 .sender_uid = p.uid,
                                 .address = static_cast<std::uint64_t>(signal)});
}

void kernel::hang_up_orphans(pid group) {
    const auto in_it = [&](const process_state& p) { return p.group == group && !p.ended; };
    const bool any_stopped = std::ranges::any_of(state_.processes, [&](const auto& entry) {
        return in_it(entry.second) && entry.second.job.stopped_by != 0;
    });
    if (!any_stopped) return;
    for (auto& [id, p] : state_.processes) {
        if (!in_it(p)) continue;
        post_signal(p, {.number = abi::sighup, .code = abi::si_kernel});
        post_signal(p, {.number = abi::sigcont, .code = abi::si_kernel});
    }
}

}  // namespace hearth::guest
