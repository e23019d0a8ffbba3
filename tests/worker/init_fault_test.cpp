// Functions that never become ready, and guests that go wrong on their way out of a snapshot.

#include "faults.hpp"

#include <ctime>
#include <thread>

using namespace functions;
using namespace faults;
using namespace std::chrono_literals;
using Catch::Contains;
using hearth::start_kind;

namespace {

hearth::worker::worker_options impatient() {
    auto o = options();
    o.init_limit = 200ms;
    return o;
}

std::chrono::nanoseconds cpu_time() {
    timespec t{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

}  // namespace

TEST_CASE("a function that never asks for an event fails at the limit, in Lambda's words") {
    const auto how = GENERATE(as<std::string>(), "hang", "spin");
    INFO(how);
    auto w = make(impatient());
    auto s = spec("function_init");
    s.environment["INIT"] = how;
    auto f = w->deploy(s);
    for (const bool invoked : {false, true}) {
        const auto start = std::chrono::steady_clock::now();
        const auto e = invoked ? f->invoke(event("1")).error() : f->initialize().error();
        CHECK(std::chrono::steady_clock::now() - start < 2s);
        CHECK(e == hearth::errc::init_failed);
        CHECK(e.message() == "Sandbox.Timedout: Init phase timed out after 0.20 seconds");
        CHECK(f->init_log().find("about to " + how) != std::string::npos);
    }
    CHECK(w->metrics().init_failures == 1);
    w->shut_down();
    check_nothing_left(w->metrics());
}

TEST_CASE("a function that cannot be kept ready ahead is tried again, ever less often") {
    auto o = impatient();
    const auto how = GENERATE(as<std::string>(), "hang", "exit");
    o.init_limit = how == "hang" ? 20ms : 5s;
    const auto listens = std::make_shared<listener>();
    o.observer = listens;
    auto w = make(o);
    auto s = spec("function_init");
    s.environment["INIT"] = how;
    s.pool.min_idle = 1;
    s.pool.provisioned_concurrency = 1;
    auto f = w->deploy(s);
    REQUIRE(soon([&] { return w->metrics().pool.failed_starts >= 1; }));
    const auto before = cpu_time();
    std::this_thread::sleep_for(700ms);
    CHECK(w->metrics().pool.starts_ahead <= 2);
    CHECK(cpu_time() - before < 300ms);
    CHECK(soon([&] { return w->metrics().pool.failed_starts >= 2; }));  // it is tried again
    CHECK_THAT(listens->heard(),
               Contains("could not be started ahead: ") &&
                   Contains(how == "exit" ? "Runtime.ExitError" : "Sandbox.Timedout"));
    CHECK(f->invoke(event("1")).error() == hearth::errc::init_failed);
    w->shut_down();
    check_nothing_left(w->metrics());
}

TEST_CASE("who waits for environments to be ready ahead is told when the worker goes") {
    auto o = options();
    o.memory_budget = hearth::byte_count(128u << 20);
    auto w = make(o);
    auto s = spec("function_http");
    s.pool.min_idle = 3;  // there is no room for so many
    auto f = w->deploy(s);
    REQUIRE(soon([&] { return w->metrics().pool.idle == 1; }));
    std::thread closer([&] {
        std::this_thread::sleep_for(300ms);
        w->drain();
    });
    const auto start = std::chrono::steady_clock::now();
    const auto r = f->initialize();
    CHECK(std::chrono::steady_clock::now() - start < 5s);
    closer.join();
    REQUIRE(r.has_error());
    CHECK(r.error() == hearth::errc::shutting_down);
}

TEST_CASE("hooks that crash, spin or hang fail that start, and others are served meanwhile") {
    struct row {
        const char* how;
        const char* reason;
    };
    const auto row_ = GENERATE(
        row{"segv", "Runtime.ExitError: Runtime exited with error: signal: segmentation fault"},
        row{"spin", "Sandbox.Timedout: Init phase timed out after 0.20 seconds"},
        row{"hang", "Sandbox.Timedout: Init phase timed out after 0.20 seconds"});
    INFO(row_.how);
    auto w = make(impatient());
    auto s = spec("function_http");
    auto other = w->deploy(s);
    s.environment["HOOKS"] = row_.how;
    s.function_name += "hooks", s.function_arn += "hooks";
    auto f = w->deploy(s);
    for (int i = 0; i < 3; ++i) {
        const auto r = f->invoke(event("1"));
        REQUIRE(r.has_error());
        CHECK(r.error() == hearth::errc::init_failed);
        CHECK(r.error().message() == row_.reason);
        CHECK(other->invoke(event("1")).value().ok());
    }
    CHECK(w->metrics().pool.restored_starts >= 2);
    CHECK(w->metrics().pool.failed_starts == 3);
    w->shut_down();
    check_nothing_left(w->metrics());
}

TEST_CASE("a guest that dies at the first event after its restore leaves the snapshot as it was") {
    const auto how = GENERATE(as<std::string>(), "\"exit\"", "\"segv\"", "\"loop\"");
    INFO(how);
    auto w = make();
    auto s = spec("function_http");
    s.pool.max_idle = 0;
    s.timeout = how == "\"loop\"" ? 100ms : 10s;
    auto f = w->deploy(s);
    REQUIRE(f->initialize().has_value());
    for (int i = 0; i < 2; ++i) {
        const auto r = f->invoke(event(how));
        REQUIRE(r.has_value());
        CHECK(r->function_error == "Unhandled");
        CHECK(r->report.start == start_kind::restored);
        const auto next = f->invoke(event("\"count\""));
        REQUIRE(next.has_value());
        CHECK(next->payload == "1");
        CHECK(next->report.start == start_kind::restored);
    }
    w->shut_down();
    check_nothing_left(w->metrics());
}
