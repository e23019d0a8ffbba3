#pragma once

/// The thread that writes to an event store, and the only one: all changes that wait while it is
/// writing become the next transaction (commit_queue.hpp).
///
/// Changes are written in the order of their submission. Handlers are called on the thread, without
/// a lock.

#include "base/commit_queue.hpp"
#include "control/event_store.hpp"

#include <boost/asio/any_completion_handler.hpp>

#include <cstddef>
#include <thread>
#include <vector>

namespace hearth::control {

class event_writer {
  public:
    using handler = boost::asio::any_completion_handler<void(error)>;

    /// What may wait: beyond, `submit` refuses what is urgent.
    static constexpr std::size_t max_waiting_bytes = std::size_t{64} << 20;

    explicit event_writer(event_store& store);
    event_writer(const event_writer&) = delete;
    event_writer& operator=(const event_writer&) = delete;
    ~event_writer();

    /// Calls `done` on the writer's thread when the change is durable, or cannot be made. `urgent`:
    /// somebody waits for it.
    /// @errors (returned, and `done` is not called) errc::throttled: the disk does not keep up;
    ///         errc::shutting_down
    result<void> submit(event_change change, bool urgent, handler done);

    /// Writes what waits and joins. Who submits after it is refused.
    void stop();

  private:
    struct job {
        event_change change;
        handler done;
    };
    void run();
    void write(std::vector<job> batch);

    event_store& store_;
    commit_queue<job> waiting_;
    std::thread thread_;
};

}  // namespace hearth::control
