// Functions of managed runtimes, the examples that say hello: started from their snapshots, to the
// reply, each in a new environment; and invoked when warm. Parts of a start and the system calls
// that an invocation takes to the host are in the extra columns.

#include "base/try.hpp"
#include "bench.hpp"

#include <hearth/hearth.hpp>

#include <array>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace hearth::bench {
namespace {

constexpr std::array<const char*, 5> pythons = {"python3.11", "python3.13", "python3.12",
                                                "python3.10", "python3.9"};
constexpr std::array<const char*, 4> nodes = {"nodejs20.x", "nodejs18.x", "nodejs22.x",
                                              "nodejs24.x"};

struct language {
    const char* name;
    const char* handler;
    std::span<const char* const> runtimes;
};
const language languages[] = {{"python", "lambda_function.lambda_handler", pythons},
                              {"node", "index.handler", nodes}};

/// With the first of its language's runtimes that this host has; nothing: none.
result<std::optional<function>> deploy(context& ctx, runtime& rt, const language& l, bool warm) {
    for (const char* identifier : l.runtimes) {
        function_config config;
        config.name = std::string(l.name) + (warm ? "-warm" : "-new");
        config.package = package::zip(ctx.function_package(std::string(l.name) + "_hello"));
        config.runtime = identifier;
        config.handler = l.handler;
        config.memory = byte_count(256ull << 20);
        config.timeout = std::chrono::seconds(30);
        if (!warm) config.pool.max_idle = 0;
        auto deployed = rt.deploy(config);
        if (!deployed && deployed.error() == errc::invalid_argument) continue;
        HEARTH_TRY(function fn, std::move(deployed));
        HEARTH_TRY(const response first, fn.invoke("{}"));
        if (!first.ok()) return error(errc::init_failed, first.payload);
        return std::optional<function>(std::move(fn));
    }
    return std::optional<function>();
}

result<rows> measure(context& ctx, const std::string& workload, bool warm, int per_batch) {
    const pinned here;
    HEARTH_TRY(runtime rt, runtime::create());
    rows table;
    for (const language& l : languages) {
        HEARTH_TRY(std::optional<function> fn, deploy(ctx, rt, l, warm));
        if (!fn) continue;
        samples total, vm, restore, hooks, run, calls, floors;
        for (int batch = 0; batch < 10; ++batch) {
            HEARTH_TRY(const samples timing, ctx.floor(200));
            floors.push_back(timing.front());
            for (int i = 0; i < per_batch; ++i) {
                const auto from = std::chrono::steady_clock::now();
                HEARTH_TRY(const response reply, fn->invoke("{}"));
                total.push_back(since(from));
                const invocation_report& r = reply.report;
                if (!reply.ok() || r.start != (warm ? start_kind::warm : start_kind::restored))
                    return error(errc::invalid_argument,
                                 "not the start to be measured: " + reply.payload + reply.log_tail);
                const auto microseconds = [](std::chrono::nanoseconds t) {
                    return static_cast<double>(t.count()) / 1000;
                };
                vm.push_back(microseconds(r.vm));
                restore.push_back(microseconds(r.boot));
                hooks.push_back(microseconds(r.init));
                run.push_back(microseconds(r.duration));
                calls.push_back(static_cast<double>(r.system_calls));
            }
        }
        row r = summarize(workload, l.name, total, floors);
        const double made = quantile(calls, 0.5);
        r.extra = {{"system_calls", made}};
        if (warm)
            r.extra.emplace_back("beyond_calls_us", r.p50_us - made * r.floor_us);
        else
            r.extra.insert(r.extra.end(), {{"vm_us", quantile(vm, 0.5)},
                                           {"restore_us", quantile(restore, 0.5)},
                                           {"hooks_us", quantile(hooks, 0.5)},
                                           {"run_us", quantile(run, 0.5)}});
        table.push_back(std::move(r));
    }
    if (table.empty()) return error(errc::not_found, "neither Python nor Node.js is on this host");
    return table;
}

}  // namespace

result<rows> managed_start(context& ctx) { return measure(ctx, "managed_start", false, 20); }
result<rows> managed_invoke(context& ctx) { return measure(ctx, "managed_invoke", true, 200); }

}  // namespace hearth::bench
