#pragma once

/// The asynchronous invocations of a control plane: taken in, kept, delivered, counted. The pieces
/// are event_store (where they wait), event_writer (group commit), event_dispatcher and
/// event_delivery (when and how often); here they meet the functions.
///
/// Thread-safe. `counted_mutex_` is a leaf; the registry's mutex is never taken under it.

#include "control/destination.hpp"
#include "control/event_dispatcher.hpp"
#include "control/event_store.hpp"
#include "control/event_writer.hpp"

#include <hearth/control.hpp>

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::control {

class events final : private event_target {
  public:
    /// Opens the store: in the data directory, else in memory. `owner` outlives it.
    static result<std::unique_ptr<events>> open(control_plane::impl& owner);
    ~events() override;

    /// The event an invocation makes. @errors as control_plane::enqueue
    result<queued_event> prepare(std::string_view name,
                                 std::string payload,
                                 invoke_options options,
                                 std::string_view qualifier) const;
    /// `done` is called on the writer's thread when the event is durable. @errors as
    /// event_writer::submit
    result<void> accept(queued_event e, event_writer::handler done);

    /// Delivers what is there. After the owner has loaded its functions; nothing is accepted
    /// before.
    void start() { dispatcher_->start(); }
    /// The function has changed, so that what waits for it might be deliverable.
    void changed(std::string_view function);
    void deleted(std::string_view function);

    /// Delivers nothing more.
    void pause() noexcept { dispatcher_->pause(); }
    /// The same, waits for what is with functions, and writes what it came to.
    void stop();

    /// Brings a record to a destination that is no function, and waits for the disk and the network
    /// elsewhere. `place`: below which key a bucket has it, as destination.hpp says. The error says
    /// why it is not there; errc::shutting_down: this process ends first.
    void async_bring(destination to,
                     std::string place,
                     outgoing_message record,
                     boost::asio::any_completion_handler<void(error)> done);

    /// Fills in what concerns events. The functions are there, sorted by name.
    void add_to(hearth::metrics& m) const;

  private:
    events(control_plane::impl& owner, std::unique_ptr<event_store> store);

    state look(std::string_view lane) override;
    void deliver(const queued_event& e,
                 boost::asio::any_completion_handler<void(error, response)> done) override;
    void conclude(const queued_event& e,
                  event_ending ending,
                  boost::asio::any_completion_handler<void(event_change)> done) override;
    void on_delivery(std::string_view lane, std::chrono::milliseconds age) override;
    void on_dropped(std::string_view lane) override;
    void tell(std::string_view message) override;

    /// Changes the function's counters.
    template <class Change>
    void count(std::string_view lane, Change change);

    /// A record on its way out of this process's events.
    struct outbound {
        destination where;        ///< no function
        outgoing_message record;  ///< attributes are a queue's alone
        bool is_dead_letter = false;
    };
    /// Addresses a record to a target of a function's configuration: an event to be added, or one
    /// to be brought.
    result<void> address(const std::string& target,
                         bool is_dead_letter,
                         outgoing_message record,
                         event_change& change,
                         std::vector<outbound>& out);
    boost::asio::awaitable<error> bring_one(destination to,
                                            std::string place,
                                            outgoing_message record);
    /// Brings them, and gives `change` to `done`.
    boost::asio::awaitable<void> bring(
        std::string lane,
        std::vector<outbound> out,
        event_change change,
        boost::asio::any_completion_executor executor,
        boost::asio::any_completion_handler<void(event_change)> done);
    void on_undelivered(std::string_view lane, bool dead_letter, const error& why);

    control_plane::impl& owner_;
    mutable std::mutex counted_mutex_;
    std::map<std::string, async_metrics, std::less<>> counted_;  // under counted_mutex_
    // The dispatcher goes first, then what it writes with, then where.
    std::atomic<bool> stopping_ = false;
    boost::asio::thread_pool senders_{1};  ///< waits for the disk and the network
    const std::unique_ptr<event_store> store_;
    std::unique_ptr<event_writer> writer_;
    std::unique_ptr<event_dispatcher> dispatcher_;
};

}  // namespace hearth::control
