// Asynchronous invocations: how many events a second are on disk, with one caller and with 64 at
// once, and what a long queue costs to drain in time and memory.

#include "base/try.hpp"
#include "data_directory.hpp"
#include "load.hpp"

#include <boost/asio.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>

namespace hearth::bench {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;

/// A runtime whose only delivery slot is taken by an event that sleeps: others stay queued.
result<std::pair<runtime, function>> blocked_runtime(const context& ctx, const fs::path& data) {
    runtime_options options;
    options.data_directory = data;
    options.events.max_in_flight = 1;
    HEARTH_TRY(runtime rt, runtime::create(options));
    function_config config = native_function(ctx, "work", "native_work");
    config.timeout = std::chrono::seconds(900);
    HEARTH_TRY(function fn, rt.deploy(config));
    HEARTH_TRY(const std::string id, fn.enqueue("{\"sleep\":800000}"));
    if (!eventually([&] { return rt.metrics().concurrent_executions == 1; }))
        return error(errc::invalid_argument, "the first event was never delivered");
    return std::pair(std::move(rt), std::move(fn));
}

struct accepts {
    samples us;      ///< each from its call to its answer
    double seconds;  ///< all of them
};

/// n events by so many callers, each with its next as soon as the last is on disk.
result<accepts> accept(function& fn, std::size_t n, std::size_t callers) {
    asio::io_context io{1};
    accepts all{};
    all.us.reserve(n);
    std::size_t given = 0;
    error_code failed;
    std::function<void()> next = [&] {
        if (given == n || failed) return;
        ++given;
        fn.async_enqueue("{}", {},
                         asio::bind_executor(io, [&, at = std::chrono::steady_clock::now()](
                                                     error_code ec, const std::string&) {
                             if (ec) failed = ec;
                             all.us.push_back(us_since(at));
                             next();
                         }));
    };
    const auto from = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < callers; ++i) next();
    io.run();
    all.seconds = us_since(from) / 1e6;
    if (failed) return error(failed);
    return all;
}

}  // namespace

result<rows> async_accept(context& ctx) {
    const data_directory data(ctx);
    HEARTH_TRY(auto blocked, blocked_runtime(ctx, data.path()));
    auto& fn = blocked.second;
    // In turns, so that a slow phase of the disk meets both.
    constexpr std::pair<const char*, std::size_t> variants[] = {{"1 caller", 1},
                                                                {"64 callers", 64}};
    accepts sums[2]{};
    samples floors;
    for (int turn = 0; turn < 5; ++turn) {
        HEARTH_TRY(const samples timing, ctx.floor(100));
        floors.push_back(timing.front());
        for (int v = 0; v < 2; ++v) {
            HEARTH_TRY(accepts more,
                       accept(fn, v ? ctx.how_many(10'000) : ctx.how_many(10'000) / 40,
                              variants[v].second));
            sums[v].seconds += more.seconds;
            sums[v].us.insert(sums[v].us.end(), more.us.begin(), more.us.end());
        }
    }
    const auto rate = [](const accepts& a) { return static_cast<double>(a.us.size()) / a.seconds; };
    rows table;
    for (int v = 0; v < 2; ++v) {
        row r = summarize("async_accept", variants[v].first, sums[v].us, floors);
        r.extra = {{"per_second", rate(sums[v])},
                   {"times_one_caller", rate(sums[v]) / rate(sums[0])}};
        table.push_back(std::move(r));
    }
    return table;
}

result<rows> async_drain(context& ctx) {
    const std::size_t n = ctx.how_many(100'000);
    const data_directory data(ctx);
    {
        HEARTH_TRY(auto blocked, blocked_runtime(ctx, data.path()));
        HEARTH_TRY(const accepts filled, accept(blocked.second, n, 256));
    }
    // Another runtime finds them. The one that slept sleeps no more: it is replaced by a function
    // that answers at once.
    HEARTH_TRY(const samples floors, ctx.floor(100));
    HEARTH_TRY(const memory_use before, memory_in_use());
    runtime_options options;
    options.data_directory = data.path();
    HEARTH_TRY(runtime rt, runtime::create(options));
    const auto from = std::chrono::steady_clock::now();
    HEARTH_TRY(const function fn, rt.deploy(native_function(ctx, "work", "native_empty")));
    std::uint64_t peak = 0, halfway = 0;
    while (const std::uint64_t queued = rt.metrics().async_events_queued) {
        HEARTH_TRY(const memory_use now, memory_in_use());
        peak = std::max(peak, now.total());
        if (!halfway && queued < n / 2) halfway = now.total();
        if (us_since(from) > 1800e6)
            return error(errc::invalid_argument, "the queue does not drain");
        if (!eventually([&] { return rt.metrics().async_events_queued != queued; }))
            return error(errc::invalid_argument, "the queue stands still");
    }
    const double seconds = us_since(from) / 1e6;
    const metrics m = rt.metrics();
    row r = summarize("async_drain", std::to_string(n) + " events",
                      {seconds * 1e6 / static_cast<double>(n)}, floors);
    const auto mib = [&](std::uint64_t bytes) {
        return (static_cast<double>(bytes) - static_cast<double>(before.total())) / (1 << 20);
    };
    r.n = n;
    r.extra = {{"per_second", static_cast<double>(n) / seconds},
               {"peak_mib", mib(peak)},
               {"halfway_mib", mib(halfway)},
               {"dropped", static_cast<double>(m.by_function.at(0).async.dropped)}};
    return rows{std::move(r)};
}

}  // namespace hearth::bench
