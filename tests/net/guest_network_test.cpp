/// Against real sockets on loopback, which the lists name.

#include "net/guest_network.hpp"

#include <catch2/catch.hpp>

#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <string>
#include <thread>

using namespace hearth::net;
using namespace std::chrono_literals;
using hearth::unique_fd;
using hearth::guest::vfs::socket_name;

namespace {

class waiter final : public listener {
  public:
    void network_ready() noexcept override {
        const std::lock_guard lock(mutex_);
        ++news_;
        changed_.notify_all();
    }
    template <class Condition>
    bool until(const Condition& c) {
        std::unique_lock lock(mutex_);
        const auto end = std::chrono::steady_clock::now() + 10s;
        for (;;) {
            const auto seen = news_;
            lock.unlock();
            if (c()) return true;
            lock.lock();
            if (!changed_.wait_until(lock, end, [&] { return news_ != seen; })) return false;
        }
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::uint64_t news_ = 0;
};

socket_name v4(std::uint32_t a, std::uint16_t port) {
    socket_name n;
    n.family = AF_INET;
    n.address = socket_name::mapped(a);
    n.port = port;
    return n;
}
constexpr std::uint32_t loopback = 0x7f00'0001;

/// A listener or a datagram socket of the host's.
struct server {
    explicit server(int type) : fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(loopback);
        socklen_t n = sizeof a;
        REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&a), n) == 0);
        if (type == SOCK_STREAM) REQUIRE(::listen(fd.get(), 512) == 0);
        REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&a), &n) == 0);
        port = ntohs(a.sin_port);
    }
    unique_fd fd;
    std::uint16_t port = 0;
};

struct world {
    explicit world(const std::string& list, limits l = {})
        : e(l), net(e, std::make_shared<rules>(policy::parse(list).value()), who) {}
    waiter who;
    engine e;
    guest_network net;

    int connect(std::uint32_t id, const socket_name& to, int type = SOCK_STREAM) {
        const auto r = net.connect(id, AF_INET, type, to);
        return r ? 0 : r.error().number;
    }
    int send(std::uint32_t id, std::string_view s, const socket_name* to = nullptr) {
        const auto r = net.send(id, AF_INET, std::as_bytes(std::span(s)), to);
        return r ? 0 : r.error().number;
    }
    std::string receive(std::uint32_t id) {
        std::vector<std::byte> into(4096);
        std::string got;
        REQUIRE(who.until([&] {
            const auto r = net.receive(id, into, false);
            if (!r) return r.error().number != EAGAIN;
            got.assign(reinterpret_cast<const char*>(into.data()), r->length);
            return true;
        }));
        return got;
    }
};

std::string ports(const server& s) { return "127.0.0.1:" + std::to_string(s.port); }

}  // namespace

TEST_CASE("a stream reaches a named server, and its end and half-close are seen") {
    const server s(SOCK_STREAM);
    world w(ports(s));
    const int begun = w.connect(1, v4(loopback, s.port));
    CHECK((begun == 0 || begun == EINPROGRESS));
    CHECK(w.who.until([&] { return w.net.poll(1) & POLLOUT; }));
    CHECK(w.net.take_error(1) == 0);
    const unique_fd there(::accept(s.fd.get(), nullptr, nullptr));
    CHECK(w.net.name(1, true)->port == s.port);
    CHECK(w.net.name(1, false)->v4() == loopback);
    CHECK(w.send(1, "ping") == 0);
    char b[16] = {};
    CHECK(::recv(there.get(), b, sizeof b, 0) == 4);
    const auto before = w.net.activity(1);
    CHECK(::send(there.get(), "pong", 4, 0) == 4);
    CHECK(w.receive(1) == "pong");
    CHECK(w.net.activity(1) != before);
    CHECK(w.net.shutdown(1, SHUT_WR).has_value());
    CHECK(::recv(there.get(), b, sizeof b, 0) == 0);
    CHECK(w.connect(1, v4(loopback, s.port)) == EISCONN);
    ::shutdown(there.get(), SHUT_RDWR);
    CHECK(w.receive(1).empty());
    w.net.close(1);
    CHECK(w.net.open_sockets() == 0);
}

