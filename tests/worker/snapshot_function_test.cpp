// How functions start from snapshots, what their isolation promises, and what becomes of idle ones.

#include "functions.hpp"
#include "temporary_directory.hpp"

#include <boost/asio.hpp>
#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

using namespace functions;
using namespace std::chrono_literals;
using hearth::isolation;
using hearth::start_kind;

namespace {

/// What "search" of snapshot_guest answers where nobody left anything: no secret in memory, files,
/// descriptors or registers of any kind, no timer, no signal, no handler of others.
const std::string clean = "memory=0 file=0 gs=0 handler=0 timer=0";
const std::string clean_rest =
    "unclean=0 x87=0 vectors=0 avx512=0 fcw=37f mxcsr=1f80 regs=0 fs=0 files=0 timers=0 timerfds=0 "
    "mask=0 pending=0 altstack=0";
bool is_clean(const std::string& found) {
    return found.starts_with(clean) && found.ends_with(clean_rest);
}

hearth::response ask(hearth::worker::deployed_version& f,
                     std::string payload,
                     std::string tenant = {}) {
    auto e = event(std::move(payload));
    e.tenant_id = std::move(tenant);
    auto r = f.invoke(std::move(e));
    INFO((r.has_error() ? r.error().message() : ""));
    REQUIRE(r.has_value());
    return *r;
}

struct told final : hearth::observer {
    void on_log(const hearth::log_record& r) override {
        const std::lock_guard lock(mutex);
        text += std::string(r.message) + '\n';
    }
    std::mutex mutex;
    std::string text;
};

/// Memory of snapshots that this process has.
std::ptrdiff_t snapshots_in_memory() {
    return std::ranges::count_if(std::filesystem::directory_iterator("/proc/self/fd"),
                                 [](const auto& fd) {
                                     std::error_code gone;  // the directory's own
                                     return std::filesystem::read_symlink(fd.path(), gone)
                                                .string()
                                                .find("memfd:hearth-snapshot") != std::string::npos;
                                 });
}

}  // namespace

TEST_CASE("init runs once: then every start is restored, and begins where init ended") {
    const auto guest =
        GENERATE(as<std::string>(), "function_http", "function_http_dynamic", "function_native");
    auto w = make();
    auto f = w->deploy(spec(guest));
    REQUIRE(f->initialize().has_value());
    CHECK(w->metrics().pool.cold_starts == 0);  // for no invocation
    const auto first = ask(*f, "\"count\"");
    CHECK(first.report.start == start_kind::restored);
    CHECK(first.report.boot.count() > 0);
    CHECK(first.report.init.count() == 0);
    CHECK(first.report.reason == hearth::start_reason::first);
    CHECK(first.report.no_snapshot == hearth::cold_reason::none);
    CHECK(first.payload == "1");
    CHECK(first.log_tail.find("init\n") == std::string::npos);
    const auto second = ask(*f, "\"count\"");
    CHECK(second.report.start == start_kind::warm);
    CHECK(second.report.reason == hearth::start_reason::none);
    CHECK(second.payload == "2");
}

TEST_CASE("what snapshots hold is known, and charged to no environment") {
    auto w = make();
    auto s = spec("snapshot_guest");
    s.pool.max_idle = 0;
    auto f = w->deploy(s);
    CHECK(w->metrics().snapshot_memory.bytes() == 0);
    REQUIRE(f->initialize().has_value());
    const auto one = w->metrics().snapshot_memory.bytes();
    CHECK(one >= 200u << 10);
    CHECK(one < 8u << 20);
    CHECK(w->metrics().guest_memory.bytes() == 0);
    s.function_name += "2", s.function_arn += "2";
    auto g = w->deploy(s);
    REQUIRE(g->initialize().has_value());
    CHECK(w->metrics().snapshot_memory.bytes() > one);
    g.reset();
    CHECK(w->metrics().snapshot_memory.bytes() == one);
}

