#pragma once

/// A service's operations as README shows them: a table in Markdown, a row for each way they are
/// answered. Pure.

#include <string>
#include <string_view>
#include <vector>

namespace hearth::http {

struct answered_operations {
    std::string_view how_far;
    std::vector<std::string_view> names;
};

/// `title` is that of the names' column. In each row the names are counted and in order.
std::string make_operations_table(std::string_view title, std::vector<answered_operations> rows);

}  // namespace hearth::http
