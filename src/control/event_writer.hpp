#pragma once

/// The thread that writes to an event store, and the only one. All changes that wait while it is
/// writing become the next transaction, so a disk that takes 4 ms for an fsync accepts hundreds of
/// events in that time (group commit). Callers that were answered together come again together: so
/// after a transaction of several the next one waits for as many, a part of what the last one took.
/// What nobody waits for is written a few milliseconds later, to cost fewer transactions.
///
/// Changes are written in the order of their submission. The mutex is a leaf; handlers are called
/// on the thread, without it.

#include "control/event_store.hpp"

#include <boost/asio/any_completion_handler.hpp>

#include <condition_variable>
#include <cstddef>
#include <mutex>
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
        std::size_t bytes = 0;
    };
    void run();
    void write(std::vector<job> batch);

    event_store& store_;
    std::mutex mutex_;  // guards all below but the thread
    std::condition_variable changed_;
    std::vector<job> waiting_;
    std::size_t waiting_bytes_ = 0;
    bool urgent_ = false;
    std::size_t wanted_ = 1;  ///< waiting changes that are worth waking the thread for
    bool stop_ = false;
    std::thread thread_;
};

}  // namespace hearth::control