TEST_CASE("a budget with room for an environment but not its snapshot: every start is cold") {
    const auto observer = std::make_shared<told>();
    auto o = options();
    o.observer = observer;
    o.memory_budget = hearth::byte_count(128u << 20);
    auto w = make(o);
    auto s = spec("snapshot_guest");
    auto f = w->deploy(s);
    s.function_name += "2", s.function_arn += "2";
    auto g = w->deploy(s);
    REQUIRE(f->initialize().has_value());
    CHECK(w->metrics().pool.idle == 1);  // of use: it is what there is
    CHECK(snapshots_in_memory() == 0);
    CHECK(observer->text.find("the snapshot of " + f->spec().function_name + " needs ") !=
          std::string::npos);
    CHECK(observer->text.find("0 MB are free of the memory budget of 128 MB: its starts stay "
                              "cold until there is room; raise memory_budget") !=
          std::string::npos);
    CHECK(ask(*f, "count").report.start == start_kind::warm);
    REQUIRE(g->initialize().has_value());
    observer->text.clear();
    for (auto& each : {f, g, f}) {
        const auto r = ask(*each, "count");
        CHECK(r.payload == "1");
        CHECK(r.report.start == start_kind::cold);
        CHECK(r.report.reason == hearth::start_reason::evicted);
        CHECK(r.report.no_snapshot == hearth::cold_reason::no_room);
    }
    CHECK(observer->text.empty());  // said once of each
    CHECK(w->metrics().snapshot_memory.bytes() == 0);
    CHECK(snapshots_in_memory() == 0);
}

TEST_CASE("a stored snapshot that the budget has no room for: nothing is initialised for it") {
    const temporary_directory directory;
    auto o = options();
    o.snapshot_directory = directory.path();
    const auto s = spec("snapshot_guest");
    REQUIRE(make(o)->deploy(s)->initialize().has_value());
    o.memory_budget = hearth::byte_count(128u << 20);
    auto w = make(o);
    auto other = spec("function_http");
    other.snapshot = false;
    auto g = w->deploy(other);
    endless busy(*g);
    REQUIRE(soon([&] { return w->metrics().pool.running == 1; }));
    auto f = w->deploy(s);
    CHECK(soon([] { return snapshots_in_memory() == 0; }));
    CHECK(f->initialize().has_value());
    CHECK(w->metrics().pool.starts_ahead == 0);
    busy.cancel();
    CHECK(busy.end() == boost::asio::error::operation_aborted);
    const auto r = ask(*f, "count");
    CHECK(r.report.start == start_kind::cold);
    CHECK(r.report.no_snapshot == hearth::cold_reason::no_room);
    CHECK(w->metrics().snapshot_memory.bytes() == 0);
}

TEST_CASE("a snapshot that goes for want of memory is read from disk again, else init runs again") {
    const bool on_disk = GENERATE(true, false);
    const temporary_directory directory;
    auto s = spec("snapshot_guest");
    s.pool.max_idle = 0;
    const auto size = [&] {
        auto w = make();
        auto f = w->deploy(s);
        REQUIRE(f->initialize().has_value());
        return w->metrics().snapshot_memory.bytes();
    }();
    auto o = options();
    if (on_disk) o.snapshot_directory = directory.path();
    o.memory_budget = hearth::byte_count((128u << 20) + size * 3 / 2);
    auto w = make(o);
    auto f = w->deploy(s);
    s.function_name += "2", s.function_arn += "2";
    auto g = w->deploy(s);
    REQUIRE(f->initialize().has_value());
    REQUIRE(g->initialize().has_value());  // no room for both
    for (auto& each : {f, g, f}) {
        CHECK(soon([] { return snapshots_in_memory() == 1; }));
        const auto r = ask(*each, "count");
        CHECK(r.payload == "1");
        CHECK(r.report.start == (on_disk ? start_kind::restored : start_kind::cold));
        CHECK(r.report.boot.count() > 0);
        CHECK(r.report.no_snapshot ==
              (on_disk ? hearth::cold_reason::none : hearth::cold_reason::dropped));
        const auto m = w->metrics();
        CHECK(m.guest_memory + m.snapshot_memory <= o.memory_budget);
        CHECK(m.snapshot_memory.bytes() > 0);
    }
    // Kept, it serves the next.
    CHECK(ask(*f, "count").report.start == start_kind::restored);
    CHECK(soon([] { return snapshots_in_memory() == 1; }));
}

