// Each rule of the pool machine alone.

#include "pool/pool_fsm.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace hearth;
using namespace hearth::pool;
using namespace hearth::literals;
using namespace std::chrono_literals;

namespace {

constexpr byte_count memory = 128_MiB, half = 64_MiB, quarter = 32_MiB;

version_policy plain() {
    version_policy p;
    p.memory = memory;
    return p;
}
pool_options no_spares() {
    pool_options o;
    o.spare_shells = 0;
    o.detach_after = 10000h;
    return o;
}

/// A machine, its clock, and short ways to say what happens. Every step is followed by a look at
/// the machine's consistency.
struct pool_at_work {
    explicit pool_at_work(pool_options o = no_spares()) : fsm(o) {}
    ~pool_at_work() { CHECK(fsm.inconsistency() == ""); }

    version_id deploy(version_policy p = plain()) {
        return fsm.add_version(fsm.add_function(), p, now).value();
    }
    template <class T>
    T arrive(version_id v, std::string_view tenant = {}) {
        decision d = fsm.arrive(v, tenant, now);
        REQUIRE(fsm.inconsistency() == "");
        REQUIRE(std::holds_alternative<T>(d));
        return std::get<T>(std::move(d));
    }
    /// A new environment that runs its first invocation.
    environment_id begin(version_id v, std::string_view tenant = {}) {
        const auto s = arrive<start>(v, tenant);
        for (const environment_id e : s.evict) fsm.destroyed(e, shell_fate::reusable, now);
        REQUIRE(fsm.started(s.environment, true, now));
        return s.environment;
    }
    environment_id warm(version_id v, std::string_view tenant = {}) {
        return arrive<reuse>(v, tenant).environment;
    }
    bool finish(environment_id e, bool reusable = true) {
        const version_id v = fsm.version_of(e);
        const bool kept = fsm.released(e, reusable, now);
        fsm.leave(v, now);
        return kept;
    }
    environment_id idle(version_id v, std::string_view tenant = {}) {
        const environment_id e = begin(v, tenant);
        CHECK(finish(e));
        return e;
    }
    template <class T>
    std::vector<T> due() {
        std::vector<action> all;
        fsm.due(now, all);
        REQUIRE(fsm.inconsistency() == "");
        std::vector<T> wanted;
        for (action& a : all) {
            REQUIRE(std::holds_alternative<T>(a));
            wanted.push_back(std::get<T>(std::move(a)));
        }
        return wanted;
    }
    void go_detached(environment_id e, byte_count diff = 64_KiB) {
        const auto d = due<detach>();
        REQUIRE(d.size() == 1);
        REQUIRE(d[0].environment == e);
        REQUIRE(fsm.detached(e, diff, now));
    }

    time_point now{1h};
    pool_fsm fsm;
};

}  // namespace

TEST_CASE("the newest idle environment is reused first") {
    pool_at_work p;
    const version_id v = p.deploy();
    const auto a = p.begin(v), b = p.begin(v), c = p.begin(v);
    p.finish(b), p.finish(c), p.finish(a);
    CHECK(p.warm(v) == a);
    CHECK(p.warm(v) == c);
    CHECK(p.warm(v) == b);
    CHECK(p.fsm.counters().warm_starts == 3);
    CHECK(p.fsm.counters().cold_starts == 3);
}

TEST_CASE("a start is restored when there is a snapshot, else cold") {
    pool_at_work p;
    const version_id v = p.deploy();
    CHECK(p.arrive<start>(v).kind == start_kind::cold);
    CHECK(p.fsm.wants_snapshot(v));
    CHECK(p.fsm.hold_snapshot(v, 3_MiB, false, p.now));
    CHECK_FALSE(p.fsm.wants_snapshot(v));
    CHECK(p.arrive<start>(v).kind == start_kind::restored);
    p.fsm.lose_snapshot(v, p.now);
    CHECK(p.arrive<start>(v).kind == start_kind::cold);
    CHECK(p.fsm.counters().restored_starts == 1);
}

TEST_CASE("a start says why no environment was idle, and why it is cold") {
    pool_options o = no_spares();
    o.memory_budget = memory * 2;
    pool_at_work p(o);
    version_policy policy = plain();
    policy.max_idle = 1;
    const version_id v = p.deploy(policy);
    const auto next = [&](version_id of, std::string_view tenant = {}) {
        const auto s = p.arrive<start>(of, tenant);
        for (const auto e : s.evict) p.fsm.destroyed(e, shell_fate::gone, p.now);
        REQUIRE(p.fsm.started(s.environment, true, p.now));
        return s;
    };
    const auto prepared = std::get<start>(p.fsm.prepare(v, p.now));
    CHECK(prepared.reason == start_reason::none);
    REQUIRE(p.fsm.started(prepared.environment, true, p.now));
    p.fsm.give_up(prepared.environment, p.now);
    p.fsm.destroyed(prepared.environment, shell_fate::gone, p.now);

    const auto a = next(v);
    CHECK(a.reason == start_reason::first);
    CHECK(a.no_snapshot == cold_reason::not_taken);
    REQUIRE(p.fsm.hold_snapshot(v, 1_MiB, false, p.now));
    p.finish(a.environment, false);
    p.fsm.destroyed(a.environment, shell_fate::gone, p.now);
    const auto b = next(v);
    CHECK(b.reason == start_reason::destroyed);
    CHECK(b.no_snapshot == cold_reason::none);
    p.finish(b.environment);
    p.now += 15min;
    CHECK(p.due<terminate>().size() == 1);
    p.fsm.destroyed(b.environment, shell_fate::gone, p.now);
    const auto c = next(v);
    CHECK(c.reason == start_reason::expired);

    // Two of another take all the room there is.
    const version_id w = p.deploy();
    p.finish(c.environment);
    const auto d = next(w), e = next(w);
    CHECK(e.reason == start_reason::busy);
    p.finish(d.environment), p.finish(e.environment);
    const auto f = next(v);
    CHECK(f.reason == start_reason::evicted);
    CHECK(f.kind == start_kind::cold);
    CHECK(f.no_snapshot == cold_reason::dropped);
    p.finish(f.environment);

    REQUIRE(p.fsm.set_policy(v, plain(), p.now).has_value());
    policy.max_idle = 0;
    REQUIRE(p.fsm.set_policy(v, policy, p.now).has_value());
    CHECK(p.due<terminate>().size() == 1);
    p.fsm.destroyed(f.environment, shell_fate::gone, p.now);
    CHECK_FALSE(p.fsm.hold_snapshot(v, memory * 3, true, p.now));
    const auto g = next(v);
    CHECK(g.reason == start_reason::surplus);
    CHECK(g.no_snapshot == cold_reason::no_room);

    policy.isolation = isolation::tenant;
    policy.max_idle = unlimited;
    const version_id x = p.deploy(policy);
    p.finish(g.environment);
    const auto h = next(x, "one");
    p.finish(h.environment);
    CHECK(next(x, "two").reason == start_reason::other_tenants);
}

