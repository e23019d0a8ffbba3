// When an event is delivered again, and how many at once: pure, the time is an argument.

#include "control/event_delivery.hpp"

#include <boost/asio/error.hpp>
#include <catch2/catch.hpp>

using namespace hearth;
using namespace hearth::control;
using namespace std::chrono_literals;

namespace {

const event_time start{std::chrono::milliseconds(1'700'000'000'000)};
const event_policy aws;

template <class T>
T as(const verdict& v) {
    REQUIRE(std::holds_alternative<T>(v));
    return std::get<T>(v);
}

}  // namespace

TEST_CASE("a function error is retried after one minute, then two, then never") {
    queued_event e{.received = start, .due = start};
    event_time now = start;
    auto again_at = as<again>(judge(e, delivery::function_error, {}, aws, now));
    CHECK(again_at.due - now == 1min);
    e.failures = again_at.failures;
    now = again_at.due + 3s;
    again_at = as<again>(judge(e, delivery::function_error, {}, aws, now));
    CHECK(again_at.due - now == 2min);
    CHECK(again_at.failures == 2);
    e.failures = again_at.failures;
    CHECK(as<ended>(judge(e, delivery::function_error, {}, aws, now)).how ==
          condition::retries_exhausted);
    CHECK(as<ended>(judge(e, delivery::succeeded, {}, aws, now)).how == condition::success);
}

TEST_CASE("MaximumRetryAttempts of zero and one") {
    queued_event e{.received = start};
    CHECK(as<ended>(judge(e, delivery::function_error, {.retries = 0}, aws, start)).how ==
          condition::retries_exhausted);
    CHECK(as<again>(judge(e, delivery::function_error, {.retries = 1}, aws, start)).failures == 1);
    e.failures = 1;
    as<ended>(judge(e, delivery::function_error, {.retries = 1}, aws, start));
}

TEST_CASE("throttles and system errors count as no retry") {
    queued_event e{.received = start};
    as<held>(judge(e, delivery::throttled, {.retries = 0}, aws, start));
    as<held>(judge(e, delivery::interrupted, {.retries = 0}, aws, start));
    std::chrono::milliseconds expected = 1s;
    for (int i = 0; i < 20; ++i) {
        const auto later = as<again>(judge(e, delivery::system_error, {.retries = 0}, aws, start));
        CHECK(later.due - start == expected);
        CHECK(later.failures == 0);
        e.setbacks = later.setbacks;
        expected = std::min<std::chrono::milliseconds>(expected * 2, 5min);
    }
    CHECK(as<ended>(judge(e, delivery::impossible, {}, aws, start)).how ==
          condition::retries_exhausted);
}

TEST_CASE("an event is too old once its age is over, not before") {
    const queued_event e{.received = start};
    CHECK_FALSE(too_old(e, {}, start + 6h));
    CHECK(too_old(e, {}, start + 6h + 1ms));
    CHECK(too_old(e, {.max_age = 60s}, start + 61s));
    CHECK_FALSE(too_old(e, {.max_age = 60s}, start - 1h));  // the clock was set back
}

TEST_CASE("an invocation's end is told from its error") {
    response good, bad;
    bad.function_error = "Unhandled";
    CHECK(classify({}, good) == delivery::succeeded);
    CHECK(classify({}, bad) == delivery::function_error);
    CHECK(classify(errc::init_failed, good) == delivery::function_error);
    for (const errc e : {errc::throttled, errc::no_room, errc::not_ready})
        CHECK(classify(e, good) == delivery::throttled);
    CHECK(classify(errc::not_found, good) == delivery::impossible);
    CHECK(classify(errc::shutting_down, good) == delivery::interrupted);
    CHECK(classify(error(error_code(boost::asio::error::operation_aborted)), good) ==
          delivery::interrupted);
    CHECK(classify(errc::kvm_failed, good) == delivery::system_error);
}

TEST_CASE("a lane backs off from one second to five minutes, and a success ends that") {
    lane_flow lane(aws);
    event_time now = start;
    std::chrono::milliseconds expected = 1s;
    for (int i = 0; i < 12; ++i) {
        REQUIRE(lane.room(now, true) >= 1);
        lane.started(now);
        lane.held_back(now);
        CHECK(lane.room(now, true) == 0);
        CHECK(lane.resume_at() - now == expected);
        CHECK(lane.room(lane.resume_at() - 1ms, true) == 0);
        now = lane.resume_at();
        CHECK(lane.room(now, true) == 1);  // it feels its way
        expected = std::min<std::chrono::milliseconds>(expected * 2, 5min);
    }
    CHECK(expected == 5min);
    lane.started(now);
    lane.ran(now, 1ms, true);
    CHECK(lane.room(now, true) > 1);
    lane.started(now);
    lane.held_back(now);
    CHECK(lane.resume_at() - now == 1s);
    lane.retry_now();
    CHECK(lane.room(now, true) == 1);
}

TEST_CASE("a throttle while others run makes the lane narrower and waits for nothing") {
    lane_flow lane(aws);
    for (int i = 0; i < 4; ++i) lane.started(start);
    CHECK(lane.room(start, true) == 0);
    lane.held_back(start);
    CHECK(lane.room(start, true) == 0);  // three run, three may
    lane.ran(start, 1ms, true);
    CHECK(lane.room(start, true) >= 1);
}

TEST_CASE("a lane grows for functions that take long, while there is CPU time to spare") {
    const auto limit_after = [](std::chrono::milliseconds took, bool spare) {
        lane_flow lane(aws);
        event_time now = start;
        for (int round = 0; round < 100; ++round) {
            for (std::size_t i = lane.room(now, spare); i > 0; --i) lane.started(now);
            for (std::size_t i = lane.running(); i > 0; --i) lane.ran(now, took, spare);
            now += 1ms;
        }
        return lane.room(now, spare);
    };
    CHECK(limit_after(100ms, true) == aws.max_in_flight);
    CHECK(limit_after(1ms, true) == lane_flow::first_limit);
    CHECK(limit_after(100ms, false) == lane_flow::first_limit);
}

TEST_CASE("a lane where nothing moves lets one more in, again and again") {
    lane_flow lane(aws);
    event_time now = start;
    for (std::size_t i = 0; i < lane_flow::first_limit; ++i) lane.started(now);
    for (std::size_t n = lane_flow::first_limit; n < aws.max_in_flight; ++n) {
        REQUIRE(lane.room(now, true) == 0);
        now = lane.resume_at();
        REQUIRE(lane.room(now, true) == 1);
        REQUIRE(lane.room(now, false) == 0);
        lane.started(now);
    }
    CHECK(lane.room(now + 1h, true) == 0);
}
