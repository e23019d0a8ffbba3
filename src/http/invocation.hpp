#pragma once

/// Invoke: from an HTTP request's headers and body to the control plane's call, and back. Knows no
/// sockets.

#include "http/operations.hpp"
#include "http/reply.hpp"

#include <hearth/control.hpp>

#include <boost/beast/http/fields.hpp>

#include <string>
#include <variant>

namespace hearth::http {

struct invocation {
    enum class kind { request_response, event, dry_run };
    kind type = kind::request_response;
    bool log_tail = false;
    invoke_options options{};
    std::string payload{};
};

/// Lambda's limit for a synchronous request.
inline constexpr std::uint64_t max_payload = 6ull << 20;
/// And for an event.
inline constexpr std::uint64_t max_event_payload = 1ull << 20;
/// Ours: the header goes to the guest as it is.
inline constexpr std::size_t max_trace_id = 1024;

/// The trace that a request belongs to, in X-Ray's form: its X-Amzn-Trace-Id; else that of a W3C
/// traceparent, whose ids are X-Ray's in another spelling; else a new one, which is not sampled.
/// @source X-Ray guide, "Tracing header"; W3C Trace Context, 3.2
std::string trace_of(const boost::beast::http::fields& headers, std::string_view request_id);

/// An invocation to run, or why the request is refused. `request_id` becomes the invocation's.
std::variant<invocation, reply> read_invocation(const boost::beast::http::fields& headers,
                                                std::string body,
                                                std::string request_id);

/// The same of InvokeAsync, whose body is an event whatever its headers say.
std::variant<invocation, reply> read_async_invocation(const boost::beast::http::fields& headers,
                                                      std::string body,
                                                      std::string request_id);

reply write_response(response r, bool log_tail);
/// Of a run that did not come to an end of its own: most errors are AWS errors, a failed init is
/// the function's.
reply write_failure(const error& e, std::string_view log_tail, bool show_log);
/// AWS, of errc::init_failed: the call succeeded, the function did not.
response failed_init(const error& e, std::string_view log_tail);

}  // namespace hearth::http
