// Many environments of one function at once, through the public API: a storm of starts, and
// executions that all sleep at the same time.

#include "base/try.hpp"
#include "load.hpp"
#include "plot.hpp"

#include <algorithm>

namespace hearth::bench {
namespace {

/// One invocation for each of n tenants: each starts an environment of its own.
std::vector<call> one_per_tenant(const function& fn, std::size_t n) {
    std::vector<call> calls(n);
    for (std::size_t i = 0; i < n; ++i) {
        calls[i].fn = fn;
        calls[i].options.tenant_id = "tenant-" + std::to_string(i);
    }
    return calls;
}

}  // namespace

result<rows> clone_storm(context& ctx) {
    const std::size_t n = ctx.how_many(1000);
    rows table;
    plot::line_chart times{"Time of a start, to the reply",
                           {"microseconds", true},
                           {"part of the starts", false, 0, 1},
                           {}};
    plot::line_chart arrivals{
        "Replies", {"milliseconds since the first submission"}, {"replies"}, {}};
    for (const bool native : {true, false}) {
        runtime_options options;
        options.account_concurrency = std::max<std::size_t>(n, 1000);
        HEARTH_TRY(runtime rt, runtime::create(options));
        function_config config = native_function(ctx, "storm", "native_empty");
        if (!native) config.package = package::zip(ctx.function_package("socket_bootstrap"));
        config.isolation = isolation::tenant;  // so that no start is saved by a reuse
        config.pool.max_idle = n + 1;
        config.pool.max_concurrency = options.account_concurrency;
        config.timeout = std::chrono::seconds(60);  // of the whole storm
        HEARTH_TRY(function fn, rt.deploy(config));
        HEARTH_TRY(const response first, invoke(fn, "{}", {.tenant_id = "first"}));

        HEARTH_TRY(samples floors, ctx.floor(200));
        auto calls = one_per_tenant(fn, n);
        std::uint64_t shells = 0;
        const double total =
            invoke_all(calls, [&] { shells = std::max(shells, rt.metrics().pool.shells); });
        HEARTH_CHECK(all_ok(calls));
        HEARTH_TRY(const samples after, ctx.floor(200));
        floors = {(floors[0] + after[0]) / 2};

        samples starts, restores, replies;
        for (const call& c : calls) {
            if (c.reply.report.start != start_kind::restored)
                return error(errc::invalid_argument, "a start was not restored");
            const invocation_report& r = c.reply.report;
            starts.push_back(us_of(r.vm + r.boot + r.init + r.duration));
            restores.push_back(us_of(r.vm + r.boot));  // preempted, the handler waits for its turn
            replies.push_back(c.us / 1000);
        }
        const auto alive = rt.metrics().pool.idle;
        if (alive != n + 1)
            return error(
                errc::invalid_argument,
                std::to_string(alive) + " environments are alive, not " + std::to_string(n + 1));
        const std::string name = native ? "native" : "runtime_api";
        row r = summarize("clone_storm", name, starts, floors);
        r.extra = {{"total_ms", total / 1000},
                   {"mean_us", total / static_cast<double>(n)},
                   {"restore_p50_us", quantile(restores, 0.5)},
                   {"restore_p99_us", quantile(restores, 0.99)},
                   {"alive", static_cast<double>(alive)},
                   {"shells", static_cast<double>(shells)}};
        table.push_back(std::move(r));
        times.lines.push_back(plot::cdf(name, starts));
        std::sort(replies.begin(), replies.end());
        plot::series line{name, {}};
        for (std::size_t i = 0; i < replies.size(); i += 1 + replies.size() / 500)
            line.points.emplace_back(replies[i], static_cast<double>(i + 1));
        arrivals.lines.push_back(std::move(line));
    }
    if (ctx.plots())
        HEARTH_CHECK(plot::write_svg(
            *ctx.plots() / "clone_storm.svg",
            {"Clones of one function",
             std::to_string(n) + " starts submitted at once, all environments kept alive",
             {times, arrivals}}));
    return table;
}

result<rows> concurrent_sleep(context& ctx) {
    const std::size_t n = ctx.how_many(1000);
    constexpr int sleep_ms = 1000;
    runtime_options options;
    options.account_concurrency = std::max<std::size_t>(n, 1000);
    HEARTH_TRY(runtime rt, runtime::create(options));
    function_config config = native_function(ctx, "sleeper", "native_work");
    config.timeout = std::chrono::seconds(120);
    config.pool.max_concurrency = options.account_concurrency;
    HEARTH_TRY(function fn, rt.deploy(config));
    HEARTH_TRY(const response first, invoke(fn));

    rows table;
    // A second round finds all environments alive.
    for (const char* variant : {"restored", "again"}) {
        HEARTH_TRY(const samples timing, ctx.floor(200));
        std::vector<call> calls(n);
        for (call& c : calls) {
            c.fn = fn;
            c.payload = "{\"sleep\":" + std::to_string(sleep_ms) + "}";
        }
        std::size_t threads = 0;
        std::uint64_t shells = 0, running = 0;
        const double total = invoke_all(calls, [&] {
            const auto m = rt.metrics().pool;
            shells = std::max(shells, m.shells);
            running = std::max(running, m.running);
            threads = std::max(threads, thread_count());
        });
        HEARTH_CHECK(all_ok(calls));
        samples over;  // beyond the sleep
        for (const call& c : calls) over.push_back(c.us - 1000.0 * sleep_ms);
        row r = summarize("concurrent_sleep", variant, over, {timing.front()});
        r.extra = {{"total_ms", total / 1000},
                   {"answered", static_cast<double>(calls.size())},
                   {"at_once", static_cast<double>(running)},
                   {"threads", static_cast<double>(threads)},
                   {"shells", static_cast<double>(shells)}};
        table.push_back(std::move(r));
    }
    return table;
}

}  // namespace hearth::bench
