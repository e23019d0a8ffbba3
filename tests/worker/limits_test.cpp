#include "functions.hpp"

#include <boost/asio/error.hpp>
#include <catch2/catch.hpp>

#include <cstdio>
#include <future>
#include <string>
#include <thread>

using namespace functions;
using namespace std::chrono_literals;

TEST_CASE("over its own limit a function is throttled, over the account's all are") {
    auto o = options();
    o.account_concurrency = 2;
    auto w = make(o);
    auto s = spec("function_http");
    s.pool.max_concurrency = 1;
    auto f = w->deploy(s);
    auto g = w->deploy(spec("function_http"));
    endless busy(*f);
    REQUIRE(soon([&] { return w->metrics().pool.running == 1; }));
    auto own = f->invoke(event("1"));
    REQUIRE(own.has_error());
    CHECK(own.error() == hearth::errc::throttled);
    CHECK(own.error().message().starts_with("ReservedFunctionConcurrentInvocationLimitExceeded"));
    endless other(*g);
    REQUIRE(soon([&] { return w->metrics().pool.running == 2; }));
    auto all = g->invoke(event("1"));
    REQUIRE(all.has_error());
    CHECK(all.error().message().starts_with("ConcurrentInvocationLimitExceeded"));
    busy.cancel();
    other.cancel();
    CHECK(busy.end() == boost::asio::error::operation_aborted);
    CHECK(other.end() == boost::asio::error::operation_aborted);
    CHECK(f->invoke(event("1")).value().ok());
    CHECK(w->metrics().throttles == 2);
}

TEST_CASE("who has the answer may come again at once, whatever the limit") {
    auto o = options();
    o.account_concurrency = 1;
    auto w = make(o);
    auto s = spec("function_native");
    s.pool.max_concurrency = 1;
    auto f = w->deploy(s);
    REQUIRE(f->initialize().has_value());
    int throttled = 0;
    for (int i = 0; i < 500; ++i) throttled += !answer_of(*f, "1").ok();
    CHECK(throttled == 0);
}

TEST_CASE("reserved and provisioned concurrency change under a version that is deployed") {
    auto w = make(options());
    auto s = spec("function_http");
    s.function_arn = "arn:limits";
    auto f = w->deploy(s);
    CHECK(f->invoke(event("1")).value().ok());
    REQUIRE(w->set_reserved_concurrency("arn:limits", 0).has_value());
    auto none = f->invoke(event("1"));
    REQUIRE(none.has_error());
    CHECK(none.error().message().starts_with("ReservedFunctionConcurrentInvocationLimitExceeded"));
    CHECK(f->set_provisioned_concurrency(1).error() == hearth::errc::invalid_argument);
    CHECK(w->set_reserved_concurrency("arn:limits", 901).error() == hearth::errc::invalid_argument);
    REQUIRE(w->set_reserved_concurrency("arn:limits", std::nullopt).has_value());
    CHECK(w->set_reserved_concurrency("arn:unknown", 5).has_value());

    REQUIRE(f->set_provisioned_concurrency(3).has_value());
    CHECK(soon([&] { return f->ready_environments() == 3; }));
    CHECK(w->metrics().pool.environments.provisioned == 3);
    CHECK(w->metrics().pool.cold_starts == 1);  // its snapshot is not forgotten: no more cold ones
    CHECK(f->invoke(event("1")).value().report.start == hearth::start_kind::warm);
    REQUIRE(f->set_provisioned_concurrency(0).has_value());
    CHECK(w->metrics().pool.environments.provisioned == 0);
    CHECK(f->invoke(event("1")).value().ok());
}

TEST_CASE("a version's bounds change while it is deployed") {
    auto w = make(options());
    auto f = w->deploy(spec("function_http"));
    CHECK(f->invoke(event("1")).value().ok());
    REQUIRE(f->set_scaling(3, 1).has_value());
    CHECK(soon([&] { return f->ready_environments() == 3; }));
    CHECK(w->metrics().pool.environments.provisioned == 0);
    endless busy(*f);
    REQUIRE(soon([&] { return w->metrics().pool.running == 1; }));
    const auto refused = f->invoke(event("1"));
    REQUIRE(refused.has_error());
    CHECK(
        refused.error().message().starts_with("ReservedFunctionConcurrentInvocationLimitExceeded"));
    // What is provisioned changes nothing of it.
    REQUIRE(f->set_provisioned_concurrency(1).has_value());
    CHECK(f->invoke(event("1")).has_error());
    REQUIRE(f->set_scaling(0, 2).has_value());
    CHECK(f->invoke(event("1")).value().ok());
    busy.cancel();
    CHECK(busy.end() == boost::asio::error::operation_aborted);
    REQUIRE(f->set_scaling(0, 0).has_value());
    CHECK(f->invoke(event("1")).has_error());
}