TEST_CASE("a snapshot is charged once for its version, for as long as anything can start from it") {
    pool_at_work p;
    const version_id v = p.deploy();
    const auto a = p.begin(v), b = p.begin(v);
    REQUIRE(p.fsm.hold_snapshot(v, 3_MiB, false, p.now));
    CHECK(p.fsm.charged_memory() == memory * 2 + 3_MiB);
    CHECK(p.fsm.snapshot_memory() == 3_MiB);
    REQUIRE(p.fsm.hold_snapshot(v, 5_MiB, false, p.now));  // another in its place
    CHECK(p.fsm.snapshot_memory() == 5_MiB);
    p.finish(a);
    CHECK(p.fsm.evictable_memory() == memory);  // b stems from it
    p.finish(b);
    p.now += 15min;
    CHECK(p.due<terminate>().size() == 2);
    CHECK(p.fsm.charged_memory() == 5_MiB);
    CHECK(p.fsm.evictable_memory() == 5_MiB);
    p.fsm.retire(v, p.now);
    CHECK(p.fsm.charged_memory() == 0_MiB);
    p.fsm.destroyed(a, shell_fate::gone, p.now);
    p.fsm.destroyed(b, shell_fate::gone, p.now);
    CHECK(p.fsm.versions() == 0);
}

TEST_CASE("idle environments make room for a snapshot; without room it is not held") {
    pool_options o = no_spares();
    o.memory_budget = memory * 2;
    pool_at_work p(o);
    const version_id v = p.deploy(), w = p.deploy();
    const auto a = p.idle(v);
    const auto b = p.begin(w);
    REQUIRE(p.fsm.hold_snapshot(w, 3_MiB, false, p.now));
    const auto gone = p.due<terminate>();
    REQUIRE(gone.size() == 1);
    CHECK(gone[0].environment == a);
    p.fsm.destroyed(a, shell_fate::gone, p.now);
    CHECK(p.fsm.charged_memory() == memory + 3_MiB);

    // What is left would do for a snapshot, not for a start with it.
    CHECK_FALSE(p.fsm.hold_snapshot(v, memory, false, p.now));
    CHECK(p.fsm.charged_memory() == memory + 3_MiB);
    CHECK_FALSE(p.fsm.wants_snapshot(v));
    p.finish(b);
    CHECK(p.fsm.wants_snapshot(v));  // b would go for it
    CHECK(p.fsm.hold_snapshot(v, memory, false, p.now));
    CHECK(p.due<terminate>().empty() == false);
    p.fsm.destroyed(b, shell_fate::gone, p.now);
}

TEST_CASE("snapshots nobody lives of go for a start, after the idle environments, oldest first") {
    pool_options o = no_spares();
    o.memory_budget = memory * 2;
    pool_at_work p(o);
    std::vector<version_id> quiet;
    for (int i = 0; i < 3; ++i) {
        quiet.push_back(p.deploy());
        p.now += 1s;
        REQUIRE(p.fsm.hold_snapshot(quiet.back(), quarter, i == 0, p.now));
    }
    const version_id v = p.deploy();
    const auto a = p.idle(v);  // 7/4 are charged
    SECTION("an idle environment before them") {
        const auto s = p.arrive<start>(p.deploy());
        CHECK(s.evict == std::vector<environment_id>{a});
        CHECK(s.drop.empty());
    }
    SECTION("when that is not enough, or nothing is idle, they do") {
        p.warm(v);
        const auto s = p.arrive<start>(p.deploy());
        CHECK(s.evict.empty());
        CHECK(s.drop == quiet);
        CHECK(p.fsm.charged_memory() == memory * 2);
        CHECK(p.fsm.counters().snapshots_dropped == 3);
        p.finish(a);
        // One is on disk and comes back with a start; another is lost.
        const auto again = p.arrive<start>(quiet[1]);
        CHECK(again.evict == std::vector<environment_id>{a});
        CHECK(again.kind == start_kind::cold);
        CHECK(p.fsm.snapshot_memory() == 0_MiB);
    }
    SECTION("those that nothing was started from for long go before") {
        p.now += 14min;
        p.warm(v), p.finish(a);
        p.now += 1min;
        const auto s = p.arrive<start>(p.deploy());
        CHECK(s.drop == quiet);
        CHECK(s.evict.empty());
    }
    SECTION("a version's own stays for its start") {
        const auto s = p.arrive<start>(quiet[0]);
        CHECK(s.kind == start_kind::restored);
        CHECK(s.evict == std::vector<environment_id>{a});
        CHECK(s.drop.empty());
    }
}

TEST_CASE("a snapshot goes with the last idle environment of its version, if both must") {
    pool_options o = no_spares();
    o.memory_budget = memory * 2;
    pool_at_work p(o);
    const version_id v = p.deploy();
    const auto a = p.idle(v);
    REQUIRE(p.fsm.hold_snapshot(v, half, false, p.now));
    version_policy big = plain();
    big.memory = memory * 2;
    const version_id w = p.deploy(big);
    SECTION("idle") {
        const auto s = p.arrive<start>(w);
        CHECK(s.evict == std::vector<environment_id>{a});
        CHECK(s.drop == std::vector<version_id>{v});
    }
    SECTION("not while it runs") {
        p.warm(v);
        p.arrive<no_room>(w);
        CHECK(p.fsm.snapshot_memory() == half);
    }
}

TEST_CASE(
    "a snapshot on disk comes back with a start, if there is room for both; else it is cold") {
    pool_options o = no_spares();
    o.memory_budget = memory * 2;
    pool_at_work p(o);
    const version_id v = p.deploy(), w = p.deploy();
    const auto a = p.begin(w);
    SECTION("room") {
        CHECK(p.fsm.hold_snapshot(v, half, true, p.now));
        const auto b = p.begin(w);
        CHECK(p.fsm.snapshot_memory() == 0_MiB);  // had to go
        p.finish(b);
        CHECK_FALSE(p.fsm.wants_snapshot(v));
        REQUIRE(p.finish(a));
        const auto s = p.arrive<start>(v);
        CHECK(s.kind == start_kind::restored);
        CHECK(s.evict.size() == 2);
        CHECK(p.fsm.snapshot_memory() == half);
        SECTION("read, it turns out to be gone") {
            p.fsm.lose_snapshot(v, p.now);
            CHECK(p.fsm.snapshot_memory() == 0_MiB);
            CHECK(p.fsm.wants_snapshot(v));
        }
    }
    SECTION("none for both") {
        CHECK_FALSE(p.fsm.hold_snapshot(v, half * 3, true, p.now));
        CHECK(p.arrive<start>(v).kind == start_kind::cold);
        CHECK(p.fsm.charged_memory() == memory * 2);
    }
    SECTION("none for its own that is held") {
        CHECK(p.fsm.hold_snapshot(v, half, false, p.now));
        const auto s = p.arrive<start>(v);
        CHECK(s.kind == start_kind::cold);
        CHECK(s.drop == std::vector<version_id>{v});
        CHECK(p.fsm.charged_memory() == memory * 2);
    }
}

