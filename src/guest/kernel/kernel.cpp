#include "guest/kernel/kernel.hpp"

#include "guest/abi/process.hpp"
#include "guest/kernel/signal_frame.hpp"
#include "guest/kernel/signals.hpp"
#include "guest/kernel/task.hpp"
#include "guest/kernel/tracer.hpp"
#include "guest/sys/bind.hpp"
#include "guest/sys/exchange.hpp"
#include "guest/vfs/file_locks.hpp"
#include "guest/vfs/open.hpp"
#include "guest/vfs/readiness.hpp"

#include <fmt/format.h>

#include <poll.h>

#include <algorithm>

namespace hearth::guest {
namespace {

/// Linux takes the number from EAX, sign-extended (do_syscall_64); a negative one is in no table
/// either.
constexpr std::uint32_t number_of(const vmm::vcpu_state& r) noexcept {
    return static_cast<std::uint32_t>(r.rax);
}

const syscall_row* find_row(const syscall_table& table, std::uint32_t number) noexcept {
    if (number == sys_hearth_exchange_number) [[unlikely]]
        return &exchange_row();
    return table.find(number);
}

constexpr std::uint64_t syscall_length = 2;  // 0f 05

}  // namespace

kernel::kernel(kernel_state state,
               std::shared_ptr<vfs::filesystem> filesystem,
               vmm::guest_memory& memory,
               guest::host& host,
               const syscall_table& table)
    : state_(std::move(state)),
      filesystem_(std::move(filesystem)),
      memory_(memory),
      host_(host),
      table_(table) {}

void kernel::restore(const kernel_state& state) {
    state_ = state;
    exit_status_ = {};
    over_ = false;
    ended_process_ = 0;
    contended_ = state_.tasks.size() > 1;
    slice_end_ = {};
    traced_.clear();
}

task_state& kernel::running_task() noexcept {
    auto it = state_.tasks.find(state_.running);
    return it != state_.tasks.end() ? it->second : state_.tasks.begin()->second;
}

process_state& kernel::process_of(const task_state& t) noexcept {
    return state_.processes.find(t.process)->second;
}

const signal_info* kernel::first_action(task_state& ts, process_state& p) {
    return signals::next_action(actions_of(state_, p), ts, p);
}

// -- system calls
// -----------------------------------------------------------------------------------------------

sysret kernel::dispatch(task& t, const syscall_row* row) {
    if (row && row->handler.call) [[likely]]
        return row->handler.call(t);
    return sysret::error(ENOSYS);
}

step kernel::on_syscall(vmm::vcpu_state& registers) {
    auto& ts = running_task();
    if (std::holds_alternative<task_exited>(ts.run)) return {step::kind::exited, 0};
    task t(*this, process_of(ts), ts, registers);
    const auto* row = find_row(table_, number_of(registers));
    if (host_.tracing()) [[unlikely]]
        trace_call(t, row);
    auto result = dispatch(t, row);
    return go_on(finish(t, std::move(result), row, false), registers);
}

step kernel::finish(task& t, sysret&& result, const syscall_row* row, bool all_registers) {
    auto& ts = t.state();
    auto& r = t.registers();
    if (state_.frames.exhausted()) [[unlikely]]
        return {step::kind::out_of_memory, 0};
    expire_timers();
    if (!state_.vfs.owners.empty()) [[unlikely]]
        tell_of_news();

    const wait_state* held = t.wait();
    wait_state wait;
    if (result.what() == sysret::kind::parked) {
        if (!t.interrupted() && !result.wait().vfork_child && next_action(ts, t.process())) {
            // A signal ends the wait before it began: the handler learns of it in the way it would
            // later.
            wait = std::move(result.wait());
            t.set_wait(held = &wait);
            t.set_interrupted(true);
            result = dispatch(t, row);
        }
        const auto* action = t.interrupted() ? next_action(ts, t.process()) : nullptr;
        if (result.what() == sysret::kind::parked && !action) {
            if (host_.tracing() && !held) trace_result(result, r, false);
            ts.registers = r;
            ts.run = task_waiting{std::move(result.wait())};
            contended_ = true;
            return {step::kind::parked, 0};
        }
        if (result.what() == sysret::kind::parked) {
            const auto& a = t.actions()[static_cast<std::size_t>(action->number)];
            const bool again = !result.wait().deadline && (a.flags & abi::sa_restart) &&
                               signals::restartable(number_of(r));
            if (again) {
                if (host_.tracing()) {
                    if (held) traced_ = fmt::format("<... {} resumed>", row->name);
                    host_.trace(traced_ + " = ? ERESTARTSYS (To be restarted if SA_RESTART is set)");
                }
                r.rip -= syscall_length;
                ts.run = task_running{};
                return deliver_signals(t);
            }
            result = sysret::error(EINTR);
        }
    }
    if (host_.tracing()) [[unlikely]]
        trace_result(result, r, held != nullptr);

    switch (result.what()) {
        case sysret::kind::exited:
            return {step::kind::exited, 0};
        case sysret::kind::registers_set:
            all_registers = true;
            break;
        default:
            r.rax = static_cast<std::uint64_t>(result.value());
            break;
    }
    auto& s = ts.signals;
    // After EINTR the old mask returns with the handler's frame; after anything else, now.
    if (s.restore_blocked && result.value() != -EINTR) {
        s.blocked = s.saved_blocked;
        s.restore_blocked = false;
    }
    if (next_action(ts, t.process())) return deliver_signals(t);
    if (s.restore_blocked) {
        s.blocked = s.saved_blocked;
        s.restore_blocked = false;
    }
    return {all_registers ? step::kind::set_registers : step::kind::return_value, r.rax};
}

// -- signals
// ----------------------------------------------------------------------------------------------------

step kernel::deliver_signals(task& t) {
    auto& ts = t.state();
    auto& p = t.process();
    auto& s = ts.signals;
    while (next_action(ts, p)) {
        const auto info = signals::take(ts, p, ~s.blocked);
        if (host_.tracing()) host_.trace(tracer::format_signal(*info));
        auto& action = actions_of(state_, p)[static_cast<std::size_t>(info->number)];
        if (action.handler == abi::sig_dfl) {
            exit_process(p, {.code = 0, .signal = info->number});
            return {step::kind::exited, 0};
        }
        const signal_action used = action;
        if (!signals::push_frame(t, *info, used)) {
            if (state_.frames.exhausted()) return {step::kind::out_of_memory, 0};
            // force_sigsegv: no room for the frame. If it was SIGSEGV's own, there is nothing left
            // to try.
            if (info->number == abi::sigsegv) action = {};
            force_signal(ts, {.number = abi::sigsegv, .code = abi::si_kernel});
            continue;
        }
        if (s.restore_blocked) s.restore_blocked = false;  // the frame holds the old mask now
        s.blocked |= used.mask & ~signals::unblockable;
        if (!(used.flags & abi::sa_nodefer)) s.blocked |= signal_bit(info->number);
        if (used.flags & abi::sa_resethand) action.handler = abi::sig_dfl;
    }
    if (s.restore_blocked) {
        s.blocked = s.saved_blocked;
        s.restore_blocked = false;
    }
    return {step::kind::set_registers, t.registers().rax};
}

bool kernel::post_signal(task_state& to, const signal_info& info) {
    contended_ = true;
    if (std::holds_alternative<task_exited>(to.run)) return true;
    const auto bit = signal_bit(info.number);
    if (!send_job_signal(process_of(to), info.number, !(to.signals.blocked & bit))) return true;
    const auto* waiting = std::get_if<task_waiting>(&to.run);
    const bool wanted = waiting && (waiting->wait.signals & bit);
    if (!(to.signals.blocked & bit) && !wanted &&
        signals::ignored(actions_of(state_, process_of(to)), info.number))
        return true;
    return signals::queue(to.signals.pending, info, has_room_for(process_of(to), info));
}

bool kernel::has_room_for(const process_state& to, const signal_info& info) {
    if (info.number < abi::first_realtime_signal) return true;
    const auto limit = to.limits.find(abi::rlimit_sigpending);
    std::size_t queued = 0;  // of all processes of the receiver's user (man 2 setrlimit)
    for (const auto& [id, p] : state_.processes)
        if (p.uid == to.uid) queued += signals::counted(p.pending);
    for (const auto& [tid, ts] : state_.tasks)
        if (process_of(ts).uid == to.uid) queued += signals::counted(ts.signals.pending);
    return queued < (limit == to.limits.end() ? signals::queue_limit : limit->second.first);
}

bool kernel::post_signal(process_state& to, const signal_info& info) {
    contended_ = true;
    const auto bit = signal_bit(info.number);
    const bool takes = std::ranges::any_of(state_.tasks, [&](const auto& entry) {
        const task_state& ts = entry.second;
        return ts.process == to.id && !(ts.signals.blocked & bit);
    });
    if (!send_job_signal(to, info.number, takes)) return true;
    const bool vanishes =
        signals::ignored(actions_of(state_, to), info.number) &&
        std::ranges::none_of(state_.tasks, [&](const auto& entry) {
            const task_state& ts = entry.second;
            const auto* waiting = std::get_if<task_waiting>(&ts.run);
            return ts.process == to.id &&
                   ((ts.signals.blocked & bit) || (waiting && (waiting->wait.signals & bit)));
        });
    return vanishes || signals::queue(to.pending, info, has_room_for(to, info));
}

void kernel::force_signal(task_state& to, const signal_info& info) {
    auto& action = actions_of(state_, process_of(to))[static_cast<std::size_t>(info.number)];
    const auto bit = signal_bit(info.number);
    if ((to.signals.blocked & bit) || action.handler == abi::sig_ign) {
        action.handler = abi::sig_dfl;
        to.signals.blocked &= ~bit;
    }
    // The fault of this moment, not one of the same number that was sent before.
    std::erase_if(to.signals.pending,
                  [&](const signal_info& s) { return s.number == info.number; });
    to.signals.pending.push_back(info);
}

// -- exceptions
// -------------------------------------------------------------------------------------------------

step kernel::on_exception(vmm::vcpu_state& registers, const vmm::exception_exit& exception) {
    auto& ts = running_task();
    if (std::holds_alternative<task_exited>(ts.run)) return {step::kind::exited, 0};
    task t(*this, process_of(ts), ts, registers);
    registers.rflags &= ~std::uint64_t{0x1'0000};  // RF belongs to the frame of the exception

    signal_info info{.code = abi::si_kernel};
    const auto fault = [&](int number, int code, std::uint64_t address) {
        info.number = number;
        info.code = code;
        info.address = address;
    };
    switch (exception.vector) {
        case 0:
            fault(abi::sigfpe, abi::fpe_intdiv, registers.rip);
            break;
        case 1:
            fault(abi::sigtrap, abi::trap_trace, registers.rip);
            break;
        case 3:
            info.number = abi::sigtrap;
            break;
        case 6: {
            // INT n is #UD on one KVM flavour and #GP on the other (FACTS 2.1); a program sees
            // SIGSEGV.
            const auto opcode = t.read(guest_ptr<const std::uint8_t>{gva{registers.rip}});
            if (opcode && *opcode == 0xcd)
                info.number = abi::sigsegv;
            else
                fault(abi::sigill, abi::ill_illopn, registers.rip);
            break;
        }
        case 14:
            switch (t.memory().fault(exception.fault_address, exception.error_code)) {
                case mm::fault_result::resolved:
                    return go_on({step::kind::set_registers, registers.rax}, registers);
                case mm::fault_result::out_of_memory:
                    return {step::kind::out_of_memory, 0};
                case mm::fault_result::segv_maperr:
                    fault(abi::sigsegv, abi::segv_maperr, exception.fault_address.value);
                    break;
                case mm::fault_result::segv_accerr:
                    fault(abi::sigsegv, abi::segv_accerr, exception.fault_address.value);
                    break;
                case mm::fault_result::bus_adrerr:
                    fault(abi::sigbus, abi::bus_adrerr, exception.fault_address.value);
                    break;
            }
            break;
        case 16:
        case 19:
            fault(abi::sigfpe, floating_point_code(exception.vector), registers.rip);
            break;
        case 17:
            fault(abi::sigbus, abi::bus_adraln, 0);
            break;
        default:
            info.number = abi::sigsegv;
            break;  // #GP, #SS, #NP and what a program cannot raise
    }
    ts.signals.trap_number = exception.vector;
    ts.signals.trap_error = exception.error_code;
    if (exception.vector == 14) ts.signals.trap_address = exception.fault_address.value;
    force_signal(ts, info);
    return go_on(deliver_signals(t), registers);
}

int kernel::floating_point_code(std::uint8_t vector) {
    // The flags raised and not masked, in the order of fpu__exception_code.
    const auto image = host_.read_fpu().xsave;
    if (image.size() < abi::fxsave_size) return 0;
    const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(image[i]); };
    unsigned flags = 0;
    if (vector == 16)
        flags = byte(2) & ~byte(0);  // FSW & ~FCW
    else
        flags = byte(24) & ~((byte(24) | byte(25) << 8) >> 7);  // MXCSR
    if (flags & 0x01) return abi::fpe_fltinv;
    if (flags & 0x04) return abi::fpe_fltdiv;
    if (flags & 0x08) return abi::fpe_fltovf;
    if (flags & 0x12) return abi::fpe_fltund;
    if (flags & 0x20) return abi::fpe_fltres;
    return 0;
}

step kernel::on_memory_fault(vmm::vcpu_state& registers) {
    auto& ts = running_task();
    if (std::holds_alternative<task_exited>(ts.run)) return {step::kind::exited, 0};
    task t(*this, process_of(ts), ts, registers);
    // KVM does not say which address it was.
    force_signal(ts, {.number = abi::sigbus, .code = abi::bus_adrerr});
    return go_on(deliver_signals(t), registers);
}

step kernel::on_interrupt(vmm::vcpu_state& registers) {
    auto& ts = running_task();
    if (std::holds_alternative<task_exited>(ts.run)) return {step::kind::exited, 0};
    expire_timers();
    task t(*this, process_of(ts), ts, registers);
    if (next_action(ts, t.process())) return go_on(deliver_signals(t), registers);
    if (state_.tasks.size() == 1 || host_.monotonic_now() < slice_end_)
        return {step::kind::run_on, 0};
    return go_on({step::kind::set_registers, registers.rax}, registers);
}

// -- waiting
// ----------------------------------------------------------------------------------------------------

bool kernel::wait_is_over(task_state& ts, const wait_state& wait) {
    if (wait.vfork_child) {
        const auto child = state_.processes.find(wait.vfork_child);
        return child == state_.processes.end() || child->second.ended || !child->second.vforked;
    }
    if (wait.futex && wait.futex->woken) return true;
    if (wait.opening && !vfs::waits_for_partner(state_.vfs, *wait.opening)) return true;
    if (wait.lock && !vfs::conflict(state_.vfs, wait.lock->place, wait.lock->lock)) return true;
    if (wait.child) {  // one has ended, or there is none any more to wait for
        bool living = false, news = false;
        for (const auto& [id, p] : state_.processes) {
            if (p.parent != ts.process) continue;
            (p.ended ? news : living) = true;
            news = news || p.job.stop_untold || p.job.continue_untold;
        }
        if (news || !living) return true;
    }
    if (wait.native_event && state_.native.event) return true;
    if (wait.deadline && host_.monotonic_now() >= *wait.deadline) return true;
    if (wait.cpu_time &&
        cpu_time_on(wait.cpu_time->clock).value_or(wait.cpu_time->at) >= wait.cpu_time->at)
        return true;
    if (next_action(ts, process_of(ts))) return true;
    if (wait.signals && signals::peek(ts, process_of(ts), wait.signals)) return true;
    const vfs::asker who{state_, host_, ts};
    return std::ranges::any_of(wait.watches, [&](const wait_state::watch& w) {
        return (vfs::poll_events(who, w.description) &
                (w.events | POLLERR | POLLHUP | POLLNVAL)) != 0;
    });
}

std::optional<step> kernel::try_resume(task_state& ts, vmm::vcpu_state& registers) {
    auto* waiting = std::get_if<task_waiting>(&ts.run);
    if (!waiting || !wait_is_over(ts, waiting->wait)) return std::nullopt;
    const wait_state wait = std::move(waiting->wait);
    ts.run = task_running{};
    state_.running = ts.tid;
    registers = ts.registers;

    task t(*this, process_of(ts), ts, registers);
    t.set_wait(&wait);
    t.set_interrupted(next_action(ts, t.process()) != nullptr);
    if (t.interrupted()) take_fpu(ts);  // the handler's frame will hold it
    const auto* row = find_row(table_, number_of(registers));
    auto result = dispatch(t, row);
    const auto s = finish(t, std::move(result), row, true);
    if (s.what == step::kind::parked) return std::nullopt;
    return s;
}

step kernel::resume(vmm::vcpu_state& registers) {
    if (ended_process_ != state_.processes.begin()->first) over_ = false;
    expire_timers();
    return run_next(registers);
}

std::optional<std::chrono::nanoseconds> kernel::wait_deadline() const {
    auto first = first_timer();
    for (const auto& [tid, ts] : state_.tasks) {
        const auto* waiting = std::get_if<task_waiting>(&ts.run);
        if (!waiting || stopped(ts)) continue;
        const auto consider = [&first](std::optional<std::chrono::nanoseconds> at) {
            if (at && (!first || *at < *first)) first = at;
        };
        consider(waiting->wait.deadline);
        for (const auto& watch : waiting->wait.watches)
            consider(vfs::ready_at({state_, host_, ts}, watch.description));
    }
    return first;
}

// -- tracing
// ----------------------------------------------------------------------------------------------------

void kernel::trace_call(task& t, const syscall_row* row) {
    // Formatted before the call: a read overwrites what the arguments point at.
    if (!row) {
        const auto a = arguments_of(t.registers());
        traced_ = fmt::format("syscall_{:#x}({:#x}, {:#x}, {:#x}, {:#x}, {:#x}, {:#x})",
                              number_of(t.registers()), a[0], a[1], a[2], a[3], a[4], a[5]);
    } else if (row->handler.format) {
        traced_ = fmt::format("{}({})", row->name, row->handler.format(t));
    } else {
        const auto a = arguments_of(t.registers());
        traced_ = fmt::format("{}({:#x}, {:#x}, {:#x}, {:#x}, {:#x}, {:#x})", row->name, a[0], a[1],
                              a[2], a[3], a[4], a[5]);
    }
}

void kernel::trace_result(sysret& result, const vmm::vcpu_state& registers, bool resumed) {
    if (resumed) {
        const auto* row = find_row(table_, number_of(registers));
        // rt_sigreturn and the like have put another RAX there; they never park.
        traced_ = fmt::format("<... {} resumed>", row ? row->name : "?");
    }
    host_.trace(fmt::format("{} {}", traced_, tracer::format_result(result, registers.rax)));
}

}  // namespace hearth::guest
