#include "control/event_delivery.hpp"

#include "control/backoff.hpp"

#include <boost/asio/error.hpp>

namespace hearth::control {

delivery classify(const error& e, const response& r) {
    if (!e.code()) return r.ok() ? delivery::succeeded : delivery::function_error;
    if (e.code() == boost::asio::error::operation_aborted) return delivery::interrupted;
    if (e == errc::shutting_down) return delivery::interrupted;
    if (e == errc::init_failed) return delivery::function_error;
    if (e == errc::not_found || e == errc::invalid_argument || e == errc::payload_too_large ||
        e == errc::recursive_invocation)
        return delivery::impossible;
    for (const errc moment : {errc::throttled, errc::no_room, errc::not_ready})
        if (e == moment) return delivery::throttled;
    return delivery::system_error;
}

std::string_view to_string(condition c) noexcept {
    switch (c) {
        case condition::success:
            return "Success";
        case condition::retries_exhausted:
            return "RetriesExhausted";
        case condition::event_age_exceeded:
            return "EventAgeExceeded";
    }
    return "";
}

bool too_old(const queued_event& e, const event_limits& limits, event_time now) {
    return now - e.received > limits.max_age;
}

std::chrono::milliseconds backoff(const event_policy& policy, std::size_t times) {
    return backoff(policy.min_backoff, policy.max_backoff, times);
}

verdict judge(const queued_event& e,
              delivery outcome,
              const event_limits& limits,
              const event_policy& policy,
              event_time now) {
    switch (outcome) {
        case delivery::succeeded:
            return ended{condition::success};
        case delivery::function_error: {
            const std::uint32_t failures = e.failures + 1;
            if (failures > limits.retries) return ended{condition::retries_exhausted};
            return again{now + policy.retry_delay * failures, failures, e.setbacks};
        }
        case delivery::system_error: {
            const std::uint32_t setbacks = e.setbacks + 1;
            return again{now + backoff(policy, setbacks), e.failures, setbacks};
        }
        case delivery::impossible:
            return ended{condition::retries_exhausted};
        case delivery::throttled:
        case delivery::interrupted:
            break;
    }
    return held{};
}

std::size_t lane_flow::room(event_time now, bool has_spare_cpu) const {
    if (running_ == 0) return now < resume_at_ ? 0 : limit_;
    if (running_ < limit_) return limit_ - running_;
    return has_spare_cpu && now - moved_at_ >= standstill && running_ < policy_.max_in_flight ? 1
                                                                                              : 0;
}

void lane_flow::started(event_time now) {
    ++running_;
    limit_ = std::max(limit_, running_);
    moved_at_ = now;
}

void lane_flow::finished(event_time now) {
    --running_;
    moved_at_ = now;
}

void lane_flow::ran(event_time now, std::chrono::milliseconds took, bool has_spare_cpu) {
    finished(now);
    retry_now();
    if (((took >= long_run && has_spare_cpu) || limit_ < first_limit) &&
        limit_ < policy_.max_in_flight)
        ++limit_;
}

void lane_flow::held_back(event_time now) {
    finished(now);
    if (running_ > 0) {
        limit_ = running_;
        return;
    }
    limit_ = 1;  // feels its way
    resume_at_ = now + backoff(policy_, ++throttles_);
}

}  // namespace hearth::control
