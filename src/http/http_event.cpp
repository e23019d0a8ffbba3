#include "http/http_event.hpp"

#include "http/beast_text.hpp"
#include "http/own_host.hpp"
#include "http/request_target.hpp"
#include "http/text.hpp"

#include <boost/json.hpp>

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>

namespace hearth::http {
namespace {

namespace beast_http = boost::beast::http;
namespace json = boost::json;

json::string_view json_text(std::string_view s) { return {s.data(), s.size()}; }

std::string lower_case(std::string_view s) {
    std::string l(s);
    for (char& c : l)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return l;
}

/// Several values of a name become one, separated by commas.
void add_value(json::object& to, std::string_view name, std::string_view value) {
    json::value& place = to[json_text(name)];
    if (place.is_null())
        place.emplace_string() = json_text(value);
    else
        place.get_string().append(",").append(json_text(value));
}

json::array cookies_of(const http_request& request) {
    json::array cookies;
    const auto [first, last] = request.equal_range(beast_http::field::cookie);
    for (auto at = first; at != last; ++at) {
        std::string_view rest = view(at->value());
        while (!rest.empty()) {
            std::string_view one = rest.substr(0, rest.find(';'));
            rest.remove_prefix(std::min(one.size() + 1, rest.size()));
            const auto from = one.find_first_not_of(' ');
            if (from != one.npos) cookies.emplace_back(json_text(printable(one.substr(from))));
        }
    }
    return cookies;
}

/// In a query '+' is a space. What is malformed stays as it is.
std::string decode_query(std::string_view text) {
    std::string spaced(text);
    std::ranges::replace(spaced, '+', ' ');
    return printable(percent_decode(spaced).value_or(std::string(text)));
}

using pairs = std::vector<std::pair<std::string, std::string>>;

pairs query_of(std::string_view query) {
    pairs parameters;
    for (const auto& [name, value] : split_query(query))
        parameters.emplace_back(decode_query(name), decode_query(value));
    return parameters;
}

/// Bodies of these types come as they are, others in base64, as AWS has it.
bool is_text(std::string_view content_type) {
    std::string type = lower_case(content_type.substr(0, content_type.find(';')));
    while (type.ends_with(' ')) type.pop_back();
    return type.starts_with("text/") || type == "application/json" || type == "application/xml" ||
           type == "application/javascript" || type.ends_with("+json") || type.ends_with("+xml");
}

/// "12/Mar/2020:19:03:58 +0000"
std::string common_log_time(std::int64_t milliseconds) {
    static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const time_t seconds = milliseconds / 1000;
    tm utc{};
    ::gmtime_r(&seconds, &utc);
    char text[64];
    std::snprintf(text, sizeof text, "%02d/%s/%04d:%02d:%02d:%02d +0000", utc.tm_mday,
                  months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
    return text;
}

/// The names in lower case, and what this server adds.
pairs headers_of(const http_request& request, const request_context& context) {
    const auto port = split_port(view(request[beast_http::field::host])).second;
    const pairs added{{"x-forwarded-for", context.source_ip},
                      {"x-forwarded-proto", context.is_tls ? "https" : "http"},
                      {"x-forwarded-port", port.empty() ? (context.is_tls ? "443" : "80")
                                                        : std::string(port.substr(1))},
                      {"x-amzn-trace-id", context.trace_id}};
    pairs headers;
    for (const auto& field : request) {
        std::string name = lower_case(view(field.name_string()));
        // A caller's word on these does not count.
        if (std::ranges::none_of(added, [&](const auto& each) { return each.first == name; }))
            headers.emplace_back(std::move(name), printable(view(field.value())));
    }
    headers.insert(headers.end(), added.begin(), added.end());
    return headers;
}

/// {"name": ["value", …]}
json::object all_values(const pairs& from) {
    json::object all;
    for (const auto& [name, value] : from) {
        json::value& list = all[name];
        if (list.is_null()) list.emplace_array();
        list.get_array().emplace_back(value);
    }
    return all;
}

std::string domain_name(const event_source& source, const http_request& request) {
    if (!source.by_own_host) return source.domain_name;
    return std::string(split_port(view(request[beast_http::field::host])).first);
}

const char* protocol_of(const http_request& request) {
    return request.version() == 10 ? "HTTP/1.0" : "HTTP/1.1";
}

std::string user_agent(const http_request& request) {
    return printable(view(request[beast_http::field::user_agent]));
}

json::object to_object(const std::map<std::string, std::string>& map) {
    json::object o;
    for (const auto& [key, value] : map) o[key] = printable(value);
    return o;
}

/// Null where there is nothing: format 1.0 has all its members always.
json::value or_null(json::object o) {
    return o.empty() ? json::value() : json::value(std::move(o));
}

/// "body" and "isBase64Encoded"; an empty body is `none`.
void add_body(json::object& event, const http_request& request, bool with_null) {
    const std::string& body = request.body();
    const bool is_coded =
        !body.empty() && (!is_text(view(request[beast_http::field::content_type])) ||
                          printable(body) != body || !view(request["Content-Encoding"]).empty());
    if (!body.empty())
        event["body"] = is_coded ? to_base64(body) : body;
    else if (with_null)
        event["body"] = nullptr;
    event["isBase64Encoded"] = is_coded;
}

}  // namespace

json::object describe_2(const event_source& source,
                        const http_request& request,
                        const request_context& context) {
    const split_target target(context.target);
    json::object headers;
    for (const auto& [name, value] : headers_of(request, context))
        if (name != "cookie") add_value(headers, name, value);
    json::object event{{"version", "2.0"},
                       {"routeKey", source.route_key},
                       {"rawPath", printable(target.path)},
                       {"rawQueryString", printable(target.query)}};
    if (auto cookies = cookies_of(request); !cookies.empty()) event["cookies"] = std::move(cookies);
    event["headers"] = std::move(headers);
    json::object parameters;
    for (const auto& [name, value] : query_of(target.query)) add_value(parameters, name, value);
    if (!parameters.empty()) event["queryStringParameters"] = std::move(parameters);
    event["requestContext"] = {{"accountId", source.account_id},
                               {"apiId", source.api_id},
                               {"domainName", domain_name(source, request)},
                               {"domainPrefix", source.api_id},
                               {"http",
                                {{"method", json_text(view(request.method_string()))},
                                 {"path", printable(target.path)},
                                 {"protocol", protocol_of(request)},
                                 {"sourceIp", context.source_ip},
                                 {"userAgent", user_agent(request)}}},
                               {"requestId", context.request_id},
                               {"routeKey", source.route_key},
                               {"stage", source.stage},
                               {"time", common_log_time(context.milliseconds)},
                               {"timeEpoch", context.milliseconds}};
    if (source.authorizer)
        event["requestContext"].get_object()["authorizer"] = {{"lambda", *source.authorizer}};
    if (!source.path_parameters.empty())
        event["pathParameters"] = to_object(source.path_parameters);
    if (!source.stage_variables.empty())
        event["stageVariables"] = to_object(source.stage_variables);
    return event;
}

std::string write_event_2(const event_source& source,
                          const http_request& request,
                          const request_context& context) {
    json::object event = describe_2(source, request, context);
    add_body(event, request, false);
    return json::serialize(event);
}

json::object describe_1(const event_source& source,
                        const http_request& request,
                        const request_context& context) {
    const split_target target(context.target);
    const pairs headers = headers_of(request, context), query = query_of(target.query);
    json::object last_header, first_parameter;
    for (const auto& [name, value] : headers) last_header[name] = value;
    for (const auto& [name, value] : query) first_parameter.emplace(name, value);
    const std::string method(view(request.method_string()));
    // The route's path; $default has none.
    const std::string resource = source.route_key.substr(source.route_key.find(' ') + 1);
    json::object identity{{"sourceIp", context.source_ip}, {"userAgent", user_agent(request)}};
    for (const char* none :
         {"accessKey", "accountId", "caller", "cognitoAuthenticationProvider",
          "cognitoAuthenticationType", "cognitoIdentityId", "cognitoIdentityPoolId",
          "principalOrgId", "user", "userArn", "clientCert"})
        identity[none] = nullptr;

    const json::object nobody{{"claims", nullptr}, {"scopes", nullptr}};
    json::object event{{"version", "1.0"},
                       {"resource", resource},
                       {"path", printable(target.path)},
                       {"httpMethod", method},
                       {"headers", std::move(last_header)},
                       {"multiValueHeaders", all_values(headers)},
                       {"queryStringParameters", or_null(std::move(first_parameter))},
                       {"multiValueQueryStringParameters", or_null(all_values(query))},
                       {"requestContext",
                        {{"accountId", source.account_id},
                         {"apiId", source.api_id},
                         {"authorizer", source.authorizer.value_or(nobody)},
                         {"domainName", domain_name(source, request)},
                         {"domainPrefix", source.api_id},
                         {"extendedRequestId", context.request_id},
                         {"httpMethod", method},
                         {"identity", std::move(identity)},
                         {"path", printable(target.path)},
                         {"protocol", protocol_of(request)},
                         {"requestId", context.request_id},
                         {"requestTime", common_log_time(context.milliseconds)},
                         {"requestTimeEpoch", context.milliseconds},
                         {"resourceId", nullptr},
                         {"resourcePath", resource},
                         {"stage", source.stage}}},
                       {"pathParameters", or_null(to_object(source.path_parameters))},
                       {"stageVariables", or_null(to_object(source.stage_variables))}};
    return event;
}

std::string write_event_1(const event_source& source,
                          const http_request& request,
                          const request_context& context) {
    json::object event = describe_1(source, request, context);
    add_body(event, request, true);
    return json::serialize(event);
}

}  // namespace hearth::http
