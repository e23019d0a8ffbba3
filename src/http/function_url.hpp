#pragma once

/// The front of function URLs: an HTTP request as an event of payload format 2.0, the function's
/// answer as an HTTP response, and CORS. Knows no sockets.
///
/// As at AWS the host's name says whose request it is: ID.lambda-url.REGION.localhost, which
/// browsers and curl take for this machine. Tools that can say neither that name nor a Host header
/// use the path /_hearth/url/ID/…; web pages may not, for there they would share an origin with the
/// API.

#include "http/operations.hpp"
#include "http/reply.hpp"

#include <hearth/control.hpp>

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::http {

/// The id in "ID.lambda-url.…", with or without a port; empty: no such host.
std::string_view url_id_of_host(std::string_view host);

/// operation::function_url with the id as argument, and in `second` the target as the function is
/// to see it; nothing when the request is for no function URL.
std::optional<route> find_url_route(std::string_view host, std::string_view target);

/// Where requests for the function are to go, for whoever reached this server as `origin`
/// ("http://HOST:PORT"; empty: unknown): through loopback by name, from afar by path.
std::string function_url_of(const function_url_config& config, std::string_view origin);

using http_request = boost::beast::http::request<boost::beast::http::string_body>;

/// What is known of a request beside what is in it.
struct url_request_context {
    std::string_view target{};  ///< as find_url_route gave it
    std::string request_id{}, trace_id{}, source_ip{};
    std::int64_t milliseconds = 0;  ///< since 1970
    bool is_tls = false;
};

std::string write_url_event(const function_url_config& config,
                            const http_request& request,
                            const url_request_context& context);

/// The function's answer. What cannot be one is status 502, as is a function that failed.
reply read_url_response(const function_url_config& config, const response& r);
/// Written by a streaming function between its status with headers and its body.
inline constexpr std::string_view prelude_end("\0\0\0\0\0\0\0\0", 8);
/// What stands in front of it; nothing when it cannot be a response's beginning.
std::optional<reply> read_prelude(std::string_view document);
/// Of a run that did not come to an end of its own.
reply write_url_failure(const error& e);

/// The answer to a preflight request, which the function does not see; nothing if this is none, or
/// the URL has no CORS settings.
std::optional<reply> preflight(const function_url_config& config, const http_request& request);
/// The headers for the page that asked. They replace the function's own.
void add_cors(const function_url_config& config, const http_request& request, reply& to);

}  // namespace hearth::http
