#include "logs/level.hpp"

#include <boost/json/parse.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace hearth::logs {
namespace {

constexpr std::array<std::pair<std::string_view, level>, 8> names{{{"TRACE", level::trace},
                                                                   {"DEBUG", level::debug},
                                                                   {"INFO", level::info},
                                                                   {"WARN", level::warn},
                                                                   {"WARNING", level::warn},
                                                                   {"ERROR", level::error},
                                                                   {"FATAL", level::fatal},
                                                                   {"CRITICAL", level::fatal}}};

bool equal_in_any_case(std::string_view a, std::string_view upper) {
    return std::ranges::equal(a, upper, [](char x, char y) {
        return (x >= 'a' && x <= 'z' ? static_cast<char>(x - 'a' + 'A') : x) == y;
    });
}

}  // namespace

level parse_level(std::string_view name, level otherwise) noexcept {
    for (const auto& [text, value] : names)
        if (equal_in_any_case(name, text)) return value;
    return otherwise;
}

level level_of_line(std::string_view line) {
    if (!line.starts_with('{')) return level::info;
    // Nothing that is nested deeper is taken for JSON (Boost.JSON's own bound is 32).
    boost::system::error_code ec;
    const auto value = boost::json::parse({line.data(), line.size()}, ec);
    if (ec || !value.is_object()) return level::info;
    const auto* found = value.as_object().if_contains("level");
    if (!found || !found->is_string()) return level::info;
    return parse_level({found->as_string().data(), found->as_string().size()});
}

}  // namespace hearth::logs
