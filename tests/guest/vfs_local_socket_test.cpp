// Sockets between tasks of one guest, where a native program cannot look: as values, and their bounds.

#include "guest/abi/file.hpp"
#include "guest/vfs/socket.hpp"
#include "vfs_world.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

using namespace vfs_test;

namespace {

struct local_sockets : world {
    static constexpr std::uint64_t address_at = data + 0x8000;
    static constexpr std::uint64_t header_at = data + 0x9000;

    std::uint64_t socket(int family, int type) {
        const auto fd = call(SYS_socket,
                             {static_cast<std::uint64_t>(family), static_cast<std::uint64_t>(type), 0});
        REQUIRE(fd >= 0);
        return fd_of(fd);
    }
    /// At the abstract name "\0name".
    std::uint64_t abstract(const std::string& name) {
        sockaddr_un a{};
        a.sun_family = AF_UNIX;
        std::copy(name.begin(), name.end(), a.sun_path + 1);
        put_value(address_at, a);
        return sizeof(sa_family_t) + 1 + name.size();
    }
    std::uint64_t listener(const std::string& name, std::uint64_t backlog) {
        const auto l = socket(AF_UNIX, SOCK_STREAM);
        REQUIRE(call(SYS_bind, {l, address_at, abstract(name)}) == 0);
        REQUIRE(call(SYS_listen, {l, backlog}) == 0);
        return l;
    }
    std::int64_t connect(std::uint64_t fd, const std::string& name) {
        const auto length = abstract(name);
        return call(SYS_connect, {fd, address_at, length});
    }
    /// Sends a descriptor with one byte.
    std::int64_t send(std::uint64_t over, std::uint64_t fd) {
        struct {
            std::uint64_t length;
            int level, type, number, padding;
        } control{20, SOL_SOCKET, SCM_RIGHTS, static_cast<int>(fd), 0};
        put(buffer, "x");
        put_value(header_at + 0x100, control);
        put_value(header_at + 0x200, std::array<std::uint64_t, 2>{buffer, 1});
        abi::msghdr m{};
        m.iov = header_at + 0x200;
        m.iov_count = 1;
        m.control = header_at + 0x100;
        m.control_length = 24;
        put_value(header_at, m);
        return call(SYS_sendmsg, {over, header_at, MSG_DONTWAIT});
    }
    std::pair<std::uint64_t, std::uint64_t> pair(int type) {
        REQUIRE(call(SYS_socketpair, {AF_UNIX, static_cast<std::uint64_t>(type), 0, buffer}) == 0);
        return {static_cast<std::uint64_t>(get_value<int>(buffer)),
                static_cast<std::uint64_t>(get_value<int>(buffer + 4))};
    }
};

}  // namespace

TEST_CASE("a copy of a guest that listens accepts who waited") {
    local_sockets s;
    const auto l = s.listener("server", 5);
    const auto c = s.socket(AF_UNIX, SOCK_STREAM);
    REQUIRE(s.connect(c, "server") == 0);
    CHECK(s.write(static_cast<int>(c), "waited") == 6);
    const kernel_state before = s.kernel->state();

    const auto a = s.call(SYS_accept, {l, 0, 0});
    CHECK(s.read(a) == "waited");
    CHECK_FALSE(s.kernel->state() == before);
    s.kernel->restore(before);
    const auto again = s.call(SYS_accept, {l, 0, 0});
    CHECK(again == a);
    CHECK(s.read(again) == "waited");
}

TEST_CASE("a parked accept goes on when a client comes, and fails when the listener is shut") {
    local_sockets s;
    const auto l = s.listener("server", 5);
    s.parks(SYS_accept, {l, 0, 0});
    CHECK(s.still_parked());
    // Another task's call, made by hand: the world has one task.
    const auto other = vfs::make_socket(s.state(), AF_UNIX, SOCK_STREAM, 0, 0);
    vfs::socket_name name;
    name.family = AF_UNIX;
    name.path = std::string(1, '\0') + "server";
    CHECK(vfs::connect(s.state(), other, name, vfs::inode_id::none, {}).error == 0);
    CHECK(s.resume() > 0);
    CHECK(s.call(SYS_shutdown, {l, SHUT_RDWR}) == 0);
    CHECK(s.call(SYS_accept, {l, 0, 0}) == -EINVAL);
    CHECK(s.connect(s.socket(AF_UNIX, SOCK_STREAM), "server") == -ECONNREFUSED);
}

TEST_CASE("closing a listener resets who waited and frees its name") {
    local_sockets s;
    const auto l = s.listener("server", 5);
    const auto c = s.socket(AF_UNIX, SOCK_STREAM);
    REQUIRE(s.connect(c, "server") == 0);
    s.close(static_cast<int>(l));
    CHECK(s.read(static_cast<int>(c)) == "errno " + std::to_string(ECONNRESET));
    s.close(static_cast<int>(c));
    CHECK(s.state().pairs.empty());
    CHECK(s.state().socket_names.empty());
    CHECK(s.listener("server", 1) == l);
}

