#include "control/http_sink.hpp"

#include "control/lineage.hpp"

#include <hearth/version.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <chrono>

namespace hearth::control {

namespace asio = boost::asio;
namespace beast = boost::beast;

namespace {

/// For each of: connecting, sending, the answer's header.
constexpr std::chrono::seconds step_limit{5};

error not_taken(const std::string& endpoint, const char* what, error_code ec) {
    return {errc::io_failed, endpoint + " " + what + ": " + ec.message()};
}

}  // namespace

// GCC 12 takes Asio's frame allocator for a mismatch.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

asio::awaitable<error> post_record(http_destination to,
                                   std::string record,
                                   std::string trace_header) {
    constexpr auto outcome = asio::as_tuple(asio::use_awaitable);
    const bool is_six = to.host.find(':') != std::string::npos;
    const std::string authority = (is_six ? "[" + to.host + "]" : to.host) + ":" + to.port;
    const std::string name = "http://" + authority + to.target;
    const auto executor = co_await asio::this_coro::executor;
    asio::ip::tcp::resolver resolver(executor);
    const auto [unknown, addresses] = co_await resolver.async_resolve(to.host, to.port, outcome);
    if (unknown) co_return not_taken(name, "cannot be resolved", unknown);

    beast::tcp_stream stream(executor);
    stream.expires_after(step_limit);
    const auto [absent, address] = co_await stream.async_connect(addresses, outcome);
    if (absent) co_return not_taken(name, "cannot be reached", absent);

    beast::http::request<beast::http::string_body> request(beast::http::verb::post, to.target, 11);
    request.set(beast::http::field::host, authority);
    request.set(beast::http::field::user_agent, std::string("hearth/") + version());
    request.set(beast::http::field::content_type, "application/json");
    request.set(beast::http::field::connection, "close");
    // What could be no header is left out.
    if (const std::string trace = merged_trace({trace_header}); !trace.empty())
        request.set("X-Amzn-Trace-Id", trace);
    request.body() = std::move(record);
    request.prepare_payload();
    stream.expires_after(step_limit);
    const auto [broken, sent] = co_await beast::http::async_write(stream, request, outcome);
    if (broken) co_return not_taken(name, "does not take what it is sent", broken);

    beast::flat_buffer buffer(16 * 1024);
    beast::http::response_parser<beast::http::empty_body> answer;
    stream.expires_after(step_limit);
    const auto [silent, got] =
        co_await beast::http::async_read_header(stream, buffer, answer, outcome);
    if (silent) co_return not_taken(name, "does not answer", silent);
    const unsigned status = answer.get().result_int();
    if (status < 200 || status > 299)
        co_return error(errc::io_failed, name + " answered " + std::to_string(status));
    co_return error();
}

}  // namespace hearth::control
