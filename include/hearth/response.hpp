#pragma once

#include <hearth/units.hpp>

#include <chrono>
#include <cstdint>
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

/// Why an invocation found no idle environment of its version.
enum class start_reason : std::uint8_t {
    none,           ///< there was one
    first,          ///< none was there yet: deployed, changed, or the runtime created, just before
    busy,           ///< others were there, all with an invocation or starting
    expired,        ///< the last one was idle for idle_ttl
    evicted,        ///< the last one went for want of memory (runtime_options::memory_budget)
    surplus,        ///< the last one was more than max_idle, or than is kept
    destroyed,      ///< the last one could not serve again: a timeout, exit or fault, isolation
    failed,         ///< the last one could not be started
    other_tenants,  ///< the idle ones were other tenants' (isolation::tenant)
    detaching,      ///< the idle ones were giving their VM shell back at that moment
};
/// Why it was then not restored from a snapshot.
enum class cold_reason : std::uint8_t {
    none,       ///< it was, or was warm
    not_taken,  ///< there was none yet
    off,        ///< function_config::snapshot
    dropped,    ///< it had to leave memory for starts of others, and is on no disk
    no_room,    ///< the memory budget has no room for it beside the environment
    lost,       ///< it could not be read from disk
};

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
    start_reason reason = start_reason::none;  ///< none, too, for one started ahead or reset
    cold_reason no_snapshot = cold_reason::none;
};

/// Why it was cold, or restored, in a sentence or two: "No environment was idle: all of this
/// version were busy. There was no snapshot to clone: none was taken yet." Empty without a reason.
std::string explain_start(const invocation_report&);

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
