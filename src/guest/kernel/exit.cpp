/// How threads and processes end.

#include "guest/abi/process.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/kernel/parts.hpp"
#include "guest/kernel/signals.hpp"
#include "guest/kernel/task.hpp"
#include "guest/kernel/tracer.hpp"
#include "guest/sys/futex.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace hearth::guest {

pid kernel::fresh_id() {
    auto& last = state_.last_id;
    for (;;) {
        last = std::max(last, state_.processes.begin()->first);
        last = last >= pid_max - 1 ? state_.processes.begin()->first + 1 : last + 1;
        if (state_.tasks.contains(last) || state_.processes.contains(last)) continue;
        const bool named = std::ranges::any_of(state_.processes, [&](const auto& entry) {
            return entry.second.group == last || entry.second.session == last;
        });
        if (!named) return last;
    }
}

/// What a thread leaves behind in memory that others still use (man 2 set_tid_address,
/// get_robust_list): nobody hears of bad addresses.
void kernel::release_thread(process_state& p, task_state& ts) {
    vmm::vcpu_state registers = ts.registers;
    task t(*this, p, ts, registers);
    walk_robust_list(t);
    clear_child_tid(t);
}

void kernel::exit_task(task& t, int code) {
    auto& p = t.process();
    const bool others = std::ranges::any_of(state_.tasks, [&](const auto& entry) {
        return entry.second.process == p.id && entry.first != t.state().tid &&
               !std::holds_alternative<task_exited>(entry.second.run);
    });
    if (!others) return exit_process(p, {.code = code & 0xff, .signal = 0});
    release_thread(p, t.state());
    parts::leave(state_, t.state());
    contended_ = true;  // somebody may have waited for what it had open
    t.state().run = task_exited{(code & 0xff) << 8};
    if (host_.tracing()) host_.trace(fmt::format("+++ thread {} ended +++", t.state().tid));
}

void kernel::exit_process(process_state& p, guest::exit_status status) {
    if (p.ended) return;
    const auto encoded = status.signal ? status.signal : (status.code & 0xff) << 8;
    const bool first = p.id == state_.processes.begin()->first;
    for (auto& [tid, ts] : state_.tasks) {
        if (ts.process != p.id) continue;
        if (!first && !std::holds_alternative<task_exited>(ts.run)) release_thread(p, ts);
        ts.run = task_exited{encoded};
    }
    if (host_.tracing())
        host_.trace(
            status.signal ? fmt::format("+++ killed by {} +++", tracer::signal_name(status.signal))
                          : fmt::format("+++ exited with {} +++", status.code));
    if (p.parent == 0) {
        set_exit_status(status);
        ended_process_ = p.id;
        over_ = true;
        if (first) return;  // with it everything ends, as in a container
    }
    for (auto& [tid, ts] : state_.tasks)
        if (ts.process == p.id) parts::leave(state_, ts);
    leave_memory(p);
    p.vforked = false;
    p.timers = {};
    p.pending.clear();
    p.job = {};
    // Groups that this process kept from being orphaned: its own, and those of its children.
    std::vector<pid> groups;
    const auto note = [&](pid group) {
        if (!orphaned(group) && std::ranges::find(groups, group) == groups.end())
            groups.push_back(group);
    };
    note(p.group);
    for (const auto& [id, child] : state_.processes)
        if (child.parent == p.id) note(child.group);
    p.ended = encoded;
    const pid guardian = reaper_for(p);
    for (auto& [id, child] : state_.processes) {
        if (child.parent != p.id) continue;
        if (child.parent_death_signal && !child.ended)
            post_signal(child, {.number = child.parent_death_signal, .code = abi::si_user});
        child.parent = guardian;
        child.exit_signal = abi::sigchld;  // whatever its maker wanted (reparent_leader)
        if (child.ended) tell_parent(child);
    }
    for (const pid group : groups)
        if (orphaned(group)) hang_up_orphans(group);
    tell_parent(p);
    contended_ = true;
}

/// Who gets the children of one that ends: the nearest ancestor that asked for them
/// (PR_SET_CHILD_SUBREAPER), or the first process (kernel/exit.c, find_new_reaper).
pid kernel::reaper_for(const process_state& p) const {
    const auto& all = state_.processes;
    for (auto it = all.find(p.parent); it != all.end(); it = all.find(it->second.parent))
        if (it->second.child_subreaper && !it->second.ended) return it->first;
    return all.begin()->first;
}

void kernel::tell_parent(process_state& p) {
    if (p.parent == 0) return;
    auto& parent = state_.processes.at(p.parent);
    const auto status = *p.ended;
    const int signal = status & 0x7f;
    const auto& action = actions_of(state_, parent)[abi::sigchld];
    // Nobody will ask (man 2 wait, NOTES).
    const bool unwanted = p.exit_signal == abi::sigchld &&
                          (action.handler == abi::sig_ign || (action.flags & abi::sa_nocldwait));
    if (p.exit_signal)
        post_signal(parent, {.number = p.exit_signal,
                             .code = signal ? abi::cld_killed : abi::cld_exited,
                             .sender_pid = p.id,
                             .sender_uid = p.uid,
                             .address = static_cast<std::uint64_t>(signal ? signal : status >> 8)});
    if (unwanted) p.parent = 0;  // forgotten with its tasks
}

void kernel::reap(process_state& p) {
    if (const auto parent = state_.processes.find(p.parent); parent != state_.processes.end())
        parent->second.children_time += cpu_time_of(p) + p.children_time;
    std::erase_if(state_.tasks, [&](const auto& entry) { return entry.second.process == p.id; });
    parts::leave(state_, p);
    state_.processes.erase(p.id);
}

void kernel::end_other_threads(task& t) {
    auto& p = t.process();
    for (auto& [tid, ts] : state_.tasks)
        if (ts.process == p.id && tid != t.state().tid) {
            if (!std::holds_alternative<task_exited>(ts.run)) release_thread(p, ts);
            parts::leave(state_, ts);
            ts.run = task_exited{};
        }
    if (t.state().tid == p.id) return;
    // The leader's number is the process's: the caller takes it.
    const pid old = t.state().tid;
    auto node = state_.tasks.extract(old);
    if (const auto leader = state_.tasks.find(p.id); leader != state_.tasks.end()) {
        p.ended_threads_time += leader->second.cpu_time;
        state_.tasks.erase(leader);
    }
    node.key() = p.id;
    node.mapped().tid = p.id;
    state_.tasks.insert(std::move(node));
    if (state_.running == old) state_.running = p.id;
    if (state_.fpu_owner == old) state_.fpu_owner = p.id;
}

}  // namespace hearth::guest
