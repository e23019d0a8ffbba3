#pragma once

/// Delivers the events of a store to their functions: at least once, oldest due first, a lane (a
/// function, or a version or alias of one) by itself. In memory are the events that are with their
/// functions at this moment, or whose end is not yet on disk, bounded in number and bytes; all
/// others are in the store, however many they are.
///
/// Everything happens on one thread of its own; `notify` and `restart` may be called from any.

#include "control/event_delivery.hpp"
#include "control/event_store.hpp"
#include "control/event_writer.hpp"

#include <hearth/error.hpp>
#include <hearth/event_policy.hpp>
#include <hearth/response.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace hearth::control {

/// How an event came to its end.
struct event_ending {
    condition how = condition::success;
    std::uint32_t deliveries = 0;  ///< how often the function has been invoked for it
    error failure{};               ///< of the last delivery, when the function was not reached
    response last{};               ///< what the function answered last, if it was
};

/// What the dispatcher asks of the control plane. Thread-safe.
class event_target {
  public:
    virtual ~event_target() = default;

    struct state {
        bool known = false;  ///< the function is there
        bool admits = true;  ///< false: its reserved concurrency is zero
        event_limits limits{};
    };
    virtual state look(std::string_view lane) = 0;

    /// Invokes the function. The handler is called on its executor, never inside this call.
    virtual void deliver(const queued_event& e,
                         boost::asio::any_completion_handler<void(error, response)> done) = 0;

    /// Brings the outcome to where the function's configuration says. The handler is given what is
    /// to be written in the transaction that ends the event.
    virtual void conclude(const queued_event& e,
                          event_ending ending,
                          boost::asio::any_completion_handler<void(event_change)> done) = 0;

    /// For the metrics; `age`: since its acceptance.
    virtual void on_delivery(std::string_view lane, std::chrono::milliseconds age) = 0;
    virtual void on_dropped(std::string_view lane) = 0;
    virtual void tell(std::string_view message) = 0;
};

class event_dispatcher {
  public:
    /// Payloads in memory.
    static constexpr std::size_t max_bytes_in_flight = std::size_t{64} << 20;

    using clock = std::function<event_time()>;

    /// All given outlive it.
    event_dispatcher(event_store& store,
                     event_writer& writer,
                     event_target& target,
                     event_policy policy,
                     clock now);
    event_dispatcher(const event_dispatcher&) = delete;
    event_dispatcher& operator=(const event_dispatcher&) = delete;
    ~event_dispatcher();

    /// Takes up what the store holds.
    void start();
    /// Something is there for the lane, or holds for it, that was not before.
    void notify(std::string_view lane);
    /// The same of all lanes of a function, which was changed: none waits out a back-off.
    void notify_function(std::string_view name);

    /// Delivers nothing more. What is with functions goes on.
    void pause() noexcept { paused_ = true; }
    /// The same, and waits for what is with functions.
    void stop();

  private:
    struct lane {
        explicit lane(const event_policy& policy) : flow(policy) {}
        lane_flow flow;
        std::set<std::uint64_t> known;  ///< in memory
        bool look = true;               ///< the store may hold what is due and not known
        std::optional<event_time> next_due;
        std::optional<event_time> alarm;  ///< where it stands in alarms_
        bool starved = false;             ///< stands in starved_
    };
    struct held_event : queued_event {
        std::size_t bytes = 0;  ///< as counted in bytes_
    };
    using event_ptr = std::shared_ptr<held_event>;
    struct attempt {
        std::string name;
        event_ptr event;
        event_limits limits;
        event_time started;
    };

    // All on the thread.
    void take_notices();
    /// Of the lanes that have events, once the store can say which.
    void visit_lanes(std::function<void(const std::string&)> visit);
    void pump(const std::string& name);
    void deliver(const std::string& name,
                 lane& l,
                 queued_event e,
                 const event_target::state& state);
    void on_answer(const attempt& a, error e, response r);
    void conclude(const std::string& name, const event_ptr& e, event_ending ending);
    void write(const std::string& name, const event_ptr& e, event_change change);
    /// It is on disk what it is to be, or was never changed.
    void forget(const std::string& name, const event_ptr& e, bool may_be_due_again);
    void feed_starved();
    bool has_spare_cpu();
    void erase(const std::string& name, lane& l);
    void set_alarm(const std::string& name, lane& l, std::optional<event_time> at);
    void arm_timer();
    void on_timer();
    void starve(const std::string& name, lane& l);

    event_store& store_;
    event_writer& writer_;
    event_target& target_;
    const event_policy policy_;
    const clock now_;
    std::atomic<bool> paused_ = false;

    std::mutex notices_mutex_;  // a leaf; guards the next two
    std::set<std::string, std::less<>> notices_;
    bool notices_posted_ = false;

    // On the thread.
    std::map<std::string, lane, std::less<>> lanes_;
    std::set<std::pair<event_time, std::string>> alarms_;
    std::optional<event_time> armed_for_;  ///< what timer_ waits for
    std::deque<std::string> starved_;      ///< wait for room among all lanes
    std::size_t events_ = 0, bytes_ = 0;   ///< in memory
    std::chrono::steady_clock::time_point measured_at_{};
    std::chrono::nanoseconds cpu_then_{};  ///< of this process
    bool spare_cpu_ = true;

    boost::asio::thread_pool thread_{1};
    boost::asio::steady_timer timer_;
};

}  // namespace hearth::control
