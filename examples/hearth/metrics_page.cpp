#include "metrics_page.hpp"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>

namespace hearth::cli {
namespace {

struct sample {
    std::string_view name;
    std::map<std::string, std::string, std::less<>> labels;
    double value = 0;

    [[nodiscard]] std::string label(std::string_view key) const {
        const auto at = labels.find(key);
        return at == labels.end() ? std::string() : at->second;
    }
};

/// NAME{KEY="VALUE",…} NUMBER. The text may come from anybody's server: what a terminal would obey
/// is made harmless.
std::optional<sample> read_sample(std::string_view line) {
    sample s;
    const auto end_of_name = line.find_first_of("{ ");
    if (end_of_name == 0 || end_of_name == line.npos) return std::nullopt;
    s.name = line.substr(0, end_of_name);
    std::size_t at = end_of_name;
    while (line[at] == '{' || line[at] == ',') {
        const auto equals = line.find("=\"", at);
        if (equals == line.npos) return std::nullopt;
        const std::string_view key = line.substr(at + 1, equals - at - 1);
        std::string value;
        for (at = equals + 2; at < line.size() && line[at] != '"'; ++at) {
            if (line[at] == '\\' && at + 1 < line.size()) ++at;
            const auto c = static_cast<unsigned char>(line[at]);
            value += c < 0x20 || c == 0x7f ? '?' : line[at];
        }
        if (++at >= line.size()) return std::nullopt;
        s.labels.emplace(key, std::move(value));
    }
    if (line[at] == '}') ++at;
    if (at >= line.size() || line[at] != ' ') return std::nullopt;
    const std::string number(line.substr(at + 1));
    char* end = nullptr;
    s.value = std::strtod(number.c_str(), &end);
    if (number.empty() || *end) return std::nullopt;
    return s;
}

/// True when it is one of that histogram's lines.
bool add_bucket(const sample& s, std::string_view family, cumulative_histogram& to) {
    if (!s.name.starts_with(family)) return false;
    if (s.name.substr(family.size()) == "_bucket")
        to.buckets.emplace_back(std::strtod(s.label("le").c_str(), nullptr), s.value);
    return true;
}

void take_function(const sample& s, metrics_page::function& f) {
    if (s.name == "hearth_invocations_total") f.invocations = s.value;
    if (s.name == "hearth_invocation_errors_total") f.errors = s.value;
    if (s.name == "hearth_init_failures_total") f.init_failures = s.value;
    if (s.name == "hearth_throttles_total") f.throttles += s.value;
    if (s.name == "hearth_concurrent_executions") f.executions = s.value;
    if (s.name == "hearth_function_max_memory_used_bytes") f.max_memory = s.value;
    if (s.name == "hearth_provisioned_environments") f.provisioned = s.value;
    if (s.name == "hearth_environments") f.environments[s.label("state")] = s.value;
    if (s.name == "hearth_starts_total") f.starts[s.label("start")] = s.value;
    add_bucket(s, "hearth_function_duration_seconds", f.duration);
}

void take(const sample& s, metrics_page& p) {
    if (const auto name = s.label("function"); !name.empty()) {
        take_function(s, p.functions[name]);
        return;
    }
    if (const auto kind = s.label("start"); !kind.empty() && s.label("phase").empty()) {
        metrics_page::start& k = p.starts[kind];
        if (!add_bucket(s, "hearth_invocation_duration_seconds", k.duration))
            add_bucket(s, "hearth_start_duration_seconds", k.start);
        return;
    }
    if (s.name == "hearth_build_info") p.version = s.label("version");
    if (s.name == "hearth_shells") p.shells[s.label("state")] = s.value;
    if (s.name == "hearth_memory_charged_bytes") p.memory = s.value;
    if (s.name == "hearth_snapshot_bytes") p.snapshot_memory = s.value;
    if (s.name == "hearth_memory_budget_bytes") p.memory_budget = s.value;
    if (s.name == "hearth_concurrency_limit") p.concurrency_limit = s.value;
    if (s.name == "hearth_environments_terminated_total") {
        if (s.label("reason") == "expired") p.expired = s.value;
        if (s.label("reason") == "evicted") p.evicted = s.value;
    }
}

}  // namespace

cumulative_histogram cumulative_histogram::since(const cumulative_histogram& earlier) const {
    if (earlier.buckets.size() != buckets.size() || earlier.count() > count()) return *this;
    cumulative_histogram d = *this;
    for (std::size_t i = 0; i < buckets.size(); ++i)
        d.buckets[i].second -= earlier.buckets[i].second;
    return d;
}

double cumulative_histogram::quantile(double p) const {
    if (count() <= 0) return -1;
    const double rank = p * count();
    double bound = 0, below = 0;
    for (const auto& [le, up_to] : buckets) {
        if (up_to >= rank && up_to > below)
            return std::isinf(le) ? bound : bound + (le - bound) * (rank - below) / (up_to - below);
        bound = le;
        below = up_to;
    }
    return bound;
}

result<metrics_page> metrics_page::read(std::string_view text) {
    metrics_page page;
    page.taken = std::chrono::steady_clock::now();
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (line.empty() || line.starts_with('#')) continue;
        const auto s = read_sample(line);
        if (!s) return error(errc::invalid_argument, "no metrics");
        take(*s, page);
    }
    if (page.version.empty()) return error(errc::invalid_argument, "no metrics of Hearth");
    return page;
}

metrics_page::function metrics_page::total() const {
    function t;
    for (const auto& [name, f] : functions) {
        t.invocations += f.invocations;
        t.errors += f.errors;
        t.init_failures += f.init_failures;
        t.throttles += f.throttles;
        t.executions += f.executions;
        t.provisioned += f.provisioned;
        for (const auto& [state, n] : f.environments) t.environments[state] += n;
    }
    return t;
}

}  // namespace hearth::cli
