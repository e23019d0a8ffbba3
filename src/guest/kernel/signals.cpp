#include "guest/kernel/signals.hpp"

#include "guest/kernel/native_exchange.hpp"

#include <algorithm>
#include <bit>

namespace hearth::guest::signals {
namespace {

constexpr signal_set synchronous = signal_bit(abi::sigsegv) | signal_bit(abi::sigbus) |
                                   signal_bit(abi::sigill) | signal_bit(abi::sigtrap) |
                                   signal_bit(abi::sigfpe) | signal_bit(abi::sigsys);

const signal_info* first_of(const std::vector<signal_info>& pending, int number) noexcept {
    auto it = std::ranges::find(pending, number, &signal_info::number);
    return it == pending.end() ? nullptr : &*it;
}

int lowest(signal_set set) noexcept {
    if (set & synchronous) set &= synchronous;
    return std::countr_zero(set) + 1;
}

}  // namespace

default_action default_of(int number) noexcept {
    switch (number) {
        case abi::sigchld:
        case abi::sigcont:
        case abi::sigurg:
        case abi::sigwinch:
            return default_action::ignore;
        case abi::sigstop:
        case abi::sigtstp:
        case abi::sigttin:
        case abi::sigttou:
            return default_action::stop;
        case abi::sigquit:
        case abi::sigill:
        case abi::sigtrap:
        case abi::sigabrt:
        case abi::sigbus:
        case abi::sigfpe:
        case abi::sigsegv:
        case abi::sigxcpu:
        case abi::sigxfsz:
        case abi::sigsys:
            return default_action::core;
        default:
            return default_action::terminate;
    }
}

bool ignored(const signal_actions& actions, int number) noexcept {
    const auto handler = actions[static_cast<std::size_t>(number)].handler;
    if (handler == abi::sig_ign) return true;
    if (handler != abi::sig_dfl) return false;
    return default_of(number) == default_action::ignore;
}

bool stops(const signal_actions& actions, int number) noexcept {
    return default_of(number) == default_action::stop &&
           actions[static_cast<std::size_t>(number)].handler == abi::sig_dfl;
}

bool queue(std::vector<signal_info>& pending, const signal_info& info, bool room) {
    if (info.number < abi::first_realtime_signal) {
        if (!first_of(pending, info.number)) pending.push_back(info);
        return true;
    }
    if (room) {
        pending.push_back(info);
        return true;
    }
    if (info.code != abi::si_user) return false;
    if (!first_of(pending, info.number)) pending.push_back({.number = info.number});
    return true;
}

std::size_t counted(std::span<const signal_info> pending) noexcept {
    return static_cast<std::size_t>(std::ranges::count_if(
        pending, [](const signal_info& s) { return s.code != abi::si_user || s.sender_pid != 0; }));
}

signal_set set_of(std::span<const signal_info> pending) noexcept {
    signal_set set = 0;
    for (const auto& info : pending) set |= signal_bit(info.number);
    return set;
}

const signal_info* peek(const task_state& t, const process_state& p, signal_set allowed) noexcept {
    if (const auto set = set_of(t.signals.pending) & allowed)
        return first_of(t.signals.pending, lowest(set));
    if (const auto set = set_of(p.pending) & allowed) return first_of(p.pending, lowest(set));
    return nullptr;
}

std::optional<signal_info> take(task_state& t, process_state& p, signal_set allowed) {
    const auto* found = peek(t, p, allowed);
    if (!found) return std::nullopt;
    signal_info info = *found;
    auto& from = first_of(t.signals.pending, info.number) == found ? t.signals.pending : p.pending;
    from.erase(from.begin() + (found - from.data()));
    if (info.code == abi::si_timer) {  // overruns counted while it was pending
        if (auto timer = p.timers.posix.find(info.timer); timer != p.timers.posix.end()) {
            info.overrun = timer->second.pending_overrun;
            timer->second.overrun = std::exchange(timer->second.pending_overrun, 0);
        }
    }
    return info;
}

const signal_info* next_action(const signal_actions& actions, task_state& t, process_state& p) {
    if (t.signals.pending.empty() && p.pending.empty()) return nullptr;
    const signal_set allowed = ~t.signals.blocked;
    while (const auto* next = peek(t, p, allowed)) {
        const int number = next->number;
        const bool stop = stops(actions, number);
        if (!stop && !ignored(actions, number)) return next;
        take(t, p, signal_bit(number) & allowed);
        if (stop && p.parent != 0 && !p.job.stopped_by)
            p.job = {.stopped_by = number, .stop_untold = true};
    }
    return nullptr;
}

void discard(process_state& p, std::map<pid, task_state>& tasks, signal_set which) {
    const auto is_it = [&](const signal_info& s) { return (signal_bit(s.number) & which) != 0; };
    std::erase_if(p.pending, is_it);
    for (auto& [tid, t] : tasks)
        if (t.process == p.id) std::erase_if(t.signals.pending, is_it);
}

abi::siginfo to_abi(const signal_info& info) noexcept {
    abi::siginfo out{};
    out.number = info.number;
    out.error = info.error;
    out.code = info.code;
    if (info.code == abi::si_timer) {
        out.posix_timer = {info.timer, info.overrun, info.address};
    } else if (info.number == abi::sigchld && info.code > 0) {
        out.child = {info.sender_pid, info.sender_uid, static_cast<std::int32_t>(info.address)};
    } else if (info.code > 0) {
        out.poll = {info.address, info.timer};  // the address of a fault at the same place
    } else {
        out.sender = {info.sender_pid, info.sender_uid, info.address};
    }
    return out;
}

bool restartable(std::uint32_t number) noexcept {
    switch (number) {
        case 0:    // read
        case 1:    // write
        case 2:    // open
        case 16:   // ioctl
        case 17:   // pread64
        case 18:   // pwrite64
        case 19:   // readv
        case 20:   // writev
        case 40:   // sendfile
        case 42:   // connect
        case 43:   // accept
        case 44:   // sendto
        case 45:   // recvfrom
        case 46:   // sendmsg
        case 47:   // recvmsg
        case 61:   // wait4
        case 72:   // fcntl, F_SETLKW
        case 73:   // flock
        case 85:   // creat
        case 202:  // futex, FUTEX_WAIT
        case 247:  // waitid
        case 257:  // openat
        case 275:  // splice
        case 276:  // tee
        case 278:  // vmsplice
        case 288:  // accept4
        case 295:  // preadv
        case 296:  // pwritev
        case 299:  // recvmmsg
        case 307:  // sendmmsg
        case 318:  // getrandom
        case 327:  // preadv2
        case 328:  // pwritev2
        case 437:  // openat2
        case sys_hearth_exchange_number:
            return true;
        default:
            return false;
    }
}

}  // namespace hearth::guest::signals
