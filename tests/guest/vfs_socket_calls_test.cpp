#include "guest/abi/file.hpp"
#include "guest/vfs/service_sockets.hpp"
#include "vfs_world.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

using namespace vfs_test;

namespace {

struct sockets : world {
    static constexpr std::uint32_t loopback = 0x7f00'0001;
    static constexpr std::uint64_t address_at = data + 0x8000;

    std::int64_t socket(int type = SOCK_STREAM, int family = AF_INET) {
        return call(SYS_socket,
                    {static_cast<std::uint64_t>(family), static_cast<std::uint64_t>(type), 0});
    }
    std::int64_t connect(std::int64_t fd, std::uint32_t to, std::uint16_t port) {
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(to);
        a.sin_port = htons(port);
        put_value(address_at, a);
        return call(SYS_connect, {fd_of(fd), address_at, sizeof a});
    }
    /// Connected to a service at 127.0.0.1:9001, and the service's handle.
    std::pair<std::int64_t, std::uint32_t> service(int type = SOCK_STREAM) {
        host.services.insert({loopback, 9001});
        const auto fd = socket(type);
        REQUIRE(connect(fd, loopback, 9001) == 0);
        const auto active = vfs::take_service_activity(state());
        REQUIRE(active.size() == 1);
        return {fd, active[0]};
    }
    std::pair<std::uint64_t, std::uint64_t> pair(int type) {
        REQUIRE(call(SYS_socketpair, {AF_UNIX, static_cast<std::uint64_t>(type), 0, buffer}) == 0);
        return {static_cast<std::uint64_t>(get_value<int>(buffer)),
                static_cast<std::uint64_t>(get_value<int>(buffer + 4))};
    }
};

}  // namespace

TEST_CASE("a connection to a service carries a request and its answer") {
    sockets s;
    const auto [fd, c] = s.service();
    CHECK(s.write(fd, "GET /next") == 9);
    CHECK(vfs::take_service_activity(s.state()) == std::vector<std::uint32_t>{c});
    CHECK(vfs::take_service_activity(s.state()).empty());
    REQUIRE(vfs::service_input(s.state(), c));
    CHECK(*vfs::service_input(s.state(), c) == "GET /next");
    vfs::service_input(s.state(), c)->clear();
    s.parks(SYS_read, {s.fd_of(fd), world::buffer, 100});
    CHECK(s.still_parked());
    vfs::service_send(s.state(), c, "200 OK");
    CHECK(s.resume() == 6);
    CHECK(s.get(world::buffer, 6) == "200 OK");
    CHECK_FALSE(vfs::service_peer_closed(s.state(), c));
    s.close(fd);
    CHECK(vfs::service_peer_closed(s.state(), c));
    CHECK(vfs::take_service_activity(s.state()) == std::vector<std::uint32_t>{c});
    vfs::service_close(s.state(), c);
    CHECK(s.state().connections.empty());
    CHECK(vfs::service_input(s.state(), c) == nullptr);
}

TEST_CASE("what a service sent before it closed is read, then end of file, then EPIPE") {
    sockets s;
    const auto [fd, c] = s.service();
    vfs::service_send(s.state(), c, "last words");
    vfs::service_close(s.state(), c);
    CHECK(s.read(fd, 4) == "last");
    CHECK(s.read(fd) == " words");
    CHECK(s.read(fd) == "");
    s.put(world::buffer, "x");
    CHECK(s.call(SYS_sendto, {s.fd_of(fd), world::buffer, 1, MSG_NOSIGNAL, 0, 0}) == -EPIPE);
    s.close(fd);
    CHECK(s.state().connections.empty());
}

