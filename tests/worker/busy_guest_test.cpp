// What computes on beside the task that answers and asks for the next event: the invocation, or the
// init, is over all the same, and the rest of the guest is frozen until the next one.

#include "functions.hpp"

#include <catch2/catch.hpp>

using namespace functions;
using namespace std::chrono_literals;
using hearth::isolation;
using hearth::start_kind;

namespace {

hearth::response answered(hearth::worker::deployed_version& f, std::string payload) {
    auto r = f.invoke(event(std::move(payload)));
    INFO((r.has_error() ? r.error().message() : ""));
    REQUIRE(r.has_value());
    REQUIRE(r->ok());
    return *r;
}

}  // namespace

TEST_CASE("a child that computes on neither keeps the reply nor costs the environment") {
    const auto guest =
        GENERATE(as<std::string>(), "function_http", "function_http_dynamic", "function_native");
    const auto how = GENERATE(as<std::string>(), "quiet", "calling");
    CAPTURE(guest, how);
    auto w = make();
    auto f = w->deploy(spec(guest));
    REQUIRE(f->initialize().has_value());
    CHECK(answered(*f, "\"count\"").payload == "1");
    // With several, one must not wait for the slices of the others either.
    for (int i = 0; i < 3; ++i) CHECK(answered(*f, "\"spin " + how + "\"").payload == "1");
    for (int i = 2; i < 5; ++i) {
        const auto r = answered(*f, "\"count\"");
        CHECK(r.report.start == start_kind::warm);
        CHECK(r.payload == std::to_string(i));
    }
    const auto r = answer_of(*f, "\"count\"");  // on the vCPU threads
    CHECK(r.payload == "5");
    CHECK(r.report.start == start_kind::warm);
    CHECK(w->metrics().pool.running == 0);
}

TEST_CASE("init is over when the function asks for an event, whatever computes beside it") {
    const auto guest = GENERATE(as<std::string>(), "function_http", "function_native");
    const auto how = GENERATE(as<std::string>(), "quiet", "calling");
    const auto kept = GENERATE(isolation::environment, isolation::invocation);
    CAPTURE(guest, how);
    auto w = make();
    auto s = spec(guest);
    s.environment["SPIN"] = how;
    s.isolation = kept;
    auto f = w->deploy(s);
    REQUIRE(f->initialize().has_value());
    CHECK(answered(*f, "\"count\"").report.start == start_kind::restored);
    for (int i = 2; i < 4; ++i)
        CHECK(answered(*f, "\"count\"").payload ==
              (kept == isolation::invocation ? "1" : std::to_string(i)));
}

TEST_CASE("a guest that was frozen while it computed goes on from its snapshot and its pages") {
    auto o = options();
    o.detach_after = 20ms;
    auto w = make(o);
    auto f = w->deploy(spec("function_http"));
    REQUIRE(f->initialize().has_value());
    answered(*f, "\"spin quiet\"");
    for (int i = 1; i < 3; ++i) {
        REQUIRE(soon([&] { return w->metrics().pool.detached == 1; }));
        const auto r = answered(*f, "\"count\"");
        CHECK(r.report.reattached);
        CHECK(r.payload == std::to_string(i));
    }
}

TEST_CASE("restore hooks run beside what computes, and their time is told with each clean start") {
    auto w = make();
    auto s = spec("function_http");
    s.environment["HOOKS"] = "sleep";
    s.environment["SPIN"] = "quiet";
    s.isolation = isolation::invocation;
    auto f = w->deploy(s);
    REQUIRE(f->initialize().has_value());
    std::string last;
    for (int i = 0; i < 3; ++i) {
        const auto r = answered(*f, "\"seed\"");
        CHECK(r.report.start == start_kind::restored);
        CHECK(r.report.init >= 50ms);
        CHECK(r.report.billed >= 50ms);
        CHECK(r.log_tail.find("hooks\n") == 0);
        CHECK(r.payload != last);
        last = r.payload;
    }
}