TEST_CASE("what sockets hold is counted, and bounded together") {
    local_sockets s;
    s.put(local_sockets::buffer, std::string(1u << 18, 'b'));
    std::vector<std::uint64_t> all;
    std::int64_t n = 0;
    for (int i = 0; i < 480; ++i) {
        const auto [a, b] = s.pair(SOCK_STREAM);
        all.insert(all.end(), {a, b});
        n = s.call(SYS_sendto, {a, local_sockets::buffer, 1u << 18, MSG_DONTWAIT, 0, 0});
        if (n < 0) break;
    }
    CHECK(n == -EAGAIN);
    std::size_t held = 0;
    for (const auto& [id, p] : s.state().pairs) held += p.to[0].bytes.size() + p.to[1].bytes.size();
    CHECK(held == s.state().socket_bytes);
    CHECK(held >= vfs::max_socket_bytes);
    CHECK(held < vfs::max_socket_bytes + (1u << 18));
    for (const auto fd : all) s.close(static_cast<int>(fd));
    CHECK(s.state().socket_bytes == 0);
    CHECK(s.state().pairs.empty());
}

TEST_CASE("empty messages are bounded together too") {
    local_sockets s;
    std::vector<std::uint64_t> all;
    std::size_t sent = 0;
    for (int i = 0; i < 400; ++i) {
        const auto [a, b] = s.pair(SOCK_DGRAM);
        all.insert(all.end(), {a, b});
        std::int64_t n = 0;
        while ((n = s.call(SYS_sendto, {a, local_sockets::buffer, 0, MSG_DONTWAIT, 0, 0})) == 0)
            ++sent;
        REQUIRE(n == -EAGAIN);
    }
    CHECK(sent == vfs::max_socket_bytes / vfs::message_cost);
    CHECK(s.state().socket_bytes == vfs::max_socket_bytes);
    // One that is received makes room for one.
    CHECK(s.call(SYS_recvfrom, {all[1], local_sockets::buffer, 8, MSG_DONTWAIT, 0, 0}) == 0);
    CHECK(s.call(SYS_sendto, {all[0], local_sockets::buffer, 0, MSG_DONTWAIT, 0, 0}) == 0);
    for (const auto fd : all) s.close(static_cast<int>(fd));
    CHECK(s.state().socket_bytes == 0);
}

TEST_CASE("descriptors in flight are counted, and sockets sent over each other stay few") {
    local_sockets s;
    const auto before = s.state().descriptions.size();
    const auto [a, b] = s.pair(SOCK_DGRAM);
    CHECK(s.send(a, 0) == 1);
    CHECK(s.state().in_flight == 1);
    CHECK(s.read(static_cast<int>(b)) == "x");  // read(2) drops it
    CHECK(s.state().in_flight == 0);
    s.close(static_cast<int>(a));
    s.close(static_cast<int>(b));
    CHECK(s.state().descriptions.size() == before);

    // Each pair holds itself for ever. Linux has a collector for these; here their number is bounded.
    std::int64_t n = 0;
    int circles = 0;
    for (; n >= 0 && circles < 5000; ++circles) {
        const auto [c, d] = s.pair(SOCK_STREAM);
        n = s.send(c, d);
        s.close(static_cast<int>(c));
        s.close(static_cast<int>(d));
    }
    CHECK(n == -ETOOMANYREFS);
    CHECK(s.state().in_flight == vfs::max_in_flight);
    CHECK(s.state().descriptions.size() <= before + vfs::max_in_flight);
}

TEST_CASE("ports are chosen, refused and shared as asked") {
    local_sockets s;
    const auto bind = [&](std::uint64_t fd, std::uint32_t to, std::uint16_t port) {
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(to);
        a.sin_port = htons(port);
        s.put_value(local_sockets::address_at, a);
        return s.call(SYS_bind, {fd, local_sockets::address_at, sizeof a});
    };
    const auto a = s.socket(AF_INET, SOCK_STREAM), b = s.socket(AF_INET, SOCK_STREAM);
    CHECK(bind(a, 0x0808'0808, 80) == -EADDRNOTAVAIL);
    CHECK(bind(a, 0x7f00'0001, 80) == 0);
    CHECK(bind(a, 0x7f00'0001, 81) == -EINVAL);
    CHECK(bind(b, 0x7f00'0001, 80) == -EADDRINUSE);
    CHECK(bind(b, 0, 80) == -EADDRINUSE);
    CHECK(bind(b, 0x7f00'0002, 80) == 0);  // another address
    CHECK(bind(s.socket(AF_INET, SOCK_DGRAM), 0, 80) == 0);  // another protocol
    s.host.services.insert({0x7f00'0001, 9001});
    CHECK(bind(s.socket(AF_INET, SOCK_STREAM), 0, 9001) == -EADDRINUSE);
    const auto shared = [&](int option) {
        const auto fd = s.socket(AF_INET, SOCK_STREAM);
        s.put_value<int>(local_sockets::buffer, 1);
        REQUIRE(s.call(SYS_setsockopt, {fd, SOL_SOCKET, static_cast<std::uint64_t>(option),
                                        local_sockets::buffer, 4}) == 0);
        return fd;
    };
    const auto first = shared(SO_REUSEPORT);
    CHECK(bind(first, 0, 90) == 0);
    CHECK(s.call(SYS_listen, {first, 5}) == 0);
    CHECK(bind(shared(SO_REUSEPORT), 0, 90) == 0);
    CHECK(bind(shared(SO_REUSEADDR), 0, 90) == -EADDRINUSE);
}
