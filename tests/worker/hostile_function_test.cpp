// Guests that mean harm: nothing they do may crash, hang, leak or grow the host, or reach the next
// invocation.

#include "functions.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <string>

using namespace functions;
using namespace std::chrono_literals;

namespace {
std::size_t resident_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
    return 0;
}
}  // namespace

TEST_CASE("a flood of output costs only its time") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    (void)f->invoke(event("1"));
    const auto before = resident_kib();
    const auto r = f->invoke(event("\"flood\"")).value();
    CHECK(r.ok());
    CHECK(r.log_tail.size() <= 4096);
    CHECK(r.log_tail.find("ffff") != std::string::npos);
    CHECK(r.log_tail.find("REPORT") != std::string::npos);
    CHECK(resident_kib() < before + 8 * 1024);
}

TEST_CASE("a guest that writes forever is timed out") {
    auto s = spec("function_http");
    s.timeout = 300ms;
    auto w = make();
    auto f = w->deploy(std::move(s));
    const auto r = f->invoke(event("\"flood forever\"")).value();
    CHECK(r.payload.find("Sandbox.Timedout") != std::string::npos);
    CHECK(r.log_tail.size() <= 4096);
}

TEST_CASE("a fork is answered honestly and harms nothing") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    const auto r = f->invoke(event("\"fork\"")).value();
    INFO(r.payload << r.log_tail);
    CHECK(r.ok());
    CHECK(f->invoke(event("1")).value().payload == "1");
}

TEST_CASE("a guest may close everything and connect again") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    CHECK(f->invoke(event("\"close all\"")).value().payload == "\"close all\"");
    CHECK(f->invoke(event("1")).value().payload == "1");
}

TEST_CASE("wild pointers to every system call are answered, not followed") {
    auto s = spec("function_http");
    s.timeout = 30s;
    auto w = make();
    auto f = w->deploy(std::move(s));
    const auto r = f->invoke(event("\"wild\"")).value();
    INFO(r.payload << r.log_tail);
    // Whether it lives on is the guest's luck; that we do is what counts.
    CHECK(f->invoke(event("1")).value().payload == "1");
}

TEST_CASE("many invocations leave nothing behind") {
    auto w = make();
    auto f = w->deploy(spec("function_native"));
    for (int i = 0; i < 200; ++i) (void)f->invoke(event("1"));
    const auto before = resident_kib();
    for (int i = 0; i < 5000; ++i) REQUIRE(f->invoke(event("1")).value().ok());
#if defined(__SANITIZE_ADDRESS__)
    constexpr int allowed_kib = 256 << 10;  // ASan keeps freed memory, up to this
#else
    constexpr int allowed_kib = 512;
#endif
    CHECK(resident_kib() < before + allowed_kib);
}