TEST_CASE("without snapshots every start is cold, and the environment of deployment is kept") {
    auto w = make();
    auto s = spec("function_native");
    s.snapshot = false;
    s.pool.max_idle = 0;
    auto f = w->deploy(s);
    CHECK(ask(*f, "\"count\"").report.start == start_kind::cold);
    const auto again = ask(*f, "\"count\"");
    CHECK(again.report.start == start_kind::cold);
    CHECK(explain_start(again.report) ==
          "No environment was idle: the last was given up, as no more are kept (max_idle). There "
          "was no snapshot to clone: this function has none (HEARTH_SNAPSHOT=off).");
    CHECK(ask(*f, "\"count\"").payload == "1");

    s.pool.max_idle = 1;
    auto g = w->deploy(s);
    REQUIRE(g->initialize().has_value());
    CHECK(ask(*g, "\"count\"").report.start == start_kind::warm);
}

TEST_CASE("a function that snapshots at its restore point has its hooks run in every clone") {
    auto w = make();
    auto s = spec("function_http");
    s.environment["HOOKS"] = "sleep";
    s.pool.max_idle = 0;
    auto f = w->deploy(s);
    const auto cold = ask(*f, "\"seed\"");
    CHECK(cold.report.start == start_kind::cold);
    CHECK(cold.log_tail.find("init\nhooks\n") != std::string::npos);
    std::set<std::string> seeds{cold.payload};
    for (int i = 0; i < 3; ++i) {
        const auto r = ask(*f, "\"seed\"");
        CHECK(r.report.start == start_kind::restored);
        CHECK(r.report.init >= 50ms);
        CHECK(r.log_tail.find("init\n") == std::string::npos);
        CHECK(r.log_tail.find("hooks\n") != std::string::npos);
        seeds.insert(r.payload);
    }
    CHECK(seeds.size() == 4);
}

TEST_CASE("hooks that fail fail the invocation, and the next one is tried afresh") {
    auto w = make();
    auto s = spec("function_http");
    s.environment["HOOKS"] = GENERATE(as<std::string>(), "fail", "exit");
    auto f = w->deploy(s);
    const bool posted = s.environment["HOOKS"] == "fail";
    for (int i = 0; i < 3; ++i) {
        auto r = f->invoke(event("1"));
        REQUIRE(r.has_error());
        CHECK(r.error() == hearth::errc::init_failed);
        CHECK(r.error().message().find(posted ? "Runtime.HookFailed: as asked"
                                              : "exit status 28") != std::string::npos);
    }
    CHECK(w->metrics().pool.running == 0);
}

TEST_CASE("isolation by invocation: every call finds what init left, and nothing else") {
    auto w = make();
    auto s = spec("snapshot_guest");
    s.isolation = isolation::invocation;
    auto f = w->deploy(s);
    REQUIRE(f->initialize().has_value());
    const std::string first = ask(*f, "search").payload;
    CHECK(is_clean(first));
    for (int i = 0; i < 3; ++i) {
        CHECK(ask(*f, "count").payload == "1");
        CHECK(ask(*f, "dirty").payload == "dirty");
        const auto r = ask(*f, "search");
        CHECK(r.payload == first);
        CHECK(r.report.start == start_kind::warm);
        CHECK(ask(*f, "mess").payload == "mess");
        CHECK(ask(*f, "search").payload == first);
    }
    CHECK(w->metrics().pool.restored_starts == 1);
}