TEST_CASE("an environment idle for idle_ttl ends at that very time, called or not") {
    pool_at_work p;
    const version_id v = p.deploy();
    const auto a = p.idle(v);
    CHECK(*p.fsm.next_due() >= p.now);
    p.now += 15min;
    CHECK(*p.fsm.next_due() == p.now);
    p.now -= 1ns;
    CHECK(p.due<terminate>().empty());
    SECTION("a due call comes") {
        p.now += 1ns;
        const auto t = p.due<terminate>();
        REQUIRE(t.size() == 1);
        CHECK(t[0].environment == a);
    }
    SECTION("an arrival comes first, and does not get it") {
        p.now += 1ns;
        p.arrive<start>(v);
        CHECK(*p.fsm.next_due() <= p.now);
        CHECK(p.due<terminate>().size() == 1);
    }
    SECTION("an arrival just in time keeps it") { CHECK(p.warm(v) == a); }
}

TEST_CASE("a clock read earlier and told later does no harm") {
    pool_at_work p;
    const version_id v = p.deploy();
    const auto a = p.idle(v);
    p.now -= 10s;
    p.finish(p.warm(v));
    p.now += 15min;
    CHECK(p.due<terminate>().empty());  // counted from the latest time told
    p.now += 10s;
    CHECK(p.due<terminate>().at(0).environment == a);
}

TEST_CASE("min_idle environments do not expire, the newest stay") {
    pool_at_work p;
    version_policy policy = plain();
    policy.min_idle = 1;
    const version_id v = p.deploy(policy);
    const auto ahead = p.due<start>();
    REQUIRE(ahead.size() == 1);
    CHECK(ahead[0].ahead);
    CHECK(p.fsm.environments().admitted == 0);
    REQUIRE(p.fsm.started(ahead[0].environment, true, p.now));
    const auto a = p.warm(v);
    CHECK(a == ahead[0].environment);
    const auto b = p.begin(v);
    p.finish(a);
    p.now += 1min;
    p.finish(b);
    p.now += 1h;
    const auto gone = p.due<terminate>();
    REQUIRE(gone.size() == 1);
    CHECK(gone[0].environment == a);
    CHECK(p.warm(v) == b);
}

TEST_CASE("one more than max_idle is terminated") {
    pool_at_work p;
    version_policy policy = plain();
    policy.max_idle = 1;
    const version_id v = p.deploy(policy);
    const auto a = p.begin(v), b = p.begin(v);
    CHECK(p.finish(a));
    CHECK_FALSE(p.finish(b));
    CHECK(p.fsm.environments().ending == 1);
    p.fsm.destroyed(b, shell_fate::reusable, p.now);
    CHECK(p.fsm.environments().ending == 0);
    CHECK(p.fsm.shells().free_used == 1);
    SECTION("and so is what lies above a lowered one") {
        policy.max_idle = 0;
        REQUIRE(p.fsm.set_policy(v, policy, p.now).has_value());
        CHECK(p.due<terminate>().size() == 1);
    }
}

TEST_CASE("what cannot serve again is not kept") {
    pool_at_work p;
    const version_id v = p.deploy();
    const auto a = p.begin(v);
    CHECK_FALSE(p.finish(a, false));
    CHECK(p.fsm.counters().destroyed == 1);
    p.fsm.destroyed(a, shell_fate::gone, p.now);
    CHECK(p.fsm.empty());
}

TEST_CASE("the account limit throttles, with Lambda's reason, and nobody queues") {
    pool_options o = no_spares();
    o.account_concurrency = 2;
    pool_at_work p(o);
    const version_id v = p.deploy(), w = p.deploy();
    const auto a = p.begin(v);
    p.begin(w);
    const auto t = p.arrive<throttled>(v);
    CHECK(to_string(t.reason) == "ConcurrentInvocationLimitExceeded");
    CHECK(t.running == 2);
    CHECK(t.limit == 2);
    p.finish(a);
    p.warm(v);
    CHECK(p.fsm.counters().throttles[0] == 1);
}

TEST_CASE("reserved concurrency is a ceiling for its function and a floor under it") {
    pool_options o = no_spares();
    o.account_concurrency = 4;
    o.min_unreserved = 1;
    pool_at_work p(o);
    const function_id f = p.fsm.add_function();
    const version_id v = p.fsm.add_version(f, plain(), p.now).value();
    const version_id also = p.fsm.add_version(f, plain(), p.now).value();
    const version_id other = p.deploy();
    REQUIRE(p.fsm.set_reserved_concurrency(f, 2, p.now).has_value());
    CHECK(p.fsm.unreserved_concurrency() == 2);
    p.begin(other), p.begin(other);
    CHECK(p.arrive<throttled>(other).reason == throttle_reason::concurrent_invocation_limit);
    p.begin(v), p.begin(also);  // shared by its versions
    const auto t = p.arrive<throttled>(v);
    CHECK(to_string(t.reason) == "ReservedFunctionConcurrentInvocationLimitExceeded");
    CHECK(t.limit == 2);
    SECTION("zero stops a function") {
        const function_id g = p.fsm.add_function();
        const version_id stopped = p.fsm.add_version(g, plain(), p.now).value();
        REQUIRE(p.fsm.set_reserved_concurrency(g, 0, p.now).has_value());
        CHECK(p.arrive<throttled>(stopped).reason ==
              throttle_reason::reserved_concurrent_invocation_limit);
    }
    SECTION("at least min_unreserved stays for the others") {
        const auto r = p.fsm.set_reserved_concurrency(p.fsm.add_function(), 2, p.now);
        REQUIRE(r.has_error());
        CHECK(r.error() == errc::invalid_argument);
        CHECK(r.error().message() ==
              "Specified ReservedConcurrentExecutions for function decreases account's "
              "UnreservedConcurrentExecution below its minimum value of [1].");
        CHECK(p.fsm.set_reserved_concurrency(p.fsm.add_function(), 1, p.now).has_value());
    }
    SECTION("given up, it is the others' again") {
        REQUIRE(p.fsm.set_reserved_concurrency(f, std::nullopt, p.now).has_value());
        CHECK(p.fsm.unreserved_concurrency() == 4);
        CHECK(p.arrive<throttled>(v).reason == throttle_reason::concurrent_invocation_limit);
    }
}