TEST_CASE("addresses without a service are refused or unreachable") {
    sockets s;
    CHECK(s.connect(s.socket(), s.loopback, 80) == -ECONNREFUSED);
    CHECK(s.connect(s.socket(), 0x0808'0808, 80) == -ENETUNREACH);
    CHECK(s.connect(s.socket(SOCK_DGRAM), 0x0808'0808, 53) == -ENETUNREACH);
    CHECK(s.socket(SOCK_RAW) == -EPERM);
    CHECK(s.call(SYS_socket, {AF_PACKET, SOCK_RAW, 0}) == -EAFNOSUPPORT);
    CHECK(s.call(SYS_socket, {AF_INET, 0x100000, 0}) == -EINVAL);
    CHECK(s.call(SYS_socket, {AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE}) == -EPROTONOSUPPORT);
    const auto u = s.socket(SOCK_STREAM, AF_UNIX);
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::strcpy(a.sun_path, "/var/run/nscd/socket");
    s.put_value(s.address_at, a);
    CHECK(s.call(SYS_connect, {s.fd_of(u), s.address_at, sizeof a}) == -ENOENT);
    std::strcpy(a.sun_path, "/own/hello");
    s.put_value(s.address_at, a);
    CHECK(s.call(SYS_connect, {s.fd_of(u), s.address_at, sizeof a}) == -ECONNREFUSED);
    CHECK(s.call(SYS_connect, {1, s.address_at, sizeof a}) == -ENOTSOCK);
    CHECK(s.call(SYS_connect, {s.fd_of(u), world::bad, 16}) == -EFAULT);
    CHECK(s.call(SYS_connect, {s.fd_of(u), s.address_at, 5000}) == -EINVAL);
    const auto tcp = s.socket();
    CHECK(s.call(SYS_bind, {s.fd_of(tcp), s.address_at, 16}) == -EAFNOSUPPORT);
    CHECK(s.call(SYS_accept, {s.fd_of(tcp), 0, 0}) == -EINVAL);
    CHECK(s.call(SYS_shutdown, {s.fd_of(tcp), SHUT_WR}) == -ENOTCONN);
    CHECK(s.call(SYS_getpeername, {s.fd_of(tcp), world::buffer, world::data}) == -ENOTCONN);
}

TEST_CASE("a guest that writes without being read is stopped, and goes on when it is") {
    sockets s;
    const auto [fd, c] = s.service();
    s.put(world::buffer, std::string(2u << 20, 'b'));
    for (int i = 0; i < 4; ++i)
        REQUIRE(s.call(SYS_write, {s.fd_of(fd), world::buffer, 2u << 20}) == (2 << 20));
    s.parks(SYS_write, {s.fd_of(fd), world::buffer, 2u << 20});
    CHECK(s.still_parked());
    CHECK(vfs::service_input(s.state(), c)->size() == vfs::service_connection::window);
    vfs::service_input(s.state(), c)->erase(0, 3u << 20);
    CHECK(s.resume() == (2 << 20));
    CHECK(s.call(SYS_sendto, {s.fd_of(fd), world::buffer, 2u << 20, MSG_DONTWAIT, 0, 0}) ==
          (1 << 20));
    CHECK(s.call(SYS_sendto, {s.fd_of(fd), world::buffer, 1, MSG_DONTWAIT, 0, 0}) == -EAGAIN);
}

TEST_CASE("all connections together hold a bounded amount, and there are not many") {
    sockets s;
    s.host.services.insert({s.loopback, 9001});
    s.put(world::buffer, std::string(2u << 20, 'b'));
    std::int64_t refused = 0;
    for (int i = 0; i < 100; ++i) {
        const auto fd = s.socket(SOCK_STREAM | SOCK_NONBLOCK);
        const auto r = s.connect(fd, s.loopback, 9001);
        if (r == -ECONNREFUSED)
            ++refused;
        else
            for (int j = 0; j < 5; ++j) s.call(SYS_write, {s.fd_of(fd), world::buffer, 2u << 20});
    }
    CHECK(refused == 100 - static_cast<std::int64_t>(vfs::max_connections));
    std::size_t held = 0;
    for (const auto& [id, c] : s.state().connections) held += c.from_guest.size();
    CHECK(held == vfs::max_unread);
}

TEST_CASE("names, options and flags of a connected socket") {
    sockets s;
    const auto [fd, c] = s.service();
    s.put_value<int>(world::data, 16);
    REQUIRE(s.call(SYS_getpeername, {s.fd_of(fd), world::buffer, world::data}) == 0);
    const auto peer = s.get_value<sockaddr_in>(world::buffer);
    CHECK(ntohl(peer.sin_addr.s_addr) == s.loopback);
    CHECK(ntohs(peer.sin_port) == 9001);
    s.put_value<int>(world::data, 4);
    REQUIRE(s.call(SYS_getsockname, {s.fd_of(fd), world::buffer, world::data}) == 0);
    CHECK(s.get_value<int>(world::data) == 16);
    s.put_value<int>(world::data, 4);
    REQUIRE(s.call(SYS_getsockopt,
                   {s.fd_of(fd), SOL_SOCKET, SO_ERROR, world::buffer, world::data}) == 0);
    CHECK(s.get_value<int>(world::buffer) == 0);
    REQUIRE(s.call(SYS_getsockopt,
                   {s.fd_of(fd), SOL_SOCKET, SO_TYPE, world::buffer, world::data}) == 0);
    CHECK(s.get_value<int>(world::buffer) == SOCK_STREAM);
    s.put_value<int>(world::buffer, 1);
    CHECK(s.call(SYS_setsockopt, {s.fd_of(fd), IPPROTO_TCP, TCP_NODELAY, world::buffer, 4}) == 0);
    s.put_value<int>(world::buffer, 0);
    CHECK(s.call(SYS_getsockopt,
                 {s.fd_of(fd), IPPROTO_TCP, TCP_NODELAY, world::buffer, world::data}) == 0);
    CHECK(s.get_value<int>(world::buffer) == 1);
    CHECK(s.call(SYS_setsockopt, {s.fd_of(fd), SOL_SOCKET, 9999, world::buffer, 4}) ==
          -ENOPROTOOPT);
    CHECK(s.call(SYS_setsockopt, {s.fd_of(fd), SOL_SOCKET, SO_KEEPALIVE, world::bad, 4}) ==
          -EFAULT);
    CHECK(s.call(SYS_setsockopt, {s.fd_of(fd), SOL_SOCKET, SO_KEEPALIVE, world::buffer, 2}) ==
          -EINVAL);
    CHECK(s.connect(fd, s.loopback, 9001) == -EISCONN);
    CHECK(s.call(SYS_recvfrom, {s.fd_of(fd), world::buffer, 1, 0x40000000 | MSG_DONTWAIT, 0, 0}) ==
          -EAGAIN);
    CHECK(s.call(SYS_recvfrom, {s.fd_of(fd), world::buffer, 1, 0x80, 0, 0}) == -EINVAL);
    REQUIRE(s.call(SYS_fstat, {s.fd_of(fd), world::buffer}) == 0);
    CHECK(S_ISSOCK(s.get_value<struct ::stat>(world::buffer).st_mode));
}

TEST_CASE("a receive timeout ends a wait") {
    sockets s;
    const auto [fd, c] = s.service();
    s.put_value(world::buffer, std::array<std::int64_t, 2>{0, 250'000});
    REQUIRE(s.call(SYS_setsockopt, {s.fd_of(fd), SOL_SOCKET, SO_RCVTIMEO, world::buffer, 16}) == 0);
    s.parks(SYS_recvfrom, {s.fd_of(fd), world::buffer, 10, 0, 0, 0});
    s.host.monotonic += 249ms;
    CHECK(s.still_parked());
    s.host.monotonic += 1ms;
    CHECK(s.resume() == -EAGAIN);
}

TEST_CASE("peeking leaves the bytes, waiting for all gathers them") {
    sockets s;
    const auto [fd, c] = s.service();
    vfs::service_send(s.state(), c, "abc");
    CHECK(s.call(SYS_recvfrom, {s.fd_of(fd), world::buffer, 10, MSG_PEEK, 0, 0}) == 3);
    s.parks(SYS_recvfrom, {s.fd_of(fd), world::buffer, 6, MSG_WAITALL, 0, 0});
    vfs::service_send(s.state(), c, "de");
    CHECK(s.still_parked());
    vfs::service_send(s.state(), c, "fgh");
    CHECK(s.resume() == 6);
    CHECK(s.get(world::buffer, 6) == "abcdef");
    CHECK(s.read(fd) == "gh");
}

TEST_CASE("a stream pair carries bytes both ways and half-closes") {
    sockets s;
    const auto [a, b] = s.pair(SOCK_STREAM);
    CHECK(s.write(static_cast<int>(a), "ping") == 4);
    CHECK(s.read(static_cast<int>(b)) == "ping");
    CHECK(s.write(static_cast<int>(b), "pong") == 4);
    CHECK(s.call(SYS_shutdown, {b, SHUT_WR}) == 0);
    CHECK(s.read(static_cast<int>(a)) == "pong");
    CHECK(s.read(static_cast<int>(a)) == "");
    CHECK(s.write(static_cast<int>(a), "still") == 5);
    s.close(static_cast<int>(b));
    CHECK(s.call(SYS_sendto, {a, world::buffer, 1, MSG_NOSIGNAL, 0, 0}) == -EPIPE);
    s.close(static_cast<int>(a));
    CHECK(s.state().pairs.empty());
}

TEST_CASE("datagrams keep their bounds") {
    sockets s;
    const auto [a, b] = s.pair(SOCK_DGRAM | SOCK_NONBLOCK);
    CHECK(s.write(static_cast<int>(a), "first") == 5);
    CHECK(s.write(static_cast<int>(a), "second") == 6);
    CHECK(s.call(SYS_recvfrom, {b, world::buffer, 3, 0, 0, 0}) == 3);
    CHECK(s.call(SYS_recvfrom, {b, world::buffer, 3, MSG_TRUNC, 0, 0}) == 6);
    CHECK(s.call(SYS_recvfrom, {b, world::buffer, 3, 0, 0, 0}) == -EAGAIN);
    s.put(world::buffer, std::string(1000, 'd'));
    std::int64_t n = 0, sent = 0;
    while ((n = s.call(SYS_write, {a, world::buffer, 1000})) == 1000) ++sent;
    CHECK(n == -EAGAIN);
    CHECK(sent > 50);
    CHECK(sent < 400);
    CHECK(s.call(SYS_write, {a, world::buffer, 1u << 20}) == -EMSGSIZE);
}

TEST_CASE("messages gather and scatter") {
    sockets s;
    const auto [a, b] = s.pair(SOCK_STREAM);
    struct piece {
        std::uint64_t base, length;
    };
    s.put(world::buffer, "headbody");
    const auto iov = world::data + 0x9000, header = world::data + 0x9800;
    s.put_value(iov, std::array<piece, 2>{piece{world::buffer, 4}, piece{world::buffer + 4, 4}});
    abi::msghdr m{};
    m.iov = iov;
    m.iov_count = 2;
    s.put_value(header, m);
    CHECK(s.call(SYS_sendmsg, {a, header, 0}) == 8);
    m.control = world::buffer;
    m.control_length = 16;
    s.put_value(header, m);
    CHECK(s.call(SYS_sendmsg, {a, header, 0}) == -EINVAL);  // not ancillary data
    s.put_value(iov,
                std::array<piece, 2>{piece{world::buffer + 100, 6}, piece{world::buffer + 200, 6}});
    CHECK(s.call(SYS_recvmsg, {b, header, 0}) == 8);
    CHECK(s.get(world::buffer + 100, 6) == "headbo");
    CHECK(s.get(world::buffer + 200, 2) == "dy");
    CHECK(s.get_value<abi::msghdr>(header).control_length == 0);
    m.iov_count = 2000;
    s.put_value(header, m);
    CHECK(s.call(SYS_recvmsg, {b, header, 0}) == -EMSGSIZE);
    CHECK(s.call(SYS_recvmsg, {b, world::bad, 0}) == -EFAULT);
}
