#pragma once

/// An HTTP request as the event that a function gets, in the payload formats of API Gateway and of
/// function URLs. Pure.
///
/// @source API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs".

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/json/object.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::http {

using http_request = boost::beast::http::request<boost::beast::http::string_body>;

/// What is known of a request beside what is in it.
struct request_context {
    std::string_view target{};  ///< as the function is to see it
    std::string request_id{}, trace_id{}, source_ip{};
    std::int64_t milliseconds = 0;  ///< since 1970
    bool is_tls = false;
};

/// Whose request it is.
struct event_source {
    std::string account_id{}, api_id{};
    std::string domain_name{};  ///< for who names no host of the API's own
    bool by_own_host = false;   ///< the request names it
    std::string stage = "$default", route_key = "$default";
    std::map<std::string, std::string> path_parameters{}, stage_variables{};
    /// What the route's authorizer has said of the caller; nothing: it has none.
    std::optional<boost::json::object> authorizer{};
};

/// What both an integration and an authorizer are told, in payload format 2.0 and 1.0: without a
/// body.
boost::json::object describe_2(const event_source& source,
                               const http_request& request,
                               const request_context& context);
boost::json::object describe_1(const event_source& source,
                               const http_request& request,
                               const request_context& context);

/// Payload format 2.0. Header names are lower-case, several values of one joined by commas.
std::string write_event_2(const event_source& source,
                          const http_request& request,
                          const request_context& context);
/// Payload format 1.0. Of several values of a header the last one stands alone, of a query
/// parameter the first, as AWS's example has it; all are in multiValueHeaders and
/// multiValueQueryStringParameters.
std::string write_event_1(const event_source& source,
                          const http_request& request,
                          const request_context& context);

}  // namespace hearth::http
