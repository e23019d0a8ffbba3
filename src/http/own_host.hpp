#pragma once

/// What this server serves under a host name of its own: a function URL at
/// ID.lambda-url.REGION.localhost, an HTTP API at ID.execute-api.REGION.localhost. Browsers and
/// curl take these for this machine. Tools that can say neither that name nor a Host header use a
/// path,
/// /_hearth/url/ID/… or /_hearth/apis/ID/…; web pages may not, for there they would share an origin
/// with the API. Pure.

#include "http/operations.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace hearth::http {

struct own_host {
    operation op;
    std::string_view name;                  ///< of the operation
    std::string_view host_mark, path_mark;  ///< what stands behind the id, and before it
    std::size_t id_length;
    std::string_view id_digits;
};
inline constexpr own_host url_host{
    operation::function_url, "InvokeFunctionUrl", ".lambda-url.", "/_hearth/url/", 32,
    "0123456789abcdef"};
inline constexpr own_host api_host{
    operation::http_api, "Invoke", ".execute-api.",
    "/_hearth/apis/",    10,       "0123456789abcdefghijklmnopqrstuvwxyz"};

/// The id in a host's name, with or without a port; empty: no such host.
std::string_view id_of_host(const own_host& kind, std::string_view host);

/// The operation with the id as argument, and in `second` the target as the function is to see it;
/// nothing when the request is for no such host.
std::optional<route> find_own_route(const own_host& kind,
                                    std::string_view host,
                                    std::string_view target);

/// "ID.lambda-url.us-east-1.localhost"
std::string domain_of(const own_host& kind, std::string_view id, std::string_view region);

/// Where requests are to go, for whoever reached this server as `origin` ("http://HOST:PORT";
/// empty: unknown): through loopback by name, from afar by path. Without a slash at its end.
std::string address_of(const own_host& kind,
                       std::string_view id,
                       std::string_view region,
                       std::string_view origin);

/// "[::1]:9000" → "[::1]", ":9000"; without a port the second is empty.
std::pair<std::string_view, std::string_view> split_port(std::string_view host);

}  // namespace hearth::http