TEST_CASE("isolation by invocation over the Runtime API, with hooks that every call runs anew") {
    const auto guest = GENERATE(as<std::string>(), "function_http", "function_http_dynamic");
    auto w = make();
    auto s = spec(guest);
    s.isolation = isolation::invocation;
    s.environment["HOOKS"] = "yes";
    auto f = w->deploy(s);
    REQUIRE(f->initialize().has_value());
    std::set<std::string> seeds;
    for (int i = 0; i < 3; ++i) {
        seeds.insert(ask(*f, "\"seed\"").payload);  // that the hooks draw
        CHECK(ask(*f, "\"count\"").payload == "1");
        CHECK(ask(*f, "\"tmp\"").payload == "0 0");  // the file that it leaves is not there
        // Neither a connection that is half used nor one of its own making stands in the way.
        CHECK(ask(*f, "\"garbage\"").payload == "\"garbage\"");
        CHECK(ask(*f, "\"close\"").payload == "\"close\"");
        CHECK(ask(*f, "\"fail\"").function_error == "Unhandled");
    }
    CHECK(seeds.size() == 3);
    CHECK(w->metrics().pool.restored_starts == 1);
    CHECK(w->metrics().pool.cold_starts == 0);
}

TEST_CASE("isolation by invocation without a snapshot starts anew each time") {
    auto w = make();
    auto s = spec("function_native");
    s.isolation = isolation::invocation;
    s.snapshot = false;
    auto f = w->deploy(s);
    for (int i = 0; i < 3; ++i) {
        const auto r = ask(*f, "\"count\"");
        CHECK(r.payload == "1");
        CHECK(r.report.start == start_kind::cold);
    }
}

TEST_CASE("isolation by tenant: an environment never serves a second one") {
    auto w = make();
    auto s = spec("snapshot_guest");
    s.isolation = isolation::tenant;
    auto f = w->deploy(s);
    CHECK(ask(*f, "dirty", "alice").payload == "dirty");
    CHECK(is_clean(ask(*f, "search", "bob").payload));
    const auto again = ask(*f, "search", "alice");
    CHECK(again.report.start == start_kind::warm);
    CHECK(again.payload.find("file=1") != std::string::npos);
    CHECK(ask(*f, "count", "bob").payload == "1");
    CHECK(ask(*f, "count", "bob").payload == "2");
    auto nobody = f->invoke(event("count"));
    REQUIRE(nobody.has_error());
    CHECK(nobody.error() == hearth::errc::invalid_argument);
}

TEST_CASE(
    "isolation by tenant: the next tenant gets the shell of the one before, and nothing else") {
    auto o = options();
    o.detach_after = 1ms;
    auto w = make(o);
    auto s = spec("snapshot_guest");
    s.isolation = isolation::tenant;
    auto f = w->deploy(s);
    REQUIRE(f->initialize().has_value());
    // Everybody's environment has given its shell back.
    const auto rested = [&](std::uint64_t tenants) {
        hearth::metrics m;
        REQUIRE(soon([&] {
            m = w->metrics();
            return m.pool.detached == tenants && m.shells.in_use == 0 && m.shells.free_used >= 1;
        }));
        return m.shells.from_same_version;
    };
    CHECK(ask(*f, "dirty", "alice").payload == "dirty");
    auto granted = rested(1);
    std::uint64_t tenants = 1;
    std::string first;
    for (const std::string other : {"bob", "carol"}) {
        const auto found = ask(*f, "search", other).payload;
        INFO(other << " found " << found);
        CHECK(rested(++tenants) == granted + 1);
        CHECK(is_clean(found));
        if (first.empty()) first = found;
        CHECK(found == first);
        // In the same shell again alice has what she had, and only she.
        const auto again = ask(*f, "search", "alice");
        CHECK(again.report.reattached);
        CHECK(again.payload.find("file=1") != std::string::npos);
        CHECK_FALSE(again.payload.starts_with("memory=0"));
        CHECK(again.payload.find("timers=1 timerfds=1 mask=8000000a00 pending=a00 altstack=1") !=
              std::string::npos);
        granted = rested(tenants);
    }
}

