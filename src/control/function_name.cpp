#include "control/function_name.hpp"

#include "control/ascii.hpp"
#include "control/validation.hpp"

#include <algorithm>

namespace hearth::control {
namespace {

constexpr std::size_t max_full_name = 140, max_name = 64;
/// botocore lambda/2015-03-31, shape FunctionName: shown to the caller, matched by hand below.
constexpr std::string_view pattern =
    "(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?"
    "([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?";

bool is_name_char(char c) {
    return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}
bool is_name(std::string_view s) { return !s.empty() && std::ranges::all_of(s, is_name_char); }

bool is_account(std::string_view s) { return s.size() == 12 && std::ranges::all_of(s, is_digit); }

/// us-east-1, us-gov-west-1
bool is_region(std::string_view s) {
    if (s.size() < 6 || !is_lower(s[0]) || !is_lower(s[1]) || s[2] != '-') return false;
    if (!is_digit(s.back()) || s[s.size() - 2] != '-') return false;
    s = s.substr(3, s.size() - 5);
    if (s.starts_with("gov-")) s.remove_prefix(4);
    return !s.empty() && std::ranges::all_of(s, is_lower);
}

bool is_partition(std::string_view s) {
    if (s.empty()) return true;
    return s.starts_with("aws") && std::ranges::all_of(s.substr(3), [](char c) {
               return is_lower(c) || (c >= 'A' && c <= 'Z') || c == '-';
           });
}

/// Takes the part before the next ':' if it passes and something follows.
template <class Predicate>
bool take(std::string_view& rest, Predicate passes, std::string* into = nullptr) {
    const auto colon = rest.find(':');
    if (colon == rest.npos || !passes(rest.substr(0, colon))) return false;
    if (into) *into = rest.substr(0, colon);
    rest.remove_prefix(colon + 1);
    return true;
}

bool parse(std::string_view rest, function_name& to) {
    if (rest.starts_with("arn:")) {
        rest.remove_prefix(4);
        if (!take(rest, is_partition)) return false;
        if (!take(rest, [](std::string_view s) { return s == "lambda"; })) return false;
    }
    take(rest, is_region, &to.region);
    take(rest, is_account, &to.account_id);
    take(rest, [](std::string_view s) { return s == "function"; });
    const auto colon = rest.find(':');
    to.name = rest.substr(0, colon);
    if (!is_name(to.name)) return false;
    if (colon == rest.npos) return true;
    to.qualifier = rest.substr(colon + 1);
    return to.qualifier == "$LATEST" || is_name(to.qualifier);
}

}  // namespace

result<function_name> parse_function_name(std::string_view text) {
    function_name name;
    if (text.empty() || text.size() > max_full_name)
        return violation("functionName", text,
                         text.empty() ? "Member must have length greater than or equal to 1"
                                      : "Member must have length less than or equal to 140");
    if (!parse(text, name))
        return violation("functionName", text,
                         "Member must satisfy regular expression pattern: " + std::string(pattern));
    if (name.name.size() > max_name)
        return violation("functionName", name.name,
                         "Member must have length less than or equal to 64");
    return name;
}

std::string make_function_arn(std::string_view region,
                              std::string_view account_id,
                              std::string_view name) {
    std::string arn = "arn:aws:lambda:";
    arn.append(region).append(":").append(account_id).append(":function:").append(name);
    return arn;
}

}  // namespace hearth::control
