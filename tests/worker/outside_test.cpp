// Functions whose network names a server of this process: what becomes of their connections, and
// that waiting for them holds no thread.

#include "echo_server.hpp"
#include "functions.hpp"

#include <boost/asio.hpp>
#include <catch2/catch.hpp>

#include <string>
#include <thread>
#include <vector>

using namespace functions;
using namespace std::chrono_literals;
using hearth::testing::echo_server;

namespace {

hearth::worker::version_spec outside(const echo_server& server) {
    auto s = spec("function_outside");
    s.network = server.named();
    s.environment["PORT"] = std::to_string(server.tcp_port);
    return s;
}

std::string reply_of(hearth::worker::deployed_version& f, const std::string& payload) {
    auto r = f.invoke(event(payload));
    INFO((r.has_error() ? r.error().message() : r->log_tail));
    REQUIRE(r.has_value());
    return r->payload;
}

}  // namespace

TEST_CASE(
    "a clone finds its snapshot's connections reset; its own last from one call to the next") {
    const echo_server server;
    auto o = options();
    o.detach_after = 20ms;
    auto w = make(o);
    auto f = w->deploy(outside(server));
    REQUIRE(f->initialize().has_value());
    CHECK(reply_of(*f, "1") == R"(["reset",1])");
    CHECK(reply_of(*f, "2") == R"(["kept",2])");
    REQUIRE(soon([&] { return w->metrics().pool.detached == 1; }));
    CHECK(reply_of(*f, "3") == R"(["kept",3])");  // in another microVM

    auto s = outside(server);
    s.isolation = hearth::isolation::invocation;
    auto g = w->deploy(s);
    REQUIRE(g->initialize().has_value());
    CHECK(reply_of(*g, "4") == R"(["reset",4])");
    CHECK(reply_of(*g, "5") == R"(["reset",5])");
}

TEST_CASE("a function whose network does not name the server does not reach it") {
    const echo_server server;
    auto w = make();
    for (const char* network : {"none", "all", "127.0.0.1:1"}) {
        INFO(network);
        auto s = outside(server);
        s.network = network;
        const auto r = w->deploy(s)->initialize();
        REQUIRE(r.has_error());
        CHECK(r.error() == hearth::errc::init_failed);
    }
}

TEST_CASE("many functions wait for a slow server, on two threads and few shells") {
    const echo_server server(10ms);
    auto o = options();
    o.max_shells = 4;
    auto w = make(o);
    auto f = w->deploy(outside(server));
    REQUIRE(f->initialize().has_value());
    boost::asio::io_context io;
    int good = 0;
    constexpr int n = 30;
    for (int i = 0; i < n; ++i)
        f->async_invoke(event(std::to_string(i)),
                        boost::asio::bind_executor(
                            io, [&good, i](hearth::error_code ec, const hearth::response& r) {
                                good += !ec && r.payload.ends_with("," + std::to_string(i) + "]");
                            }));
    // And those who lend their own threads.
    std::vector<std::thread> callers;
    std::atomic<int> answered{0};
    for (int t = 0; t < 3; ++t)
        callers.emplace_back([&] {
            for (int i = 0; i < 4; ++i) {
                const auto r = f->invoke(event("7"));
                answered += r.has_value() && r->payload.ends_with(",7]");
            }
        });
    io.run();
    for (auto& c : callers) c.join();
    CHECK(good == n);
    CHECK(answered == 12);
    CHECK(w->metrics().pool.suspends > 0);
}