TEST_CASE("an idle environment gives its shell back and comes again with all it had") {
    const auto guest = GENERATE(as<std::string>(), "function_http", "snapshot_guest");
    INFO(guest);
    const std::string count = guest == "snapshot_guest" ? "count" : "\"count\"";
    auto o = options();
    o.detach_after = 20ms;
    auto w = make(o);
    auto f = w->deploy(spec(guest));
    REQUIRE(f->initialize().has_value());
    CHECK(ask(*f, count).payload == "1");
    for (int i = 2; i < 5; ++i) {
        REQUIRE(soon([&] { return w->metrics().pool.detached == 1; }));
        CHECK(w->metrics().guest_memory.bytes() < (1u << 20));
        const auto r = ask(*f, count);
        CHECK(r.payload == std::to_string(i));
        CHECK(r.report.start == start_kind::warm);
        CHECK(r.report.reattached);
        CHECK(r.log_tail.find("reattached") != std::string::npos);
    }
}

TEST_CASE("the environment that a snapshot was taken of moves between shells like its clones") {
    const auto guest = GENERATE(as<std::string>(), "snapshot_guest", "snapshot_guest_dynamic");
    INFO(guest);
    auto o = options();
    o.detach_after = 20ms;
    auto w = make(o);
    auto f = w->deploy(spec(guest));
    CHECK(ask(*f, "count").report.start == start_kind::cold);
    const std::string layout = ask(*f, "layout").payload;
    CHECK(ask(*f, "dirty").payload == "dirty");
    for (int i = 2; i < 6; ++i) {
        REQUIRE(soon([&] { return w->metrics().pool.detached == 1; }));
        const auto r = ask(*f, "count");
        CHECK(r.report.reattached);
        CHECK(r.payload == std::to_string(i));
        const std::string now = ask(*f, "search").payload;
        CHECK(now.find("file=1") != std::string::npos);
        CHECK(now.find("handler=1 timer=1") != std::string::npos);
        CHECK(now.find("unclean=0") != std::string::npos);
        CHECK_FALSE(now.starts_with("memory=0"));
    }
    // And its clones are as it was, clean.
    auto s = spec(guest);
    s.pool.max_idle = 0;
    auto g = w->deploy(s);
    CHECK(ask(*g, "layout").payload == layout);
    CHECK(ask(*g, "search").payload.starts_with(clean));
}

TEST_CASE("more idle environments than shells, of several functions, each with its own state") {
    auto o = options();
    o.max_shells = 3;
    o.detach_after = 1h;
    auto w = make(o);
    // One that is just being detached serves nobody, and another would be started.
    const auto settle = [&] {
        REQUIRE(soon([&] {
            const auto now = w->metrics().shells;
            return now.in_use + now.free_used <= o.max_shells;
        }));
    };
    std::vector<std::shared_ptr<hearth::worker::deployed_version>> all;
    for (int i = 0; i < 8; ++i) {
        auto s = spec(i % 2 ? "snapshot_guest" : "snapshot_guest_dynamic");
        s.function_name += std::to_string(i);
        s.function_arn += std::to_string(i);
        all.push_back(w->deploy(s));
        REQUIRE(all.back()->initialize().has_value());
    }
    for (int round = 1; round <= 3; ++round) {
        for (std::size_t i = 0; i < all.size(); ++i) {
            settle();
            for (std::size_t k = 0; k <= i % 3; ++k) (void)ask(*all[i], "count");
            if (i % 4 == 3) CHECK(ask(*all[i], "dirty").payload == "dirty");
        }
        const auto now = w->metrics().shells;
        CHECK(now.in_use + now.free_used <= o.max_shells + 9);  // retired behind the starts
        CHECK(soon([&] { return w->metrics().pool.shells <= o.max_shells + 2; }));
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
        settle();
        CHECK(ask(*all[i], "count").payload == std::to_string(3 * (i % 3 + 1) + 1));
        const std::string found = ask(*all[i], "search").payload;
        CHECK(found.starts_with("memory=0 file=0 gs=0") == (i % 4 != 3));
    }
    CHECK(w->metrics().pool.idle == all.size());
    CHECK(w->metrics().pool.restored_starts == all.size());
}

