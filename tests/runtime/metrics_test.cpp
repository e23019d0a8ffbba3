// The numbers are what happened.

#include "functions.hpp"

#include <hearth/hearth.hpp>

#include <boost/asio/use_future.hpp>
#include <catch2/catch.hpp>

#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace hearth::literals;
using hearth::function_metrics;
using hearth::start_kind;

namespace {

hearth::function_config measured(const std::string& name, const std::string& program) {
    hearth::function_config c;
    c.name = name;
    c.package = hearth::package::elf(std::string(HEARTH_GUESTS_DIR) + "/" + program);
    c.timeout = 5s;
    return c;
}

const function_metrics& of(const hearth::metrics& m, const std::string& name) {
    for (const auto& f : m.by_function)
        if (f.name == name) return f;
    throw std::runtime_error("no function " + name);
}

std::uint64_t live(const hearth::environment_metrics& e) {
    return e.starting + e.starting_ahead + e.running + e.idle() + e.ending;
}

}  // namespace

TEST_CASE("after cold, restored and warm invocations the metrics agree with the reports") {
    auto rt = hearth::runtime::create({.vcpu_threads = 2, .memory_budget = 1_GiB}).value();
    auto f = rt.deploy(measured("f", "function_http")).value();
    auto g = rt.deploy(measured("g", "function_native")).value();
    auto idle = rt.deploy(measured("idle", "function_native")).value();

    std::vector<hearth::response> all;
    all.push_back(f.invoke("1").value());  // cold
    all.push_back(f.invoke("2").value());  // warm
    auto one = f.async_invoke("\"nap\"", boost::asio::use_future);
    auto two = f.async_invoke("\"nap\"", boost::asio::use_future);
    all.push_back(one.get());  // one of them warm, the other restored
    all.push_back(two.get());
    all.push_back(f.invoke("\"fail\"").value());
    all.push_back(f.invoke("\"exit\"").value());
    const std::size_t of_f = all.size();
    all.push_back(g.invoke("1").value());

    const hearth::metrics m = rt.metrics();
    REQUIRE(m.by_function.size() == 3);
    CHECK(m.by_function[0].name == "f");
    CHECK(m.by_function[1].name == "g");
    CHECK(m.functions == 3);
    CHECK(m.invocations == 7);
    CHECK(m.function_errors == 2);
    CHECK(of(m, "f").invocations == 6);
    CHECK(of(m, "f").errors == 2);
    CHECK(of(m, "g").errors == 0);
    CHECK(of(m, "idle").invocations == 0);
    CHECK(of(m, "f").cold == 1);
    CHECK(of(m, "f").restored == 1);
    CHECK(of(m, "f").warm == 4);

    struct kind_sums {
        std::uint64_t n = 0;
        std::chrono::nanoseconds duration{}, start{}, boot{}, longest{};
    } sums[3];
    std::chrono::nanoseconds duration_of_f{};
    hearth::byte_count most;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto& r = all[i].report;
        auto& s = sums[static_cast<std::size_t>(r.start)];
        ++s.n;
        s.duration += r.duration;
        s.start += r.vm + r.boot + r.init + r.snapshot;
        s.boot += r.boot;
        s.longest = std::max(s.longest, r.duration);
        if (i >= of_f) continue;
        duration_of_f += r.duration;
        most = std::max(most, r.max_memory_used);
    }
    const auto seconds = [](std::chrono::nanoseconds t) {
        return Approx(std::chrono::duration<double>(t).count());
    };
    const hearth::start_metrics* kinds[] = {&m.cold, &m.restored, &m.warm};
    for (std::size_t k = 0; k < 3; ++k) {
        INFO(to_string(static_cast<start_kind>(k)));
        CHECK(kinds[k]->duration.count() == sums[k].n);
        CHECK(kinds[k]->duration.sum().count() == seconds(sums[k].duration));
        CHECK(kinds[k]->duration.max() == sums[k].longest);
        CHECK(kinds[k]->start.sum().count() == seconds(sums[k].start));
        CHECK(kinds[k]->boot.sum().count() == seconds(sums[k].boot));
    }
    CHECK(m.cold.start.count() == 2);
    CHECK(m.cold.init.count() == 2);
    CHECK(m.cold.snapshot.count() == 2);
    CHECK(m.restored.boot.count() == 1);
    CHECK(m.warm.start.count() == m.pool.reattaches);
    CHECK(of(m, "f").duration.sum().count() == seconds(duration_of_f));
    CHECK(of(m, "f").max_memory_used == most);

    CHECK(m.pool.cold_starts == 2);
    CHECK(m.pool.restored_starts == 1);
    CHECK(m.pool.warm_starts == 4);
    CHECK(m.pool.admitted == 7);
    CHECK(m.pool.destroyed == 1);  // it exited
    CHECK(of(m, "f").environments.idle() == 1);
    CHECK(of(m, "g").environments.idle() == 1);
    CHECK(live(of(m, "idle").environments) == 0);
    CHECK(m.pool.idle == 2);
    CHECK(m.shells.from_same_version + m.shells.from_blank + m.shells.from_evicted +
              m.shells.from_made + m.shells.from_stolen ==
          3 + m.pool.reattaches);
    CHECK(m.memory_budget == 1_GiB);
    CHECK(m.guest_memory > 0_MiB);
    CHECK(m.snapshot_memory > 0_MiB);
    CHECK(m.concurrent_executions == 0);
    CHECK(m.concurrency_limit == 1000);
}