TEST_CASE("a reservation made while others run does not lift the account limit") {
    pool_options o = no_spares();
    o.account_concurrency = 4;
    o.min_unreserved = 1;
    pool_at_work p(o);
    const version_id other = p.deploy();
    for (int i = 0; i < 4; ++i) p.begin(other);
    const function_id f = p.fsm.add_function();
    const version_id v = p.fsm.add_version(f, plain(), p.now).value();
    REQUIRE(p.fsm.set_reserved_concurrency(f, 2, p.now).has_value());
    CHECK(p.arrive<throttled>(v).reason == throttle_reason::concurrent_invocation_limit);
}

TEST_CASE("max_concurrency limits a version and reserves nothing") {
    pool_at_work p;
    version_policy policy = plain();
    policy.max_concurrency = 1;
    const version_id v = p.deploy(policy);
    p.begin(v);
    CHECK(p.arrive<throttled>(v).reason == throttle_reason::reserved_concurrent_invocation_limit);
    CHECK(p.fsm.unreserved_concurrency() == 1000);
}

TEST_CASE("provisioned environments are started ahead, used first, kept, and spilled over") {
    pool_options o = no_spares();
    o.account_concurrency = 10;
    o.min_unreserved = 2;
    pool_at_work p(o);
    version_policy policy = plain();
    policy.provisioned = 2;
    const version_id v = p.deploy(policy);
    CHECK(p.fsm.unreserved_concurrency() == 8);
    const auto ahead = p.due<start>();
    REQUIRE(ahead.size() == 2);
    for (const start& s : ahead) REQUIRE(p.fsm.started(s.environment, true, p.now));
    const auto a = p.warm(v), b = p.warm(v);
    CHECK(p.fsm.counters().spillovers == 0);
    const auto c = p.begin(v);
    CHECK(p.fsm.counters().spillovers == 1);
    p.finish(a), p.finish(b), p.finish(c);
    CHECK(p.warm(v) == b);  // c is newer, but on demand
    CHECK(p.fsm.counters().spillovers == 1);
    p.finish(b);
    p.now += 24h;
    const auto gone = p.due<terminate>();
    REQUIRE(gone.size() == 1);
    CHECK(gone[0].environment == c);
    CHECK(p.fsm.environments(v).provisioned == 2);
    SECTION("one that breaks is replaced") {
        p.warm(v);
        CHECK_FALSE(p.finish(b, false));
        CHECK(p.due<start>().size() == 1);
    }
    SECTION("lowered, the surplus ages like any other") {
        policy.provisioned = 1;
        REQUIRE(p.fsm.set_policy(v, policy, p.now).has_value());
        const auto surplus = p.due<terminate>();
        REQUIRE(surplus.size() == 1);
        CHECK(surplus[0].environment == a);
    }
    SECTION("raised, an on-demand one is taken before another is started") {
        p.warm(v), p.warm(v);
        const auto d = p.idle(v);
        policy.provisioned = 3;
        REQUIRE(p.fsm.set_policy(v, policy, p.now).has_value());
        CHECK(p.due<start>().empty());
        CHECK(p.fsm.environments(v).provisioned == 3);
        CHECK(p.warm(v) == d);
    }
}

TEST_CASE("others cannot use what is provisioned, nor the version more than its function's limit") {
    pool_options o = no_spares();
    o.account_concurrency = 5;
    o.min_unreserved = 1;
    pool_at_work p(o);
    version_policy policy = plain();
    policy.provisioned = 2;
    const function_id f = p.fsm.add_function();
    const version_id v = p.fsm.add_version(f, policy, p.now).value();
    const version_id other = p.deploy();
    SECTION("of the account") {
        for (int i = 0; i < 3; ++i) p.begin(other);
        CHECK(p.arrive<throttled>(other).limit == 3);
        p.begin(v), p.begin(v);
        CHECK(p.arrive<throttled>(v).reason == throttle_reason::concurrent_invocation_limit);
    }
    SECTION("of a reservation") {
        REQUIRE(p.fsm.set_reserved_concurrency(f, 3, p.now).has_value());
        const version_id sibling = p.fsm.add_version(f, plain(), p.now).value();
        p.begin(sibling);
        CHECK(p.arrive<throttled>(sibling).reason ==
              throttle_reason::reserved_concurrent_invocation_limit);
        p.begin(v), p.begin(v);
        CHECK(p.arrive<throttled>(v).limit == 3);
        CHECK(p.fsm.set_reserved_concurrency(f, 1, p.now).has_error());
        policy.provisioned = 4;
        CHECK(p.fsm.set_policy(v, policy, p.now).has_error());
    }
}

TEST_CASE("what cannot be provisioned is refused and changes nothing") {
    pool_options o = no_spares();
    o.account_concurrency = 110;
    pool_at_work p(o);
    version_policy policy = plain();
    policy.provisioned = 11;
    CHECK(p.fsm.add_version(p.fsm.add_function(), policy, p.now).has_error());
    policy.provisioned = 10;
    const version_id v = p.deploy(policy);
    policy.provisioned = 11;
    CHECK(p.fsm.set_policy(v, policy, p.now).has_error());
    policy = plain();
    policy.provisioned = 1;
    policy.isolation = isolation::tenant;
    CHECK(p.fsm.add_version(p.fsm.add_function(), policy, p.now).has_error());
    CHECK(p.fsm.versions() == 1);
    policy = plain();
    policy.memory = 256_MiB;
    CHECK(p.fsm.set_policy(v, policy, p.now).error() == errc::invalid_argument);
}

TEST_CASE("the scale-up rate throttles starts, not reuse, and recovers evenly") {
    pool_options o = no_spares();
    o.scale_up_starts = 2;
    o.scale_up_period = 10s;
    pool_at_work p(o);
    const version_id v = p.deploy(), other = p.deploy();
    const auto a = p.begin(v);
    p.begin(v);
    CHECK(to_string(p.arrive<throttled>(v).reason) == "FunctionInvocationRateLimitExceeded");
    CHECK(p.fsm.environments(v).admitted == 2);
    p.begin(other);
    p.finish(a);
    p.warm(v);
    p.now += 5s - 1ns;
    p.arrive<throttled>(v);
    p.now += 1ns;
    p.begin(v);
    p.arrive<throttled>(v);
}

TEST_CASE("an environment serves one tenant in its life") {
    pool_at_work p;
    version_policy policy = plain();
    policy.isolation = isolation::tenant;
    policy.min_idle = 1;
    const version_id v = p.deploy(policy);
    const auto ahead = p.due<start>();
    REQUIRE(ahead.size() == 1);
    REQUIRE(p.fsm.started(ahead[0].environment, true, p.now));
    const auto a = p.warm(v, "a");  // the one of no tenant yet
    p.finish(a);
    const auto b = p.idle(v, "b");
    CHECK(p.warm(v, "a") == a);
    p.finish(a);
    CHECK(p.warm(v, "b") == b);
    p.arrive<start>(v, "");  // no tenant is a tenant too
    p.arrive<start>(v, "b");
}

