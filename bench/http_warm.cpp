// One keep-alive client on loopback: an invocation through the Lambda API, as it is and signed for
// a server that verifies it, beside a Beast server in the same process that answers every request
// with the same fixed response. The difference is Hearth's; the signature is made once, so its
// price is the server's alone. And what one core reads of the control plane in a second, client
// included.

#include "base/try.hpp"
#include "bench.hpp"
#include "data_directory.hpp"

#include <hearth/hearth.hpp>
#include <hearth/http/server.hpp>
#include <hearth/sigv4.hpp>

#include <boost/asio.hpp>
#include <boost/beast.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace hearth::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http_ = beast::http;
using asio::ip::tcp;

/// An io_context with a thread of its own.
class loop {
  public:
    loop() : work_(io.get_executor()), thread_([this] { io.run(); }) {}
    ~loop() {
        work_.reset();
        io.stop();
        thread_.join();
    }
    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;
    asio::io_context io{1};

  private:
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::thread thread_;
};

/// The yardstick: read a request, write "{}".
asio::awaitable<void> answer_all(tcp::socket socket) {
    beast::tcp_stream stream(std::move(socket));
    stream.socket().set_option(tcp::no_delay(true));
    beast::flat_buffer buffer;
    for (;;) {
        http_::request<http_::string_body> request;
        auto [failed, n] = co_await http_::async_read(stream, buffer, request,
                                                      asio::as_tuple(asio::use_awaitable));
        if (failed) co_return;
        http_::response<http_::string_body> response(http_::status::ok, request.version());
        response.set(http_::field::content_type, "application/json");
        response.keep_alive(request.keep_alive());
        response.body() = "{}";
        response.prepare_payload();
        auto [broken, m] =
            co_await http_::async_write(stream, response, asio::as_tuple(asio::use_awaitable));
        if (broken) co_return;
    }
}

class fixed_server {
  public:
    fixed_server() : acceptor_(loop_.io, {asio::ip::address_v4::loopback(), 0}) {
        asio::co_spawn(
            loop_.io,
            [this]() -> asio::awaitable<void> {
                for (;;) {
                    auto [failed, socket] =
                        co_await acceptor_.async_accept(asio::as_tuple(asio::use_awaitable));
                    if (failed) co_return;
                    asio::co_spawn(loop_.io, answer_all(std::move(socket)), asio::detached);
                }
            },
            asio::detached);
    }
    [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  private:
    loop loop_;
    tcp::acceptor acceptor_;
};

/// A blocking keep-alive client.
class client {
  public:
    client(std::uint16_t port,
           const std::string& target,
           const std::optional<sigv4::credentials>& signer = {})
        : stream_(*io_) {
        stream_.connect({asio::ip::address_v4::loopback(), port});
        stream_.socket().set_option(tcp::no_delay(true));
        request_ = {http_::verb::post, target, 11};
        request_.set(http_::field::host, "127.0.0.1");
        request_.set(http_::field::content_type, "application/json");
        request_.body() = "{}";
        request_.prepare_payload();
        if (!signer) return;
        std::vector<std::pair<std::string_view, std::string_view>> fields;
        for (const auto& field : request_)
            fields.emplace_back(
                std::string_view(field.name_string().data(), field.name_string().size()),
                std::string_view(field.value().data(), field.value().size()));
        for (const auto& [name, value] :
             sigv4::sign({"POST", target, fields}, sigv4::payload_hash("{}"), *signer,
                         {"us-east-1", "lambda"}, std::chrono::system_clock::now()))
            request_.set(name, value);
    }

    /// Reads instead, by GET and without a body.
    static client reading(std::uint16_t port, const std::string& target) {
        client c(port, target);
        c.request_ = {http_::verb::get, target, 11};
        c.request_.set(http_::field::host, "127.0.0.1");
        c.expected_.reset();
        return c;
    }

