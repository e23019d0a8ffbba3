// Guests that compute without end share the vCPU threads by the memory of their functions; a quick
// function among them is not kept waiting.

#include "base/try.hpp"
#include "load.hpp"
#include "plot.hpp"

#include <boost/asio.hpp>

#include <algorithm>
#include <cmath>
#include <thread>

namespace hearth::bench {
namespace {

namespace asio = boost::asio;
using std::chrono::steady_clock;

constexpr std::uint64_t sizes_mb[] = {128, 256, 512, 1024};

/// Invokes the quick function again and again until `until`.
result<samples> quick_calls(function& quick, steady_clock::time_point until) {
    samples us;
    while (steady_clock::now() < until) {
        std::vector<call> one(1);
        one[0].fn = quick;
        invoke_all(one);
        HEARTH_CHECK(all_ok(one));
        us.push_back(one[0].us);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return us;
}

}  // namespace

result<rows> scheduler_fairness(context& ctx) {
    constexpr std::size_t copies = 2;
    const auto spin_ms = static_cast<int>(ctx.how_many(3000));
    HEARTH_TRY(runtime rt, runtime::create());
    HEARTH_TRY(function quick, rt.deploy(native_function(ctx, "quick", "native_empty")));
    HEARTH_TRY(const response first, invoke(quick));
    std::vector<call> calls;
    double all_mb = 0;
    for (const std::uint64_t mb : sizes_mb) {
        auto config = native_function(ctx, "spin-" + std::to_string(mb), "native_work");
        config.memory = byte_count(mb << 20);
        config.timeout = std::chrono::seconds(60);
        HEARTH_TRY(function fn, rt.deploy(config));
        HEARTH_TRY(const response ready, invoke(fn));
        for (std::size_t i = 0; i < copies; ++i) {
            calls.emplace_back().fn = fn;
            calls.back().payload = "{\"spin\":" + std::to_string(spin_ms) + "}";
            all_mb += static_cast<double>(mb);
        }
    }
    HEARTH_TRY(const samples timing, ctx.floor(200));
    const auto duration = std::chrono::milliseconds(spin_ms);
    HEARTH_TRY(samples alone, quick_calls(quick, steady_clock::now() + duration / 4));

    std::thread spinners([&] { invoke_all(calls); });
    std::this_thread::sleep_for(duration / 10);  // all are on their way
    auto among = quick_calls(quick, steady_clock::now() + duration / 10 * 8);
    spinners.join();
    HEARTH_CHECK(among);
    HEARTH_CHECK(all_ok(calls));

    rows table{summarize("scheduler_fairness", "quick alone", alone, timing),
               summarize("scheduler_fairness", "quick among spinners", *among, timing)};
    double all_rounds = 0;
    for (const call& c : calls) all_rounds += std::stod(c.reply.payload);
    plot::bar_chart shares;
    shares.title = "CPU of two of each size";
    shares.y.label = "part of all";
    shares.series = {{"got", {}}, {"by memory", {}}};
    double worst = 0;
    for (std::size_t s = 0; s < std::size(sizes_mb); ++s) {
        double rounds = 0;
        samples each;
        for (std::size_t i = 0; i < copies; ++i) {
            const call& c = calls[s * copies + i];
            rounds += std::stod(c.reply.payload);
            each.push_back(c.us);
        }
        const double got = rounds / all_rounds;
        const double due = static_cast<double>(copies * sizes_mb[s]) / all_mb;
        worst = std::max(worst, std::abs(got / due - 1));
        row r = summarize("scheduler_fairness", std::to_string(sizes_mb[s]) + " MB", each, timing);
        r.extra = {{"share", got}, {"weight", due}, {"share_over_weight", got / due}};
        table.push_back(std::move(r));
        shares.groups.push_back(std::to_string(sizes_mb[s]) + " MB");
        shares.series[0].values.push_back(got);
        shares.series[1].values.push_back(due);
    }
    table[1].extra = {{"worst_share_error", worst},
                      {"spinners", static_cast<double>(calls.size())}};
    if (ctx.plots()) {
        plot::line_chart latency{
            "Latency of a quick function",
            {"microseconds", true},
            {"part of the calls", false, 0, 1},
            {plot::cdf("alone", alone),
             plot::cdf("among " + std::to_string(calls.size()) + " spinners", *among)}};
        HEARTH_CHECK(plot::write_svg(
            *ctx.plots() / "scheduler_fairness.svg",
            {"Sharing the vCPU threads",
             std::to_string(calls.size()) + " guests compute, weighted by their memory",
             {shares, latency}}));
    }
    return table;
}

}  // namespace hearth::bench