TEST_CASE("short of memory budget, the environment idle longest is given up") {
    auto o = options();
    const hearth::byte_count two(256u << 20);
    o.memory_budget = two + hearth::byte_count(4u << 20);  // and their snapshots
    auto w = make(o);
    auto a = w->deploy(spec("function_native")), b = w->deploy(spec("function_native")),
         c = w->deploy(spec("function_native"));
    CHECK(a->invoke(event("1")).value().ok());
    CHECK(b->invoke(event("1")).value().ok());
    CHECK(w->metrics().guest_memory == two);
    CHECK(c->invoke(event("1")).value().ok());  // a's goes
    CHECK(w->metrics().guest_memory == two);
    CHECK(b->invoke(event("1")).value().report.start == hearth::start_kind::warm);
    CHECK(a->invoke(event("1")).value().report.start == hearth::start_kind::restored);
}

TEST_CASE("what a detached environment keeps in files counts, and goes when memory is short") {
    constexpr std::uint64_t kept = 12u << 20;  // 4 MiB each in /tmp, /dev/shm and a memfd
    auto o = options();
    o.memory_budget = hearth::byte_count((128u << 20) + kept - (1u << 20));
    o.detach_after = 1ms;
    auto w = make(o);
    auto f = w->deploy(spec("snapshot_guest"));
    REQUIRE(f->initialize().has_value());
    const auto detached = [&] { return soon([&] { return w->metrics().pool.detached == 1; }); };
    CHECK(f->invoke(event("count")).value().payload == "1");
    REQUIRE(detached());
    CHECK(w->metrics().guest_memory.bytes() < 1u << 20);
    CHECK(f->invoke(event("keep")).value().payload == "kept");
    REQUIRE(detached());
    CHECK(w->metrics().guest_memory.bytes() >= kept);
    CHECK(w->metrics().guest_memory.bytes() < kept + (2u << 20));
    auto s = spec("function_native");
    auto g = w->deploy(s);
    CHECK(g->invoke(event("1")).value().ok());
    CHECK(w->metrics().pool.evicted == 1);
    const auto m = w->metrics();
    CHECK(m.guest_memory + m.snapshot_memory <= o.memory_budget);
}

TEST_CASE("a function may start so many environments in 10 s, and is told when it may not") {
    auto o = options();
    o.scale_up_starts = 1;
    auto w = make(o);
    auto s = spec("function_native");
    s.pool.max_idle = 0;  // each invocation needs a new one
    auto f = w->deploy(s);
    s.function_name += "2", s.function_arn += "2";
    auto g = w->deploy(s);
    REQUIRE(f->initialize().has_value());  // for no invocation: does not count
    const auto start = std::chrono::steady_clock::now();
    CHECK(f->invoke(event("1")).value().ok());
    // On a slow machine 10 s may pass; not a hundred times.
    std::size_t served = 1;
    auto refused = f->invoke(event("1"));
    for (; refused.has_value() && served < 100; ++served) refused = f->invoke(event("1"));
    const auto elapsed = std::chrono::steady_clock::now() - start;
    REQUIRE(refused.has_error());
    CHECK(served <= 1 + static_cast<std::size_t>(elapsed / 10s));
    CHECK(refused.error() == hearth::errc::throttled);
    CHECK(refused.error().message().starts_with("FunctionInvocationRateLimitExceeded"));
    CHECK(g->invoke(event("1")).value().ok());  // has starts of its own
    const auto m = w->metrics();
    CHECK(m.throttles_by_reason.invocation_rate_limit == 1);
    CHECK(m.throttles == 1);
    CHECK(m.concurrent_executions == 0);
}

