#include "guest/sys/signal.hpp"

#include "guest/kernel/credentials.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/kernel/signal_frame.hpp"
#include "guest/kernel/signals.hpp"
#include "guest/sys/pidfd.hpp"
#include "guest/sys/time.hpp"

#include <limits>

namespace hearth::guest {
namespace {

constexpr std::uint64_t sigset_size = sizeof(signal_set);

signal_info sender_info(task& t, int number, int code) {
    return {.number = number,
            .code = code,
            .sender_pid = t.process().id,
            .sender_uid = t.process().uid};
}

/// Sends to a process or a thread; the null signal only asks whether it is there. EAGAIN: the queue
/// of a real-time signal is full. EPERM
template <class Target>
sysret send(task& t, Target& to, const signal_info& info) {
    const process_state* p = nullptr;
    if constexpr (std::is_same_v<Target, process_state>)
        p = &to;
    else
        p = &t.kernel().process_of(to);
    if (!may_signal(t.process(), *p, info.number)) return sysret::error(EPERM);
    if (info.number != 0 && !t.kernel().post_signal(to, info)) return sysret::error(EAGAIN);
    return 0;
}

bool alive(task& t, const process_state& p) {
    for (const auto& [tid, ts] : t.kernel().state().tasks)
        if (ts.process == p.id && !std::holds_alternative<task_exited>(ts.run)) return true;
    return false;
}

process_state* find_process(task& t, int id) {
    auto& all = t.kernel().state().processes;
    const auto it = all.find(id);
    return it != all.end() && alive(t, it->second) ? &it->second : nullptr;
}

sysret send_to_thread(task& t, int process, int thread, const signal_info& info) {
    auto& all = t.kernel().state().tasks;
    const auto it = all.find(thread);
    if (it == all.end() || std::holds_alternative<task_exited>(it->second.run))
        return sysret::error(ESRCH);
    if (process > 0 && it->second.process != process) return sysret::error(ESRCH);
    return send(t, it->second, info);
}

bool valid_or_null(int number) noexcept { return number == 0 || signals::valid(number); }

/// What sigqueue may claim: never to be the kernel, kill or tgkill, but to oneself.
outcome<signal_info> read_queued(task& t,
                                 int number,
                                 guest_ptr<const abi::siginfo> from,
                                 int target) {
    const auto in = t.read(from);
    if (!in) return in.error();
    if ((in->code >= 0 || in->code == abi::si_tkill) && target != t.process().id)
        return os_error{EPERM};
    if (!valid_or_null(number)) return os_error{EINVAL};
    return signal_info{.number = number,
                       .error = in->error,
                       .code = in->code,
                       .sender_pid = in->sender.pid,
                       .sender_uid = in->sender.uid,
                       .address = in->code > 0 ? in->fault.address : in->sender.value};
}

bool on_alternate_stack(task& t) {
    const auto& s = t.state().signals;
    const auto sp = t.registers().rsp;
    return s.alternate_size != 0 && !(s.alternate_flags & abi::ss_autodisarm) &&
           sp > s.alternate_stack && sp - s.alternate_stack <= s.alternate_size;
}

}  // namespace

sysret sys_rt_sigaction(task& t,
                        int number,
                        guest_ptr<const abi::sigaction> in,
                        guest_ptr<abi::sigaction> old,
                        std::uint64_t set_size) {
    if (set_size != sigset_size) return sysret::error(EINVAL);
    std::optional<abi::sigaction> value;
    if (in) {
        const auto read = t.read(in);
        if (!read) return read.error();
        value = *read;
    }
    if (!signals::valid(number)) return sysret::error(EINVAL);
    if (value && (signals::unblockable & signal_bit(number))) return sysret::error(EINVAL);
    auto& action = t.actions()[static_cast<std::size_t>(number)];
    const abi::sigaction before{action.handler, action.flags, action.restorer, action.mask};
    if (value) {
        // Unknown flags are cleared, not refused: this is how a program finds out (man 2 sigaction,
        // "Dynamically probing for flag bit support").
        constexpr auto known = abi::sa_nocldstop | abi::sa_nocldwait | abi::sa_siginfo |
                               abi::sa_restorer | abi::sa_onstack | abi::sa_restart |
                               abi::sa_nodefer | abi::sa_resethand;
        action = {value->handler, value->flags & known, value->restorer,
                  value->mask & ~signals::unblockable};
        if (signals::ignored(t.actions(), number))
            signals::discard(t.process(), t.kernel().state().tasks, signal_bit(number));
    }
    return old ? sysret(t.write(old, before)) : sysret(0);
}

sysret sys_rt_sigprocmask(task& t,
                          int how,
                          guest_ptr<const std::uint64_t> in,
                          guest_ptr<std::uint64_t> old,
                          std::uint64_t set_size) {
    if (set_size != sigset_size) return sysret::error(EINVAL);
    auto& blocked = t.state().signals.blocked;
    const auto before = blocked;
    if (in) {
        const auto read = t.read(in);
        if (!read) return read.error();
        const auto set = *read & ~signals::unblockable;
        switch (how) {
            case abi::sig_block:
                blocked |= set;
                break;
            case abi::sig_unblock:
                blocked &= ~set;
                break;
            case abi::sig_setmask:
                blocked = set;
                break;
            default:
                return sysret::error(EINVAL);
        }
    }
    return old ? sysret(t.write(old, before)) : sysret(0);
}

sysret sys_rt_sigreturn(task& t) {
    if (!signals::pop_frame(t))
        t.kernel().force_signal(t.state(), {.number = abi::sigsegv, .code = abi::si_kernel});
    return sysret::registers_set();
}

sysret sys_rt_sigpending(task& t, guest_ptr<std::uint64_t> out, std::uint64_t set_size) {
    if (set_size > sigset_size) return sysret::error(EINVAL);
    const auto& s = t.state().signals;
    const signal_set set =
        (signals::set_of(s.pending) | signals::set_of(t.process().pending)) & s.blocked;
    return t.memory().write(out.address, std::as_bytes(std::span(&set, 1)).first(set_size));
}

sysret sys_rt_sigsuspend(task& t, guest_ptr<const std::uint64_t> mask, std::uint64_t set_size) {
    if (set_size != sigset_size) return sysret::error(EINVAL);
    if (!t.wait()) {
        const auto set = t.read(mask);
        if (!set) return set.error();
        t.set_temporary_mask(*set);
    }
    wait_state wait;
    wait.signal_only = true;
    return sysret::park(std::move(wait));
}

sysret sys_pause(task&) {
    wait_state wait;
    wait.signal_only = true;
    return sysret::park(std::move(wait));
}

sysret sys_rt_sigtimedwait(task& t,
                           guest_ptr<const std::uint64_t> set_at,
                           guest_ptr<abi::siginfo> info,
                           guest_ptr<const abi::timespec> timeout,
                           std::uint64_t set_size) {
    if (set_size != sigset_size) return sysret::error(EINVAL);
    wait_state wait;
    const auto now = t.kernel().host().monotonic_now();
    if (t.wait()) {
        wait = *t.wait();
    } else {
        const auto set = t.read(set_at);
        if (!set) return set.error();
        wait.signals = *set & ~signals::unblockable;
        if (timeout) {
            const auto value = t.read(timeout);
            if (!value) return value.error();
            const auto length = to_duration(*value);
            if (!length) return length.error();
            wait.deadline = deadline_after(now, *length);
        } else {
            wait.signal_only = true;
        }
    }
    if (const auto taken = signals::take(t.state(), t.process(), wait.signals)) {
        if (info) {
            if (auto r = t.write(info, signals::to_abi(*taken)); !r) return r.error();
        }
        return taken->number;
    }
    if (wait.deadline && now >= *wait.deadline) return sysret::error(EAGAIN);
    return sysret::park(std::move(wait));
}

sysret sys_rt_sigqueueinfo(task& t, int process, int number, guest_ptr<const abi::siginfo> info) {
    const auto queued = read_queued(t, number, info, process);
    if (!queued) return queued.error();
    auto* p = find_process(t, process);
    return p ? send(t, *p, *queued) : sysret::error(ESRCH);
}

sysret sys_rt_tgsigqueueinfo(
    task& t, int process, int thread, int number, guest_ptr<const abi::siginfo> info) {
    if (process <= 0 || thread <= 0) return sysret::error(EINVAL);
    const auto queued = read_queued(t, number, info, process);
    if (!queued) return queued.error();
    return send_to_thread(t, process, thread, *queued);
}

sysret sys_sigaltstack(task& t, guest_ptr<const abi::stack> in, guest_ptr<abi::stack> old) {
    auto& s = t.state().signals;
    const bool on = on_alternate_stack(t);
    abi::stack before{s.alternate_stack, s.alternate_flags & abi::ss_autodisarm, 0,
                      s.alternate_size};
    if (s.alternate_size == 0)
        before.flags |= abi::ss_disable;
    else if (on)
        before.flags |= abi::ss_onstack;
    if (in) {
        const auto value = t.read(in);
        if (!value) return value.error();
        if (on) return sysret::error(EPERM);
        switch (value->flags & ~abi::ss_autodisarm) {
            case abi::ss_disable:
                s.alternate_stack = s.alternate_size = 0;
                s.alternate_flags = abi::ss_disable;
                break;
            case 0:
            case abi::ss_onstack:
                if (value->size < abi::minimum_signal_stack) return sysret::error(ENOMEM);
                s.alternate_stack = value->sp;
                s.alternate_size = value->size;
                s.alternate_flags = value->flags & abi::ss_autodisarm;
                break;
            default:
                return sysret::error(EINVAL);
        }
    }
    return old ? sysret(t.write(old, before)) : sysret(0);
}

sysret sys_kill(task& t, int process, int number) {
    if (!valid_or_null(number)) return sysret::error(EINVAL);
    const auto info = sender_info(t, number, abi::si_user);
    if (process > 0) {
        auto* p = find_process(t, process);
        return p ? send(t, *p, info) : sysret::error(ESRCH);
    }
    if (process == std::numeric_limits<int>::min())
        return sysret::error(ESRCH);  // its negation is no pid
    // 0: the caller's group; -1: every process but the caller and process 1; -n: group n.
    const auto group = process == 0 ? t.process().group : -process;
    bool any = false, sent = false;
    for (auto& [id, p] : t.kernel().state().processes) {
        if (!alive(t, p)) continue;
        if (process == -1 ? (id == 1 || id == t.process().id) : p.group != group) continue;
        sent = send(t, p, info).value() == 0 || sent;
        any = true;
    }
    if (!any) return sysret::error(ESRCH);
    return sent || process == -1 ? sysret(0) : sysret::error(EPERM);
}

sysret sys_pidfd_send_signal(
    task& t, int fd, int number, guest_ptr<const abi::siginfo> info, unsigned flags) {
    if (flags) return sysret::error(EINVAL);
    const auto to = process_to_signal(t, fd);
    if (!to) return to.error();
    auto sent = sender_info(t, number, abi::si_user);
    if (info) {
        const auto in = t.read(info);
        if (!in) return in.error();
        if (in->number != number) return sysret::error(EINVAL);
        const auto queued = read_queued(t, number, info, *to ? (*to)->id : 0);
        if (!queued) return queued.error();
        sent = *queued;
    }
    if (!valid_or_null(number)) return sysret::error(EINVAL);
    if (!*to) return sysret::error(ESRCH);
    return (*to)->ended ? 0 : send(t, **to, sent);  // a zombie hears nothing
}

sysret sys_tkill(task& t, int thread, int number) {
    if (thread <= 0 || !valid_or_null(number)) return sysret::error(EINVAL);
    return send_to_thread(t, 0, thread, sender_info(t, number, abi::si_tkill));
}

sysret sys_tgkill(task& t, int process, int thread, int number) {
    if (process <= 0 || thread <= 0 || !valid_or_null(number)) return sysret::error(EINVAL);
    return send_to_thread(t, process, thread, sender_info(t, number, abi::si_tkill));
}

}  // namespace hearth::guest
