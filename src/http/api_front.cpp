#include "http/api_front.hpp"

#include "http/function_answer.hpp"
#include "http/text.hpp"

#include <boost/json.hpp>

#include <optional>

namespace hearth::http {

namespace json = boost::json;
using boost::beast::http::status;

namespace {

bool is_format_1(const api_integration& i) { return i.payload_format == "1.0"; }

reply nonsense(const api_integration& i) {
    return is_format_1(i) ? api_message(status::bad_gateway, "Internal server error")
                          : api_message(status::internal_server_error, "Internal Server Error");
}

/// An object with a status and, where there is a body, one of text.
std::optional<reply> read_strict_answer(const std::string& payload) {
    boost::system::error_code ec;
    json::parse_options options;
    options.max_depth = max_json_depth;
    const json::value document = json::parse(payload, ec, {}, options);
    if (ec || !document.is_object()) return std::nullopt;
    const json::object& answer = document.get_object();
    const json::value* body = answer.if_contains("body");
    if (!answer.contains("statusCode") || (body && !body->is_null() && !body->is_string()))
        return std::nullopt;
    return read_answer(answer, payload_format::v1);
}

}  // namespace

event_source source_of(const http_api& api,
                       const api_match& match,
                       std::string_view account_id,
                       std::string_view domain_name,
                       bool by_own_host) {
    return {.account_id = std::string(account_id),
            .api_id = api.id,
            .domain_name = std::string(domain_name),
            .by_own_host = by_own_host,
            .stage = match.stage->name,
            .route_key = match.route->key,
            .path_parameters = match.path_parameters,
            .stage_variables = match.stage->variables};
}

std::string write_api_event(const event_source& source,
                            const api_match& match,
                            const http_request& request,
                            const request_context& context) {
    return is_format_1(*match.integration) ? write_event_1(source, request, context)
                                           : write_event_2(source, request, context);
}

reply api_message(status s, std::string_view message) {
    const json::object body{{"message", json::string_view(message.data(), message.size())}};
    return {.status = s, .body = json::serialize(body)};
}

reply read_api_response(const api_integration& integration, const response& r) {
    if (!r.ok()) return nonsense(integration);
    auto answer =
        is_format_1(integration) ? read_strict_answer(r.payload) : read_inferred_answer(r.payload);
    return answer ? std::move(*answer) : nonsense(integration);
}

reply write_api_failure(const api_integration& integration, const error& e) {
    if (e == errc::throttled || e == errc::no_room || e == errc::not_ready ||
        e == errc::shutting_down)
        return api_message(status::service_unavailable, "Service Unavailable");
    return nonsense(integration);
}

}  // namespace hearth::http
