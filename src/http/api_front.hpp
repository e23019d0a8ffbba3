#pragma once

/// The front of HTTP APIs: a request's event for the function its route leads to, and the
/// function's answer as an HTTP response, in the integration's payload format. Knows no sockets.
/// Where they are served: own_host.hpp; which route it is: hearth/http_api.hpp.
///
/// @source API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs".

#include "http/http_event.hpp"
#include "http/reply.hpp"

#include <hearth/http_api.hpp>
#include <hearth/response.hpp>

#include <string>
#include <string_view>

namespace hearth::http {

/// Whose request it is: `domain_name` is where the API is served.
event_source source_of(const http_api& api,
                       const api_match& match,
                       std::string_view account_id,
                       std::string_view domain_name,
                       bool by_own_host);

/// In the format of the match's integration, which is there.
std::string write_api_event(const event_source& source,
                            const api_match& match,
                            const http_request& request,
                            const request_context& context);

/// {"message": …}, as API Gateway itself answers.
reply api_message(boost::beast::http::status status, std::string_view message);

/// Format 2.0 infers a response from any JSON document, 1.0 wants one with a statusCode. What
/// cannot be one is status 500 in 2.0, as HTTP APIs have it, and 502 in 1.0, as REST APIs do, whose
/// format that is; so is a function that failed.
reply read_api_response(const api_integration& integration, const response& r);
/// Of a run that did not come to an end of its own.
reply write_api_failure(const api_integration& integration, const error& e);

}  // namespace hearth::http
