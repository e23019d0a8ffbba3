#include "functions.hpp"

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <catch2/catch.hpp>

#include <list>
#include <thread>

using namespace functions;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using hearth::error_code;
using hearth::response;

TEST_CASE("handlers run on their executor, never inside the call") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    asio::io_context io;
    const auto here = std::this_thread::get_id();
    int done = 0;
    for (int i = 0; i < 8; ++i)
        f->async_invoke(event(std::to_string(i)),
                        asio::bind_executor(io, [&, i](error_code ec, response r) {
                            CHECK(std::this_thread::get_id() == here);
                            CHECK_FALSE(ec);
                            CHECK(r.payload == std::to_string(i));
                            ++done;
                        }));
    CHECK(done == 0);
    io.run();  // stays for as long as work is outstanding
    CHECK(done == 8);
}

TEST_CASE("many sleeping guests hold no thread") {
    auto w = make();  // two vCPU threads
    auto f = w->deploy(spec("function_http"));
    std::list<endless> sleepers;
    for (int i = 0; i < 12; ++i) sleepers.emplace_back(*f);
    CHECK(soon([&] { return w->metrics().pool.running == 12; }));
    // If a sleeper held its thread, there would be none for this.
    for (int i = 0; i < 3; ++i) CHECK(answer_of(*f, "\"nap\"").ok());
    CHECK(w->metrics().pool.running == 12);
    for (auto& e : sleepers) e.cancel();
    for (auto& e : sleepers) CHECK(e.end() == asio::error::operation_aborted);
}

TEST_CASE("cancellation stops the guest") {
    const auto how = GENERATE(as<std::string>(), "\"sleep\"", "\"loop\"");
    INFO(how);
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    REQUIRE(f->invoke(event("1")).value().ok());  // so that the guest runs when it is cancelled
    endless e(*f, how);
    REQUIRE(soon([&] { return w->metrics().pool.running == 1; }));
    std::this_thread::sleep_for(50ms);  // by now it is in the guest, as a rule
    e.cancel();
    CHECK(e.end() == asio::error::operation_aborted);  // and not its timeout
    CHECK(w->metrics().pool.idle == 0);
    CHECK(w->metrics().pool.destroyed == 1);
    CHECK(f->invoke(event("1")).value().ok());
}

TEST_CASE("errors arrive as codes, their sentence in the response") {
    auto o = options();
    o.account_concurrency = 1;
    auto w = make(o);
    auto f = w->deploy(spec("function_http"));
    asio::io_context io;
    int throttled = 0, ran = 0;
    for (int i = 0; i < 3; ++i)
        f->async_invoke(event("\"nap\""), asio::bind_executor(io, [&](error_code ec, response r) {
                            if (ec == hearth::errc::throttled) {
                                ++throttled;
                                CHECK(r.payload.starts_with("ConcurrentInvocationLimitExceeded"));
                            } else {
                                ++ran;
                            }
                        }));
    io.run();
    CHECK(throttled == 2);
    CHECK(ran == 1);
}

TEST_CASE("a worker that goes away completes every handler") {
    asio::io_context io;
    int done = 0;
    {
        auto w = make();
        auto f = w->deploy(spec("function_http"));
        for (int i = 0; i < 6; ++i)
            f->async_invoke(event("\"sleep\""),
                            asio::bind_executor(io, [&](error_code ec, response) {
                                CHECK(ec == hearth::errc::shutting_down);
                                ++done;
                            }));
        std::this_thread::sleep_for(50ms);
    }
    io.run();
    CHECK(done == 6);
}

TEST_CASE("guests that spin share the threads, and delay nobody else") {
    auto w = make();  // two vCPU threads
    auto s = spec("function_http");
    auto spins = w->deploy(s);
    s.function_name = "quick", s.function_arn += "quick";
    auto quick = w->deploy(s);
    REQUIRE(spins->initialize().has_value());
    REQUIRE(quick->initialize().has_value());
    std::list<endless> spinners;
    for (int i = 0; i < 5; ++i) spinners.emplace_back(*spins, "\"loop\"");
    REQUIRE(soon([&] { return w->metrics().pool.running == 5; }));
    for (int i = 0; i < 20; ++i) CHECK(answer_of(*quick, "1").ok());
    CHECK(w->metrics().pool.running == 5);  // none had to end first
    for (auto& e : spinners) e.cancel();
    for (auto& e : spinners) CHECK(e.end() == asio::error::operation_aborted);
}

TEST_CASE("who sleeps wakes in time though every thread has a guest that spins and nobody waits") {
    auto o = options();
    o.vcpu_threads = GENERATE(1, 2);
    INFO(o.vcpu_threads);
    auto w = make(o);
    auto f = w->deploy(spec("function_http"));
    REQUIRE(f->initialize().has_value());
    asio::io_context io;
    bool awake = false;
    f->async_invoke(event("\"nap\""),
                    asio::bind_executor(io, [&](error_code ec, const response& r) {
                        CHECK_FALSE(ec);
                        CHECK(r.ok());
                        awake = true;
                    }));
    std::list<endless> spinners;
    for (std::size_t i = 0; i < o.vcpu_threads; ++i) spinners.emplace_back(*f, "\"loop\"");
    io.run_for(10s);
    CHECK(awake);
    CHECK(w->metrics().pool.running == o.vcpu_threads);  // none had to end first
    for (auto& e : spinners) e.cancel();
    for (auto& e : spinners) CHECK(e.end() == asio::error::operation_aborted);
}
