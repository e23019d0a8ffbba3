#pragma once

#include <hearth/units.hpp>

#include <chrono>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

namespace hearth {

/// How the execution environment of an invocation came to be.
enum class start_kind {
    cold,      ///< loaded and initialised for this invocation
    restored,  ///< cloned from the version's snapshot
    warm,      ///< reused
};

std::string_view to_string(start_kind) noexcept;

/// What one invocation cost. `to_string` is Lambda's REPORT line.
struct invocation_report {
    std::string request_id;
    start_kind start = start_kind::warm;
    bool reattached = false;              ///< warm, but its VM shell had been given back meanwhile
    std::chrono::nanoseconds vm{};        ///< getting a VM shell
    std::chrono::nanoseconds boot{};      ///< loading the program (cold), restoring memory and state
                                          ///< (restored, reattached)
    std::chrono::nanoseconds init{};      ///< up to the first request for an event (cold); the runtime's
                                          ///< restore hooks (restored)
    std::chrono::nanoseconds snapshot{};  ///< taking the version's snapshot after init (cold)
    std::chrono::nanoseconds duration{};  ///< from the event to the response
    std::chrono::milliseconds billed{};   ///< duration, and boot and init when not warm, rounded up
    byte_count memory_size;
    std::uint64_t system_calls = 0;       ///< the invocation's that went to the host
    byte_count max_memory_used;           ///< true peak of guest memory, over the environment's life
};

/// "REPORT RequestId: …\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory
/// Used: 3 MB\tInit Duration: 4.56 ms\tStart: cold (…)" without a line end.
std::string to_string(const invocation_report&);
std::ostream& operator<<(std::ostream&, const invocation_report&);

/// The outcome of an invocation that ran. A function's failure is a value here.
struct response {
    /// The function's reply, or Lambda's error document {"errorMessage", "errorType", …}. Empty when
    /// the reply went to a response_reader.
    std::string payload;
    /// Lambda's X-Amz-Function-Error: "Unhandled". Empty: the function succeeded.
    std::string function_error;
    /// The last 4 KiB of the invocation's log, START, END and REPORT lines included.
    std::string log_tail;
    /// "$LATEST" or a version number.
    std::string executed_version;
    invocation_report report;

    [[nodiscard]] bool ok() const noexcept { return function_error.empty(); }
};

}  // namespace hearth
