#pragma once

/// What a description is ready for, as poll(2) says it.

#include "guest/kernel/host.hpp"
#include "guest/kernel/kernel_state.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>

namespace hearth::guest::vfs {

/// Who asks: a signal descriptor is ready for who has a signal pending.
struct asker {
    const kernel_state& state;
    host& h;
    const task_state& task;
    /// What epoll sets that hold each other have answered so far: each is asked once, by however
    /// many ways it is come to.
    mutable std::map<description_id, int> sets = {};
    mutable std::map<description_id, std::uint64_t> activities = {};
};

/// POLLIN, POLLOUT, POLLERR, POLLHUP, POLLRDHUP …; POLLNVAL for an id that is no more.
short poll_events(const asker& who, description_id id);

/// Counts what has happened to a description's source: edge-triggered epoll reports when it has
/// changed.
std::uint64_t activity_of(const asker& who, const description& d);

/// What an epoll item would report now; zero for nothing.
std::uint32_t epoll_ready(const asker& who, description_id id, const epoll_set::item& item);

/// When time alone makes the description ready: a timer's deadline, guest CLOCK_MONOTONIC.
std::optional<std::chrono::nanoseconds> ready_at(const asker& who, description_id id);

/// A set may hold another (man 2 epoll_ctl, ELOOP): no circle comes of it, and no deeper nesting
/// than Linux's.
[[nodiscard]] bool may_hold(const vfs_state& state, description_id set, description_id inner);

}  // namespace hearth::guest::vfs
