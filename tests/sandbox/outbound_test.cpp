/// A guest's own view of sockets that lead out of it, against servers of this process.

#include "echo_server.hpp"
#include "programs.hpp"

#include <catch2/catch.hpp>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <string>
#include <thread>

using namespace programs;

namespace {

/// Answers urgent data with what came before it, the urgent byte as such, and " after".
class urgent_server {
  public:
    urgent_server() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ::socklen_t n = sizeof a;
        REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&a), n) == 0);
        REQUIRE(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&a), &n) == 0);
        REQUIRE(::listen(listener_.get(), 8) == 0);
        port = ntohs(a.sin_port);
        thread_ = std::thread([this] {
            while (!stop_)
                if (ready(listener_.get(), POLLIN))
                    serve(hearth::unique_fd(
                        ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
        });
    }
    ~urgent_server() {
        stop_ = true;
        thread_.join();
    }
    std::uint16_t port = 0;

  private:
    static short ready(int fd, short events) {
        pollfd p{fd, events, 0};
        return ::poll(&p, 1, 20) > 0 ? p.revents : short{0};
    }
    void serve(hearth::unique_fd fd) const {
        const int s = fd.get();
        while (!stop_) {
            const short events = ready(s, POLLPRI | POLLRDHUP);
            if (events & (POLLRDHUP | POLLHUP | POLLERR)) return;
            char byte = 0, before[64];
            if (!(events & POLLPRI) || ::recv(s, &byte, 1, MSG_OOB) != 1) continue;
            const ssize_t n = ::recv(s, before, sizeof before, 0);  // as far as the mark
            if (n <= 0) return;
            (void)!::send(s, before, static_cast<std::size_t>(n), MSG_NOSIGNAL);
            (void)!::send(s, &byte, 1, MSG_OOB | MSG_NOSIGNAL);
            (void)!::send(s, " after", 6, MSG_NOSIGNAL);
        }
    }

    hearth::unique_fd listener_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace

TEST_CASE("connections and datagrams to named servers are as natively") {
    const hearth::testing::echo_server server;
    const std::vector<std::string> arguments{guest("outside"), std::to_string(server.tcp_port),
                                             std::to_string(server.udp_port)};
    const auto expected = run_natively(arguments);
    CHECK(expected.output == "a stream\nmuch\nmany\nthreads\ndatagrams\nnobody there\n");
    ended e;
    auto o = options_for(arguments, e);
    o.network = server.named() + ",127.0.0.1:1";  // where nobody listens
    const auto r = hearth::run_program(o);
    REQUIRE(r.has_value());
    CHECK(e == expected);
}

TEST_CASE("urgent data goes to servers outside and comes from them") {
    const urgent_server server;
    const std::vector<std::string> arguments{guest("outside_urgent"), std::to_string(server.port)};
    const auto expected = run_natively(arguments);
    CHECK(expected.exit_code == 0);
    ended e;
    auto o = options_for(arguments, e);
    o.network = "127.0.0.1:" + std::to_string(server.port);
    const auto r = hearth::run_program(o);
    REQUIRE(r.has_value());
    CHECK(e == expected);
}