TEST_CASE("a start takes its own version's shell, else one made ahead; nobody takes another's") {
    auto w = make();
    auto s = spec("function_native");
    s.pool.max_idle = 0;
    auto f = w->deploy(s);
    s.function_name += "2", s.function_arn += "2";
    auto g = w->deploy(s);
    REQUIRE(f->initialize().has_value());
    REQUIRE(g->initialize().has_value());
    // Nothing runs, nothing is under way, and blank ones stand ready.
    const auto rested = [&] {
        hearth::shell_metrics m;
        REQUIRE(soon([&] {
            m = w->metrics().shells;
            return m.in_use == 0 && m.making == 0 && m.destroying == 0 && m.free_blank >= 1;
        }));
        return m;
    };
    const auto before = rested();
    CHECK(before.free_used == 0);  // what was loaded, not restored, is of no use to its clones
    CHECK(ask(*f, "\"count\"").report.start == start_kind::restored);
    auto m = rested();
    CHECK(m.from_blank == before.from_blank + 1);
    CHECK(m.free_used == 1);
    CHECK(ask(*g, "\"count\"").report.start == start_kind::restored);
    m = rested();
    CHECK(m.from_blank == before.from_blank + 2);
    for (int i = 1; i <= 3; ++i)
        for (auto& v : {f, g}) {
            CHECK(ask(*v, "\"count\"").payload == "1");
            m = rested();
        }
    CHECK(m.from_same_version == before.from_same_version + 6);
    CHECK(m.from_blank == before.from_blank + 2);
    CHECK(m.from_made == before.from_made);
}

TEST_CASE(
    "environments kept ahead are there before the first invocation, and again after one is gone") {
    auto w = make();
    auto s = spec("function_http");
    s.snapshot = GENERATE(true, false);
    s.pool.min_idle = 2;
    s.pool.provisioned_concurrency = 1;
    auto f = w->deploy(s);
    const auto ready = f->initialize();
    INFO((ready.has_error() ? ready.error().message() : ""));
    REQUIRE(ready.has_value());
    CHECK(w->metrics().pool.idle >= 2);
    CHECK(ask(*f, "1").report.start == start_kind::warm);
    CHECK(ask(*f, "\"exit\"").function_error == "Unhandled");
    CHECK(soon([&] { return w->metrics().pool.idle >= 2; }));
    CHECK(ask(*f, "1").report.start == start_kind::warm);
}

TEST_CASE("who asks is told of random bytes that init drew and all environments share") {
    auto o = options();
    const auto observer = std::make_shared<told>();
    o.observer = observer;
    o.find_shared_randomness = GENERATE(true, false);
    auto w = make(o);
    auto f = w->deploy(spec("function_restored"));
    REQUIRE(f->initialize().has_value());
    // 8 of its own, 8 of its allocator's. It draws anew when it is told of its restore.
    const std::string warned = f->spec().function_name +
                               ": random bytes that init drew are in the "
                               "snapshot, the same for every "
                               "environment: 8 bytes at 0x";
    CHECK((observer->text.find(warned) != std::string::npos) == o.find_shared_randomness);
}

