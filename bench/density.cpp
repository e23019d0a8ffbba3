// Thousands of idle environments in one process: what each holds, all memory counted, and what the
// hot paths cost with them alive, against the same process with hardly any.

#include "base/try.hpp"
#include "load.hpp"
#include "plot.hpp"

#include <array>
#include <thread>

namespace hearth::bench {
namespace {

using std::chrono::steady_clock;

/// The ways of an invocation that nobody wants to see slower.
class hot_paths {
  public:
    static result<hot_paths> create(context& ctx, runtime& rt) {
        hot_paths h;
        HEARTH_TRY(h.warm_, rt.deploy(native_function(ctx, "warm", "native_empty")));
        auto config = native_function(ctx, "isolated", "native_empty");
        config.isolation = isolation::invocation;
        HEARTH_TRY(h.isolated_, rt.deploy(config));
        config = native_function(ctx, "restored", "native_empty");
        config.pool.max_idle = 0;  // every start is one from the snapshot
        HEARTH_TRY(h.restored_, rt.deploy(config));
        HEARTH_TRY(const rows first, h.measure(ctx, "", 100));
        return h;
    }

    result<rows> measure(context& ctx, const std::string& suffix, int n = 4000) {
        struct path {
            const char* name;
            function* fn;
            start_kind start;
            samples calls = {}, vm = {}, restore = {}, run = {};
        };
        std::array<path, 3> paths{path{"warm", &warm_, start_kind::warm},
                                  path{"isolated", &isolated_, start_kind::warm},
                                  path{"restored", &restored_, start_kind::restored}};
        const pinned here;
        samples floors;
        constexpr int batches = 20;
        for (int b = 0; b < batches; ++b) {
            HEARTH_TRY(const samples timing, ctx.floor(200));
            floors.push_back(timing.front());
            for (path& p : paths) {
                const bool restored = p.start == start_kind::restored;
                const int count = restored ? n / batches / 4 : n / batches;
                HEARTH_TRY(const response first, invoke(*p.fn));
                for (int i = 0; i < count; ++i) {
                    // The environment before is given up by another thread; not while we measure.
                    const auto given_up = steady_clock::now() + std::chrono::microseconds(500);
                    while (restored && steady_clock::now() < given_up) std::this_thread::yield();
                    const auto from = steady_clock::now();
                    HEARTH_TRY(const response reply, invoke(*p.fn));
                    p.calls.push_back(us_since(from));
                    p.vm.push_back(us_of(reply.report.vm));
                    p.restore.push_back(us_of(reply.report.boot));
                    p.run.push_back(us_of(reply.report.duration));
                    if (restored && reply.report.start != p.start && n > 100)
                        return error(errc::invalid_argument, "a start was not restored");
                }
            }
        }
        rows table;
        for (const path& p : paths) {
            table.push_back(summarize("density", p.name + suffix, p.calls, floors));
            if (p.start == start_kind::restored)
                table.back().extra = {{"vm_us", quantile(p.vm, 0.5)},
                                      {"restore_us", quantile(p.restore, 0.5)},
                                      {"run_us", quantile(p.run, 0.5)}};
        }
        return table;
    }

