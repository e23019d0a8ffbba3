#pragma once

/// One event source mapping at work: what the kinds of sources have in common.
///
/// Everything that happens by itself happens on one thread of all sources, which never waits:
/// neither for a message nor for a function. The context's `mutex` is a leaf and guards the
/// sources' mappings and decisions.

#include "control/event_pattern.hpp"

#include <hearth/control.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::control {

/// arn:aws:SERVICE:…; empty: it is no ARN.
std::string_view service_of(std::string_view arn);
std::string_view region_of(std::string_view arn);  ///< arn:aws:SERVICE:REGION:…
/// Its source is a stream, not a queue.
bool is_stream(const event_source_mapping& m);
/// Its source is a registered consumer of a stream.
bool is_consumer(const event_source_mapping& m);
/// The stream's name; empty: its source is none of this region and account.
std::string stream_of(const stream_service& streams, const event_source_mapping& m);

class event_source;
using event_source_ptr = std::shared_ptr<event_source>;

/// What all sources share.
struct event_source_context {
    /// Of messages and records that are here, all sources together.
    static constexpr std::size_t max_bytes = std::size_t{64} << 20;

    explicit event_source_context(control_plane::impl& o) : owner(o) {}

    control_plane::impl& owner;          ///< outlives it
    boost::asio::thread_pool thread{1};  ///< goes after the sources, whose timers use it
    std::mutex mutex;
    std::map<std::string, event_source_ptr, std::less<>> sources;  ///< by UUID; under the mutex
    // The thread's.
    std::size_t bytes = 0;
    std::vector<event_source_ptr> starved;  ///< wait for `bytes` to fall
};

class event_source : public std::enable_shared_from_this<event_source> {
  public:
    using time_point = std::chrono::steady_clock::time_point;

    event_source(event_source_context& all,
                 event_source_mapping m,
                 std::vector<event_pattern> filters);
    event_source(const event_source&) = delete;
    event_source& operator=(const event_source&) = delete;
    virtual ~event_source() = default;

    // Under the mutex. `wake` makes what they ask for happen.

    [[nodiscard]] const event_source_mapping& mapping() const { return mapping_; }
    [[nodiscard]] event_source_mapping shown() const;
    [[nodiscard]] virtual event_source_metrics metrics() const = 0;
    /// As `m` says from now on.
    void change(event_source_mapping m, std::vector<event_pattern> filters);
    virtual void start() = 0;
    /// What is with the function goes on.
    virtual void stop() = 0;
    /// Stops, and goes when nothing is under way any more.
    void remove();

    void wake();

  protected:
    // Under the mutex.
    virtual void configure() = 0;
    /// Nothing is under way.
    [[nodiscard]] virtual bool idle() const = 0;
    /// Of what is held here.
    [[nodiscard]] virtual std::size_t bytes() const = 0;
    /// Decides what is to be done now, and when there will be something by itself. On the thread.
    virtual std::optional<time_point> plan(time_point now, bool has_room) = 0;
    void say(const error& why);
    /// Of an invocation.
    void say(const error& failed, bool is_answered);
    [[nodiscard]] bool wants(const boost::json::object& form) const;
    [[nodiscard]] bool has_filters() const { return !filters_.empty(); }
    [[nodiscard]] event_source_metrics metrics_head() const;

    // On the thread, without the mutex.
    [[nodiscard]] std::string function_arn() const;
    /// Does what was planned.
    virtual void act() = 0;
    void pump();

    [[nodiscard]] std::mutex& mutex() const { return all_.mutex; }
    [[nodiscard]] control_plane::impl& owner() const { return all_.owner; }
    [[nodiscard]] auto thread() const { return all_.thread.get_executor(); }

    const std::string uuid_;

  private:
    event_source_context& all_;
    // Under the mutex.
    event_source_mapping mapping_;
    std::vector<event_pattern> filters_;
    bool deleting_ = false;
    // The thread's.
    std::size_t charged_ = 0;  ///< of the context's bytes
    boost::asio::steady_timer timer_;
};

/// Where the function or the source is not there, it is looked for again after the first of these;
/// after another failure, after the second.
inline constexpr std::chrono::seconds absence_pause{5}, failure_pause{1};

}  // namespace hearth::control
