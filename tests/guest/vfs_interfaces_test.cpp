/// NETLINK_ROUTE's answers, with a way out of the guest and without, and to anything at all. What
/// a program sees of the loopback is in tests/guests/interfaces.c, beside Linux.

#include "guest/kernel/outbound.hpp"
#include "guest/vfs/netlink.hpp"
#include "guest/vfs/socket_name.hpp"
#include "vfs_world.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <random>

using namespace vfs_test;

namespace {

/// A way out that leads nowhere.
class closed_network final : public outbound {
  public:
    bool may_reach(const vfs::socket_name&) override { return false; }
    outcome<void> connect(std::uint32_t, int, int, const vfs::socket_name&) override {
        return os_error{EACCES};
    }
    void disconnect(std::uint32_t) override {}
    outcome<std::size_t> send(std::uint32_t,
                              int,
                              std::span<const std::byte>,
                              const vfs::socket_name*) override {
        return os_error{EACCES};
    }
    outcome<std::size_t> send_urgent(std::uint32_t, std::span<const std::byte>) override {
        return os_error{EACCES};
    }
    outcome<std::size_t> receive_urgent(std::uint32_t, std::span<std::byte>, bool) override {
        return os_error{EINVAL};
    }
    bool at_mark(std::uint32_t) override { return false; }
    outcome<received> receive(std::uint32_t, std::span<std::byte>, bool) override {
        return os_error{EAGAIN};
    }
    short poll(std::uint32_t) override { return 0; }
    std::uint64_t activity(std::uint32_t) override { return 0; }
    int take_error(std::uint32_t) override { return 0; }
    outcome<void> shutdown(std::uint32_t, int) override { return {}; }
    outcome<vfs::socket_name> name(std::uint32_t, bool) override { return os_error{ENOTCONN}; }
    void set_option(std::uint32_t, int, int, std::int64_t) override {}
    std::size_t unread(std::uint32_t) override { return 0; }
    void close(std::uint32_t) override {}
    void close_all() override {}
};

struct connected_world : world {
    closed_network network;
    connected_world() { host.way_out = &network; }
};

struct request {
    nlmsghdr h{sizeof(request), 0, NLM_F_REQUEST | NLM_F_DUMP, 1, 0};
    ifinfomsg body{};
};

/// Types of the messages that answer a dump.
std::vector<int> dump(std::span<const vfs::network_interface> interfaces, std::uint16_t type) {
    request q;
    q.h.nlmsg_type = type;
    std::vector<int> types;
    for (const std::string& d :
         vfs::netlink::answer(interfaces, std::as_bytes(std::span(&q, 1)), 8)) {
        for (std::size_t at = 0; at < d.size();) {
            nlmsghdr h;
            REQUIRE(d.size() - at >= sizeof h);
            std::memcpy(&h, d.data() + at, sizeof h);
            REQUIRE(h.nlmsg_len >= sizeof h);
            REQUIRE(h.nlmsg_len <= d.size() - at);
            CHECK(h.nlmsg_pid == 8);
            types.push_back(h.nlmsg_type);
            at += NLMSG_ALIGN(h.nlmsg_len);
        }
    }
    return types;
}

}  // namespace

TEST_CASE("a guest with a way out has an interface for it, whose address is the guest itself") {
    connected_world w;
    const auto all = vfs::interfaces_of(w.host);
    REQUIRE(all.size() == 2);
    CHECK(dump(all, RTM_GETLINK) == std::vector<int>{RTM_NEWLINK, RTM_NEWLINK, NLMSG_DONE});
    CHECK(dump(all, RTM_GETADDR) ==
          std::vector<int>{RTM_NEWADDR, RTM_NEWADDR, RTM_NEWADDR, RTM_NEWADDR, NLMSG_DONE});
    CHECK(dump(all, RTM_GETROUTE) == std::vector<int>{RTM_NEWROUTE, NLMSG_DONE});
    CHECK(w.slurp("/proc/net/dev").find("  eth0:") != std::string::npos);
    CHECK(w.slurp("/proc/net/route").find("eth0\t00000000\t014EFEA9\t0003\t") != std::string::npos);
    const auto s = w.call(SYS_socket, {AF_INET, SOCK_STREAM, 0});
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(vfs::socket_name::own_address);
    a.sin_port = htons(8080);
    w.put_value(world::buffer, a);
    CHECK(w.call(SYS_bind, {w.fd_of(s), world::buffer, sizeof a}) == 0);
    REQUIRE(w.call(SYS_listen, {w.fd_of(s), 1}) == 0);
    const auto client = w.call(SYS_socket, {AF_INET, SOCK_STREAM, 0});
    w.put_value(world::buffer, a);
    CHECK(w.call(SYS_connect, {w.fd_of(client), world::buffer, sizeof a}) == 0);
}

TEST_CASE("a guest without a way out has its loopback alone") {
    world w;
    const auto all = vfs::interfaces_of(w.host);
    REQUIRE(all.size() == 1);
    CHECK(dump(all, RTM_GETLINK) == std::vector<int>{RTM_NEWLINK, NLMSG_DONE});
    CHECK(dump(all, RTM_GETROUTE) == std::vector<int>{NLMSG_DONE});
    CHECK(dump(all, RTM_GETNEIGH) == std::vector<int>{NLMSG_DONE});
    CHECK(dump(all, RTM_NEWLINK) == std::vector<int>{NLMSG_ERROR});
    CHECK(dump(all, 4711) == std::vector<int>{NLMSG_ERROR});
}

TEST_CASE("answers that nobody reads end, and are given back with the socket") {
    world w;
    const auto s = w.call(SYS_socket, {AF_NETLINK, SOCK_RAW, 0});
    REQUIRE(s >= 0);
    request q;
    q.h.nlmsg_type = RTM_GETLINK;
    w.put_value(world::buffer, q);
    std::int64_t r = 0;
    int sent = 0;
    while ((r = w.call(SYS_sendto, {w.fd_of(s), world::buffer, sizeof q, 0, 0, 0})) > 0) ++sent;
    CHECK(r == -ENOBUFS);
    CHECK(sent > 10);
    CHECK(sent < 1000);
    CHECK(w.state().socket_bytes > 0);
    CHECK(w.state() == vfs::vfs_state(w.state()));
    w.close(s);
    CHECK(w.state().socket_bytes == 0);
}

TEST_CASE("any bytes to the kernel are answered or ignored") {
    world w;
    std::mt19937 random(11);
    for (int i = 0; i < 20'000; ++i) {
        std::vector<std::byte> bytes(random() % 96);
        for (auto& b : bytes) b = static_cast<std::byte>(random());
        if (bytes.size() >= 16 && i % 4) {  // a header that leads on
            nlmsghdr h{
                static_cast<std::uint32_t>(random() % 100),
                static_cast<std::uint16_t>(16 + random() % 40),
                static_cast<std::uint16_t>(NLM_F_REQUEST | (random() % 2 ? NLM_F_DUMP : NLM_F_ACK)),
                1, 2};
            std::memcpy(bytes.data(), &h, sizeof h);
        }
        for (const std::string& d : vfs::netlink::answer(vfs::interfaces_of(w.host), bytes, 1))
            REQUIRE(d.size() >= sizeof(nlmsghdr));
    }
    // A great many requests in one datagram: bounded.
    std::vector<request> many(500);
    for (auto& q : many) q.h.nlmsg_type = RTM_GETLINK;
    CHECK(vfs::netlink::answer(vfs::interfaces_of(w.host), std::as_bytes(std::span(many)), 1)
              .size() <= 64);
}