TEST_CASE(
    "a stored snapshot serves the first invocation after a restart; a damaged one is made again") {
    const auto guest = GENERATE(as<std::string>(), "function_http_dynamic", "function_native");
    const auto init = GENERATE(true, false);  // at deployment, or by the first invocation
    INFO(guest);
    hearth::test::temporary_directory directory;
    auto o = options();
    o.snapshot_directory = directory.path() / "snapshots";
    const auto observer = std::make_shared<told>();
    o.observer = observer;
    const auto snapshots = [&] {
        std::vector<std::filesystem::path> found;
        for (const auto& f : std::filesystem::directory_iterator(o.snapshot_directory))
            found.push_back(f.path());
        return found;
    };
    {
        auto w = make(o);
        auto f = w->deploy(spec(guest));
        if (init) REQUIRE(f->initialize().has_value());
        CHECK(ask(*f, "\"count\"").report.start ==
              (init ? start_kind::restored : start_kind::cold));
        CHECK(ask(*f, "\"count\"").payload == "2");
    }
    REQUIRE(snapshots().size() == 1);
    {
        auto w = make(o);
        auto f = w->deploy(spec(guest));
        const auto first = ask(*f, "\"count\"");
        CHECK(first.report.start == start_kind::restored);
        CHECK(first.payload == "1");
        CHECK(ask(*f, "\"count\"").payload == "2");
    }
    {
        INFO("another configuration has nothing to do with it");
        auto w = make(o);
        auto s = spec(guest);
        s.environment["A"] = "B";
        auto f = w->deploy(s);
        CHECK(ask(*f, "1").report.start == start_kind::cold);
        w.reset();
        CHECK(snapshots().size() == 1);  // in place of the old one
        w = make(o);
        CHECK(ask(*w->deploy(s), "1").report.start == start_kind::restored);
    }
    CHECK(observer->text.empty());
    const auto damage = GENERATE(0, 1);
    const auto file = snapshots().front();
    if (damage == 0) {
        std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
    } else {
        std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
        f.seekp(-5000, std::ios::end);
        f.put('x');
    }
    {
        auto w = make(o);
        auto s = spec(guest);
        s.environment["A"] = "B";
        CHECK(ask(*w->deploy(s), "1").report.start == start_kind::cold);
        CHECK(observer->text.find("cannot be used and will be made again") != std::string::npos);
    }
    auto w = make(o);
    auto s = spec(guest);
    s.environment["A"] = "B";
    CHECK(ask(*w->deploy(s), "1").report.start == start_kind::restored);
    w->remove_snapshots(s.function_name);
    CHECK(snapshots().empty());
}

TEST_CASE("hundreds of executions sleep at once, on two threads and few shells") {
    auto o = options();
    o.max_shells = 16;
    auto w = make(o);
    auto f = w->deploy(spec("function_http"));
    REQUIRE(f->initialize().has_value());
    constexpr int n = 200;
    boost::asio::io_context io;
    int good = 0;
    for (int i = 0; i < n; ++i)
        f->async_invoke(event("\"nap\""), boost::asio::bind_executor(
                                              io, [&](hearth::error_code ec, hearth::response r) {
                                                  good += !ec && r.ok();
                                              }));
    io.run();
    CHECK(good == n);
    CHECK(w->metrics().pool.suspends > 0);
}

