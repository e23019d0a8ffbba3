// Hearth inside an application that already lives on Asio: a TCP service that hands each line to a
// function and writes the reply back. Many connections, one thread of ours; guests run on the
// runtime's vCPU threads. Ctrl-C, or a client's "quit", ends it cleanly.
//
//   embed_in_asio PACKAGE [PORT]          then: echo '{"name":"cat"}' | nc 127.0.0.1 PORT

#include <hearth/hearth.hpp>

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>

#include <csignal>
#include <cstdlib>
#include <iostream>

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;

namespace {

/// Ends the service: no new clients, and those that are idle are let go. A running invocation is
/// answered.
struct service {
    tcp::acceptor acceptor;
    asio::steady_timer stopping{acceptor.get_executor(), asio::steady_timer::time_point::max()};

    void stop() {
        acceptor.close();
        stopping.expires_at(asio::steady_timer::time_point::min());
    }
};

asio::awaitable<void> talk(tcp::socket client, hearth::function fn, service& self) {
    asio::streambuf input(64 * 1024);
    for (;;) {
        auto next = co_await (
            asio::async_read_until(client, input, '\n', asio::as_tuple(asio::use_awaitable)) ||
            self.stopping.async_wait(asio::as_tuple(asio::use_awaitable)));
        if (next.index() == 1) co_return;
        const auto [failed, length] = std::get<0>(next);
        if (failed) co_return;  // the client left, or its line is too long
        std::string line(
            asio::buffers_begin(input.data()),
            asio::buffers_begin(input.data()) + static_cast<std::ptrdiff_t>(length - 1));
        input.consume(length);
        if (line == "quit") {
            self.stop();
            co_return;
        }
        // Whichever ends first; the other is cancelled. A cancelled invocation's guest is stopped.
        asio::steady_timer patience(co_await asio::this_coro::executor, 2s);
        auto outcome = co_await (fn.async_invoke(line, asio::as_tuple(asio::use_awaitable)) ||
                                 patience.async_wait(asio::as_tuple(asio::use_awaitable)));
        std::string reply;
        if (outcome.index() == 1) {
            reply = R"({"error":"too slow"})";
        } else {
            auto& [ec, response] = std::get<0>(outcome);
            reply = ec ? R"({"error":")" + ec.message() + "\"}" : response.payload;
        }
        reply += '\n';
        co_await asio::async_write(client, asio::buffer(reply), asio::use_awaitable);
    }
}

asio::awaitable<void> serve(service& self, hearth::function fn) {
    for (;;) {
        auto [failed, client] =
            co_await self.acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
        if (failed) co_return;
        // A client that breaks off ends its own coroutine only.
        asio::co_spawn(self.acceptor.get_executor(), talk(std::move(client), fn, self),
                       [](std::exception_ptr) {});
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2 || argc > 3) {
        std::cerr << "usage: embed_in_asio PACKAGE.zip [PORT]\n";
        return 2;
    }
    try {
        auto rt = hearth::runtime::create().value();
        hearth::function_config config;
        config.name = "line";
        config.package = hearth::package::zip(argv[1]);
        hearth::function fn = rt.deploy(config).value();

        asio::io_context io(1);
        const auto port = static_cast<asio::ip::port_type>(argc == 3 ? std::atoi(argv[2]) : 0);
        service self{tcp::acceptor(io, {asio::ip::address_v4::loopback(), port})};
        std::cout << "listening on " << self.acceptor.local_endpoint() << std::endl;
        asio::signal_set signals(io, SIGINT, SIGTERM);
        signals.async_wait([&](auto failed, int) {
            if (!failed) self.stop();
        });
        asio::co_spawn(io, serve(self, fn), [&](std::exception_ptr) { signals.cancel(); });
        io.run();
        rt.drain().value();
    } catch (const boost::system::system_error& e) {
        std::cerr << "embed_in_asio: " << e.what() << '\n';
        return 1;
    }
}
