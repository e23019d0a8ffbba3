#include "control/cors.hpp"

#include "base/try.hpp"
#include "control/validation.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

namespace hearth::control {
namespace {

constexpr std::size_t max_cors_items = 100, max_header = 1024, max_origin = 253;
constexpr std::uint64_t max_cors_age = 86400;

/// What may stand in a header's value: these end up in answers to browsers.
bool is_header_text(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7F; });
}

result<void> check_list(const char* member,
                        const std::vector<std::string>& list,
                        std::size_t max_items,
                        std::size_t max_length) {
    if (list.size() > max_items)
        return violation(
            member, std::to_string(list.size()),
            "Member must have length less than or equal to " + std::to_string(max_items));
    for (const std::string& each : list)
        if (each.empty() || each.size() > max_length || !is_header_text(each))
            return violation(member, each,
                             "Member must have length between 1 and " + std::to_string(max_length) +
                                 " and hold visible ASCII characters only");
    return {};
}

}  // namespace

result<void> check_cors(const cors_settings& c, const std::vector<std::string_view>& methods) {
    HEARTH_CHECK(check_list("cors.allowHeaders", c.allow_headers, max_cors_items, max_header));
    HEARTH_CHECK(check_list("cors.exposeHeaders", c.expose_headers, max_cors_items, max_header));
    HEARTH_CHECK(check_list("cors.allowOrigins", c.allow_origins, max_cors_items, max_origin));
    HEARTH_CHECK(check_list("cors.allowMethods", c.allow_methods, methods.size(), 8));
    for (const std::string& method : c.allow_methods) {
        if (std::ranges::find(methods, method) != methods.end()) continue;
        std::string known;
        for (const std::string_view each : methods)
            known.append(known.empty() ? "" : ", ").append(each);
        return violation("cors.allowMethods", method,
                         "Member must satisfy enum value set: [" + known + "]");
    }
    if (c.max_age && *c.max_age > max_cors_age)
        return violation("cors.maxAge", std::to_string(*c.max_age),
                         "Member must have value less than or equal to 86400");
    return {};
}

}  // namespace hearth::control
