#include "http/function_url.hpp"

#include "http/aws_error.hpp"
#include "http/beast_text.hpp"
#include "http/text.hpp"

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/json.hpp>

#include <time.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace hearth::http {
namespace {

namespace beast = boost::beast;
namespace beast_http = boost::beast::http;
namespace json = boost::json;

constexpr std::string_view host_mark = ".lambda-url.", path_mark = "/_hearth/url/";

json::string_view to_json(std::string_view s) { return {s.data(), s.size()}; }

bool is_hex(std::string_view s) {
    return std::ranges::all_of(
        s, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

/// "[::1]:9000" → "[::1]", ":9000"; without a port the second is empty.
std::pair<std::string_view, std::string_view> split_port(std::string_view host) {
    const auto colon = host.rfind(':');
    if (colon == host.npos || host.find(']', colon) != host.npos || colon + 1 == host.size() ||
        host.find_first_not_of("0123456789", colon + 1) != host.npos)
        return {host, {}};
    return {host.substr(0, colon), host.substr(colon)};
}

/// Of "arn:aws:lambda:REGION:…".
std::string_view region_of(std::string_view arn) {
    for (int i = 0; i < 3; ++i) arn.remove_prefix(std::min(arn.find(':'), arn.size() - 1) + 1);
    return arn.substr(0, arn.find(':'));
}

std::string domain_of(const function_url_config& c) {
    return c.url_id + std::string(host_mark) + std::string(region_of(c.function_arn)) +
           ".localhost";
}

std::string lower(std::string_view s) {
    std::string l(s);
    for (char& c : l)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return l;
}

/// Several values of a name become one, separated by commas.
void add_value(json::object& to, std::string_view name, std::string_view value) {
    json::value& place = to[to_json(name)];
    if (place.is_null())
        place.emplace_string() = to_json(value);
    else
        place.get_string().append(",").append(to_json(value));
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
            if (from != one.npos) cookies.emplace_back(to_json(printable(one.substr(from))));
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

json::object query_of(std::string_view query) {
    json::object parameters;
    while (!query.empty()) {
        const std::string_view pair = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(pair.size() + 1, query.size()));
        if (pair.empty()) continue;
        const auto equals = pair.find('=');
        add_value(parameters, decode_query(pair.substr(0, equals)),
                  equals == pair.npos ? std::string() : decode_query(pair.substr(equals + 1)));
    }
    return parameters;
}

/// Bodies of these types come as they are, others in base64, as AWS has it.
bool is_text(std::string_view content_type) {
    std::string type = lower(content_type.substr(0, content_type.find(';')));
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

reply bad_gateway() {
    return {.status = beast_http::status::bad_gateway,
            .body = "Internal Server Error",
            .content_type = "text/plain",
            .headers = {{"x-amzn-ErrorType", "InternalServerErrorException"}}};
}

/// Those of the connection are this server's to give.
bool is_ours(std::string_view name) {
    static constexpr std::string_view ours[] = {
        "connection", "content-length", "keep-alive",        "proxy-connection", "te",
        "trailer",    "upgrade",        "transfer-encoding", "set-cookie2"};
    return std::ranges::find(ours, name) != std::end(ours);
}

bool is_token(std::string_view s) {
    return !s.empty() && std::ranges::all_of(s, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    });
}

/// A guest's value must not end its header line.
bool is_field_value(std::string_view s) {
    return std::ranges::all_of(s, [](char c) {
        return (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) || c == '\t';
    });
}

/// Thrown inside `structured` only: the answer is none.
struct not_a_response {};

std::string text_of(const json::value& v) {
    if (v.is_string()) return std::string(v.get_string());
    if (v.is_number() || v.is_bool()) return json::serialize(v);
    throw not_a_response{};
}

void take_headers(const json::object& headers, reply& to) {
    for (const auto& [key, value] : headers) {
        const std::string name(key), text = text_of(value);
        if (!is_token(name) || !is_field_value(text)) throw not_a_response{};
        const std::string known = lower(name);
        if (known == "content-type")
            to.content_type = text;
        else if (!is_ours(known))
            to.own_headers.emplace_back(name, text);
    }
}

void take_status(const json::value& v, reply& to) {
    std::int64_t status = 0;
    if (v.is_int64()) {
        status = v.get_int64();
    } else if (v.is_string()) {
        const std::string text(v.get_string());
        const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), status);
        if (ec != std::errc() || end != text.data() + text.size()) throw not_a_response{};
    }
    // What is below is not final, and this server answers once.
    if (status < 200 || status > 599) throw not_a_response{};
    to.status = static_cast<beast_http::status>(status);
}

/// {"statusCode": …}; also the prelude of a streamed answer, whose body follows by itself. `r` has
/// what is not given.
reply structured(const json::object& o, reply r = {}) {
    if (const json::value* status = o.if_contains("statusCode")) take_status(*status, r);
    if (const json::value* headers = o.if_contains("headers"); headers && !headers->is_null()) {
        if (!headers->is_object()) throw not_a_response{};
        take_headers(headers->get_object(), r);
    }
    if (const json::value* cookies = o.if_contains("cookies"); cookies && !cookies->is_null()) {
        if (!cookies->is_array()) throw not_a_response{};
        for (const json::value& each : cookies->get_array()) {
            const std::string cookie = text_of(each);
            if (!is_field_value(cookie)) throw not_a_response{};
            r.own_headers.emplace_back("Set-Cookie", cookie);
        }
    }
    const json::value* body = o.if_contains("body");
    if (body && !body->is_null()) r.body = text_of(*body);
    const json::value* coded = o.if_contains("isBase64Encoded");
    if (coded && coded->is_bool() && coded->get_bool()) {
        auto bytes = from_base64(r.body);
        if (!bytes) throw not_a_response{};
        r.body = std::move(*bytes);
    }
    return r;
}

/// Of what was streamed and says no other.
constexpr const char* streamed_type = "application/octet-stream";

/// Nothing when the payload is not what streaming functions write.
std::optional<reply> streamed(std::string_view payload) {
    const auto end = payload.find(prelude_end);
    if (end != payload.npos) {
        boost::system::error_code ec;
        const json::value prelude = json::parse(to_json(payload.substr(0, end)), ec);
        if (!ec && prelude.is_object()) {
            reply r = structured(prelude.get_object(), {.content_type = streamed_type});
            r.body = payload.substr(end + prelude_end.size());
            return r;
        }
    }
    if (json_fault(payload).empty()) return std::nullopt;
    return reply{.body = std::string(payload), .content_type = streamed_type};
}

std::string joined(const std::vector<std::string>& list) {
    std::string all;
    for (const std::string& each : list) all += (all.empty() ? "" : ",") + each;
    return all;
}

bool contains(const std::vector<std::string>& list, std::string_view what) {
    return std::ranges::any_of(
        list, [&](const std::string& s) { return beast::iequals(to_beast(s), to_beast(what)); });
}

}  // namespace