TEST_CASE("a guest that sleeps without a shell is stopped like any other, and another served") {
    auto o = options();
    o.max_shells = 2;
    auto w = make(o);
    auto s = spec("function_http");
    std::shared_ptr<hearth::worker::deployed_version> f;
    const auto deploy = [&](std::chrono::milliseconds timeout) {
        s.timeout = timeout;
        f = w->deploy(s);
        REQUIRE(f->initialize().has_value());
    };
    boost::asio::io_context io;
    constexpr int n = 8;
    const auto asleep = [&](std::uint64_t running) {
        return soon([&] {
            const auto m = w->metrics().pool;
            return m.running == running && m.shells <= 5;
        });
    };
    const auto sleep = [&](auto handler) {
        for (int i = 0; i < n; ++i)
            f->async_invoke(event("\"sleep\""), boost::asio::bind_executor(io, handler));
    };

    SECTION("by its timeout") {
        int stopped = 0;
        deploy(2s);
        sleep([&](hearth::error_code ec, const hearth::response& r) {
            CHECK(!ec);
            CHECK(r.payload.find("Task timed out after 2.00 seconds") != std::string::npos);
            CHECK(r.report.max_memory_used.bytes() > 0);
            ++stopped;
        });
        io.run();
        CHECK(stopped == n);
        CHECK(w->metrics().pool.destroyed == n);
        CHECK(ask(*f, "\"count\"").payload == "1");
        CHECK(soon([&] { return w->metrics().pool.shells <= 5; }));
    }
    SECTION("by its caller") {
        deploy(100s);
        sleep([](hearth::error_code, const hearth::response&) {});
        endless one(*f);
        REQUIRE(asleep(n + 1));
        one.cancel();
        CHECK(one.end() == boost::asio::error::operation_aborted);
        w->shut_down();  // the others'
        io.run();
    }
    SECTION("by the worker's end") {
        int stopped = 0;
        deploy(100s);
        sleep([&](hearth::error_code ec, const hearth::response&) {
            stopped += ec == hearth::errc::shutting_down;
        });
        REQUIRE(asleep(n));
        w->shut_down();
        io.run();
        CHECK(stopped == n);
    }
}

TEST_CASE("a cold environment is detached and suspended like the restored ones, and goes on") {
    auto o = options();
    o.max_shells = 2;
    auto w = make(o);
    auto f = w->deploy(spec("function_http"));
    CHECK(ask(*f, "\"count\"").payload == "1");  // cold: it goes on as the first clone
    boost::asio::io_context io;
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < 6; ++i)
            f->async_invoke(event("\"nap\""),
                            boost::asio::bind_executor(
                                io, [&](hearth::error_code ec, const hearth::response& r) {
                                    CHECK((!ec && r.ok()));
                                    CHECK(r.report.duration >= 200ms);
                                }));
        io.run();
        io.restart();
    }
    CHECK(w->metrics().pool.cold_starts == 1);
    CHECK(soon([&] { return w->metrics().pool.shells <= 5; }));
    // In the second round one that was just being detached served nobody.
    CHECK(w->metrics().pool.idle >= 6);
    CHECK(w->metrics().pool.idle <= 12);
}

TEST_CASE("a function of several processes starts restored, is reset, and moves between shells") {
    auto o = options();
    o.detach_after = 20ms;
    auto w = make(o);
    auto f = w->deploy(spec("snapshot_family"));
    const auto first = ask(*f, "count");
    CHECK(first.report.start == start_kind::cold);
    CHECK(first.payload == "1, 1, 2, file=0");
    CHECK(ask(*f, "dirty").payload == "dirty, dirty, 2, file=0");
    for (int i = 2; i < 4; ++i) {
        REQUIRE(soon([&] { return w->metrics().pool.detached == 1; }));
        const auto r = ask(*f, "count");
        CHECK(r.report.reattached);
        CHECK(r.payload == fmt::format("{}, {}, {}, file=0", i, i, 2 * i));
    }
    auto s = spec("snapshot_family");
    s.isolation = isolation::invocation;
    auto g = w->deploy(s);
    REQUIRE(g->initialize().has_value());
    for (int i = 0; i < 3; ++i) {
        const auto r = ask(*g, "search");
        CHECK(r.payload == "memory=0 unclean=0, memory=0 unclean=0, 0, file=0");
        CHECK(r.report.start != start_kind::cold);
        CHECK(ask(*g, "count").payload == "1, 1, 2, file=0");
        ask(*g, i == 1 ? "mess" : "dirty");
    }
    CHECK(w->metrics().pool.cold_starts == 1);
}
