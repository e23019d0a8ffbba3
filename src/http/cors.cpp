#include "http/cors.hpp"

#include "http/beast_text.hpp"

#include <boost/beast/core/string.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::http {
namespace {

namespace beast = boost::beast;
namespace beast_http = boost::beast::http;

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

std::optional<reply> preflight(const std::optional<cors_settings>& settings,
                               const http_request& request) {
    if (!settings || request.method() != beast_http::verb::options ||
        request[beast_http::field::origin].empty() ||
        request[beast_http::field::access_control_request_method].empty())
        return std::nullopt;
    reply r;
    add_cors(settings, request, r);
    if (r.headers.empty()) return r;  // not for that origin: the browser sees no permission
    const cors_settings& cors = *settings;
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

void add_cors(const std::optional<cors_settings>& settings,
              const http_request& request,
              reply& to) {
    const std::string_view origin = view(request[beast_http::field::origin]);
    if (!settings || origin.empty()) return;
    const cors_settings& cors = *settings;
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
