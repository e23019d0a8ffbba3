#pragma once

/// Rules of signals as functions of values: default actions, queues, and which one comes next (man
/// 7 signal).

#include "guest/abi/signal.hpp"
#include "guest/kernel/kernel_state.hpp"

#include <optional>
#include <span>
#include <vector>

namespace hearth::guest::signals {

enum class default_action { terminate, core, ignore, stop };

/// RLIMIT_SIGPENDING of a guest's first process: how many signals of a user may wait.
inline constexpr std::size_t queue_limit = 1024;
/// SIGKILL and SIGSTOP can be neither blocked nor handled.
inline constexpr signal_set unblockable = signal_bit(abi::sigkill) | signal_bit(abi::sigstop);

constexpr bool valid(int number) noexcept { return number >= 1 && number <= signal_count; }

default_action default_of(int number) noexcept;
/// Whether the disposition makes the signal vanish.
bool ignored(const signal_actions& actions, int number) noexcept;

/// Whether the signal's action is to stop the process. The guest's first process, which has no
/// parent, is not stopped: nobody outside could continue it (as with a container's init).
bool stops(const signal_actions& actions, int number) noexcept;
inline constexpr signal_set stop_signals = signal_bit(abi::sigstop) | signal_bit(abi::sigtstp) |
                                           signal_bit(abi::sigttin) | signal_bit(abi::sigttou);

/// Adds to a queue: a standard signal at most once, a real-time one each time. When there is no
/// `room`, one that kill sends still comes, once and without its sender; any other is refused:
/// false (kernel/signal.c, __send_signal_locked).
bool queue(std::vector<signal_info>& pending, const signal_info& info, bool room);
/// How many count towards RLIMIT_SIGPENDING: those that came without room do not.
std::size_t counted(std::span<const signal_info> pending) noexcept;
signal_set set_of(std::span<const signal_info> pending) noexcept;

/// Which of the task's and its process's pending signals, of those in `allowed`, comes next:
/// synchronous ones first, then the lowest number, the task's own before the process's
/// (kernel/signal.c, next_signal).
const signal_info* peek(const task_state& t, const process_state& p, signal_set allowed) noexcept;
std::optional<signal_info> take(task_state& t, process_state& p, signal_set allowed);

/// Drops pending signals that the dispositions ignore, lets those that stop the process do so, and
/// says which would act on the task now.
const signal_info* next_action(const signal_actions& actions, task_state& t, process_state& p);

/// Removes all instances of signals: the disposition became "ignore" (man 2 sigaction), or the
/// opposite was sent (SIGCONT and the stop signals).
void discard(process_state& p, std::map<pid, task_state>& tasks, signal_set which);

abi::siginfo to_abi(const signal_info& info) noexcept;

/// Whether a call that parked is restarted after a handler with SA_RESTART rather than ended with
/// EINTR: the list of man 7 signal, "Interruption of system calls". Calls with a timeout never are.
bool restartable(std::uint32_t number) noexcept;

}  // namespace hearth::guest::signals