    result<void> call() {
        error_code failed;
        http_::write(stream_, request_, failed);
        http_::response<http_::string_body> response;
        if (!failed) http_::read(stream_, buffer_, response, failed);
        if (failed) return error(failed);
        if (response.result() != http_::status::ok || (expected_ && response.body() != *expected_))
            return error(
                errc::invalid_argument,
                "answered " + std::to_string(response.result_int()) + " " + response.body());
        return {};
    }

  private:
    std::unique_ptr<asio::io_context> io_ = std::make_unique<asio::io_context>();
    std::optional<std::string> expected_ = "{}";
    beast::tcp_stream stream_;
    beast::flat_buffer buffer_;
    http_::request<http_::string_body> request_;
};

}  // namespace

result<rows> http_warm(context& ctx) {
    const pinned here;  // all that is started here too: a wake across cores costs twice as much
    HEARTH_TRY(runtime rt, runtime::create());
    function_config config;
    config.name = "native";
    config.package = package::elf(ctx.guest("native_empty"));
    HEARTH_TRY(const function fn, rt.deploy(config));

    loop front_loop;
    http::server front(front_loop.io.get_executor(), rt, {.address = "127.0.0.1", .port = 0});
    HEARTH_CHECK(front.listen());
    loop verifying_loop;
    const sigv4::credentials signer{"AKIABENCH", "the secret of the bench", ""};
    http::server_options with_keys{.port = 0};
    with_keys.access_keys = {{"bench",
                              signer.access_key_id,
                              signer.secret_access_key,
                              {{{"InvokeFunction"}, {"nat*"}}}}};
    http::server verifying(verifying_loop.io.get_executor(), rt, with_keys);
    HEARTH_CHECK(verifying.listen());
    fixed_server fixed;
    const std::string target = "/2015-03-31/functions/native/invocations";
    client to_hearth(front.port(), target);
    client to_verifying(verifying.port(), target, signer);
    client to_fixed(fixed.port(), "/");
    auto raced = ctx.race("http_warm",
                          {{"hearth", [&] { return to_hearth.call(); }},
                           {"hearth_signed", [&] { return to_verifying.call(); }},
                           {"beast_fixed_response", [&] { return to_fixed.call(); }}},
                          4000, 20);
    if (raced) {
        row &hearth = raced->front(), &signed_one = (*raced)[1];
        for (row* each : {&hearth, &signed_one})
            each->extra = {
                {"floors_over_fixed", (each->p50_us - raced->back().p50_us) / each->floor_us}};
        signed_one.extra.emplace_back("signature_us", signed_one.p50_us - hearth.p50_us);
    }
    return raced;
}

result<rows> control_reads(context& ctx) {
    const pinned here;
    const data_directory data(ctx);
    runtime_options options;
    options.data_directory = data.path();
    HEARTH_TRY(runtime rt, runtime::create(options));
    constexpr int functions = 50;  // a page of ListFunctions
    for (int i = 0; i < functions; ++i) {
        function_config config;
        config.name = "native" + std::to_string(i);
        config.package = package::elf(ctx.guest("native_empty"));
        HEARTH_CHECK(rt.deploy(config));
    }
    loop front_loop;
    http::server front(front_loop.io.get_executor(), rt, {.address = "127.0.0.1", .port = 0});
    HEARTH_CHECK(front.listen());
    const std::string path = "/2015-03-31/functions";
    client configuration = client::reading(front.port(), path + "/native7/configuration");
    client function = client::reading(front.port(), path + "/native7");
    client list = client::reading(front.port(), path + "/");
    HEARTH_TRY(auto raced,
               ctx.race("control_reads",
                        {{"GetFunctionConfiguration", [&] { return configuration.call(); }},
                         {"GetFunction", [&] { return function.call(); }},
                         {"ListFunctions, 50", [&] { return list.call(); }}},
                        4000, 20));
    for (row& each : raced) each.extra = {{"per_second", 1e6 / each.p50_us}};
    return raced;
}

}  // namespace hearth::bench