std::string_view url_id_of_host(std::string_view host) {
    constexpr std::size_t id_length = 32;
    if (host.size() <= id_length || !is_hex(host.substr(0, id_length)) ||
        !beast::iequals(to_beast(host.substr(id_length, host_mark.size())), to_beast(host_mark)))
        return {};
    return host.substr(0, id_length);
}

std::optional<route> find_url_route(std::string_view host, std::string_view target) {
    route r{.op = operation::function_url, .name = "InvokeFunctionUrl"};
    if (const auto id = url_id_of_host(host); !id.empty()) {
        if (target.starts_with("http://") || target.starts_with("https://")) {
            const auto slash = target.find_first_of("/?", target.find("//") + 2);
            target = slash == target.npos ? "/" : target.substr(slash);
        }
        r.argument = id;
    } else if (target.starts_with(path_mark)) {
        target.remove_prefix(path_mark.size());
        const auto end = std::min(target.find_first_of("/?#"), target.size());
        r.argument = target.substr(0, end);
        target.remove_prefix(end);
    } else {
        return std::nullopt;
    }
    target = target.substr(0, target.find('#'));
    r.second = target.starts_with('/') ? "" : "/";
    if (target != "*") r.second += target;
    return r;
}

std::string function_url_of(const function_url_config& config, std::string_view origin) {
    const auto mark = origin.find("//");
    const std::string scheme(mark == origin.npos ? "http://" : origin.substr(0, mark + 2));
    const std::string_view host = mark == origin.npos ? "" : origin.substr(mark + 2);
    const auto [name, port] = split_port(host);
    const bool is_here = name.empty() || name == "localhost" || name.ends_with(".localhost") ||
                         name == "[::1]" || name.starts_with("127.");
    if (is_here) return scheme + domain_of(config) + std::string(port) + "/";
    return scheme + std::string(host) + std::string(path_mark) + config.url_id + "/";
}