TEST_CASE("short of memory, the least recently used idle environments of all versions go") {
    pool_options o = no_spares();
    o.memory_budget = memory * 4;
    pool_at_work p(o);
    const version_id v = p.deploy(), w = p.deploy();
    version_policy big = plain();
    big.memory = memory * 2;
    const version_id x = p.deploy(big);
    const auto a = p.begin(v), b = p.begin(w), c = p.begin(v), d = p.begin(w);
    for (const auto e : {b, c, a}) {
        p.now += 1s;
        p.finish(e);
    }
    const auto s = p.arrive<start>(x);
    CHECK(s.evict == std::vector<environment_id>{b, c});
    CHECK(p.fsm.charged_memory() == memory * 4);
    for (const auto e : s.evict) p.fsm.destroyed(e, shell_fate::reusable, p.now);
    SECTION("when that is not enough, nothing goes, and it says so") {
        const auto n = p.arrive<no_room>(x);
        CHECK(n.needed == memory * 2);
        CHECK(n.free == 0_MiB);
        CHECK(p.fsm.environments(x).admitted == 1);
        CHECK(p.warm(v) == a);
    }
    SECTION("what runs and what is provisioned stays") {
        big = plain();
        big.provisioned = 1;
        REQUIRE(p.fsm.set_policy(v, big, p.now).has_value());  // takes a
        p.arrive<no_room>(v == p.fsm.version_of(a) ? w : v);
        p.finish(d);
        CHECK(p.arrive<reuse>(w).environment == d);
    }
}

TEST_CASE("min_idle starts evict nothing, provisioned ones do, both wait for memory") {
    pool_options o = no_spares();
    o.memory_budget = memory;
    pool_at_work p(o);
    const version_id v = p.deploy();
    const auto a = p.begin(v);
    version_policy policy = plain();
    SECTION("min_idle") {
        policy.min_idle = 1;
        p.deploy(policy);
        CHECK(p.due<start>().empty());
        p.finish(a);
        CHECK(p.due<start>().empty());
        p.now += 15min;
        std::vector<action> all;
        p.fsm.due(p.now, all);
        REQUIRE(all.size() == 2);
        CHECK(std::get<terminate>(all[0]).environment == a);
        CHECK(std::holds_alternative<start>(all[1]));
    }
    SECTION("provisioned") {
        policy.provisioned = 1;
        const version_id w = p.deploy(policy);
        CHECK(p.due<start>().empty());
        p.finish(a);
        CHECK(*p.fsm.next_due() <= p.now);
        const auto s = p.due<start>();
        REQUIRE(s.size() == 1);
        CHECK(s[0].evict == std::vector<environment_id>{a});
        p.fsm.destroyed(a, shell_fate::reusable, p.now);
        REQUIRE(p.fsm.started(s[0].environment, true, p.now));
        p.arrive<no_room>(v);
        p.warm(w);
    }
}

TEST_CASE("a failing start ahead is tried again later and later") {
    pool_at_work p;
    version_policy policy = plain();
    policy.min_idle = 1;
    const version_id v = p.deploy(policy);
    auto wait = 1s;
    for (int i = 0; i < 10; ++i) {
        const auto s = p.due<start>();
        REQUIRE(s.size() == 1);
        p.fsm.start_failed(s[0].environment, shell_fate::gone, p.now);
        CHECK(*p.fsm.next_due() == p.now + wait);
        p.now += wait - 1ns;
        CHECK(p.due<start>().empty());
        p.now += 1ns;
        wait = std::min(wait * 2, 60s);
    }
    p.begin(v);  // an invocation does not wait for that
}

TEST_CASE("an idle environment gives its shell back and gets one again when used") {
    pool_options o = no_spares();
    o.detach_after = 1s;
    o.memory_budget = memory * 2;
    pool_at_work p(o);
    const version_id v = p.deploy();
    const auto a = p.idle(v);
    const shell_id shell = p.fsm.shell_of(a);
    CHECK(shell);
    p.now += 1s - 1ns;
    CHECK(p.due<detach>().empty());
    CHECK(*p.fsm.next_due() == p.now + 1ns);
    p.now += 1ns;
    p.go_detached(a);
    CHECK_FALSE(p.fsm.shell_of(a));
    CHECK(p.fsm.environments().idle_detached == 1);
    CHECK(p.fsm.charged_memory() == 64_KiB);
    const auto r = p.arrive<reattach>(v);
    CHECK(r.environment == a);
    CHECK(r.shell.shell == shell);
    CHECK(r.shell.source == shell_source::same_version);
    CHECK(p.fsm.charged_memory() == memory);
    CHECK(p.finish(a));
    CHECK(p.warm(v) == a);
}

TEST_CASE("while it is being detached an environment serves nobody, and may still expire") {
    pool_options o = no_spares();
    o.detach_after = 15min;
    pool_at_work p(o);
    const version_id v = p.deploy();
    const auto a = p.idle(v);
    p.now += 15min - 1ns;
    version_policy policy = plain();
    policy.idle_ttl = 15min + 1s;
    REQUIRE(p.fsm.set_policy(v, policy, p.now).has_value());
    p.now += 1ns;
    REQUIRE(p.due<detach>().size() == 1);
    p.arrive<start>(v);
    p.now += 1s;
    CHECK(p.due<terminate>().empty());  // told when the detach is reported
    CHECK_FALSE(p.fsm.detached(a, 4_KiB, p.now));
    p.fsm.destroyed(a, shell_fate::reusable, p.now);
    CHECK(p.fsm.environments().live() == 1);
    CHECK(p.fsm.shells().free_used == 1);
}

TEST_CASE("a detach that fails leaves an environment that keeps its shell") {
    pool_options o = no_spares();
    o.detach_after = 1s;
    pool_at_work p(o);
    const version_id v = p.deploy();
    const auto a = p.idle(v);
    p.now += 1s;
    REQUIRE(p.due<detach>().size() == 1);
    CHECK(p.fsm.detach_failed(a, p.now));
    p.now += 1s;
    CHECK(p.due<detach>().empty());
    CHECK(p.warm(v) == a);
}

TEST_CASE("above max_attached_idle those idle longest are detached at once, a few at a time") {
    pool_options o = no_spares();
    o.max_attached_idle = 2;
    o.max_detaching = 2;
    pool_at_work p(o);
    const version_id v = p.deploy();
    std::vector<environment_id> all;
    for (int i = 0; i < 5; ++i) all.push_back(p.begin(v));
    for (const auto e : all) p.finish(e);
    CHECK(*p.fsm.next_due() <= p.now);
    auto d = p.due<detach>();
    REQUIRE(d.size() == 2);
    CHECK(d[0].environment == all[0]);
    CHECK(d[1].environment == all[1]);
    CHECK(p.fsm.detached(all[0], 4_KiB, p.now));
    d = p.due<detach>();
    REQUIRE(d.size() == 1);
    CHECK(d[0].environment == all[2]);
}

