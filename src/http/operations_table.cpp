#include "http/operations_table.hpp"

#include <algorithm>

namespace hearth::http {

std::string make_operations_table(std::string_view title, std::vector<answered_operations> rows) {
    std::string table = "| how far | ";
    table.append(title).append(" |\n|---|---|\n");
    for (auto& [how_far, names] : rows) {
        std::ranges::sort(names);
        table.append("| ").append(how_far).append(" (").append(std::to_string(names.size()));
        table += ") |";
        for (const std::string_view name : names)
            table.append(name == names.front() ? " " : ", ").append(name);
        table += " |\n";
    }
    return table;
}

}  // namespace hearth::http