std::string write_url_event(const function_url_config& config,
                            const http_request& request,
                            const url_request_context& context) {
    const auto mark = context.target.find('?');
    const std::string_view path = context.target.substr(0, mark);
    const std::string_view query =
        mark == context.target.npos ? "" : context.target.substr(mark + 1);
    const std::string_view host = view(request[beast_http::field::host]);
    const auto [name, port] = split_port(host);

    json::object headers;
    for (const auto& field : request) {
        if (field.name() == beast_http::field::cookie) continue;
        add_value(headers, lower(view(field.name_string())), printable(view(field.value())));
    }
    headers["x-forwarded-for"] = context.source_ip;
    headers["x-forwarded-proto"] = context.is_tls ? "https" : "http";
    headers["x-forwarded-port"] =
        port.empty() ? json::string_view(context.is_tls ? "443" : "80") : to_json(port.substr(1));
    headers["x-amzn-trace-id"] = context.trace_id;

    json::object event{{"version", "2.0"},
                       {"routeKey", "$default"},
                       {"rawPath", to_json(printable(path))},
                       {"rawQueryString", to_json(printable(query))}};
    if (auto cookies = cookies_of(request); !cookies.empty()) event["cookies"] = std::move(cookies);
    event["headers"] = std::move(headers);
    if (auto parameters = query_of(query); !parameters.empty())
        event["queryStringParameters"] = std::move(parameters);
    event["requestContext"] = {
        {"accountId", "anonymous"},
        {"apiId", config.url_id},
        {"domainName", url_id_of_host(host).empty() ? json::string(domain_of(config))
                                                    : json::string(to_json(name))},
        {"domainPrefix", config.url_id},
        {"http",
         {{"method", to_json(view(request.method_string()))},
          {"path", to_json(printable(path))},
          {"protocol", request.version() == 10 ? "HTTP/1.0" : "HTTP/1.1"},
          {"sourceIp", context.source_ip},
          {"userAgent", to_json(printable(view(request[beast_http::field::user_agent])))}}},
        {"requestId", context.request_id},
        {"routeKey", "$default"},
        {"stage", "$default"},
        {"time", common_log_time(context.milliseconds)},
        {"timeEpoch", context.milliseconds}};
    bool is_coded = false;
    if (const std::string& body = request.body(); !body.empty()) {
        is_coded = !is_text(view(request[beast_http::field::content_type])) ||
                   printable(body) != body || !view(request["Content-Encoding"]).empty();
        event["body"] = is_coded ? to_base64(body) : body;
    }
    event["isBase64Encoded"] = is_coded;
    return json::serialize(event);
}

reply read_url_response(const function_url_config& config, const response& r) {
    if (!r.ok()) return bad_gateway();
    try {
        if (config.invoke_mode == "RESPONSE_STREAM")
            if (auto answer = streamed(r.payload)) return std::move(*answer);
        boost::system::error_code ec;
        json::parse_options options;
        options.max_depth = max_json_depth;
        const json::value document = json::parse(to_json(r.payload), ec, {}, options);
        if (ec) return bad_gateway();
        const bool has_status =
            document.is_object() && document.get_object().contains("statusCode");
        if (has_status) return structured(document.get_object());
        if (document.is_string()) return {.body = std::string(document.get_string())};
        return {.body = r.payload};
    } catch (const not_a_response&) {
        return bad_gateway();
    }
}

std::optional<reply> read_prelude(std::string_view document) {
    try {
        boost::system::error_code ec;
        const json::value prelude = json::parse(to_json(document), ec);
        if (ec || !prelude.is_object()) return std::nullopt;
        return structured(prelude.get_object(), {.content_type = streamed_type});
    } catch (const not_a_response&) {
        return std::nullopt;
    }
}

reply write_url_failure(const error& e) {
    if (e == errc::init_failed) return bad_gateway();
    if (e == errc::not_ready) return make_error(aws_error::service_unavailable, e.message());
    return make_error(e);
}

std::optional<reply> preflight(const function_url_config& config, const http_request& request) {
    if (!config.cors || request.method() != beast_http::verb::options ||
        request[beast_http::field::origin].empty() ||
        request[beast_http::field::access_control_request_method].empty())
        return std::nullopt;
    reply r;
    add_cors(config, request, r);
    if (r.headers.empty()) return r;  // not for that origin: the browser sees no permission
    const cors_settings& cors = *config.cors;
    if (!cors.allow_methods.empty())
        r.headers.emplace_back("Access-Control-Allow-Methods", joined(cors.allow_methods));
    const std::string_view wanted =
        view(request[beast_http::field::access_control_request_headers]);
    if (contains(cors.allow_headers, "*") && !wanted.empty())
        r.headers.emplace_back("Access-Control-Allow-Headers", std::string(wanted));
    else if (!cors.allow_headers.empty())
        r.headers.emplace_back("Access-Control-Allow-Headers", joined(cors.allow_headers));
    if (cors.max_age)
        r.headers.emplace_back("Access-Control-Max-Age", std::to_string(*cors.max_age));
    return r;
}

void add_cors(const function_url_config& config, const http_request& request, reply& to) {
    const std::string_view origin = view(request[beast_http::field::origin]);
    if (!config.cors || origin.empty()) return;
    const cors_settings& cors = *config.cors;
    const bool any = contains(cors.allow_origins, "*");
    if (!any && !contains(cors.allow_origins, origin)) return;
    // A page that sends credentials is not content with "*".
    const bool named = !any || cors.allow_credentials;
    to.headers.emplace_back("Access-Control-Allow-Origin", named ? std::string(origin) : "*");
    if (named) to.own_headers.emplace_back("Vary", "Origin");
    if (cors.allow_credentials) to.headers.emplace_back("Access-Control-Allow-Credentials", "true");
    if (!cors.expose_headers.empty())
        to.headers.emplace_back("Access-Control-Expose-Headers", joined(cors.expose_headers));
}

}  // namespace hearth::http
