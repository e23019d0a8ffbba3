#include "remote.hpp"

#include <boost/json/object.hpp>

#include <algorithm>
#include <cstdio>
#include <string_view>

namespace hearth::cli {
namespace {

using boost::beast::http::verb;

struct ls_settings {
    bool names_only = false;
    remote_settings of;
};

std::string cell(const boost::json::object& function, const char* key) {
    const auto* value = function.if_contains(key);
    if (!value) return "-";
    if (value->is_string()) return std::string(value->as_string());
    if (value->is_int64()) return std::to_string(value->as_int64());
    return "-";
}

/// What a row of the table shows.
std::vector<std::string> row_of(const boost::json::object& f) {
    std::string size = cell(f, "CodeSize");
    if (const auto* bytes = f.if_contains("CodeSize"); bytes && bytes->is_int64()) {
        char text[32];
        std::snprintf(text, sizeof text, "%.1f",
                      static_cast<double>(bytes->as_int64()) / (1 << 20));
        size = text;
    }
    std::string state = cell(f, "State");
    if (cell(f, "LastUpdateStatus") == "InProgress") state += ", updating";
    if (cell(f, "LastUpdateStatus") == "Failed") state += ", update failed";
    return {cell(f, "FunctionName"),
            cell(f, "Runtime"),
            cell(f, "MemorySize"),
            cell(f, "Timeout"),
            size,
            cell(f, "LastModified").substr(0, 19),
            state};
}

void print(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths(rows.front().size());
    for (const auto& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            line += row[i];
            if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
        }
        std::puts(line.c_str());
    }
}

int ls(const ls_settings& settings) {
    auto server = remote::create(settings.of);
    if (!server) return complain(server.error());
    std::vector<std::vector<std::string>> rows{
        {"FUNCTION", "RUNTIME", "MEMORY_MB", "TIMEOUT_S", "CODE_MB", "MODIFIED", "STATE"}};
    std::string marker;
    do {
        const std::string also = marker.empty() ? "" : "&Marker=" + marker;
        auto page = server->json(verb::get, "/2015-03-31/functions?MaxItems=50" + also);
        if (!page) return complain(page.error());
        const auto& document = page->as_object();
        const auto* functions = document.if_contains("Functions");
        if (!functions || !functions->is_array())
            return complain("the server's list of functions cannot be read");
        for (const auto& each : functions->as_array()) {
            if (!each.is_object()) continue;
            auto row = row_of(each.as_object());
            // As at AWS the list itself does not say the state. A function may be gone by now.
            if (!settings.names_only && row.back() == "-")
                if (auto whole = server->json(
                        verb::get, "/2015-03-31/functions/" + row.front() + "/configuration");
                    whole && whole->is_object())
                    row = row_of(whole->as_object());
            rows.push_back(std::move(row));
        }
        const auto* next = document.if_contains("NextMarker");
        marker = next && next->is_string() ? std::string(next->as_string()) : std::string();
    } while (!marker.empty());
    if (!settings.names_only) return print(rows), 0;
    for (auto row = rows.begin() + 1; row != rows.end(); ++row) std::puts(row->front().c_str());
    return 0;
}

}  // namespace

command add_ls(CLI::App& app) {
    auto settings = std::make_shared<ls_settings>();
    app.add_flag("--names", settings->names_only, "Only the names, one a line");
    add_remote_options(app, settings->of);
    app.footer(
        "Requests are signed when AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set.\n"
        "\nExamples:\n"
        "  hearth ls\n"
        "  hearth ls --endpoint http://127.0.0.1:8080 --names");
    return [settings] { return ls(*settings); };
}

}  // namespace hearth::cli
