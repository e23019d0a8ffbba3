// Responses that are read while the function makes them.

#include "functions.hpp"

#include <hearth/response_stream.hpp>

#include <boost/asio.hpp>
#include <catch2/catch.hpp>

#include <optional>
#include <string>
#include <thread>

using namespace functions;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using hearth::error_code;
using hearth::response;
using hearth::response_reader;

namespace {

/// An invocation whose response is read to its end on one loop.
struct streamed {
    std::string bytes, content_type;
    int reads = 0;
    bool ended_first = false;  ///< the invocation, before anything had been read
    std::optional<response> result;
    error_code ec, end;

    streamed(hearth::worker::deployed_version& f, std::string payload, hearth::byte_count capacity)
        : reader_(capacity) {
        asio::io_context io;
        auto e = event(std::move(payload));
        e.stream = reader_.writer();
        f.async_invoke(std::move(e),
                       asio::bind_executor(io, [this](error_code failure, response r) {
                           ec = failure;
                           result = std::move(r);
                       }));
        read(io);
        io.run();
    }

  private:
    void read(asio::io_context& io) {
        reader_.async_read(asio::bind_executor(io, [this, &io](error_code failure, std::string b) {
            if (!reads++) {
                ended_first = result.has_value();
                content_type = reader_.content_type();
            }
            bytes += b;
            if (failure)
                end = failure;
            else
                read(io);
        }));
    }
    response_reader reader_;
};

constexpr hearth::byte_count small(64u << 10);

std::string parts(std::size_t kibibytes) {
    std::string all;
    for (std::size_t i = 0; i < kibibytes; ++i) all.append(1024, static_cast<char>('a' + i % 26));
    return all;
}

}  // namespace

TEST_CASE("a streamed response is read while the function makes it, and waits for its reader") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    for (int i = 0; i < 2; ++i) {
        // Far more than may wait to be read.
        streamed s(*f, "\"stream 2048\"", small);
        CHECK_FALSE(s.ec);
        CHECK(s.end == asio::error::eof);
        CHECK_FALSE(s.ended_first);
        CHECK(s.content_type == "text/x-parts");
        CHECK(s.bytes == parts(2048));
        REQUIRE(s.result);
        CHECK(s.result->ok());
        CHECK(s.result->payload.empty());
    }
    // One that is slow is read as it goes.
    streamed s(*f, "\"stream slow\"", small);
    CHECK(s.bytes == "part 1\npart 1\npart 1\n");
    CHECK_FALSE(s.ended_first);
    // The environment serves on, also who does not read.
    CHECK(f->invoke(event("\"stream 3\"")).value().payload == parts(3));
    CHECK(w->metrics().pool.cold_starts == 1);
}

TEST_CASE("a response in one piece is read in one piece") {
    auto w = make();
    for (const char* guest : {"function_http", "function_native"}) {
        auto f = w->deploy(spec(guest));
        streamed s(*f, "\"hello\"", small);
        CHECK(s.bytes == "\"hello\"");
        CHECK(s.reads == 2);
        CHECK(s.result.value().ok());
        CHECK(s.result->payload.empty());
    }
}

TEST_CASE("a failure tells itself after what was streamed") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    {
        streamed s(*f, "\"stream late\"", small);
        CHECK(s.bytes == "part");
        REQUIRE(s.result);
        CHECK_FALSE(s.result->ok());
        CHECK(s.result->payload == R"({"errorType":"Late"})");
    }
    {
        streamed s(*f, "\"fail\"", small);
        CHECK(s.bytes.empty());
        CHECK(s.end == asio::error::eof);
        CHECK(s.result.value().payload.find("as asked") != std::string::npos);
    }
    streamed s(*f, "\"stream exit\"", small);
    CHECK(s.bytes == "part");
    REQUIRE(s.result);
    CHECK(s.result->payload.find("Runtime.ExitError") != std::string::npos);
}

TEST_CASE("a refused invocation ends the stream") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    w->shut_down();
    streamed s(*f, "1", small);
    CHECK(s.ec == hearth::errc::shutting_down);
    CHECK(s.end == asio::error::eof);
    CHECK(s.bytes.empty());
}

TEST_CASE("a reader that goes away holds nothing up; one that never reads meets the timeout") {
    auto w = make();
    asio::io_context io;
    std::optional<response> result;
    const auto invoke = [&](hearth::worker::deployed_version& f, response_reader& reader) {
        auto e = event("\"stream 2048\"");
        e.stream = reader.writer();
        f.async_invoke(std::move(e), asio::bind_executor(io, [&](error_code ec, response r) {
                           CHECK_FALSE(ec);
                           result = std::move(r);
                       }));
    };
    SECTION("it goes") {
        auto f = w->deploy(spec("function_http"));
        std::optional<response_reader> reader(small);
        error_code ec;
        invoke(*f, *reader);
        reader->async_read(asio::bind_executor(io, [&](error_code, std::string) {
            reader->async_read(asio::bind_executor(io, [&](error_code e, std::string) { ec = e; }));
            reader.reset();
        }));
        io.run();
        CHECK(result.value().ok());
    }
    SECTION("it does not read") {
        auto s = spec("function_http");
        s.timeout = 200ms;
        auto f = w->deploy(std::move(s));
        response_reader reader(small);
        invoke(*f, reader);
        io.run();
        CHECK(result.value().payload.find("timed out") != std::string::npos);
    }
}

TEST_CASE("a blocking invocation is read on another thread") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    response_reader reader(small);
    auto e = event("\"stream 1024\"");
    e.stream = reader.writer();
    std::string bytes;
    std::thread other([&] {
        asio::io_context io;
        asio::co_spawn(
            io,
            [&]() -> asio::awaitable<void> {
                for (;;) {
                    auto [ec, b] = co_await reader.async_read(asio::as_tuple(asio::use_awaitable));
                    if (ec) co_return;
                    bytes += b;
                }
            },
            asio::detached);
        io.run();
    });
    const auto r = f->invoke(std::move(e));
    other.join();
    CHECK(r.value().ok());
    CHECK(bytes == parts(1024));
}
