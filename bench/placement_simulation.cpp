#include "placement_simulation.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <queue>
#include <tuple>

namespace hearth::bench {
namespace {

using sched::host_id;
using sched::random_source;
using wall = std::chrono::steady_clock;

constexpr double smallest = 128, largest = 10240;  // MiB
constexpr double tail = 1.1;                       // the Pareto distribution's shape

double size_of(random_source& random) {
    const double u = random.unit();
    const double ratio = std::pow(smallest / largest, tail);
    const double mib = smallest / std::pow(1 - u * (1 - ratio), 1 / tail);
    return std::clamp(std::ceil(mib / 64) * 64, smallest, largest);
}

double normal(random_source& random) {
    const double radius = std::sqrt(-2 * std::log(1 - random.unit()));
    return radius * std::cos(2 * std::numbers::pi * random.unit());
}

struct function_model {
    std::uint64_t mebibytes;
    double popularity;  // cumulative
};

/// The snapshots a host used last.
class snapshot_cache {
  public:
    /// @return what had to go, if anything
    bool use(std::uint32_t function,
             std::uint64_t tick,
             std::size_t capacity,
             std::uint32_t& gone) {
        auto oldest = entries_.begin();
        for (auto it = entries_.begin(); it != entries_.end(); ++it) {
            if (it->function == function) {
                it->used = tick;
                return false;
            }
            if (it->used < oldest->used) oldest = it;
        }
        if (entries_.size() < capacity) {
            entries_.push_back({function, tick});
            return false;
        }
        gone = oldest->function;
        *oldest = {function, tick};
        return true;
    }

  private:
    struct entry {
        std::uint32_t function;
        std::uint64_t used;
    };
    std::vector<entry> entries_;
};

struct departure {
    double at;
    std::uint64_t mebibytes;
    host_id host;
    bool operator>(const departure& other) const { return at > other.at; }
};

double mean_over(const std::vector<placement_sample>& samples, auto value) {
    double sum = 0;
    for (const auto& s : samples) sum += value(s);
    return samples.empty() ? 0 : sum / static_cast<double>(samples.size());
}

class simulation {
  public:
    simulation(const placement_scenario& scenario, const sched::placement_policy& policy)
        : scenario_(scenario), policy_(policy), random_(scenario.seed), choices_(~scenario.seed) {
        make_functions();
        make_hosts();
    }

    placement_outcome run() {
        const auto n = scenario_.placements;
        // Little's law: the rate that keeps peak_load of all room taken.
        const double mean_lifetime =
            scenario_.median_lifetime *
            std::exp(scenario_.lifetime_sigma * scenario_.lifetime_sigma / 2);
        const double peak_rate = scenario_.peak_load * total_room_ / mean_size_ / mean_lifetime;
        const double period =
            static_cast<double>(n) / (peak_rate * (1 - scenario_.swing / 2)) / scenario_.swings;
        const std::size_t every = std::max<std::size_t>(1, n / 400);
        double now = 0, booking = 0;
        double highest = -1;
        for (std::size_t i = 0; i < n; ++i) {
            const double phase = 2 * std::numbers::pi * now / period;
            const double rate = peak_rate * (1 - scenario_.swing * (1 - std::sin(phase)) / 2);
            now += -std::log(1 - random_.unit()) / rate;
            while (!leaving_.empty() && leaving_.top().at <= now) {
                const departure d = leaving_.top();
                leaving_.pop();
                table_.release(d.host, byte_count(d.mebibytes << 20));
                taken_ -= static_cast<double>(d.mebibytes);
            }
            booking += arrive(now, i);
            if (i >= n / 4 && i % every == 0) highest = sample(now, highest);
        }
        if (scenario_.timed && outcome_.placed > 0)
            outcome_.booking_ns = booking / static_cast<double>(outcome_.placed);
        return std::move(outcome_);
    }

  private:
    void make_functions() {
        double sum = 0, weighted = 0;
        for (std::size_t i = 0; i < scenario_.functions; ++i) {
            const double share = 1 / static_cast<double>(i + 1);
            const auto mib = static_cast<std::uint64_t>(size_of(random_));
            sum += share;
            weighted += share * static_cast<double>(mib);
            functions_.push_back({mib, sum});
        }
        for (auto& f : functions_) f.popularity /= sum;
        mean_size_ = weighted / sum;
    }

    void make_hosts() {
        for (std::size_t i = 0; i < scenario_.hosts; ++i) {
            sched::host_view h;
            h.id = static_cast<host_id>(i);
            h.memory_total = byte_count((i % 2 ? 96ull : 64ull) << 30);
            h.cpu_total = i % 2 ? 32'000 : 48'000;
            total_room_ += static_cast<double>(h.room());
            rooms_.push_back(static_cast<double>(h.room()));
            table_.update(h);
        }
        std::sort(rooms_.begin(), rooms_.end(), std::greater<>());
        caches_.resize(scenario_.hosts);
    }

