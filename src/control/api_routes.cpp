#include "control/api_routes.hpp"

#include "control/ascii.hpp"

#include <hearth/http_api.hpp>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>

namespace hearth {
namespace {

constexpr std::string_view default_key = "$default", integrations = "integrations/";

/// The path's next segment; what is left begins with its slash or is empty.
std::string_view next_segment(std::string_view& path) {
    path.remove_prefix(path.starts_with('/') ? 1 : 0);
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    return segment;
}

bool is_variable(std::string_view s) { return s.size() > 2 && s.front() == '{' && s.back() == '}'; }
bool is_greedy(std::string_view s) { return is_variable(s) && s[s.size() - 2] == '+'; }
std::string_view name_of(std::string_view s) {
    return s.substr(1, s.size() - (is_greedy(s) ? 3 : 2));
}

/// What is malformed stays as it is.
std::string decoded(std::string_view s) {
    const auto digit = [](char c) {
        if (c >= '0' && c <= '9') return c - '0';
        const char l = static_cast<char>(c | 0x20);
        return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
    };
    std::string out;
    for (std::size_t i = 0; i < s.size(); ++i) {
        const bool coded =
            s[i] == '%' && i + 2 < s.size() && digit(s[i + 1]) >= 0 && digit(s[i + 2]) >= 0;
        out += coded ? static_cast<char>(digit(s[i + 1]) * 16 + digit(s[i + 2])) : s[i];
        if (coded) i += 2;
    }
    return out;
}

/// How well a route matches, the smaller the better: 1 where it is greedy, else 0; then per segment
/// 0 literal, 1 variable, 2 greedy, so that of two greedy ones that which says more of the path
/// comes first; then 0 its own method, 1 ANY.
using rank = std::string;

std::optional<rank> rank_of(std::string_view key, std::string_view method, std::string_view path) {
    const auto space = key.find(' ');
    if (space == key.npos) return std::nullopt;  // $default
    const std::string_view wanted = key.substr(0, space);
    if (wanted != "ANY" && wanted != method) return std::nullopt;
    std::string_view pattern = key.substr(space + 1);
    rank r = "0";
    while (!pattern.empty() && !path.empty()) {
        const std::string_view expected = next_segment(pattern);
        if (is_greedy(expected)) {
            if (path.size() < 2) return std::nullopt;  // nothing below the slash
            path = {};
            r[0] = '1';
            r += '2';
            break;
        }
        const std::string_view given = next_segment(path);
        const bool any = is_variable(expected);
        if (any ? given.empty() : expected != given && expected != decoded(given))
            return std::nullopt;
        r += any ? '1' : '0';
    }
    if (!pattern.empty() || !path.empty()) return std::nullopt;
    return r + (wanted == "ANY" ? '1' : '0');
}

std::map<std::string, std::string> parameters_of(std::string_view key, std::string_view path) {
    std::map<std::string, std::string> found;
    std::string_view pattern = key.substr(key.find(' ') + 1);
    while (!pattern.empty()) {
        const std::string_view expected = next_segment(pattern);
        if (is_greedy(expected)) {
            found.emplace(name_of(expected), decoded(path.substr(1)));
            break;
        }
        const std::string_view given = next_segment(path);
        if (is_variable(expected)) found.emplace(name_of(expected), decoded(given));
    }
    return found;
}

error bad_key(std::string_view key, const char* why) {
    return {errc::invalid_argument,
            "The route key '" + std::string(key.substr(0, 256)) + "' is not valid: " + why};
}

}  // namespace

std::optional<api_match> match_api(const http_api& api,
                                   std::string_view method,
                                   std::string_view path) {
    api_match found;
    std::string_view below = path;
    const std::string_view first = next_segment(below);
    if (const auto at = api.stages.find(first); at != api.stages.end() && first != default_key) {
        found.stage = &at->second;
        path = below.empty() ? "/" : below;
    } else if (const auto root = api.stages.find(default_key); root != api.stages.end()) {
        found.stage = &root->second;
    } else {
        return std::nullopt;
    }
    std::optional<rank> best;
    for (const auto& [id, route] : api.routes) {
        if (route.key == default_key && !found.route) found.route = &route;
        auto r = rank_of(route.key, method, path);
        if (!r || (best && *best <= *r)) continue;
        best = std::move(r);
        found.route = &route;
    }
    if (!found.route) return std::nullopt;
    if (best) found.path_parameters = parameters_of(found.route->key, path);
    if (found.route->target.starts_with(integrations)) {
        const auto at = api.integrations.find(
            std::string_view(found.route->target).substr(integrations.size()));
        if (at != api.integrations.end()) found.integration = &at->second;
    }
    return found;
}

result<void> control::check_route_key(std::string_view key) {
    if (key == default_key) return {};
    static constexpr std::string_view methods[] = {"GET",    "POST", "PUT",     "PATCH",
                                                   "DELETE", "HEAD", "OPTIONS", "ANY"};
    constexpr std::size_t max_key = 1024;
    const auto space = key.find(' ');
    if (key.size() > max_key || space == key.npos ||
        std::ranges::find(methods, key.substr(0, space)) == std::end(methods) ||
        !key.substr(space + 1).starts_with('/'))
        return bad_key(key, "it is $default, or a method or ANY, a space and a path");
    std::string_view path = key.substr(space + 1);
    if (path == "/") return {};
    std::set<std::string_view> variables;
    while (!path.empty()) {
        const std::string_view segment = next_segment(path);
        if (is_variable(segment)) {
            const std::string_view name = name_of(segment);
            if (name.empty() || !std::ranges::all_of(name, [](char c) {
                    return is_alnum(c) || c == '_' || c == '-' || c == '.' || c == ':';
                }))
                return bad_key(key, "a variable is named with letters, digits and any of _-.:");
            if (!variables.insert(name).second) return bad_key(key, "a variable comes twice");
            if (is_greedy(segment) && !path.empty())
                return bad_key(key, "a greedy variable is the last segment");
        } else if (!std::ranges::all_of(segment, [](char c) {
                       return c > ' ' && c < 0x7F && c != '{' && c != '}' && c != '?' && c != '#';
                   })) {
            return bad_key(key, "a segment is a literal or a {variable}");
        }
    }
    return {};
}

}  // namespace hearth
