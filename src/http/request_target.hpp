#pragma once

/// What a request's target says: a path, whose segments may be parameters, and a query. Pure.

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::http {

/// A target in its two parts, still encoded.
struct split_target {
    explicit split_target(std::string_view target)
        : path(target.substr(0, target.find('?'))),
          query(path.size() == target.size() ? "" : target.substr(path.size() + 1)) {}
    std::string_view path, query;
};

/// What stands for a pattern's "{}", percent-decoded; empty beyond them.
using path_parameters = std::array<std::string, 3>;

/// Nothing when the path is not the pattern's, a parameter is empty or an escape malformed.
std::optional<path_parameters> match_path(std::string_view pattern, std::string_view path);

std::string_view without_trailing_slashes(std::string_view path);

/// Its names and values, still encoded, in their order. "a" is as "a=".
std::vector<std::pair<std::string_view, std::string_view>> split_query(std::string_view query);

}  // namespace hearth::http
