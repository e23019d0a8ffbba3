#pragma once

/// What a server's GET /metrics says, as `hearth top` shows it.

#include <hearth/error.hpp>

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::cli {

/// A histogram as Prometheus writes it: upper bounds in seconds, ascending, the last one infinite,
/// and how many lay at or below.
struct cumulative_histogram {
    std::vector<std::pair<double, double>> buckets;

    [[nodiscard]] double count() const { return buckets.empty() ? 0 : buckets.back().second; }
    /// What came after `earlier`; all of it when it has started again since.
    [[nodiscard]] cumulative_histogram since(const cumulative_histogram& earlier) const;
    /// Seconds, interpolated as Prometheus does; a negative number when there is nothing.
    [[nodiscard]] double quantile(double p) const;
};

struct metrics_page {
    struct function {
        double invocations = 0, errors = 0, init_failures = 0, throttles = 0, executions = 0;
        double max_memory = 0, provisioned = 0;
        std::map<std::string, double, std::less<>> environments;  ///< by state
        std::map<std::string, double, std::less<>> starts;        ///< by kind
        cumulative_histogram duration;
    };
    struct start {
        cumulative_histogram duration, start;
    };

    std::chrono::steady_clock::time_point taken;
    std::string version;
    std::map<std::string, function> functions;
    std::map<std::string, start> starts;                ///< by kind
    std::map<std::string, double, std::less<>> shells;  ///< by state
    double memory = 0, snapshot_memory = 0, memory_budget = 0, concurrency_limit = 0;
    double expired = 0, evicted = 0;

    /// @errors errc::invalid_argument: this is no such page
    static result<metrics_page> read(std::string_view text);

    [[nodiscard]] function total() const;
};

}  // namespace hearth::cli
