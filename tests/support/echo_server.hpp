#pragma once

/// Servers on the host's loopback that send back what they get, `delay` later, for guests with a
/// way out: TCP and UDP.

#include "base/unique_fd.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <list>
#include <string>
#include <thread>
#include <vector>

namespace hearth::testing {

class echo_server {
  public:
    explicit echo_server(std::chrono::milliseconds delay = {}) : delay_(delay) {
        tcp_ = bound(SOCK_STREAM, tcp_port);
        udp_ = bound(SOCK_DGRAM, udp_port);
        if (::listen(tcp_.get(), 512)) std::abort();
        thread_ = std::thread([this] { serve(); });
    }
    ~echo_server() {
        stop_ = true;
        thread_.join();
    }
    echo_server(const echo_server&) = delete;
    echo_server& operator=(const echo_server&) = delete;

    /// What a function's network names to reach both.
    [[nodiscard]] std::string named() const {
        return "127.0.0.1:" + std::to_string(tcp_port) + ",127.0.0.1:" + std::to_string(udp_port);
    }
    std::uint16_t tcp_port = 0, udp_port = 0;

  private:
    struct connection {
        unique_fd fd;
        std::string pending;
        bool ended = false;  ///< the other side's writing
    };

    static unique_fd bound(int type, std::uint16_t& port) {
        unique_fd fd(::socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ::socklen_t n = sizeof a;
        if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&a), n) ||
            ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&a), &n))
            std::abort();
        port = ntohs(a.sin_port);
        return fd;
    }

    void serve() {
        while (!stop_) {
            std::vector<pollfd> wanted{{tcp_.get(), POLLIN, 0}, {udp_.get(), POLLIN, 0}};
            for (const connection& c : connections_) {
                int events = c.pending.empty() ? 0 : POLLOUT;
                if (!c.ended && c.pending.size() < (1u << 16)) events |= POLLIN;
                wanted.push_back({c.fd.get(), static_cast<short>(events), 0});
            }
            if (::poll(wanted.data(), wanted.size(), 20) <= 0) continue;
            std::this_thread::sleep_for(delay_);
            std::size_t i = 2;
            std::erase_if(connections_,
                          [&](connection& c) { return wanted[i++].revents && !echo(c); });
            if (wanted[0].revents)
                if (unique_fd fd(
                        ::accept4(tcp_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
                    fd)
                    connections_.push_back({std::move(fd), {}, false});
            if (wanted[1].revents) echo_datagram();
        }
    }

    /// @return false: it is over
    static bool echo(connection& c) {
        char bytes[1 << 16];
        if (!c.ended && c.pending.size() < sizeof bytes) {
            const ssize_t n = ::recv(c.fd.get(), bytes, sizeof bytes, 0);
            if (n > 0) c.pending.append(bytes, static_cast<std::size_t>(n));
            if (n == 0) c.ended = true;
            if (n < 0 && errno != EAGAIN) return false;
        }
        const ssize_t n = ::send(c.fd.get(), c.pending.data(), c.pending.size(), MSG_NOSIGNAL);
        if (n > 0) c.pending.erase(0, static_cast<std::size_t>(n));
        if (n < 0 && errno != EAGAIN) return false;
        return !c.ended || !c.pending.empty();
    }

    void echo_datagram() {
        char bytes[1 << 16];
        sockaddr_storage from{};
        ::socklen_t length = sizeof from;
        auto* name = reinterpret_cast<sockaddr*>(&from);
        const ssize_t n = ::recvfrom(udp_.get(), bytes, sizeof bytes, 0, name, &length);
        if (n >= 0)
            (void)!::sendto(udp_.get(), bytes, static_cast<std::size_t>(n), 0, name, length);
    }

    const std::chrono::milliseconds delay_;
    unique_fd tcp_, udp_;
    std::list<connection> connections_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace hearth::testing
