#include "top_frame.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace hearth::cli {
namespace {

using function_row = std::pair<const std::string, metrics_page::function>;

[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, pattern);
    std::vsnprintf(text, sizeof text, pattern, arguments);
    va_end(arguments);
    return text;
}

/// "87 us", "12.3 ms", "1.23 s".
std::string time_of(double seconds) {
    if (seconds < 0) return "-";
    if (seconds < 1e-3) return format("%.0f us", seconds * 1e6);
    if (seconds < 1) return format("%.1f ms", seconds * 1e3);
    return format("%.2f s", seconds);
}

std::string mebibytes(double bytes) { return format("%.0f MiB", bytes / 1048576); }

template <class Map>
double at(const Map& map, std::string_view key) {
    const auto found = map.find(key);
    return found == map.end() ? 0 : found->second;
}

class frame {
  public:
    frame(const metrics_page& now, const metrics_page* before) : now_(now), before_(before) {
        if (before) seconds_ = std::chrono::duration<double>(now.taken - before->taken).count();
    }

    /// Of a counter. It may have started again since.
    [[nodiscard]] double rate_of(double now, double before) const {
        if (!before_ || seconds_ <= 0) return 0;
        return (now >= before ? now - before : now) / seconds_;
    }
    [[nodiscard]] std::string rate(double now, double before) const {
        return before_ ? format("%.1f", rate_of(now, before)) : "-";
    }

    void summary(const std::string& endpoint) {
        const auto all = now_.total();
        const auto old = before_ ? before_->total() : metrics_page::function{};
        lines.push_back(format("Hearth %s at %s", now_.version.c_str(), endpoint.c_str()));
        lines.push_back(
            format("invocations   %.0f (%s/s), %.0f errors (%s/s), %.0f throttled, "
                   "%.0f failed to initialise; %.0f now, of at most %.0f",
                   all.invocations, rate(all.invocations, old.invocations).c_str(), all.errors,
                   rate(all.errors, old.errors).c_str(), all.throttles, all.init_failures,
                   all.executions, now_.concurrency_limit));
        const auto& e = all.environments;
        lines.push_back(format(
            "environments  %.0f running, %.0f starting, %.0f idle, %.0f detached, %.0f "
            "provisioned; %.0f expired, %.0f evicted so far",
            at(e, "running"), at(e, "starting") + at(e, "starting_ahead"), at(e, "idle_attached"),
            at(e, "idle_detached"), all.provisioned, now_.expired, now_.evicted));
        const auto& s = now_.shells;
        lines.push_back(format("shells        %.0f in use, %.0f free, %.0f blank, %.0f being made",
                               at(s, "in_use"), at(s, "free_used"), at(s, "free_blank"),
                               at(s, "making")));
        const double memory = now_.memory + now_.snapshot_memory;
        lines.push_back("memory        " + mebibytes(memory) + ", " +
                        mebibytes(now_.snapshot_memory) + " of it snapshots, " +
                        (now_.memory_budget > 0
                             ? "of " + mebibytes(now_.memory_budget) +
                                   format(" (%.0f %%)", 100 * memory / now_.memory_budget)
                             : "no budget"));
    }

    void starts() {
        lines.emplace_back();
        lines.push_back(format("%-10s %9s %8s %11s %10s %11s %10s %11s %10s", "START", "COUNT",
                               "/S", "START P50", "P99", "RUN P50", "P99", "NOW P50", "P99"));
        for (const char* kind : {"cold", "restored", "warm"}) {
            const auto found = now_.starts.find(kind);
            const metrics_page::start k =
                found == now_.starts.end() ? metrics_page::start{} : found->second;
            metrics_page::start old;
            if (before_)
                if (const auto earlier = before_->starts.find(kind);
                    earlier != before_->starts.end())
                    old = earlier->second;
            const auto lately = before_ ? k.duration.since(old.duration) : cumulative_histogram{};
            lines.push_back(format(
                "%-10s %9.0f %8s %11s %10s %11s %10s %11s %10s", kind, k.duration.count(),
                rate(k.duration.count(), old.duration.count()).c_str(),
                time_of(k.start.quantile(0.5)).c_str(), time_of(k.start.quantile(0.99)).c_str(),
                time_of(k.duration.quantile(0.5)).c_str(),
                time_of(k.duration.quantile(0.99)).c_str(), time_of(lately.quantile(0.5)).c_str(),
                time_of(lately.quantile(0.99)).c_str()));
        }
    }

    void functions(std::size_t max_lines) {
        std::size_t width = 8;
        std::vector<std::pair<double, const function_row*>> rows;
        for (const auto& each : now_.functions) {
            rows.emplace_back(rate_of(each.second.invocations, earlier(each.first).invocations),
                              &each);
            width = std::max(width, each.first.size());
        }
        width = std::min<std::size_t>(width, 64);
        // The busiest first; by name among equals.
        std::ranges::stable_sort(rows, [](const auto& a, const auto& b) {
            return std::pair(a.first, a.second->second.invocations) >
                   std::pair(b.first, b.second->second.invocations);
        });
        lines.emplace_back();
        lines.push_back(
            format("%-*s %9s %8s %7s %6s %9s %7s %8s %5s %8s %5s %6s %8s %9s %9s %9s %9s",
                   static_cast<int>(width), "FUNCTION", "CALLS", "/S", "ERRORS", "/S", "THROTTLED",
                   "RUNNING", "STARTING", "IDLE", "DETACHED", "PROV", "COLD", "RESTORED", "WARM",
                   "P50", "P99", "MEMORY"));
        for (std::size_t i = 0; i < rows.size(); ++i) {
            if (lines.size() + 1 >= max_lines && i + 1 < rows.size()) {
                lines.push_back(format("and %zu more", rows.size() - i));
                return;
            }
            row(*rows[i].second, static_cast<int>(width));
        }
    }

    std::vector<std::string> lines;

  private:
    [[nodiscard]] metrics_page::function earlier(const std::string& name) const {
        if (before_)
            if (const auto found = before_->functions.find(name); found != before_->functions.end())
                return found->second;
        return {};
    }

    void row(const function_row& each, int width) {
        const auto& [name, f] = each;
        const auto old = earlier(name);
        const auto& e = f.environments;
        lines.push_back(format(
            "%-*.64s %9.0f %8s %7.0f %6s %9.0f %7.0f %8.0f %5.0f %8.0f %5.0f %6.0f %8.0f %9.0f %9s "
            "%9s %9s",
            width, name.c_str(), f.invocations, rate(f.invocations, old.invocations).c_str(),
            f.errors, rate(f.errors, old.errors).c_str(), f.throttles, at(e, "running"),
            at(e, "starting") + at(e, "starting_ahead"), at(e, "idle_attached"),
            at(e, "idle_detached"), f.provisioned, at(f.starts, "cold"), at(f.starts, "restored"),
            at(f.starts, "warm"), time_of(f.duration.quantile(0.5)).c_str(),
            time_of(f.duration.quantile(0.99)).c_str(), mebibytes(f.max_memory).c_str()));
    }

    const metrics_page& now_;
    const metrics_page* before_;
    double seconds_ = 0;
};

}  // namespace

std::vector<std::string> top_frame(const std::string& endpoint,
                                   const metrics_page& now,
                                   const metrics_page* before,
                                   std::size_t max_lines) {
    frame f(now, before);
    f.summary(endpoint);
    f.starts();
    f.functions(max_lines);
    return std::move(f.lines);
}

}  // namespace hearth::cli
