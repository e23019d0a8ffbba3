#pragma once

/// An asynchronous invocation as it is kept until it has been delivered.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::control {

/// Wall-clock time: due times outlive the process.
using event_time = std::chrono::sys_time<std::chrono::milliseconds>;

/// AWS: 1 MB, against 6 MB of a synchronous invocation.
inline constexpr std::size_t max_event_payload = 1u << 20;

struct queued_event {
    std::uint64_t id = 0;  ///< the store's; not used twice while a process lives
    /// What was invoked: "NAME" or "NAME:QUALIFIER". An alias is followed at each delivery.
    std::string lane{};
    std::string request_id{}, trace_id{}, tenant_id{};
    std::string payload{};
    event_time received{};
    event_time due{};            ///< not delivered before
    std::uint32_t failures = 0;  ///< deliveries that ended in a function error
    std::uint32_t setbacks = 0;  ///< deliveries that failed through no fault of the function
    /// Of a function that is in no storage: after a restart it waits for `deploy` to bring it back.
    bool awaits_deploy = false;

    bool operator==(const queued_event&) const = default;
};

inline std::string_view function_of(std::string_view lane) {
    return lane.substr(0, lane.find(':'));
}
inline std::string_view qualifier_of(std::string_view lane) {
    const auto colon = lane.find(':');
    return colon == lane.npos ? std::string_view() : lane.substr(colon + 1);
}

}  // namespace hearth::control