TEST_CASE("detached environments are evicted after attached ones") {
    pool_options o = no_spares();
    o.detach_after = 1s;
    o.memory_budget = memory * 2;
    pool_at_work p(o);
    const version_id v = p.deploy(), w = p.deploy();
    const auto a = p.idle(v);
    p.now += 1s;
    p.go_detached(a);
    const auto b = p.idle(w);
    const version_id x = p.deploy();
    const auto s = p.arrive<start>(x);  // both diffs and one more do not fit beside
    CHECK(s.evict == std::vector<environment_id>{b});
    p.fsm.destroyed(b, shell_fate::reusable, p.now);
    const auto t = p.arrive<start>(x);
    CHECK(t.evict == std::vector<environment_id>{a});
}

TEST_CASE("a diff larger than the memory size counts, and those idle longest go for it") {
    pool_options o = no_spares();
    o.detach_after = 1s;
    o.memory_budget = memory * 3;
    pool_at_work p(o);
    const version_id v = p.deploy(), w = p.deploy();
    const auto a = p.idle(v);
    p.now += 1s;
    p.go_detached(a, memory * 2);
    CHECK(p.fsm.charged_memory() == memory * 2);
    const auto b = p.idle(w);
    CHECK(p.fsm.charged_memory() == memory * 3);
    p.now += 1s;
    p.go_detached(b, memory * 2);
    const auto t = p.due<terminate>();
    REQUIRE(t.size() == 1);
    CHECK(t[0].environment == a);
    CHECK(p.fsm.charged_memory() == memory * 2);
    CHECK(p.fsm.evictable_memory() == memory * 2);
}

TEST_CASE("provisioned environments are charged in full when detached, so they always have room") {
    pool_options o = no_spares();
    o.detach_after = 1s;
    o.memory_budget = memory * 2;
    pool_at_work p(o);
    version_policy policy = plain();
    policy.provisioned = 1;
    const version_id v = p.deploy(policy), w = p.deploy();
    const auto s = p.due<start>();
    REQUIRE(s.size() == 1);
    REQUIRE(p.fsm.started(s[0].environment, true, p.now));
    p.now += 1s;
    p.go_detached(s[0].environment);
    CHECK(p.fsm.charged_memory() == memory);
    p.begin(w);
    p.arrive<no_room>(w);
    CHECK(p.arrive<reattach>(v).environment == s[0].environment);
}

TEST_CASE("a start takes the best shell there is") {
    pool_options o = no_spares();
    o.max_shells = 3;
    pool_at_work p(o);
    const version_id v = p.deploy(), w = p.deploy();
    const auto lose = [&](environment_id e) {  // ends, and leaves its shell free
        CHECK_FALSE(p.finish(e, false));
        p.fsm.destroyed(e, shell_fate::reusable, p.now);
    };
    const auto a = p.begin(v), b = p.begin(w), c = p.begin(w);
    const shell_id of_a = p.fsm.shell_of(a), of_b = p.fsm.shell_of(b), of_c = p.fsm.shell_of(c);
    lose(a), lose(b), lose(c);
    auto s = p.arrive<start>(v);
    CHECK(s.shell.source == shell_source::same_version);
    CHECK(s.shell.shell == of_a);
    s = p.arrive<start>(v);
    CHECK(s.shell.source == shell_source::made);  // another's would be of no use
    const auto gone = p.due<destroy_shell>();     // and goes, now that room is needed
    REQUIRE(gone.size() == 1);
    CHECK(gone[0].shell == of_b);  // free for longest
    CHECK(p.fsm.shells().destroying == 1);
    s = p.arrive<start>(w);
    CHECK(s.shell.source == shell_source::same_version);
    CHECK(s.shell.shell == of_c);
    s = p.arrive<start>(w);
    CHECK(s.shell.source == shell_source::made);  // above max_shells: all of them run
    CHECK(p.fsm.shells().in_use == 4);
    CHECK(p.due<destroy_shell>().empty());
}

TEST_CASE("a start that has no shell of its own takes a blank one, whatever others left") {
    pool_options o = no_spares();
    o.spare_shells = 1;
    o.max_shells = 1;
    pool_at_work p(o);
    const version_id v = p.deploy(), w = p.deploy();
    const auto spare = [&] {
        for (const auto& m : p.due<make_shell>()) p.fsm.shell_made(m.shell, true, p.now);
    };
    spare();
    const auto a = p.begin(v);
    spare();  // beside the one that max_shells allows: nobody is to wait for one
    CHECK(p.fsm.shells().alive() == 2);
    CHECK_FALSE(p.finish(a, false));
    p.fsm.destroyed(a, shell_fate::reusable, p.now);
    CHECK(p.fsm.shells().free_used == 1);
    CHECK(p.arrive<start>(w).shell.source == shell_source::blank);
    CHECK(p.fsm.counters().shells_granted[std::size_t(shell_source::blank)] == 2);
    SECTION("and theirs is there for them") {
        CHECK(p.arrive<start>(v).shell.source == shell_source::same_version);
    }
    SECTION("what is given back of no use to its version is gone at once") {
        const auto c = p.begin(v);
        p.fsm.suspended(c, p.now, shell_fate::gone);
        CHECK(p.fsm.shells().free_used == 0);
        CHECK(p.fsm.shells().in_use == 1);
    }
    SECTION("a version that is gone leaves none") {
        p.fsm.retire(v, p.now);
        std::vector<action> all;
        p.fsm.due(p.now, all);
        CHECK(std::holds_alternative<destroy_shell>(all.at(0)));
        CHECK(p.fsm.shells().free_used == 0);
    }
}

TEST_CASE("at max_shells idle environments lose theirs, longest idle first, and no start waits") {
    pool_options o = no_spares();
    o.max_shells = 2;
    pool_at_work p(o);
    const version_id v = p.deploy(), w = p.deploy();
    const auto a = p.begin(v), b = p.begin(v);
    p.finish(b);
    p.now += 1s;
    p.finish(a);
    CHECK(p.due<detach>().empty());
    CHECK(p.arrive<start>(w).shell.source == shell_source::made);
    CHECK(*p.fsm.next_due() <= p.now);
    const auto d = p.due<detach>();
    REQUIRE(d.size() == 1);
    CHECK(d[0].environment == b);
    CHECK(p.fsm.detached(b, 4_KiB, p.now));
    CHECK(p.due<destroy_shell>().size() == 1);
    CHECK(p.warm(v) == a);
    CHECK(p.arrive<reattach>(v).shell.source == shell_source::made);
}

