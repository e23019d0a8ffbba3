#include "functions.hpp"

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
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
    auto s = spec("function_http");
    s.memory = hearth::byte_count(128u << 20);
    auto f = w->deploy(std::move(s));
    asio::io_context io;
    int done = 0;
    // If a sleeper held its thread, two at most would run at once.
    std::uint64_t most = 0;
    asio::steady_timer look(io);
    std::function<void()> look_again = [&] {
        most = std::max(most, w->metrics().pool.running);
        if (done == 12) return;
        look.expires_after(5ms);
        look.async_wait([&](error_code) { look_again(); });
    };
    look_again();
    for (int i = 0; i < 12; ++i)
        f->async_invoke(event("\"nap\""), asio::bind_executor(io, [&](error_code ec, response r) {
                            CHECK_FALSE(ec);
                            CHECK(r.ok());
                            ++done;
                        }));
    io.run();
    CHECK(done == 12);
    CHECK(most > 2);
}

TEST_CASE("cancellation stops the guest") {
    const auto how = GENERATE(as<std::string>(), "\"sleep\"", "\"loop\"");
    INFO(how);
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    REQUIRE(f->invoke(event("1")).value().ok());  // so that the guest runs when it is cancelled
    asio::io_context io;
    asio::cancellation_signal signal;
    error_code got;
    f->async_invoke(
        event(how),
        asio::bind_cancellation_slot(
            signal.slot(), asio::bind_executor(io, [&](error_code ec, response) { got = ec; })));
    asio::steady_timer timer(io, 100ms);
    timer.async_wait([&](error_code) { signal.emit(asio::cancellation_type::terminal); });
    const auto start = std::chrono::steady_clock::now();
    io.run();
    CHECK(got == asio::error::operation_aborted);
    CHECK(std::chrono::steady_clock::now() - start < 3s);
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
    s.timeout = 3s;
    auto spins = w->deploy(s);
    s.function_name = "quick", s.function_arn += "quick";
    auto quick = w->deploy(s);
    REQUIRE(spins->initialize().has_value());
    REQUIRE(quick->initialize().has_value());
    asio::io_context io;
    int timed_out = 0, answered = 0, answered_before = 0;
    const auto ask = [&](auto&& self) -> void {
        quick->async_invoke(event("1"), asio::bind_executor(io, [&, self](error_code, response r) {
                                CHECK(r.ok());
                                ++answered;
                                answered_before += timed_out == 0;
                                if (answered < 20) self(self);
                            }));
    };
    for (int i = 0; i < 5; ++i)
        spins->async_invoke(event("\"loop\""),
                            asio::bind_executor(io, [&](error_code, response r) {
                                CHECK(r.payload.find("Task timed out") != std::string::npos);
                                ++timed_out;
                            }));
    ask(ask);
    io.run();
    CHECK(timed_out == 5);
    CHECK(answered == 20);
    CHECK(answered_before == 20);  // of the first spinner's end
}