  private:
    function warm_, isolated_, restored_;
};

}  // namespace

result<rows> density(context& ctx) {
    const std::size_t n = ctx.how_many(10'000);
    constexpr std::size_t functions = 4, steps = 20;
    HEARTH_TRY(runtime rt, runtime::create());
    HEARTH_TRY(hot_paths paths, hot_paths::create(ctx, rt));
    std::vector<function> crowd;
    for (std::size_t f = 0; f < functions; ++f) {
        auto config = native_function(ctx, "crowd-" + std::to_string(f), "native_empty");
        config.isolation = isolation::tenant;  // an environment for each name we make up
        config.pool.max_idle = n;
        HEARTH_TRY(function fn, rt.deploy(config));
        HEARTH_TRY(const response first, invoke(fn, "{}", {.tenant_id = "first"}));
        crowd.push_back(std::move(fn));
    }
    const auto detached = [&](std::size_t alive) {
        return [&rt, alive] { return rt.metrics().pool.detached >= alive; };
    };
    if (!eventually(detached(functions)))
        return error(errc::invalid_argument, "idle environments are not detached");
    HEARTH_TRY(rows table, paths.measure(ctx, " alone"));
    if (!eventually(detached(functions)))
        return error(errc::invalid_argument, "idle environments are not detached");
    HEARTH_TRY(const memory_use before, memory_in_use());

    plot::series per_environment{"per idle environment", {}}, starts{"restored start", {}};
    samples calls, floors;
    for (std::size_t step = 0; step < steps; ++step) {
        HEARTH_TRY(const samples timing, ctx.floor(200));
        floors.push_back(timing.front());
        samples these;
        const std::size_t from = step * n / steps, to = (step + 1) * n / steps;
        for (std::size_t i = from; i < to; ++i) {
            const auto at = steady_clock::now();
            HEARTH_TRY(const response reply,
                       invoke(crowd[i % functions], "{}", {.tenant_id = std::to_string(i)}));
            these.push_back(us_since(at));
            if (reply.report.start != start_kind::restored)
                return error(errc::invalid_argument, "a start was not restored");
        }
        calls.insert(calls.end(), these.begin(), these.end());
        if (!eventually(detached(to + functions)))
            return error(errc::invalid_argument, "idle environments are not detached");
        HEARTH_TRY(const memory_use now, memory_in_use());
        const auto alive = static_cast<double>(to);
        per_environment.points.emplace_back(
            alive, (static_cast<double>(now.total()) - static_cast<double>(before.total())) /
                       alive / 1024);
        starts.points.emplace_back(alive, quantile(these, 0.5) / timing.front());
    }
    HEARTH_TRY(const memory_use after, memory_in_use());
    const auto each = [&](std::uint64_t memory_use::*what) {
        return (static_cast<double>(after.*what) - static_cast<double>(before.*what)) /
               static_cast<double>(n) / 1024;
    };
    row making = summarize("density", "start of " + std::to_string(n), calls, floors);
    const auto alive = rt.metrics().pool;
    making.extra = {{"idle", static_cast<double>(alive.idle)},
                    {"detached", static_cast<double>(alive.detached)},
                    {"shells", static_cast<double>(alive.shells)},
                    {"kib_each", per_environment.points.back().second},
                    {"anonymous_kib", each(&memory_use::anonymous)},
                    {"memfd_kib", each(&memory_use::memfd)},
                    {"page_tables_kib", each(&memory_use::page_tables)},
                    {"pss_kib", each(&memory_use::pss)}};
    table.push_back(std::move(making));

    HEARTH_TRY(rows crowded, paths.measure(ctx, " crowded"));
    plot::bar_chart bars;
    bars.title = "Hot paths";
    bars.y.label = "floors, p50";
    bars.series = {{"alone", {}}, {"crowded", {}}};
    for (std::size_t i = 0; i < crowded.size(); ++i) {
        crowded[i].extra.emplace_back("ratio_to_alone",
                                      crowded[i].floors_p50() / table[i].floors_p50());
        const auto& name = table[i].variant;
        bars.groups.push_back(name.substr(0, name.find(' ')));
        bars.series[0].values.push_back(table[i].floors_p50());
        bars.series[1].values.push_back(crowded[i].floors_p50());
    }
    // One more way, which only the crowd has: back from snapshot and diff.
    samples back, back_floors;
    for (std::size_t i = 0; i < std::min<std::size_t>(n, 1000); ++i) {
        if (i % 100 == 0) {
            HEARTH_TRY(const samples timing, ctx.floor(200));
            back_floors.push_back(timing.front());
        }
        const auto at = steady_clock::now();
        HEARTH_TRY(const response reply,
                   invoke(crowd[i % functions], "{}", {.tenant_id = std::to_string(i)}));
        if (reply.report.reattached) back.push_back(us_since(at));
    }
    table.insert(table.end(), crowded.begin(), crowded.end());
    table.push_back(summarize("density", "reattached crowded", back, back_floors));

    if (ctx.plots()) {
        plot::line_chart memory{
            "Memory", {"idle environments"}, {"KiB each, all counted", false, 0}, {}};
        memory.lines = {per_environment,
                        {"budget", {{0, 200}, {static_cast<double>(n), 200}}, true}};
        plot::line_chart time{"Start of one more, to the reply",
                              {"idle environments"},
                              {"floors, p50", false, 0},
                              {starts}};
        HEARTH_CHECK(plot::write_svg(*ctx.plots() / "density.svg",
                                     {"Idle environments in one process",
                                      std::to_string(functions) + " native functions",
                                      {memory, time, bars}}));
    }
    return table;
}

}  // namespace hearth::bench
