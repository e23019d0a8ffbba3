/// Which task has the vCPU. Tasks of a guest share it by turns: one runs until it waits, ends, or has
/// had its slice while another could run.

#include "guest/kernel/kernel.hpp"
#include "guest/kernel/parts.hpp"
#include "guest/kernel/signals.hpp"
#include "guest/kernel/task.hpp"

#include <algorithm>
#include <iterator>

namespace hearth::guest {
namespace {

using namespace std::chrono_literals;

/// As long as a slice of Linux's: a switch costs a few floors.
constexpr std::chrono::nanoseconds slice = 4ms;

}  // namespace

step kernel::go_on(step s, vmm::vcpu_state& registers) {
    if (s.what == step::kind::out_of_memory) return s;
    if (over_) {
        running_task().registers = registers;  // it may be another that ended, and this one goes on
        if (s.what == step::kind::return_value) running_task().registers.rax = s.rax;
        return {step::kind::exited, 0};
    }
    if (state_.tasks.size() == 1) [[likely]]
        return s;
    tell_of_stops();
    if (stopped(running_task()) && (s.what == step::kind::return_value ||
                                    s.what == step::kind::set_registers)) {
        running_task().registers = registers;
        if (s.what == step::kind::return_value) running_task().registers.rax = s.rax;
        return run_next(registers);
    }
    if (s.what == step::kind::return_value || s.what == step::kind::set_registers) {
        if (!contended_) return s;
        const auto now = host_.monotonic_now();
        if (now < slice_end_) return s;
        auto& ts = running_task();
        contended_ = others_may_run(ts);
        slice_end_ = now + slice;
        if (!contended_) return s;
        ts.registers = registers;
    }
    return run_next(registers);
}

bool kernel::others_may_run(const task_state& ts) const {
    return std::ranges::any_of(state_.tasks, [&](const auto& entry) {
        const auto& other = entry.second;
        if (other.tid == ts.tid || std::holds_alternative<task_exited>(other.run) || stopped(other))
            return false;
        const auto* waiting = std::get_if<task_waiting>(&other.run);
        if (!waiting || !other.signals.pending.empty() ||
            !state_.processes.at(other.process).pending.empty())
            return true;
        if (waiting->wait.futex && waiting->wait.futex->woken) return true;
        if (waiting->wait.lock || waiting->wait.opening) return true;
        // What only the running task can bring about is noticed when it does it: see contend().
        return waiting->wait.deadline || waiting->wait.cpu_time || !waiting->wait.watches.empty() ||
               waiting->wait.native_event || waiting->wait.child || waiting->wait.vfork_child;
    });
}

step kernel::run_next(vmm::vcpu_state& registers) {
    count_cpu_time();
    forget_ended_tasks();
    if (!state_.vfs.owners.empty()) tell_of_news();
    auto& tasks = state_.tasks;
    const pid last = state_.running;
    bool alive = false;
    do {
        // Round robin. Ids, not iterators: a task that goes on may end others.
        pid id = last;
        for (std::size_t i = 0, n = tasks.size(); i < n; ++i) {
            auto it = tasks.upper_bound(id);
            if (it == tasks.end()) it = tasks.begin();
            id = it->first;
            auto& ts = it->second;
            if (auto s = try_run(ts, registers)) {
                if (ts.tid != last || slice_end_.count() == 0)
                    slice_end_ = host_.monotonic_now() + slice;
                return *s;
            }
            if (over_) return {step::kind::exited, 0};
            alive = alive || !std::holds_alternative<task_exited>(ts.run);
        }
    } while (tell_of_stops());  // a parent may have waited for that
    return {alive ? step::kind::parked : step::kind::exited, 0};
}

std::optional<step> kernel::try_run(task_state& ts, vmm::vcpu_state& registers) {
    if (std::holds_alternative<task_exited>(ts.run) || stopped(ts)) return std::nullopt;
    step s;
    if (std::holds_alternative<task_waiting>(ts.run)) {
        const auto resumed = try_resume(ts, registers);
        if (!resumed) return std::nullopt;
        s = *resumed;
    } else {
        state_.running = ts.tid;
        registers = ts.registers;
        s = {step::kind::set_registers, registers.rax};
        task t(*this, process_of(ts), ts, registers);
        if (next_action(ts, t.process())) {
            take_fpu(ts);
            s = deliver_signals(t);
        }
    }
    if (s.what == step::kind::set_registers && stopped(ts)) {  // by a signal that was unblocked
        ts.registers = registers;
        return std::nullopt;
    }
    if (s.what == step::kind::exited) return over_ ? std::optional(s) : std::nullopt;
    take_fpu(ts);
    return s;
}

void kernel::forget_ended_tasks() {
    for (auto it = state_.processes.begin(); it != state_.processes.end();) {
        auto& [id, p] = *it;
        if (!p.ended || p.parent != 0) {
            ++it;
            continue;
        }
        parts::leave(state_, p);  // nobody will wait for it
        it = state_.processes.erase(it);
    }
    std::erase_if(state_.tasks, [&](const auto& entry) {
        const auto& ts = entry.second;
        if (!std::holds_alternative<task_exited>(ts.run)) return false;
        const auto process = state_.processes.find(ts.process);
        if (process == state_.processes.end()) return true;
        if (ts.tid == ts.process) return false;
        process->second.ended_threads_time += ts.cpu_time;
        return true;
    });
}

void kernel::take_fpu(task_state& ts) {
    auto& owner = state_.fpu_owner;
    if (owner == ts.tid) return;
    if (owner == 0 && state_.tasks.size() == 1) return;
    if (const auto it = state_.tasks.find(owner); it != state_.tasks.end())
        it->second.fpu = host_.read_fpu();
    (void)host_.write_fpu(ts.fpu);
    ts.fpu = {};
    owner = ts.tid;
}

vmm::fpu_state kernel::running_fpu() {
    // The first copy: from now on it matters whose state the vCPU holds.
    if (state_.fpu_owner == 0) state_.fpu_owner = state_.running;
    take_fpu(running_task());
    return host_.read_fpu();
}

void kernel::set_running_fpu(const vmm::fpu_state& fpu) {
    if (state_.fpu_owner != 0) take_fpu(running_task());
    (void)host_.write_fpu(fpu);
}

}  // namespace hearth::guest