    /// @return nanoseconds of booking, if timed
    double arrive(double now, std::size_t tick) {
        const auto f = static_cast<std::uint32_t>(
            std::upper_bound(functions_.begin(), functions_.end() - 1, random_.unit(),
                             [](double u, const function_model& m) { return u < m.popularity; }) -
            functions_.begin());
        // Drawn even if refused: every policy sees the same arrivals.
        const double lifetime =
            scenario_.median_lifetime * std::exp(scenario_.lifetime_sigma * normal(random_));
        const std::uint64_t mib = functions_[f].mebibytes;
        const byte_count memory(mib << 20);
        const sched::placement_request request{static_cast<sched::snapshot_id>(f), memory};

        wall::time_point t0, t1, t2;
        if (scenario_.timed) t0 = wall::now();
        const sched::decision d = table_.place(request, policy_, choices_, {});
        if (scenario_.timed) {
            t1 = wall::now();
            outcome_.decision_ns.push_back(
                static_cast<double>(std::chrono::nanoseconds(t1 - t0).count()));
        }
        const auto* where = std::get_if<sched::placed>(&d);
        if (!where) {
            ++outcome_.refused;
            return 0;
        }
        if (scenario_.timed) t1 = wall::now();
        table_.book(where->host, memory);
        if (scenario_.timed) t2 = wall::now();
        ++outcome_.placed;
        outcome_.hits += where->had_snapshot;
        taken_ += static_cast<double>(mib);
        leaving_.push({now + lifetime, mib, where->host});

        std::uint32_t gone = 0;
        auto& cache = caches_[static_cast<std::size_t>(where->host)];
        if (cache.use(f, tick, scenario_.snapshots_per_host, gone))
            table_.drop_snapshot(where->host, static_cast<sched::snapshot_id>(gone));
        if (!where->had_snapshot) table_.hold_snapshot(where->host, request.snapshot);
        return static_cast<double>(std::chrono::nanoseconds(t2 - t1).count());
    }

    double sample(double now, double highest) {
        placement_sample s;
        s.time = now / 60;
        double room = 0;
        for (const double r : rooms_) {
            if (room >= taken_) break;
            room += r;
            ++s.lower_bound;
        }
        std::vector<double> loads;
        for (std::size_t i = 0; i < scenario_.hosts; ++i) {
            const auto& h = table_[static_cast<host_id>(i)];
            loads.push_back(h.load());
            s.in_use += h.running > 0;
        }
        const auto n = static_cast<double>(loads.size());
        s.mean_load = std::accumulate(loads.begin(), loads.end(), 0.0) / n;
        s.max_load = *std::max_element(loads.begin(), loads.end());
        double squares = 0;
        for (const double l : loads) squares += (l - s.mean_load) * (l - s.mean_load);
        s.deviation = std::sqrt(squares / n);
        outcome_.samples.push_back(s);
        if (s.mean_load <= highest) return highest;
        outcome_.loads = std::move(loads);
        return s.mean_load;
    }

    const placement_scenario scenario_;
    const sched::placement_policy policy_;
    random_source random_;   // the world's
    random_source choices_;  // the policy's
    sched::host_table table_;
    std::vector<function_model> functions_;
    std::vector<snapshot_cache> caches_;
    std::vector<double> rooms_;  // of empty hosts, MiB, most first
    std::priority_queue<departure, std::vector<departure>, std::greater<>> leaving_;
    double total_room_ = 0, taken_ = 0, mean_size_ = 0;
    placement_outcome outcome_;
};

}  // namespace

double placement_outcome::efficiency() const {
    return mean_over(samples, [](const auto& s) { return s.lower_bound / s.in_use; });
}
double placement_outcome::imbalance() const {
    return mean_over(samples, [](const auto& s) { return s.deviation / s.mean_load; });
}
double placement_outcome::max_over_mean() const {
    return mean_over(samples, [](const auto& s) { return s.max_load / s.mean_load; });
}
double placement_outcome::mean_in_use() const {
    return mean_over(samples, [](const auto& s) { return s.in_use; });
}
double placement_outcome::hit_rate() const {
    return placed > 0 ? static_cast<double>(hits) / static_cast<double>(placed) : 0;
}

placement_outcome simulate(const placement_scenario& scenario,
                           const sched::placement_policy& policy) {
    return simulation(scenario, policy).run();
}

}  // namespace hearth::bench
