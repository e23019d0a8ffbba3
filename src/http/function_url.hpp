#pragma once

/// The front of function URLs: a request's event, of payload format 2.0, and the function's answer
/// as an HTTP response. Knows no sockets. Where they are served: own_host.hpp.

#include "http/http_event.hpp"
#include "http/reply.hpp"

#include <hearth/control.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace hearth::http {

/// Where requests for the function are to go, for whoever reached this server as `origin`
/// ("http://HOST:PORT"; empty: unknown): through loopback by name, from afar by path.
std::string function_url_of(const function_url_config& config, std::string_view origin);

std::string write_url_event(const function_url_config& config,
                            bool by_own_host,
                            const http_request& request,
                            const request_context& context);

/// The function's answer. What cannot be one is status 502, as is a function that failed.
reply read_url_response(const function_url_config& config, const response& r);
/// Written by a streaming function between its status with headers and its body.
inline constexpr std::string_view prelude_end("\0\0\0\0\0\0\0\0", 8);
/// What stands in front of it; nothing when it cannot be a response's beginning.
std::optional<reply> read_prelude(std::string_view document);
/// Of a run that did not come to an end of its own.
reply write_url_failure(const error& e);

}  // namespace hearth::http
