#pragma once

/// The event source mappings: kept in the storage, and each with the poller that brings its queue's
/// messages to its function. The decisions are queue_poller's; here they meet queues and functions.
///
/// Everything that happens by itself happens on one thread of its own, which never waits: neither
/// for a message nor for a function. `mutex_` is a leaf and guards the mappings and their pollers;
/// it is not held over the storage's writes, so who changes mappings holds the owner's `changes_`.

#include "control/event_pattern.hpp"
#include "control/queue_poller.hpp"

#include <hearth/control.hpp>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::control {

class event_sources {
  public:
    static constexpr std::size_t max_mappings = 1000;
    /// Of messages that are here, all mappings together.
    static constexpr std::size_t max_bytes = std::size_t{64} << 20;

    /// The owner outlives it.
    explicit event_sources(control_plane::impl& owner) : owner_(owner) {}
    event_sources(const event_sources&) = delete;
    event_sources& operator=(const event_sources&) = delete;
    ~event_sources() { stop(); }

    /// What is stored. Once, before anything else. @errors errc::storage_failed
    result<void> load();
    /// From now on messages are received.
    void start();
    /// None any more. What is with functions goes on.
    void pause();
    /// The same, and waits for what is with functions, and for what it came to.
    void stop();

    /// Stores it and makes it so, in the place of the one of its UUID. @errors errc::storage_failed
    result<void> put(event_source_mapping m);
    /// @errors errc::not_found, storage_failed
    result<event_source_mapping> remove(std::string_view uuid);
    /// @errors errc::not_found
    [[nodiscard]] result<event_source_mapping> get(std::string_view uuid) const;
    /// Those for which `wanted` holds.
    [[nodiscard]] event_source_mapping_page list(
        std::string_view marker,
        std::size_t max_items,
        const std::function<bool(const event_source_mapping&)>& wanted) const;
    [[nodiscard]] std::size_t size() const;
    void add_to(hearth::metrics& m) const;

  private:
    struct source {
        source(event_source_mapping m,
               std::string from,
               queue_poller::settings s,
               std::vector<event_pattern> f,
               const boost::asio::thread_pool::executor_type& thread)
            : uuid(m.uuid),
              queue(std::move(from)),
              mapping(std::move(m)),
              filters(std::move(f)),
              poller(s),
              timer(thread) {}

        const std::string uuid, queue;
        // Under mutex_.
        event_source_mapping mapping;
        std::vector<event_pattern> filters;
        queue_poller poller;
        std::size_t charged = 0;  ///< of bytes_
        bool deleting = false;
        std::uint64_t polled = 0, filtered_out = 0, deleted = 0;
        // The thread's.
        boost::asio::steady_timer timer;
        boost::asio::cancellation_signal cancel_receive;
    };
    using source_ptr = std::shared_ptr<source>;

    /// A source for it, with its filters read.
    [[nodiscard]] result<source_ptr> make(event_source_mapping m);
    [[nodiscard]] event_source_mapping shown(const source& s) const;
    void wake(const source_ptr& s);

    // On the thread.
    void pump(const source_ptr& s);
    void perform(const source_ptr& s, queue_poller::receive r);
    void perform(const source_ptr& s, queue_poller::cancel_receive);
    void perform(const source_ptr& s, queue_poller::invoke i);
    void perform(const source_ptr& s, queue_poller::remove r);
    void perform(const source_ptr& s, queue_poller::release r);
    void on_received(const source_ptr& s, const error& failed, std::vector<queue_message> messages);
    void on_invoked(const source_ptr& s,
                    std::uint64_t batch,
                    const error& failed,
                    const response& r);
    /// It cannot receive now, and tries again a little later.
    void hold(const source_ptr& s, const error& why);
    /// Why the function cannot be invoked, if it cannot. @errors as control_plane::impl::admit
    [[nodiscard]] result<void> check_function(const std::string& arn) const;

    control_plane::impl& owner_;
    boost::asio::thread_pool thread_{1};  ///< goes after the sources, whose timers use it
    mutable std::mutex mutex_;
    std::map<std::string, source_ptr, std::less<>> sources_;  ///< by UUID; under mutex_
    bool running_ = false;                                    ///< under mutex_
    // The thread's.
    std::size_t bytes_ = 0;
    std::vector<source_ptr> starved_;  ///< wait for bytes_ to fall
};

}  // namespace hearth::control
