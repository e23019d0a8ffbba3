#include "http/function_answer.hpp"

#include "http/text.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

namespace hearth::http {
namespace {

namespace beast_http = boost::beast::http;
namespace json = boost::json;

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

/// Thrown inside `read_answer` only: the answer is none.
struct not_a_response {};

std::string text_of(const json::value& v) {
    if (v.is_string()) return std::string(v.get_string());
    if (v.is_number() || v.is_bool()) return json::serialize(v);
    throw not_a_response{};
}

std::string lowered(std::string_view s) {
    std::string l(s);
    for (char& c : l)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return l;
}

void take_header(const std::string& name, const std::string& value, reply& to) {
    if (!is_token(name) || !is_field_value(value)) throw not_a_response{};
    const std::string known = lowered(name);
    if (known == "content-type")
        to.content_type = value;
    else if (!is_ours(known))
        to.own_headers.emplace_back(name, value);
}

/// The object of that name; null where there is none.
const json::object* member(const json::object& o, const char* name) {
    const json::value* v = o.if_contains(name);
    if (!v || v->is_null()) return nullptr;
    if (!v->is_object()) throw not_a_response{};
    return &v->get_object();
}

void take_headers(const json::object& answer, payload_format format, reply& to) {
    const json::object* lists =
        format == payload_format::v1 ? member(answer, "multiValueHeaders") : nullptr;
    const auto is_listed = [&](std::string_view name) {
        return lists && std::ranges::any_of(*lists, [&](const auto& each) {
                   return lowered(each.key()) == lowered(name);
               });
    };
    if (const json::object* single = member(answer, "headers"))
        for (const auto& [key, value] : *single)
            if (!is_listed(key)) take_header(key, text_of(value), to);
    if (!lists) return;
    for (const auto& [key, values] : *lists) {
        if (!values.is_array()) throw not_a_response{};
        for (const json::value& each : values.get_array()) take_header(key, text_of(each), to);
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

void take_cookies(const json::object& answer, reply& to) {
    const json::value* cookies = answer.if_contains("cookies");
    if (!cookies || cookies->is_null()) return;
    if (!cookies->is_array()) throw not_a_response{};
    for (const json::value& each : cookies->get_array()) {
        const std::string cookie = text_of(each);
        if (!is_field_value(cookie)) throw not_a_response{};
        to.own_headers.emplace_back("Set-Cookie", cookie);
    }
}

}  // namespace

std::optional<reply> read_answer(const json::object& answer,
                                 payload_format format,
                                 reply otherwise) {
    reply r = std::move(otherwise);
    try {
        if (const json::value* status = answer.if_contains("statusCode")) take_status(*status, r);
        take_headers(answer, format, r);
        if (format == payload_format::v2) take_cookies(answer, r);
        const json::value* body = answer.if_contains("body");
        if (body && !body->is_null()) r.body = text_of(*body);
        const json::value* coded = answer.if_contains("isBase64Encoded");
        if (coded && coded->is_bool() && coded->get_bool()) {
            auto bytes = from_base64(r.body);
            if (!bytes) return std::nullopt;
            r.body = std::move(*bytes);
        }
    } catch (const not_a_response&) {
        return std::nullopt;
    }
    return r;
}

std::optional<reply> read_inferred_answer(const std::string& payload) {
    boost::system::error_code ec;
    json::parse_options options;
    options.max_depth = max_json_depth;
    const json::value document = json::parse(payload, ec, {}, options);
    if (ec) return std::nullopt;
    if (document.is_object() && document.get_object().contains("statusCode"))
        return read_answer(document.get_object(), payload_format::v2);
    if (document.is_string()) return reply{.body = std::string(document.get_string())};
    return reply{.body = payload};
}

}  // namespace hearth::http