TEST_CASE("what happens at the moment is in the metrics: executions, throttles, spill-overs") {
    auto rt = hearth::runtime::create({.vcpu_threads = 2}).value();
    auto c = measured("f", "function_http");
    c.pool.provisioned_concurrency = 1;
    c.pool.max_concurrency = 2;
    auto f = rt.deploy(c).value();
    // deploy comes back once the provisioned one is up.
    CHECK(of(rt.metrics(), "f").environments.provisioned == 1);
    CHECK(of(rt.metrics(), "f").spillovers == 0);

    functions::endless one(f), two(f);
    REQUIRE(hearth::test::soon([&] { return rt.metrics().pool.running == 2; }));
    CHECK(f.invoke("1").error() == hearth::errc::throttled);
    const auto m = rt.metrics();
    CHECK(m.concurrent_executions == 2);
    CHECK(of(m, "f").concurrent_executions == 2);
    CHECK(of(m, "f").environments.running == 2);
    CHECK(of(m, "f").throttles.reserved_concurrent_invocation_limit == 1);
    CHECK(of(m, "f").throttles == m.throttles_by_reason);
    CHECK(m.throttles == 1);
    CHECK(of(m, "f").spillovers == 1);
    CHECK(m.pool.spillovers == 1);
    CHECK(of(m, "f").invocations == 0);  // none has ended
    one.cancel();
    two.cancel();
    CHECK(one.end() == boost::asio::error::operation_aborted);
    CHECK(two.end() == boost::asio::error::operation_aborted);
    CHECK(f.invoke("1").has_value());
    CHECK(of(rt.metrics(), "f").invocations == 1);  // what is cancelled is none
    CHECK(rt.metrics().pool.starts_ahead >= 1);
}

TEST_CASE("a function whose init fails has its failures counted, and no invocation") {
    auto rt = hearth::runtime::create({.vcpu_threads = 1}).value();
    auto c = measured("broken", "function_init");
    c.environment = {{"INIT", "exit"}};
    auto f = rt.deploy(c).value();
    CHECK(f.invoke("1").error() == hearth::errc::init_failed);
    CHECK(f.invoke("1").error() == hearth::errc::init_failed);
    const auto m = rt.metrics();
    CHECK(of(m, "broken").init_failures == 2);
    CHECK(m.init_failures == 2);
    CHECK(m.invocations == 0);
    CHECK(m.cold.duration.count() == 0);
    CHECK(m.pool.failed_starts == 2);
}
