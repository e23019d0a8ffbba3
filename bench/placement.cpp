// Placement: 1,000 hosts, 1,000,000 microVMs that come and go, once per strategy. The table's
// microseconds are those of one decision; the rest are what the decisions led to.

#include "base/try.hpp"
#include "bench.hpp"
#include "placement_simulation.hpp"
#include "plot.hpp"

#include <string>

namespace hearth::bench {
namespace {

using sched::strategy;

struct contender {
    sched::placement_policy policy;
    placement_outcome outcome;
};

std::string name_of(const sched::placement_policy& p) {
    return (p.locality ? "local+" : "") +
           std::string(p.by == strategy::power_of_two_choices ? "two_choices" : to_string(p.by));
}

row row_of(const contender& c, const samples& floors) {
    samples us;
    us.reserve(c.outcome.decision_ns.size());
    double sum = 0;
    for (const double ns : c.outcome.decision_ns) {
        us.push_back(ns / 1000);
        sum += ns;
    }
    row r = summarize("placement", name_of(c.policy), us, floors);
    const auto& o = c.outcome;
    r.extra = {
        {"mean_ns", us.empty() ? 0 : sum / static_cast<double>(us.size())},
        {"book_ns", o.booking_ns},
        {"hosts_in_use", o.mean_in_use()},
        {"packing", o.efficiency()},
        {"imbalance", o.imbalance()},
        {"max_over_mean", o.max_over_mean()},
        {"snapshot_hits", o.hit_rate()},
        {"refused", static_cast<double>(o.refused)},
    };
    return r;
}

plot::figure figure_of(const placement_scenario& scenario, const std::vector<contender>& all) {
    plot::figure f;
    f.title = "Placement strategies";
    f.subtitle = std::to_string(scenario.hosts) + " hosts, " + std::to_string(scenario.placements) +
                 " microVMs of 128 MiB to 10 GiB that come and go; simulated";
    std::vector<std::string> groups;
    for (const contender& c : all)
        if (!c.policy.locality)
            groups.emplace_back(c.policy.by == strategy::power_of_two_choices
                                    ? "two_choices"
                                    : to_string(c.policy.by));
    const auto bars = [&](std::string title, std::string label, auto value) {
        plot::bar_chart chart;
        chart.title = std::move(title);
        chart.y.label = std::move(label);
        chart.groups = groups;
        chart.series = {{"snapshot locality first", {}}, {"without", {}}};
        for (const contender& c : all)
            chart.series[c.policy.locality ? 0 : 1].values.push_back(value(c.outcome));
        f.charts.emplace_back(std::move(chart));
    };
    bars("Packing: lower bound / hosts in use", "efficiency",
         [](const auto& o) { return o.efficiency(); });
    bars("Snapshot hits", "part of placements", [](const auto& o) { return o.hit_rate(); });
    bars("Imbalance: deviation / mean of load", "over all hosts",
         [](const auto& o) { return o.imbalance(); });

    plot::line_chart in_use{"Hosts in use, with locality", {"minutes"}, {"hosts"}, {}};
    plot::line_chart loads{"Load of the hosts at the peak, with locality",
                           {"load of a host"},
                           {"part of the hosts", false, 0, 1},
                           {}};
    plot::line_chart times{"Time of a decision, with locality",
                           {"nanoseconds", true, 10, 10'000},
                           {"part of the decisions", false, 0, 1},
                           {}};
    plot::series bound{"lower bound", {}, true};
    for (const contender& c : all) {
        if (!c.policy.locality) continue;
        const std::string name(
            c.policy.by == strategy::power_of_two_choices ? "two_choices" : to_string(c.policy.by));
        plot::series line{name, {}};
        for (const auto& s : c.outcome.samples) line.points.emplace_back(s.time, s.in_use);
        if (bound.points.empty())
            for (const auto& s : c.outcome.samples)
                bound.points.emplace_back(s.time, s.lower_bound);
        in_use.lines.push_back(std::move(line));
        loads.lines.push_back(plot::cdf(name, c.outcome.loads));
        times.lines.push_back(plot::cdf(name, c.outcome.decision_ns));
    }
    in_use.lines.push_back(std::move(bound));
    in_use.y.from = 0;
    f.charts.emplace_back(std::move(in_use));
    f.charts.emplace_back(std::move(loads));
    f.charts.emplace_back(std::move(times));
    return f;
}

}  // namespace

result<rows> placement(context& ctx) {
    const pinned here;
    placement_scenario scenario;
    scenario.timed = true;
    rows table;
    std::vector<contender> all;
    for (const bool locality : {true, false})
        for (const strategy by :
             {strategy::first_fit, strategy::best_fit, strategy::power_of_two_choices,
              strategy::least_loaded, strategy::random}) {
            HEARTH_TRY(const samples timing, ctx.floor(200));
            contender c{{by, locality}, {}};
            c.outcome = simulate(scenario, c.policy);
            table.push_back(row_of(c, {timing.front()}));
            all.push_back(std::move(c));
        }
    if (ctx.plots())
        HEARTH_CHECK(plot::write_svg(*ctx.plots() / "placement.svg", figure_of(scenario, all)));
    return table;
}

}  // namespace hearth::bench
