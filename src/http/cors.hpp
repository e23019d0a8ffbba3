#pragma once

/// Cross-origin requests of browsers, answered by settings of the user's. Knows no sockets.
///
/// @source WHATWG Fetch, "CORS protocol".

#include "http/http_event.hpp"
#include "http/reply.hpp"

#include <hearth/function_url.hpp>

#include <optional>

namespace hearth::http {

/// The answer to a preflight request, which the function does not see; nothing if this is none, or
/// there are no settings.
std::optional<reply> preflight(const std::optional<cors_settings>& cors,
                               const http_request& request);
/// The headers for the page that asked. They replace the function's own.
void add_cors(const std::optional<cors_settings>& cors, const http_request& request, reply& to);

}  // namespace hearth::http
