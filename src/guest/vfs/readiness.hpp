#pragma once

/// What a description is ready for, as poll(2) says it.

#include "guest/kernel/host.hpp"
#include "guest/vfs/vfs_state.hpp"

namespace hearth::guest {
class kernel;
}

namespace hearth::guest::vfs {

/// POLLIN, POLLOUT, POLLERR, POLLHUP, POLLRDHUP …; POLLNVAL for an id that is no more.
short poll_events(const vfs_state& state, host& h, description_id id);
short poll_events(kernel& k, description_id id);

/// Counts what has happened to a description's source: edge-triggered epoll reports when it has
/// changed.
std::uint64_t activity_of(const vfs_state& state, const description& d);

/// What an epoll item would report now; zero for nothing.
std::uint32_t epoll_ready(const vfs_state& state,
                          host& h,
                          description_id id,
                          const epoll_set::item& item);

}  // namespace hearth::guest::vfs
