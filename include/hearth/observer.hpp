#pragma once

#include <hearth/error.hpp>
#include <hearth/response.hpp>

#include <chrono>
#include <string_view>

namespace hearth {

/// One thing worth telling, as data. The library itself never prints.
struct log_record {
    enum class severity { debug, info, warning, error };
    severity level = severity::info;
    std::string_view room;     ///< "control", "worker", …
    std::string_view message;  ///< valid during the call only
};

/// How an execution environment came to be and what that took; the phases are invocation_report's.
struct start_report {
    start_kind start = start_kind::cold;  ///< cold or restored
    bool ahead = false;  ///< for no invocation: at deployment, or to be kept idle
    std::chrono::nanoseconds vm{};
    std::chrono::nanoseconds boot{};
    std::chrono::nanoseconds init{};
    std::chrono::nanoseconds snapshot{};
};

/// Hooks an embedder may give to `runtime_options`. Every method has an empty default; each is called
/// from any thread, never under a lock, and must not block for long.
class observer {
  public:
    virtual ~observer() = default;
    virtual void on_log(const log_record&) {}
    /// An environment is initialised and asks for its first event. Not called where init fails.
    virtual void on_start(std::string_view function_name, const start_report&) {
        (void)function_name;
    }
    /// A piece of a function's stdout or stderr, as written.
    virtual void on_function_output(std::string_view function_name,
                                    std::string_view request_id,
                                    std::string_view text) {
        (void)function_name, (void)request_id, (void)text;
    }
    virtual void on_invocation_end(std::string_view function_name, const response&) {
        (void)function_name;
    }
};

}  // namespace hearth
