#pragma once

#include <chrono>
#include <cstddef>

namespace hearth {

/// How asynchronous invocations (Lambda's `Event`) are delivered: AWS's numbers, where a program of
/// its own, or a test, may want others.
struct event_policy {
    /// After the first function error; after the second it is twice as long.
    std::chrono::milliseconds retry_delay = std::chrono::minutes(1);
    /// What was throttled, or failed through no fault of the function, is tried again after the
    /// first of these, then after twice as long each time, up to the second. That counts as no
    /// retry.
    std::chrono::milliseconds min_backoff = std::chrono::seconds(1);
    std::chrono::milliseconds max_backoff = std::chrono::minutes(5);
    /// Where the function's event-invoke configuration says nothing else.
    std::chrono::milliseconds max_age = std::chrono::hours(6);
    std::size_t max_retries = 2;
    /// Events with a function at once, all functions together; the others are not in memory.
    std::size_t max_in_flight = 256;
};

}  // namespace hearth
