#include <hearth/response.hpp>

#include <catch2/catch.hpp>

#include <sstream>

using namespace std::chrono_literals;

TEST_CASE("the REPORT line has Lambda's fields, true ones") {
    hearth::invocation_report r;
    r.request_id = "id";
    r.start = hearth::start_kind::cold;
    r.vm = 500us;
    r.boot = 1ms;
    r.init = 3560us;
    r.duration = 1234us;
    r.billed = 6ms;
    r.memory_size = hearth::byte_count(128u << 20);
    r.max_memory_used = hearth::byte_count((2u << 20) + 1);
    CHECK(to_string(r) ==
          "REPORT RequestId: id\tDuration: 1.23 ms\tBilled Duration: 6 ms\tMemory Size: 128 "
          "MB\tMax Memory Used: 3 MB\t"
          "Init Duration: 4.56 ms\tStart: cold (vm 0.50 ms, boot 1.00 ms, init 3.56 ms)");
    r.snapshot = 250us;
    CHECK(to_string(r).ends_with("init 3.56 ms, snapshot 0.25 ms)"));
    r.start = hearth::start_kind::restored;
    r.init = {};
    CHECK(to_string(r).ends_with(
        "Restore Duration: 1.00 ms\tStart: restored (vm 0.50 ms, restore 1.00 ms)"));
    r.init = 2ms;
    CHECK(to_string(r).ends_with("restore 1.00 ms, hooks 2.00 ms)"));
    r.start = hearth::start_kind::warm;
    std::ostringstream out;
    out << r;
    CHECK(out.str().find("Init Duration") == std::string::npos);
    CHECK(out.str().ends_with("Start: warm"));
    r.reattached = true;
    CHECK(to_string(r).ends_with("Start: warm (reattached: vm 0.50 ms, restore 1.00 ms)"));
}

TEST_CASE("why an invocation was not warm is said in a sentence or two") {
    hearth::invocation_report r;
    CHECK(explain_start(r).empty());
    r.start = hearth::start_kind::restored;
    r.reason = hearth::start_reason::busy;
    CHECK(explain_start(r) == "No environment was idle: all of this version were busy.");
    r.start = hearth::start_kind::cold;
    r.no_snapshot = hearth::cold_reason::not_taken;
    CHECK(explain_start(r) ==
          "No environment was idle: all of this version were busy. There was no snapshot to clone: "
          "none was taken yet.");
}
