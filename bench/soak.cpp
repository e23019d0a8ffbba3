// Many invocations of several kinds through one runtime: nothing may grow. Memory is read at ten
// points; what the first tenth leaves is what the rest is compared with.

#include "base/try.hpp"
#include "load.hpp"
#include "plot.hpp"

#include <algorithm>
#include <array>

namespace hearth::bench {

result<rows> soak(context& ctx) {
    const std::size_t n = ctx.how_many(100'000);
    constexpr std::size_t points = 10;
    runtime_options options;
    options.detach_after = std::chrono::milliseconds(20);  // environments come and go meanwhile
    HEARTH_TRY(runtime rt, runtime::create(options));

    struct kind {
        const char* name;
        function fn = {};
        bool tenants = false;
        std::size_t one_in = 1;  ///< so many rounds
        samples calls = {};
    };
    std::array<kind, 6> kinds{kind{"native"},
                              kind{"native invocation"},
                              kind{"native tenant", {}, true, 4},
                              kind{"native restored", {}, false, 16},
                              kind{"runtime_api", {}, false, 4},
                              kind{"api invocation", {}, false, 16}};
    const auto zip = package::zip(ctx.function_package("socket_bootstrap"));
    const auto deploy = [&](kind& k, isolation mode, bool native,
                            std::size_t max_idle) -> result<void> {
        std::string name = k.name;
        std::replace(name.begin(), name.end(), ' ', '-');
        auto config = native_function(ctx, name, "native_empty");
        if (!native) config.package = zip;
        config.isolation = mode;
        config.pool.max_idle = max_idle;
        HEARTH_TRY(k.fn, rt.deploy(config));
        return {};
    };
    HEARTH_CHECK(deploy(kinds[0], isolation::environment, true, 10));
    HEARTH_CHECK(deploy(kinds[1], isolation::invocation, true, 10));
    HEARTH_CHECK(deploy(kinds[2], isolation::tenant, true, 100));
    HEARTH_CHECK(deploy(kinds[3], isolation::environment, true, 0));
    HEARTH_CHECK(deploy(kinds[4], isolation::environment, false, 10));
    HEARTH_CHECK(deploy(kinds[5], isolation::invocation, false, 10));
    for (kind& k : kinds) k.calls.reserve(n);  // resident as far as written: counted out below

    samples floors;
    plot::series anonymous{"memory of the process", {}}, pss{"proportional set size", {}};
    std::vector<double> mib;
    std::size_t done = 0, round = 0;
    const auto from = std::chrono::steady_clock::now();
    for (std::size_t point = 1; point <= points; ++point) {
        HEARTH_TRY(const samples timing, ctx.floor(200));
        floors.push_back(timing.front());
        while (done < point * n / points) {
            ++round;
            for (kind& k : kinds) {
                if (round % k.one_in) continue;
                invoke_options with;
                if (k.tenants) with.tenant_id = "tenant-" + std::to_string(round / k.one_in % 150);
                const auto at = std::chrono::steady_clock::now();
                HEARTH_TRY(const response reply, invoke(k.fn, "{\"n\":1}", with));
                k.calls.push_back(us_since(at));
                ++done;
            }
            if (round % 1000 == 0) {  // some on the vCPU threads, several at once
                std::vector<call> calls(100);
                for (std::size_t i = 0; i < calls.size(); ++i) {
                    const kind& k = kinds[i % 2 ? 0 : 4];
                    calls[i].fn = k.fn;
                }
                invoke_all(calls);
                HEARTH_CHECK(all_ok(calls));
                done += calls.size();
            }
        }
        HEARTH_TRY(memory_use now, memory_in_use());
        // The samples are ours.
        std::uint64_t ours = 0;
        for (const kind& k : kinds) ours += k.calls.size() * sizeof(double);
        const auto used = static_cast<double>(now.total() - ours) / (1 << 20);
        mib.push_back(used);
        anonymous.points.emplace_back(static_cast<double>(done), used);
        pss.points.emplace_back(static_cast<double>(done),
                                static_cast<double>(now.pss - ours) / (1 << 20));
    }
    const double seconds = us_since(from) / 1e6;
    rows table;
    for (const kind& k : kinds) table.push_back(summarize("soak", k.name, k.calls, floors));
    row total = summarize(
        "soak", "all",
        [&] {
            samples all;
            for (const kind& k : kinds) all.insert(all.end(), k.calls.begin(), k.calls.end());
            return all;
        }(),
        floors);
    total.n = done;
    total.extra = {{"per_second", static_cast<double>(done) / seconds},
                   {"growth_mib", mib.back() - mib.front()},
                   {"growth_bytes_each",
                    (mib.back() - mib.front()) * (1 << 20) / (static_cast<double>(done) * 9 / 10)}};
    for (std::size_t i = 0; i < mib.size(); ++i)
        total.extra.emplace_back("mib_" + std::to_string(i + 1), mib[i]);
    table.push_back(std::move(total));
    if (ctx.plots())
        HEARTH_CHECK(plot::write_svg(
            *ctx.plots() / "soak.svg",
            {"Memory over many invocations",
             "native and Runtime API; environment, invocation and tenant isolation",
             {plot::line_chart{
                 "Memory", {"invocations", false, 0}, {"MiB", false, 0}, {anonymous, pss}}}}));
    return table;
}

}  // namespace hearth::bench
