#pragma once

/// Signals as values: dispositions of a process; mask, pending set and alternate stack of a task.

#include <array>
#include <cstdint>
#include <vector>

namespace hearth::guest {

inline constexpr int signal_count = 64;  ///< 1..64, as on x86-64

/// A set of signals; bit n-1 stands for signal n, as in the kernel's sigset_t.
using signal_set = std::uint64_t;
constexpr signal_set signal_bit(int number) noexcept { return signal_set{1} << (number - 1); }

/// The kernel's struct sigaction (not libc's).
struct signal_action {
    std::uint64_t handler = 0;  ///< SIG_DFL 0, SIG_IGN 1, or an address
    std::uint64_t flags = 0;
    std::uint64_t restorer = 0;
    signal_set mask = 0;
    bool operator==(const signal_action&) const = default;
};
using signal_actions = std::array<signal_action, signal_count + 1>;

/// The parts of siginfo_t that we fill.
struct signal_info {
    std::int32_t number = 0, error = 0, code = 0;
    std::int32_t sender_pid = 0;
    std::uint32_t sender_uid = 0;
    std::uint64_t address = 0;            ///< or the value of sigqueue, or of a timer; or si_band
    std::int32_t timer = 0, overrun = 0;  ///< SI_TIMER; or si_fd, 0
    bool operator==(const signal_info&) const = default;
};

struct task_signals {
    signal_set blocked = 0;
    signal_set saved_blocked = 0;  ///< restored after sigsuspend or ppoll
    bool restore_blocked = false;
    std::vector<signal_info>
        pending;  ///< standard signals at most once each, real-time ones queued
    std::uint64_t alternate_stack = 0, alternate_size = 0;
    std::int32_t alternate_flags = 2;  ///< SS_DISABLE
    // The last exception, which the kernel shows in every signal frame (struct sigcontext).
    std::uint64_t trap_number = 0, trap_error = 0, trap_address = 0;
    bool operator==(const task_signals&) const = default;
};

}  // namespace hearth::guest
