#include "http/request_target.hpp"

#include "http/text.hpp"

#include <algorithm>
#include <cstddef>
#include <tuple>

namespace hearth::http {
namespace {

std::string_view take_segment(std::string_view& path) {
    path.remove_prefix(path.starts_with('/') ? 1 : 0);
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    return segment;
}

}  // namespace

std::optional<path_parameters> match_path(std::string_view pattern, std::string_view path) {
    std::array<std::string_view, std::tuple_size_v<path_parameters>> encoded;
    std::size_t found = 0;
    while (!pattern.empty() && !path.empty()) {
        const std::string_view expected = take_segment(pattern), given = take_segment(path);
        if (expected == "{}" ? given.empty() : expected != given) return std::nullopt;
        if (expected == "{}") encoded.at(found++) = given;
    }
    if (!pattern.empty() || !path.empty()) return std::nullopt;
    path_parameters parameters;
    for (std::size_t i = 0; i < found; ++i) {
        auto text = percent_decode(encoded.at(i));
        if (!text) return std::nullopt;
        parameters.at(i) = std::move(*text);
    }
    return parameters;
}

std::string_view without_trailing_slashes(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    return path;
}

std::vector<std::pair<std::string_view, std::string_view>> split_query(std::string_view query) {
    std::vector<std::pair<std::string_view, std::string_view>> pairs;
    while (!query.empty()) {
        const std::string_view pair = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(pair.size() + 1, query.size()));
        if (pair.empty()) continue;
        const auto equals = pair.find('=');
        pairs.emplace_back(pair.substr(0, equals),
                           equals == pair.npos ? "" : pair.substr(equals + 1));
    }
    return pairs;
}

}  // namespace hearth::http
