#pragma once

/// What becomes of an event after a delivery, and how fast a lane's events are delivered. Pure: the
/// time is an argument, nothing here waits.
///
/// A function error is the event's affair: it waits by itself, on disk, and its retries are
/// counted. A throttle is the lane's: its other events would be throttled as well, so the lane
/// waits, and nothing is written. A failure of the system is the event's again, as it may be the
/// only one that fails so, and must not hold up those behind it.

#include "control/event.hpp"

#include <hearth/error.hpp>
#include <hearth/event_policy.hpp>
#include <hearth/response.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <variant>

namespace hearth::control {

enum class delivery {
    succeeded,
    function_error,  ///< raised, timed out, exited, or failed to initialise
    throttled,       ///< over a limit, no room, or the function cannot run at this moment
    system_error,
    impossible,   ///< the version or alias is not there, or the event goes round in a loop
    interrupted,  ///< this process shuts down
};

/// Of what an invocation came to.
delivery classify(const error& e, const response& r);

/// AWS's words in a destination's record.
enum class condition { success, retries_exhausted, event_age_exceeded };
std::string_view to_string(condition) noexcept;

/// What holds for an event, of its event-invoke configuration.
struct event_limits {
    std::size_t retries = 2;
    std::chrono::milliseconds max_age = std::chrono::hours(6);
};

struct ended {
    condition how = condition::success;
};
struct again {  ///< by itself, at `due`
    event_time due{};
    std::uint32_t failures = 0, setbacks = 0;
};
struct held {};  ///< when its lane goes on; nothing is to be written
using verdict = std::variant<ended, again, held>;

[[nodiscard]] bool too_old(const queued_event& e, const event_limits& limits, event_time now);

[[nodiscard]] verdict judge(const queued_event& e,
                            delivery outcome,
                            const event_limits& limits,
                            const event_policy& policy,
                            event_time now);

/// First `min_backoff`, then twice as long each time, `max_backoff` at most.
[[nodiscard]] std::chrono::milliseconds backoff(const event_policy& policy, std::size_t times);

/// How many of a lane's events may be with its function at once. Few serve a function that answers
/// at once. More are let in, one by one, while runs are long and when nothing has moved for a
/// while, but only while this process has CPU time to spare: guests that compute are not finished
/// sooner for being more, they only come to their timeouts. A throttle while others run says that
/// these are as many as there may be; a throttle of the only one, that somebody else has what there
/// is: then the lane waits.
class lane_flow {
  public:
    explicit lane_flow(const event_policy& policy) : policy_(policy) {}

    [[nodiscard]] std::size_t room(event_time now, bool has_spare_cpu) const;
    /// When there will be room although nothing ends.
    [[nodiscard]] event_time resume_at() const {
        return running_ == 0 ? resume_at_ : moved_at_ + standstill;
    }
    [[nodiscard]] std::size_t running() const { return running_; }

    void started(event_time now);
    /// The function has had it, whatever it answered.
    void ran(event_time now, std::chrono::milliseconds took, bool has_spare_cpu);
    /// Throttled.
    void held_back(event_time now);
    /// Neither: the event failed by itself.
    void finished(event_time now);
    /// What it was throttled for may be over.
    void retry_now() {
        throttles_ = 0;
        resume_at_ = {};
    }

    static constexpr std::size_t first_limit = 4;
    static constexpr std::chrono::milliseconds long_run{50}, standstill{250};

  private:
    event_policy policy_;
    std::size_t running_ = 0;
    std::size_t limit_ = first_limit;
    std::size_t throttles_ = 0;  ///< in a row, of an event alone
    event_time resume_at_{}, moved_at_{};
};

}  // namespace hearth::control
