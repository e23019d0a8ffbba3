#pragma once

/// The scheduled rules: kept in the storage, and fired when their time has come.
///
/// Everything that happens by itself happens in `tick`, which a thread of its own calls; a test
/// calls it with times of its own. Thread-safe; `mutex_` is held over the storage's writes, and
/// never while the sink is called.

#include "control/schedule_expression.hpp"
#include "control/storage.hpp"

#include <hearth/error.hpp>
#include <hearth/event_rule.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::control {

/// What rules ask of the control plane. Thread-safe.
class rule_sink {
  public:
    virtual ~rule_sink() = default;
    /// Whether events can be brought there. @errors errc::invalid_argument, not_found
    virtual result<void> check(std::string_view arn) = 0;
    /// Keeps an event for the target. `done` is called once, with no error when the event is on
    /// disk; on any thread, also inside this call.
    virtual void deliver(const std::string& arn,
                         std::string payload,
                         std::function<void(error)> done) = 0;
    virtual void tell(std::string_view message) = 0;
};

class rules {
  public:
    static constexpr std::size_t max_rules = 300, max_targets = 5, max_input = 8192;
    /// Events whose target could not take them yet; a target is tried for a day, as at AWS.
    static constexpr std::size_t max_waiting = 1000;
    static constexpr std::chrono::hours max_event_age{24};

    struct counts {
        std::uint64_t fired = 0;      ///< times that came
        std::uint64_t delivered = 0;  ///< events that targets took
        std::uint64_t failed = 0;     ///< events given up
    };
    using clock = std::function<std::chrono::sys_seconds()>;

    /// All given outlive it.
    rules(storage& kept, rule_sink& sink, std::string region, std::string account_id, clock now);
    rules(const rules&) = delete;
    rules& operator=(const rules&) = delete;
    ~rules();

    /// What is stored. Once, before anything else. @errors errc::storage_failed
    result<void> load();
    /// From now on rules fire.
    void start();
    /// No rule fires any more. What the sink still holds is answered to an object that is there.
    void stop();
    /// Fires what is due. Not concurrently.
    void tick(std::chrono::sys_seconds now);
    /// When `tick` has something to do; nothing: never, as things stand.
    [[nodiscard]] std::optional<std::chrono::sys_seconds> next() const;

    // control_plane's operations of these names.
    result<event_rule> put(const put_rule_request& request);
    result<void> remove(std::string_view name);
    [[nodiscard]] result<event_rule> get(std::string_view name) const;
    [[nodiscard]] rule_page list(std::string_view prefix,
                                 std::string_view marker,
                                 std::size_t max_items) const;
    result<void> enable(std::string_view name, bool enabled);
    /// Replaces targets of the same ids. All or none.
    result<void> put_targets(std::string_view name, const std::vector<rule_target>& targets);
    /// Ids that are not there do not matter.
    result<void> remove_targets(std::string_view name, const std::vector<std::string>& ids);
    result<void> tag(std::string_view name, const std::map<std::string, std::string>& tags);
    result<void> untag(std::string_view name, const std::vector<std::string>& keys);
    [[nodiscard]] rule_name_page names_by_target(std::string_view arn,
                                                 std::string_view marker,
                                                 std::size_t max_items) const;
    [[nodiscard]] counts counted() const;

  private:
    struct entry {
        event_rule rule;
        schedule_expression when;
        std::optional<std::chrono::sys_seconds> next;  ///< nothing: disabled, or over
    };
    /// An event on its way.
    struct firing {
        std::string rule, arn, payload;
        std::chrono::sys_seconds since, at;  ///< due first, and to be tried next
        std::chrono::seconds back_off{1};
    };

    /// With the mutex held.
    void plan(entry& e, std::chrono::sys_seconds now) const;
    /// Of the times that have come, the last, as far as it can be told of two days.
    static std::chrono::sys_seconds last_due(const entry& e, std::chrono::sys_seconds now);
    [[nodiscard]] result<entry*> find_locked(std::string_view name);
    /// Stores `next` and makes it so.
    result<void> replace_locked(entry& e, event_rule next);
    [[nodiscard]] std::string payload(const event_rule& r,
                                      const rule_target& t,
                                      std::chrono::sys_seconds due) const;
    void deliver(firing f);
    void on_delivered(firing f, const error& failed);
    /// Makes the thread look again.
    void wake();
    void wait();

    storage& storage_;
    rule_sink& sink_;
    const std::string region_, account_id_;
    const clock now_;
    mutable std::mutex mutex_;
    std::map<std::string, entry, std::less<>> rules_;  // under mutex_, with all up to stopped_
    std::deque<firing> waiting_;
    counts counted_;
    std::chrono::sys_seconds last_tick_{};
    bool started_ = false, stopped_ = false;
    boost::asio::thread_pool thread_{1};
    boost::asio::steady_timer timer_{thread_};  ///< on that thread
};

}  // namespace hearth::control