TEST_CASE("what the list does not name is refused before anything is sent") {
    const server s(SOCK_STREAM), d(SOCK_DGRAM);
    world all("all");
    CHECK(all.connect(1, v4(loopback, s.port)) == EACCES);
    CHECK(all.connect(1, v4(0xa9fe'a9fe, 80)) == EACCES);
    const auto to = v4(loopback, d.port);
    CHECK(all.send(2, "x", &to) == EACCES);
    CHECK(all.net.open_sockets() == 0);
    pollfd p{s.fd.get(), POLLIN, 0};
    CHECK(::poll(&p, 1, 0) == 0);
    world closed("127.0.0.1:1");
    const int r = closed.connect(1, v4(loopback, 1));
    if (r == EINPROGRESS) {
        CHECK(closed.who.until([&] { return closed.net.poll(1) & POLLERR; }));
        CHECK(closed.net.take_error(1) == ECONNREFUSED);
    } else {
        CHECK(r == ECONNREFUSED);
    }
}

TEST_CASE("datagrams go out whole, and come in from whom the list names alone") {
    const server s(SOCK_DGRAM), stranger(SOCK_DGRAM);
    world w(ports(s));
    const auto to = v4(loopback, s.port);
    CHECK(w.send(5, "question", &to) == 0);
    char b[64];
    sockaddr_storage from{};
    socklen_t n = sizeof from;
    auto* raw = reinterpret_cast<sockaddr*>(&from);
    REQUIRE(::recvfrom(s.fd.get(), b, sizeof b, 0, raw, &n) == 8);
    REQUIRE(::sendto(stranger.fd.get(), "evil", 4, 0, raw, n) == 4);
    REQUIRE(::sendto(s.fd.get(), "answer", 6, 0, raw, n) == 6);
    CHECK(w.receive(5) == "answer");
    const auto elsewhere = v4(loopback, stranger.port);
    CHECK(w.send(5, "x", &elsewhere) == EACCES);
}

TEST_CASE("names are answered by the host's resolver; those not listed do not exist") {
    world w("localhost:1,localhost.localdomain:7");
    const auto resolver = v4(hearth::guest::resolver_address, hearth::guest::resolver_port);
    REQUIRE(w.connect(1, resolver, SOCK_DGRAM) == 0);
    const std::string head("\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
    const std::string tail("\0\0\x01\0\x01", 5);
    REQUIRE(w.send(1, head +
                          "\x05other\x07"
                          "example" +
                          tail) == 0);
    CHECK((w.receive(1)[3] & 0xf) == 3);
    CHECK(w.net.name(1, true)->port == 53);
    CHECK(w.send(1, "no question") == 0);
    // A listed name: the answer is the host's, whatever it knows.
    REQUIRE(w.send(1, head + "\x09localhost\x0blocaldomain" + tail) == 0);
    const std::string answer = w.receive(1);
    REQUIRE(answer.size() > 12);
    CHECK(answer[1] == 7);
    world any("all");
    REQUIRE(any.connect(1, resolver, SOCK_DGRAM) == 0);
    REQUIRE(any.send(1, head + "\x09localhost" + tail) == 0);
    const std::string known = any.receive(1);
    REQUIRE((known[3] & 0xf) == 0);
    CHECK(known.substr(known.size() - 4) == std::string("\x7f\0\0\x01", 4));
    CHECK(any.connect(2, v4(loopback, 80)) == EACCES);  // a name opens nothing special
    CHECK(any.connect(3, resolver, SOCK_STREAM) == EACCES);
}

TEST_CASE("limits: sockets, connections a second, and a host without descriptors") {
    const server s(SOCK_STREAM);
    limits few;
    few.sockets_per_guest = 8;
    few.sockets = 12;
    world w(ports(s), few);
    const auto to = v4(loopback, s.port);
    for (std::uint32_t id = 1; id <= 8; ++id) {
        const int r = w.connect(id, to);
        CHECK((r == 0 || r == EINPROGRESS));
    }
    CHECK(w.connect(9, to) == ENOBUFS);
    waiter other;
    guest_network second(w.e, std::make_shared<rules>(policy::parse(ports(s)).value()), other);
    for (std::uint32_t id = 1; id <= 4; ++id) (void)second.connect(id, AF_INET, SOCK_STREAM, to);
    CHECK(second.open_sockets() == 4);
    CHECK(second.connect(5, AF_INET, SOCK_STREAM, to).error().number == ENFILE);
    w.net.close_all();
    CHECK(w.net.open_sockets() == 0);

    // A guest that opens and closes in a loop is slowed down, not served at the host's cost.
    limits slow;
    slow.connections_per_second = 5;
    world loop(ports(s), slow);
    int refused = 0;
    for (int i = 0; i < 50; ++i) {
        refused += loop.connect(1, to) == EADDRNOTAVAIL;
        loop.net.close(1);
    }
    CHECK(refused >= 35);
    const server datagrams(SOCK_DGRAM);
    slow.datagrams_per_second = 5;
    world chatty(ports(datagrams), slow);
    const auto there = v4(loopback, datagrams.port);
    refused = 0;
    for (int i = 0; i < 50; ++i) refused += chatty.send(1, "x", &there) == ENOBUFS;
    CHECK(refused >= 40);

    world full(ports(s));
    (void)full.connect(1, to);  // the watcher is there
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit now = before;
    now.rlim_cur = static_cast<rlim_t>(::dup(0));
    ::close(static_cast<int>(now.rlim_cur));
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &now) == 0);
    const int r = full.connect(2, to);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(r == ENFILE);
    CHECK((full.connect(2, to) & ~EINPROGRESS) == 0);
}

TEST_CASE("guests come and go while their sockets have news, and one watcher sees to all") {
    const server s(SOCK_STREAM);
    engine e;
    const auto permitted = std::make_shared<rules>(policy::parse(ports(s)).value());
    std::atomic<bool> over{false};
    std::thread answering([&] {
        std::vector<unique_fd> open;
        while (!over) {
            pollfd p{s.fd.get(), POLLIN, 0};
            if (::poll(&p, 1, 20) <= 0) continue;
            open.emplace_back(::accept(s.fd.get(), nullptr, nullptr));
            (void)!::send(open.back().get(), "hello", 5, MSG_NOSIGNAL);
            if (open.size() > 50) open.clear();
        }
    });
    std::vector<std::thread> guests;
    for (int g = 0; g < 4; ++g)
        guests.emplace_back([&] {
            for (int i = 0; i < 25; ++i) {
                waiter who;
                guest_network net(e, permitted, who);
                for (std::uint32_t id = 1; id <= 4; ++id)
                    (void)net.connect(id, AF_INET, SOCK_STREAM, v4(loopback, s.port));
                std::vector<std::byte> into(16);
                (void)who.until([&] {
                    const auto r = net.receive(1, into, false);
                    return r || r.error().number != EAGAIN;
                });
            }
        });
    for (auto& g : guests) g.join();
    over = true;
    answering.join();
}