TEST_CASE("with cap_cpu a function gets the CPU that its memory stands for, though nobody waits") {
    auto o = options();
    o.cap_cpu = GENERATE(true, false);
    auto w = make(o);
    auto s = spec("function_native");
    // Half a CPU and more: of less an emulated one spends all on coming in.
    s.memory = hearth::byte_count(1024u << 20);
    auto f = w->deploy(s);
    REQUIRE(f->initialize().has_value());
    // By the guest's own clocks, when it was let in again: it owes nothing then, however late it
    // was stopped.
    long long used = 0, passed = 0;
    const std::string answer = answer_of(*f, "\"burn\"").payload;
    INFO(answer);
    REQUIRE(std::sscanf(answer.c_str(), "[%lld,%lld]", &used, &passed) == 2);
    constexpr long long period = 20'000'000, quota = period * 1024 / 1769;
    if (o.cap_cpu)
        CHECK(used <= (passed / period + 2) * quota);
    else
        CHECK(used > (passed / period + 2) * quota);
}

TEST_CASE("with nothing to give up, the caller hears what was needed and what was free") {
    auto o = options();
    o.memory_budget = hearth::byte_count(100u << 20);
    auto w = make(o);
    auto r = w->deploy(spec("function_native"))->invoke(event("1"));
    REQUIRE(r.has_error());
    CHECK(r.error() == hearth::errc::no_room);
    CHECK(r.error().message().find("needs 128 MB, 100 MB are free") != std::string::npos);
}

TEST_CASE("an environment idle for longer than idle_ttl is terminated") {
    auto s = spec("function_native");
    s.pool.idle_ttl = 2s;
    auto w = make();
    auto f = w->deploy(std::move(s));
    CHECK(f->invoke(event("1")).value().ok());
    CHECK(f->invoke(event("1")).value().report.start == hearth::start_kind::warm);
    CHECK(soon([&] { return w->metrics().pool.expired == 1; }));
    CHECK(w->metrics().pool.idle == 0);
    CHECK(soon([&] { return w->metrics().guest_memory.bytes() == 0; }));
    CHECK(f->invoke(event("1")).value().report.start == hearth::start_kind::restored);
}

TEST_CASE("at most max_idle environments stay") {
    auto s = spec("function_http");
    s.pool.max_idle = 1;
    auto w = make();
    auto f = w->deploy(std::move(s));
    auto one = std::async(std::launch::async, [&] { return f->invoke(event("\"nap\"")); });
    auto two = std::async(std::launch::async, [&] { return f->invoke(event("\"nap\"")); });
    CHECK(one.get().value().ok());
    CHECK(two.get().value().ok());
    CHECK(w->metrics().pool.idle == 1);
}

TEST_CASE("a retired version admits nothing, and what runs finishes") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    auto running = std::async(std::launch::async, [&] { return f->invoke(event("\"nap\"")); });
    REQUIRE(soon([&] { return w->metrics().pool.running == 1; }));
    f->retire();
    CHECK(f->invoke(event("1")).error() == hearth::errc::shutting_down);
    CHECK(running.get().value().ok());
    CHECK(w->metrics().pool.idle == 0);
}

TEST_CASE("drain waits for what runs; destruction interrupts it") {
    SECTION("drain") {
        auto w = make();
        auto f = w->deploy(spec("function_http"));
        auto running = std::async(std::launch::async, [&] { return f->invoke(event("\"nap\"")); });
        REQUIRE(soon([&] { return w->metrics().pool.running == 1; }));
        w->drain();
        CHECK(running.wait_for(10s) == std::future_status::ready);
        CHECK(running.get().value().ok());
        CHECK(f->invoke(event("1")).error() == hearth::errc::shutting_down);
    }
    SECTION("destruction") {
        const auto how = GENERATE(as<std::string>(), "\"sleep\"", "\"loop\"");
        auto w = make();
        auto f = w->deploy(spec("function_http"));
        auto running = std::async(std::launch::async, [&] { return f->invoke(event(how)); });
        REQUIRE(soon([&] { return w->metrics().pool.running == 1; }));
        std::this_thread::sleep_for(50ms);
        const auto start = std::chrono::steady_clock::now();
        w.reset();
        CHECK(std::chrono::steady_clock::now() - start < 8s);  // not its timeout
        CHECK(running.get().error() == hearth::errc::shutting_down);
    }
}