TEST_CASE("while retiring does not keep up, a start that has a shell made detaches an idle one") {
    pool_options o = no_spares();
    o.max_shells = 1;
    o.max_detaching = 2;
    pool_at_work p(o);
    std::vector<environment_id> idle;
    for (int i = 0; i < 3; ++i) {
        const auto s = p.arrive<start>(p.deploy());
        CHECK_FALSE(s.shell.from);
        REQUIRE(p.fsm.started(s.environment, true, p.now));
        p.finish(s.environment);
        idle.push_back(s.environment);
        p.now += 1s;
    }
    const auto s = p.arrive<start>(p.deploy());
    CHECK(s.shell.source == shell_source::made);
    CHECK(s.shell.from == idle[0]);
    CHECK(p.fsm.shell_of(idle[0]));
    CHECK(p.fsm.detached(idle[0], 4_KiB, p.now));
    CHECK(p.fsm.shells().free_used == 1);
}

TEST_CASE("at max_shells a start takes that of its own version's idle one, blank or not") {
    pool_options o = GENERATE(no_spares(), pool_options());
    o.max_shells = 2;
    pool_at_work p(o);
    version_policy policy = plain();
    policy.isolation = isolation::tenant;
    const version_id v = p.deploy(policy), w = p.deploy();
    p.idle(w);
    p.now += 1s;
    const auto b = p.idle(v, "alice");
    const shell_id shell = p.fsm.shell_of(b);
    const auto s = p.arrive<start>(v, "bob");
    CHECK(s.shell.source == shell_source::stolen);
    CHECK(s.shell.shell == shell);
    CHECK(s.shell.from == b);
    SECTION("which is detached") {
        CHECK(p.fsm.detached(b, 4_KiB, p.now));
        CHECK(p.fsm.shell_of(s.environment) == shell);
        CHECK(p.fsm.shells().in_use == 2);
        CHECK(p.arrive<reattach>(v, "alice").environment == b);
    }
    SECTION("or lost, if it cannot be") {
        CHECK_FALSE(p.fsm.detach_failed(b, p.now));
        p.fsm.destroyed(b, shell_fate::gone, p.now);
        CHECK(p.fsm.shells().in_use == 2);
    }
}

TEST_CASE("what sleeps gives its shell to others when they get short, and gets one to go on") {
    auto o = no_spares();
    o.max_shells = 4;
    pool_at_work p(o);
    const version_id v = p.deploy();
    const auto a = p.begin(v), b = p.begin(v), c = p.begin(v);
    CHECK_FALSE(p.fsm.wants_shell_of(a));  // three of four are what sleepers may keep
    const auto d = p.begin(v);
    p.fsm.set_detachable(b, false, p.now);
    CHECK_FALSE(p.fsm.wants_shell_of(b));
    REQUIRE(p.fsm.wants_shell_of(a));
    const shell_id was = p.fsm.shell_of(a);
    p.fsm.suspended(a, p.now);
    CHECK(p.fsm.inconsistency() == "");
    CHECK_FALSE(p.fsm.shell_of(a));
    CHECK_FALSE(p.fsm.wants_shell_of(a));
    CHECK_FALSE(p.fsm.wants_shell_of(c));
    CHECK(p.fsm.environments().running == 4);
    CHECK(p.fsm.charged_memory() == memory * 4);

    const auto next = p.arrive<start>(v);
    CHECK(next.shell.source == shell_source::same_version);
    CHECK(next.shell.shell == was);
    REQUIRE(p.fsm.started(next.environment, true, p.now));

    // It goes on: with one of its own again, the idle one's rather than a fifth.
    CHECK(p.finish(d));
    const shell_grant again = p.fsm.resume(a, p.now);
    CHECK(p.fsm.inconsistency() == "");
    CHECK(again.source == shell_source::stolen);
    CHECK(again.from == d);
    CHECK(p.fsm.shell_of(a) == again.shell);
    REQUIRE(p.fsm.detached(d, 64_KiB, p.now));
    CHECK(p.finish(a));
    CHECK(p.fsm.shells().alive() == 4);

    // Stopped in its sleep it needs none.
    REQUIRE(p.fsm.wants_shell_of(c));
    p.fsm.suspended(c, p.now);
    CHECK_FALSE(p.finish(c, false));
    p.fsm.destroyed(c, shell_fate::reusable, p.now);
    CHECK(p.fsm.environments().running == 2);
}

TEST_CASE("a shell given back while all others run waits for the next start") {
    auto o = no_spares();
    o.max_shells = 2;
    o.spare_shells = 1;
    pool_at_work p(o);
    const version_id v = p.deploy();
    const auto a = p.begin(v), b = p.begin(v), c = p.begin(v);
    const auto spare = p.due<make_shell>();
    REQUIRE(spare.size() == 1);
    p.fsm.shell_made(spare[0].shell, true, p.now);
    p.fsm.suspended(c, p.now);
    CHECK(p.due<destroy_shell>().empty());
    CHECK(p.arrive<start>(v).shell.source == shell_source::same_version);
    p.fsm.suspended(b, p.now);
    p.fsm.suspended(a, p.now);  // two are free now, one is enough
    CHECK(p.due<destroy_shell>().size() == 1);
}

TEST_CASE("shells fit environments of their size only") {
    pool_options o = no_spares();
    o.max_shells = 1;
    pool_at_work p(o);
    version_policy big = plain();
    big.memory = 256_MiB;
    const version_id v = p.deploy(), w = p.deploy(big);
    const auto a = p.begin(v);
    p.finish(a, false);
    p.fsm.destroyed(a, shell_fate::reusable, p.now);
    const auto s = p.arrive<start>(w);
    CHECK(s.shell.source == shell_source::made);
    const auto gone = p.due<destroy_shell>();  // makes way, and nobody waits for it
    REQUIRE(gone.size() == 1);
    p.fsm.shell_destroyed(gone[0].shell, p.now);
    CHECK(p.fsm.shells().alive() == 1);
    big.shell_size = memory;
    big.memory = 64_MiB;
    const version_id x = p.deploy(big);
    CHECK(p.arrive<start>(x).shell.source == shell_source::made);
}

TEST_CASE("an evicted environment's shell goes to a start of its version that it was evicted for") {
    pool_options o = no_spares();
    o.memory_budget = memory;
    pool_at_work p(o);
    version_policy policy = plain();
    policy.isolation = isolation::tenant;
    const version_id v = p.deploy(policy), w = p.deploy();
    const auto a = p.idle(v, "alice");
    const shell_id shell = p.fsm.shell_of(a);
    SECTION("of another tenant") {
        const auto s = p.arrive<start>(v, "bob");
        CHECK(s.shell.source == shell_source::evicted);
        CHECK(s.shell.from == a);
        CHECK(s.shell.shell == shell);
        // Says nothing about a shell that is not its own.
        p.fsm.destroyed(a, shell_fate::gone, p.now);
        CHECK(p.fsm.shells().in_use == 1);
    }
    SECTION("unless it was loaded there, not restored") {
        p.fsm.set_detachable(a, false, p.now);
        CHECK(p.arrive<start>(v, "bob").shell.source == shell_source::made);
    }
    SECTION("and to no other version's") {
        CHECK(p.arrive<start>(w).shell.source == shell_source::made);
        p.fsm.destroyed(a, shell_fate::reusable, p.now);
        CHECK(p.fsm.shells().free_used == 1);
    }
}

