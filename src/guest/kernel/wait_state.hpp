#pragma once

/// What a parked task waits for, as a value. A handler that cannot finish returns
/// `sysret::park(wait_state)`; when any of it comes true the same system call is dispatched again,
/// with `task.wait()` still holding this value, so that a handler knows its absolute deadline. No
/// host stack frame holds guest progress.

#include "guest/kernel/signal_state.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace hearth::guest {

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
    std::vector<watch> watches;
    bool native_event = false;  ///< the native path's next event
    bool signal_only = false;   ///< pause, sigsuspend: nothing but a signal
    signal_set signals =
        0;  ///< rt_sigtimedwait: a pending one of these ends the wait, blocked or not
    bool operator==(const wait_state&) const = default;
};

}  // namespace hearth::guest
