#pragma once

/// What a parked task waits for, as a value. A handler that cannot finish returns
/// `sysret::park(wait_state)`; when any of it comes true the same system call is dispatched again,
/// with `task.wait()` still holding this value, so that a handler knows its absolute deadline. No
/// host stack frame holds guest progress.

#include "guest/kernel/signal_state.hpp"
#include "guest/vfs/file_lock.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace hearth::guest {

/// A futex a task waits on: the word is known by its address in one space, and a wake marks the
/// waiter. Waiters are woken in the order of their tickets.
struct futex_wait {
    std::int32_t space = 0;     ///< process whose memory it is
    std::uint64_t address = 0;  ///< of the word; when space is 0, guest-physical (shared memory)
    std::uint64_t file = 0;     ///< in a mapped file: its number, and `address` is inside it
    std::uint32_t bits = ~0u;   ///< FUTEX_WAIT_BITSET
    std::uint64_t ticket = 0;
    bool woken = false;
    bool operator==(const futex_wait&) const = default;
};

/// Until a clock of CPU time shows this; if its owner is gone, no longer.
struct cpu_deadline {
    std::int32_t clock = 0;  ///< as cpu_clock() makes it
    std::chrono::nanoseconds at{};
    bool operator==(const cpu_deadline&) const = default;
};

/// An index into the arena of open file descriptions.
enum class description_id : std::uint32_t {};

struct wait_state {
    struct watch {
        description_id description{};
        short events = 0;  ///< POLLIN, POLLOUT
        bool operator==(const watch&) const = default;
    };
    std::uint64_t progress = 0;  ///< bytes moved before the wait: a long write, MSG_WAITALL
    std::optional<std::chrono::nanoseconds>
        deadline;  ///< absolute, CLOCK_MONOTONIC as the guest sees it
    std::optional<cpu_deadline> cpu_time;
    std::vector<watch> watches;
    bool native_event = false;  ///< the native path's next event
    bool signal_only = false;   ///< pause, sigsuspend: nothing but a signal
    std::optional<futex_wait> futex;
    std::optional<description_id> opening;  ///< a FIFO, until its other side comes
    std::optional<vfs::lock_wait> lock;  ///< until nobody's is in its way
    bool child = false;            ///< a child that ended: wait4, waitid
    std::int32_t vfork_child = 0;  ///< until it lives in memory of its own; no signal ends this wait
    signal_set signals =
        0;  ///< rt_sigtimedwait: a pending one of these ends the wait, blocked or not
    bool operator==(const wait_state&) const = default;
};

}  // namespace hearth::guest