TEST_CASE("spare shells are made ahead, surplus ones destroyed") {
    pool_options o = no_spares();
    o.spare_shells = 2;
    pool_at_work p(o);
    const version_id v = p.deploy();
    auto made = p.due<make_shell>();
    REQUIRE(made.size() == 2);
    CHECK(made[0].size == memory);
    CHECK(p.due<make_shell>().empty());
    for (const auto& m : made) p.fsm.shell_made(m.shell, true, p.now);
    CHECK(p.fsm.shells().blank == 2);
    const auto s = p.arrive<start>(v);
    CHECK(s.shell.source == shell_source::blank);
    CHECK(*p.fsm.next_due() <= p.now);
    made = p.due<make_shell>();
    REQUIRE(made.size() == 1);
    SECTION("one that cannot be made is tried again later") {
        p.fsm.shell_made(made[0].shell, false, p.now);
        CHECK(p.due<make_shell>().empty());
        CHECK(*p.fsm.next_due() == p.now + 1s);
        p.now += 1s;
        CHECK(p.due<make_shell>().size() == 1);
    }
    SECTION("beyond the spare ones and the last used they go after free_shell_ttl") {
        p.fsm.shell_made(made[0].shell, true, p.now);
        const auto t = p.arrive<start>(v);
        made = p.due<make_shell>();
        REQUIRE(made.size() == 1);
        p.fsm.shell_made(made[0].shell, true, p.now);
        for (const auto e : {s.environment, t.environment}) {
            p.fsm.start_failed(e, shell_fate::reusable, p.now);
            p.fsm.leave(v, p.now);
        }
        CHECK(p.fsm.shells().free_used == 2);
        CHECK(p.fsm.shells().blank == 2);
        p.now += 10s - 1ns;
        CHECK(p.due<destroy_shell>().empty());
        p.now += 1ns;
        CHECK(*p.fsm.next_due() <= p.now);
        const auto gone = p.due<destroy_shell>();
        REQUIRE(gone.size() == 1);
        CHECK(gone[0].shell == s.shell.shell);
        p.fsm.shell_destroyed(gone[0].shell, p.now);
        p.now += 1h;
        CHECK(p.due<destroy_shell>().empty());  // the size used last stays in demand
        p.fsm.retire(v, p.now);
        CHECK(p.due<destroy_shell>().size() == 3);
    }
}

TEST_CASE("a retired version's idle environments go at once, its running ones when they finish") {
    pool_at_work p;
    const version_id v = p.deploy();
    const auto a = p.begin(v), b = p.begin(v);
    p.finish(b);
    p.fsm.retire(v, p.now);
    const auto t = p.due<terminate>();
    REQUIRE(t.size() == 1);
    CHECK(t[0].environment == b);
    p.arrive<refused>(v);
    p.fsm.destroyed(b, shell_fate::reusable, p.now);
    CHECK(p.fsm.versions() == 1);
    CHECK_FALSE(p.finish(a));
    p.fsm.destroyed(a, shell_fate::reusable, p.now);
    CHECK(p.fsm.versions() == 0);
    CHECK(p.fsm.environments(v) == environment_counts{});
    p.arrive<refused>(v);
    const version_id next = p.deploy();
    CHECK(next.index == v.index);
    CHECK(next != v);
}

TEST_CASE("an execution may be admitted and assigned its environment later") {
    pool_options o = no_spares();
    o.account_concurrency = 2;
    pool_at_work p(o);
    const version_id v = p.deploy();
    const auto a = p.begin(v);
    CHECK(std::holds_alternative<std::monostate>(p.fsm.admit(v, p.now)));
    CHECK(std::holds_alternative<throttled>(p.fsm.admit(v, p.now)));
    p.finish(a);
    CHECK(std::get<reuse>(p.fsm.assign(v, {}, p.now)).environment == a);
    CHECK(p.fsm.environments().admitted == 1);
    p.finish(a);
    CHECK(p.fsm.quiet());
}

TEST_CASE("an environment may be prepared for no invocation, within no concurrency limit") {
    pool_options o = no_spares();
    o.account_concurrency = 0;
    o.memory_budget = memory;
    pool_at_work p(o);
    const version_id v = p.deploy();
    auto d = p.fsm.prepare(v, p.now);
    REQUIRE(std::holds_alternative<start>(d));
    CHECK(std::get<start>(d).ahead);
    CHECK_FALSE(p.fsm.quiet());
    CHECK(std::holds_alternative<no_room>(p.fsm.prepare(v, p.now)));
    CHECK(p.fsm.started(std::get<start>(d).environment, false, p.now));
    CHECK(p.fsm.environments().idle_attached == 1);
    CHECK(p.fsm.quiet());
}

TEST_CASE("draining admits nothing and lets the rest finish; a shutdown leaves nothing") {
    pool_options o = no_spares();
    o.spare_shells = 1;
    pool_at_work p(o);
    version_policy policy = plain();
    policy.min_idle = 1;
    const version_id v = p.deploy(policy);
    const auto a = p.begin(v), b = p.begin(v);
    const auto made = p.due<make_shell>();
    REQUIRE(made.size() == 1);
    p.finish(b);
    p.fsm.drain();
    p.arrive<refused>(v);
    CHECK(std::holds_alternative<refused>(p.fsm.prepare(v, p.now)));
    CHECK_FALSE(p.fsm.quiet());
    p.finish(a);
    CHECK(p.fsm.quiet());
    CHECK(p.fsm.environments().idle() == 2);
    p.fsm.shut_down(p.now);
    for (const terminate& t : p.due<terminate>())
        p.fsm.destroyed(t.environment, shell_fate::reusable, p.now);
    p.fsm.shell_made(made[0].shell, true, p.now);
    const auto rest = p.due<destroy_shell>();
    CHECK(rest.size() == 3);
    for (const destroy_shell& d : rest) p.fsm.shell_destroyed(d.shell, p.now);
    CHECK(p.fsm.empty());
    CHECK_FALSE(p.fsm.next_due());
}

TEST_CASE("durations without end mean never") {
    pool_options o = no_spares();
    o.detach_after = std::chrono::nanoseconds::max();
    o.free_shell_ttl = std::chrono::nanoseconds::max();
    pool_at_work p(o);
    version_policy policy = plain();
    policy.idle_ttl = std::chrono::nanoseconds::max();
    const version_id v = p.deploy(policy);
    const auto a = p.idle(v);
    CHECK(p.due<terminate>().empty());
    CHECK_FALSE(p.fsm.next_due());
    p.now += 10000h;
    CHECK(p.warm(v) == a);
}
