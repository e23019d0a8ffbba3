#include "control/lineage.hpp"

#include <hearth/function.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>

namespace hearth {

std::string make_trace_id(std::string_view request_id) {
    const auto now = std::chrono::duration_cast<std::chrono::seconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
    std::string random(request_id);
    std::erase(random, '-');
    random.resize(32, '0');
    const std::string_view digits = random;
    return fmt::format("Root=1-{:08x}-{};Parent={};Sampled=0", static_cast<std::uint32_t>(now),
                       digits.substr(0, 24), digits.substr(16));
}

namespace control {

namespace {

constexpr std::string_view field = "Lineage=";
constexpr std::uint32_t max_place = 255, max_again = 32767;

struct visited {
    std::uint32_t place = 0, hash = 0, again = 0;
};

/// A trace header, taken apart.
struct trace {
    std::string rest{};  ///< what is no lineage
    std::vector<visited> lineage{};

    [[nodiscard]] std::string text() const {
        std::string out = rest;
        for (const visited& each : lineage) {
            if (&each != &lineage.front())
                out += '|';
            else
                out += out.empty() ? "Lineage=" : ";Lineage=";
            out += fmt::format("{}:{:08x}:{}", each.place, each.hash, each.again);
        }
        return out;
    }
};

/// FNV-1a.
std::uint32_t hash_of(std::string_view text) {
    std::uint32_t hash = 2166136261;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619;
    return hash;
}

std::string_view take_until(std::string_view& text, std::string_view delimiter) {
    const std::size_t at = text.find(delimiter);
    const std::string_view part = text.substr(0, at);
    text.remove_prefix(at == text.npos ? text.size() : at + delimiter.size());
    return part;
}

std::optional<std::uint32_t> number(std::string_view text, int base, std::uint32_t most) {
    std::uint32_t n = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n, base);
    if (ec != std::errc() || end != text.data() + text.size() || n > most) return std::nullopt;
    return n;
}

std::optional<visited> read_entry(std::string_view text) {
    const auto place = number(take_until(text, ":"), 10, max_place);
    const std::string_view name = take_until(text, ":");
    const auto hash = number(name, 16, UINT32_MAX);
    const auto again = number(text, 10, max_again);
    if (!place || !hash || name.size() != 8 || !again) return std::nullopt;
    return visited{*place, *hash, *again};
}

visited* find(std::vector<visited>& in, std::uint32_t hash) {
    const auto at = std::ranges::find(in, hash, &visited::hash);
    return at == in.end() ? nullptr : &*at;
}

trace read(std::string_view header) {
    trace t;
    while (!header.empty()) {
        std::string_view part = take_until(header, ";");
        if (!part.starts_with(field)) {
            if (!t.rest.empty()) t.rest += ';';
            t.rest += part;
            continue;
        }
        part.remove_prefix(field.size());
        while (!part.empty() && t.lineage.size() < max_visited) {
            // AWS's SDKs for Python write the header with this escaped.
            std::string_view entry =
                take_until(part, part.find("%7C") < part.find('|') ? "%7C" : "|");
            const auto each = read_entry(entry);
            if (each && !find(t.lineage, each->hash)) t.lineage.push_back(*each);
        }
    }
    return t;
}

bool is_header(std::string_view text) {
    return !text.empty() && text.size() <= max_trace_header &&
           std::ranges::all_of(text, [](char c) { return c >= ' ' && c < 0x7f; });
}

}  // namespace

std::uint32_t visits(std::string_view trace_header, std::string_view function_arn) {
    if (trace_header.find(field) == trace_header.npos) return 0;
    trace t = read(trace_header);
    const visited* const at = find(t.lineage, hash_of(function_arn));
    return at ? at->again + 1 : 0;
}

std::string with_visit(std::string_view trace_header, std::string_view function_arn) {
    const std::uint32_t hash = hash_of(function_arn);
    if (!trace_header.empty() && trace_header.find(field) == trace_header.npos)  // most are so
        return fmt::format("{};{}1:{:08x}:0", trace_header, field, hash);
    trace t = read(trace_header);
    if (visited* const at = find(t.lineage, hash))
        at->again = std::min(at->again + 1, max_again);
    else if (t.lineage.size() < max_visited)
        t.lineage.push_back({static_cast<std::uint32_t>(t.lineage.size()) + 1, hash, 0});
    return t.text();
}

std::string merged_trace(const std::vector<std::string_view>& trace_headers) {
    std::optional<trace> all;
    for (const std::string_view each : trace_headers) {
        if (!is_header(each)) continue;
        trace t = read(each);
        if (!all) {
            all = std::move(t);
            continue;
        }
        for (const visited& one : t.lineage)
            if (visited* const at = find(all->lineage, one.hash))
                at->again = std::max(at->again, one.again);
            else if (all->lineage.size() < max_visited)
                all->lineage.push_back(one);
    }
    return all ? all->text() : std::string();
}

}  // namespace control
}  // namespace hearth
