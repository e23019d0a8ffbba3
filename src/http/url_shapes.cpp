/// The shapes of function URL configurations.

#include "http/function_url.hpp"
#include "http/json_reader.hpp"

namespace hearth::http {
namespace {

std::optional<cors_settings> cors(const reader& r) {
    const auto given = r.object("Cors");
    if (!given) return std::nullopt;
    const auto list = [&](const char* name) {
        return given->texts(name).value_or(std::vector<std::string>());
    };
    cors_settings c{.allow_credentials = given->flag("AllowCredentials"),
                    .allow_headers = list("AllowHeaders"),
                    .allow_methods = list("AllowMethods"),
                    .allow_origins = list("AllowOrigins"),
                    .expose_headers = list("ExposeHeaders")};
    if (const auto age = given->number("MaxAge")) {
        if (*age < 0)
            refuse(errc::invalid_argument,
                   "1 validation error detected: Value '" + std::to_string(*age) +
                       "' at 'cors.maxAge' failed to satisfy constraint: Member must have value "
                       "greater than or equal to 0");
        c.max_age = static_cast<std::uint64_t>(*age);
    }
    return c;
}

function_url_request request(const reader& r) {
    return {.auth_type = r.text("AuthType"), .invoke_mode = r.text("InvokeMode"), .cors = cors(r)};
}

json::object url_object(const function_url_config& c, std::string_view origin) {
    json::object o{{"FunctionUrl", function_url_of(c, origin)},
                   {"FunctionArn", c.function_arn},
                   {"AuthType", c.auth_type},
                   {"InvokeMode", c.invoke_mode},
                   {"CreationTime", c.creation_time},
                   {"LastModifiedTime", c.last_modified_time}};
    if (!c.cors) return o;
    json::object& shown = o["Cors"].emplace_object();
    const auto list = [&](const char* name, const std::vector<std::string>& items) {
        if (!items.empty()) shown[name] = json::value_from(items);
    };
    shown["AllowCredentials"] = c.cors->allow_credentials;
    list("AllowHeaders", c.cors->allow_headers), list("AllowMethods", c.cors->allow_methods);
    list("AllowOrigins", c.cors->allow_origins), list("ExposeHeaders", c.cors->expose_headers);
    if (c.cors->max_age) shown["MaxAge"] = *c.cors->max_age;
    return o;
}

}  // namespace

shaped<function_url_request> read_create_function_url(std::string_view body) {
    return read_document(body, [](const reader& r) {
        if (!r.find("AuthType")) must_not_be_null("authType");
        return request(r);
    });
}

shaped<function_url_request> read_update_function_url(std::string_view body) {
    return read_document(body, request);
}

std::string write_function_url(const function_url_config& c, std::string_view origin, bool is_new) {
    json::object o = url_object(c, origin);
    if (is_new) o.erase("LastModifiedTime");  // as in the model
    return json::serialize(o);
}

std::string write_page(const function_url_page& page, std::string_view origin) {
    json::array configs;
    for (const auto& each : page.configs) configs.push_back(url_object(each, origin));
    json::object o{{"FunctionUrlConfigs", std::move(configs)}};
    if (!page.next_marker.empty()) o["NextMarker"] = page.next_marker;
    return json::serialize(o);
}

}  // namespace hearth::http
