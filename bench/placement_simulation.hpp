#pragma once

/// Hosts that microVMs come to and leave again, in simulated time, as a placement policy decides:
/// for the bench's workload `placement` and, smaller, for the tests.
///
/// Functions have heavy-tailed sizes (bounded Pareto, 128 MiB to 10 GiB) and a Zipf popularity;
/// arrivals are Poisson with a rate that swings as a day's does, only faster; lifetimes are
/// log-normal. Hosts are of two kinds, one short of memory first, the other of CPU. Each keeps the
/// snapshots it used last.

#include "sched/host_table.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hearth::bench {

struct placement_scenario {
    std::size_t hosts = 1000;
    std::size_t placements = 1'000'000;
    std::size_t functions = 5000;
    std::size_t snapshots_per_host = 128;
    double peak_load = 1.15;  ///< of all room there is, were the highest rate to last
    double swing = 0.6;       ///< the lowest rate is this much lower
    unsigned swings = 4;
    double median_lifetime = 60;  ///< seconds
    double lifetime_sigma = 1.2;  ///< of its logarithm
    std::uint64_t seed = 1;
    bool timed = false;  ///< measure each decision
};

/// One moment, from the second quarter of the run on: the first fills the hosts.
struct placement_sample {
    double time = 0;         ///< minutes of simulated time
    double in_use = 0;       ///< hosts with a microVM
    double lower_bound = 0;  ///< hosts that would do if microVMs could be cut to fit
    double mean_load = 0, deviation = 0, max_load = 0;  ///< over all hosts
};

struct placement_outcome {
    std::size_t placed = 0, refused = 0, hits = 0;
    std::vector<placement_sample> samples;
    std::vector<double> loads;        ///< of all hosts at the sample with the highest mean
    std::vector<double> decision_ns;  ///< each, if timed
    double booking_ns = 0;            ///< mean, if timed

    [[nodiscard]] double efficiency() const;  ///< lower bound / in use, mean
    [[nodiscard]] double imbalance() const;   ///< deviation / mean load, mean
    [[nodiscard]] double max_over_mean() const;
    [[nodiscard]] double hit_rate() const;
    [[nodiscard]] double mean_in_use() const;
};

placement_outcome simulate(const placement_scenario& scenario,
                           const sched::placement_policy& policy);

}  // namespace hearth::bench
