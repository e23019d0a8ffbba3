#include "guest/sys/socket.hpp"

#include "guest/sys/files.hpp"
#include "guest/vfs/open.hpp"
#include "guest/vfs/service_sockets.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace hearth::guest {
namespace {

using files::opened;

outcome<opened> find_socket(task& t, int fd) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    if (!vfs::is_socket(*o->description)) return os_error{ENOTSOCK};
    return o;
}

int family_of(const vfs::description& d) {
    if (const auto* idle = std::get_if<vfs::unconnected_socket>(&d.body)) return idle->family;
    return std::holds_alternative<vfs::pair_end>(d.body) ? AF_UNIX : AF_INET;
}

int type_of(task& t, const vfs::description& d) {
    if (const auto* idle = std::get_if<vfs::unconnected_socket>(&d.body)) return idle->type;
    if (const auto* end = std::get_if<vfs::pair_end>(&d.body)) {
        const auto it = files::state_of(t).pairs.find(end->pair);
        if (it != files::state_of(t).pairs.end()) return it->second.type;
    }
    return SOCK_STREAM;
}

/// Copies an address out as the kernel does: as much as fits, and the true length.
sysret give_address(task& t,
                    guest_ptr<void> out,
                    guest_ptr<int> length,
                    std::span<const std::byte> address) {
    auto room = t.read(length);
    if (!room) return room.error();
    if (*room < 0) return sysret::error(EINVAL);
    const std::size_t n = std::min(static_cast<std::size_t>(*room), address.size());
    if (auto ok = t.memory().write(out.address, address.first(n)); !ok) return ok.error();
    return t.write(length, static_cast<int>(address.size()));
}

sysret give_name(
    task& t, const vfs::description& d, bool peer, guest_ptr<void> out, guest_ptr<int> length) {
    if (family_of(d) == AF_UNIX) {
        if (peer && std::holds_alternative<vfs::unconnected_socket>(d.body))
            return sysret::error(ENOTCONN);
        const sa_family_t family = AF_UNIX;  // unnamed
        return give_address(t, out, length, std::as_bytes(std::span(&family, 1)));
    }
    sockaddr_in name{};
    name.sin_family = AF_INET;
    if (const auto* socket = std::get_if<vfs::service_socket>(&d.body)) {
        const auto it = files::state_of(t).connections.find(socket->connection);
        if (it != files::state_of(t).connections.end()) {
            name.sin_addr.s_addr = htonl(peer ? it->second.address : INADDR_LOOPBACK);
            name.sin_port = htons(peer ? it->second.port : it->second.local_port);
        }
    } else if (peer) {
        return sysret::error(ENOTCONN);
    }
    return give_address(t, out, length, std::as_bytes(std::span(&name, 1)));
}

sysret connect_inet(task& t, vfs::description& d, std::span<const std::byte> raw) {
    if (raw.size() < sizeof(sockaddr_in)) return sysret::error(EINVAL);
    sockaddr_in address;
    std::memcpy(&address, raw.data(), sizeof address);
    if (address.sin_family != AF_INET) return sysret::error(EAFNOSUPPORT);
    const std::uint32_t to = ntohl(address.sin_addr.s_addr);
    const std::uint16_t port = ntohs(address.sin_port);
    const bool loopback =
        to >> 24 == 127 || to == INADDR_ANY;  // connecting to "any" means this host
    auto& idle = std::get<vfs::unconnected_socket>(d.body);
    if (idle.type != SOCK_STREAM || !t.kernel().host().service_listens(to, port))
        return sysret::error(loopback ? ECONNREFUSED : ENETUNREACH);
    vfs::vfs_state& state = files::state_of(t);
    if (state.connections.size() >= vfs::max_connections)
        return sysret::error(ECONNREFUSED);  // its backlog is full
    vfs::service_connection c;
    c.address = to;
    c.port = port;
    c.local_port = state.next_port;
    state.next_port =
        state.next_port >= 60999 ? 32768 : static_cast<std::uint16_t>(state.next_port + 1);
    c.active = true;
    const std::uint32_t id = state.fresh_id();
    state.connections.emplace(id, std::move(c));
    d.body = vfs::service_socket{id};
    return 0;
}

sysret connect_unix(task& t, std::span<const std::byte> raw) {
    if (raw.size() < sizeof(sa_family_t) || raw.size() > sizeof(sockaddr_un))
        return sysret::error(EINVAL);
    sa_family_t family = 0;
    std::memcpy(&family, raw.data(), sizeof family);
    if (family != AF_UNIX) return sysret::error(EINVAL);
    const std::string_view rest(reinterpret_cast<const char*>(raw.data()) + sizeof family,
                                raw.size() - sizeof family);
    if (rest.empty()) return sysret::error(EINVAL);
    if (rest.front() == '\0') return sysret::error(ECONNREFUSED);  // nobody has an abstract name
    const std::string path(rest.substr(0, rest.find('\0')));
    auto l = files::tree_of(t).resolve(files::context_of(t), t.process().working_directory, path);
    if (!l) return l.error();
    return sysret::error(ECONNREFUSED);
}

constexpr int send_flags =
    MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE | MSG_EOR | MSG_CONFIRM | MSG_DONTROUTE;
constexpr int receive_flags =
    MSG_DONTWAIT | MSG_PEEK | MSG_WAITALL | MSG_TRUNC | MSG_CMSG_CLOEXEC | MSG_NOSIGNAL;

std::optional<std::chrono::nanoseconds> time_limit(const vfs::description& d, int option) {
    const auto it = d.socket_options.find({SOL_SOCKET, option});
    if (it == d.socket_options.end() || it->second == 0) return std::nullopt;
    return std::chrono::microseconds(it->second);
}

sysret wait_or_again(
    task& t, const opened& o, short events, int flags, std::uint64_t progress, int option) {
    if (flags & MSG_DONTWAIT)
        return progress ? sysret(static_cast<std::int64_t>(progress)) : sysret::error(EAGAIN);
    return files::would_block(t, o.id, events, progress, time_limit(*o.description, option));
}

sysret send(
    task& t, int fd, outcome<std::vector<vfs::segment>> segments, int flags, bool addressed) {
    auto o = find_socket(t, fd);
    if (!o) return o.error();
    if (!segments) return segments.error();
    if (flags & MSG_OOB) return sysret::error(EOPNOTSUPP);
    if (flags & ~send_flags) return sysret::error(EINVAL);
    // A connected stream has its peer; a datagram to anywhere has no way out.
    if (addressed && std::holds_alternative<vfs::pair_end>(o->description->body))
        return sysret::error(EISCONN);
    if (const auto* idle = std::get_if<vfs::unconnected_socket>(&o->description->body);
        idle && addressed && idle->type == SOCK_DGRAM)
        return sysret::error(idle->family == AF_UNIX ? ECONNREFUSED : ENETUNREACH);
    vfs::guest_buffers from(t.memory(), std::move(*segments));
    std::uint64_t done = t.wait() ? t.wait()->progress : 0;
    from.skip(done);
    for (;;) {
        auto n = vfs::send(files::state_of(t), *o->description, from);
        if (!n) {
            if (n.error().number == EAGAIN)
                return wait_or_again(t, *o, POLLOUT, flags, done, SO_SNDTIMEO);
            if (done) return static_cast<std::int64_t>(done);
            if (n.error().number == EPIPE && !(flags & MSG_NOSIGNAL)) files::broken_pipe(t);
            return n.error();
        }
        done += *n;
        if (*n == 0 || from.size() == 0) return static_cast<std::int64_t>(done);
    }
}

/// `message_flags`: what recvmsg says in msg_flags.
sysret receive(
    task& t, int fd, outcome<std::vector<vfs::segment>> segments, int flags, int* message_flags) {
    auto o = find_socket(t, fd);
    if (!o) return o.error();
    if (!segments) return segments.error();
    if (flags & MSG_ERRQUEUE) return sysret::error(EAGAIN);  // the error queue is empty
    if (flags & MSG_OOB) return sysret::error(EINVAL);
    if (flags & ~receive_flags) return sysret::error(EINVAL);
    vfs::guest_buffers to(t.memory(), std::move(*segments));
    const bool stream = type_of(t, *o->description) == SOCK_STREAM;
    const bool all = stream && (flags & MSG_WAITALL) && !(flags & MSG_PEEK);
    std::uint64_t done = t.wait() ? t.wait()->progress : 0;
    to.skip(done);
    for (;;) {
        auto got = vfs::receive(files::state_of(t), *o->description, to, flags & MSG_PEEK);
        if (!got) {
            if (got.error().number == EAGAIN)
                return wait_or_again(t, *o, POLLIN, flags, done, SO_RCVTIMEO);
            if (done) return static_cast<std::int64_t>(done);
            return got.error();
        }
        if (message_flags && got->truncated) *message_flags |= MSG_TRUNC;
        if (!stream && (flags & MSG_TRUNC)) return static_cast<std::int64_t>(got->whole);
        done += got->length;
        if (!all || got->length == 0 || to.size() == 0) return static_cast<std::int64_t>(done);
    }
}

outcome<abi::msghdr> read_header(task& t, guest_ptr<const abi::msghdr> p) {
    auto m = t.read(p);
    if (!m) return m;
    if (m->iov_count > abi::iov_max) return os_error{EMSGSIZE};
    if (m->name && m->name_length < 0) return os_error{EINVAL};
    return m;
}

struct known_option {
    int level, option;
    std::int64_t initial;
    bool settable;
};
constexpr std::int64_t buffer_size = 212992;  // net.core.rmem_default
constexpr known_option options[] = {
    {SOL_SOCKET, SO_DEBUG, 0, false},
    {SOL_SOCKET, SO_REUSEADDR, 0, true},
    {SOL_SOCKET, SO_REUSEPORT, 0, true},
    {SOL_SOCKET, SO_DONTROUTE, 0, true},
    {SOL_SOCKET, SO_BROADCAST, 0, true},
    {SOL_SOCKET, SO_SNDBUF, buffer_size, true},
    {SOL_SOCKET, SO_RCVBUF, buffer_size, true},
    {SOL_SOCKET, SO_KEEPALIVE, 0, true},
    {SOL_SOCKET, SO_OOBINLINE, 0, true},
    {SOL_SOCKET, SO_PRIORITY, 0, true},
    {SOL_SOCKET, SO_RCVLOWAT, 1, true},
    {SOL_SOCKET, SO_ACCEPTCONN, 0, false},
    {SOL_SOCKET, SO_PASSCRED, 0, true},
    {SOL_SOCKET, SO_INCOMING_CPU, 0, true},
    {IPPROTO_TCP, TCP_NODELAY, 0, true},
    {IPPROTO_TCP, TCP_MAXSEG, 65483, true},
    {IPPROTO_TCP, TCP_CORK, 0, true},
    {IPPROTO_TCP, TCP_KEEPIDLE, 7200, true},
    {IPPROTO_TCP, TCP_KEEPINTVL, 75, true},
    {IPPROTO_TCP, TCP_KEEPCNT, 9, true},
    {IPPROTO_TCP, TCP_SYNCNT, 6, true},
    {IPPROTO_TCP, TCP_QUICKACK, 1, true},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, 0, true},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, true},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0, true},
    {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 0, false},
    {IPPROTO_IP, IP_TOS, 0, true},
    {IPPROTO_IP, IP_TTL, 64, true},
    {IPPROTO_IP, IP_RECVERR, 0, true},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0, true},
    {IPPROTO_IP, IP_MTU_DISCOVER, 1, true},
};
const known_option* find_option(int level, int option) {
    const auto* it =
        std::find_if(std::begin(options), std::end(options),
                     [&](const known_option& k) { return k.level == level && k.option == option; });
    return it == std::end(options) ? nullptr : it;
}

}  // namespace

sysret sys_socket(task& t, int family, int type, int protocol) {
    const int kind = type & 0xf;
    if (type & ~(0xf | SOCK_CLOEXEC | SOCK_NONBLOCK)) return sysret::error(EINVAL);
    if (family != AF_INET && family != AF_UNIX) return sysret::error(EAFNOSUPPORT);
    if (family == AF_INET) {
        if (kind == SOCK_RAW) return sysret::error(EPERM);
        if (kind != SOCK_STREAM && kind != SOCK_DGRAM) return sysret::error(ESOCKTNOSUPPORT);
        if (protocol != 0 && protocol != (kind == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP))
            return sysret::error(EPROTONOSUPPORT);
    } else {
        if (kind != SOCK_STREAM && kind != SOCK_DGRAM && kind != SOCK_SEQPACKET)
            return sysret::error(ESOCKTNOSUPPORT);
        if (protocol != 0 && protocol != PF_UNIX) return sysret::error(EPROTONOSUPPORT);
    }
    vfs::description d;
    d.flags = static_cast<std::uint32_t>(O_RDWR | (type & SOCK_NONBLOCK));
    d.body = vfs::unconnected_socket{family, kind, protocol};
    const description_id id = files::state_of(t).add(std::move(d));
    files::state_of(t).find(id)->path =
        "socket:[" + std::to_string(static_cast<std::uint32_t>(id)) + "]";
    return files::install(t, id, type & SOCK_CLOEXEC);
}

sysret sys_socketpair(task& t, int family, int type, int protocol, guest_ptr<int[2]> fds) {
    const int kind = type & 0xf;
    if (type & ~(0xf | SOCK_CLOEXEC | SOCK_NONBLOCK)) return sysret::error(EINVAL);
    if (family != AF_UNIX) return sysret::error(family == AF_INET ? EOPNOTSUPP : EAFNOSUPPORT);
    if (kind != SOCK_STREAM && kind != SOCK_DGRAM && kind != SOCK_SEQPACKET)
        return sysret::error(ESOCKTNOSUPPORT);
    if (protocol != 0 && protocol != PF_UNIX) return sysret::error(EPROTONOSUPPORT);
    if (files::state_of(t).pairs.size() >= vfs::max_pairs) return sysret::error(ENFILE);
    const auto [a, b] = vfs::make_pair(files::state_of(t), kind, type & SOCK_NONBLOCK);
    return files::install_pair(t, a, b, type & SOCK_CLOEXEC, fds);
}

sysret sys_connect(task& t, int fd, guest_ptr<const void> address, int length) {
    auto o = find_socket(t, fd);
    if (!o) return o.error();
    if (length < 0 || length > static_cast<int>(sizeof(sockaddr_storage)))
        return sysret::error(EINVAL);
    std::vector<std::byte> raw(static_cast<std::size_t>(length));
    if (auto ok = t.memory().read(address.address, raw); !ok) return ok.error();
    if (!std::holds_alternative<vfs::unconnected_socket>(o->description->body))
        return sysret::error(EISCONN);
    return family_of(*o->description) == AF_UNIX ? connect_unix(t, raw)
                                                 : connect_inet(t, *o->description, raw);
}

// Servers inside the guest are not there yet: a name cannot be taken, so nothing listens and
// nothing is accepted.
sysret sys_bind(task& t, int fd, guest_ptr<const void> address, int length) {
    auto o = find_socket(t, fd);
    if (!o) return o.error();
    if (length < 0 || length > static_cast<int>(sizeof(sockaddr_storage)))
        return sysret::error(EINVAL);
    std::vector<std::byte> raw(static_cast<std::size_t>(length));
    if (auto ok = t.memory().read(address.address, raw); !ok) return ok.error();
    return sysret::error(family_of(*o->description) == AF_UNIX ? EOPNOTSUPP : EADDRNOTAVAIL);
}
sysret sys_listen(task& t, int fd, int) {
    auto o = find_socket(t, fd);
    return o ? sysret::error(EOPNOTSUPP) : sysret(o.error());
}
sysret sys_accept4(task& t, int fd, guest_ptr<void>, guest_ptr<int>, int flags) {
    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) return sysret::error(EINVAL);
    auto o = find_socket(t, fd);
    if (!o) return o.error();
    return sysret::error(type_of(t, *o->description) == SOCK_DGRAM ? EOPNOTSUPP : EINVAL);
}
sysret sys_accept(task& t, int fd, guest_ptr<void> address, guest_ptr<int> length) {
    return sys_accept4(t, fd, address, length, 0);
}

sysret sys_getsockname(task& t, int fd, guest_ptr<void> address, guest_ptr<int> length) {
    auto o = find_socket(t, fd);
    if (!o) return o.error();
    return give_name(t, *o->description, false, address, length);
}
sysret sys_getpeername(task& t, int fd, guest_ptr<void> address, guest_ptr<int> length) {
    auto o = find_socket(t, fd);
    if (!o) return o.error();
    return give_name(t, *o->description, true, address, length);
}

sysret sys_getsockopt(
    task& t, int fd, int level, int option, guest_ptr<void> value, guest_ptr<int> length) {
    auto o = find_socket(t, fd);
    if (!o) return o.error();
    auto room = t.read(length);
    if (!room) return room.error();
    if (*room < 0) return sysret::error(EINVAL);
    const auto& d = *o->description;
    const auto give = [&](const auto& answer) -> sysret {
        const std::size_t n = std::min(static_cast<std::size_t>(*room), sizeof answer);
        if (auto ok =
                t.memory().write(value.address, std::as_bytes(std::span(&answer, 1)).first(n));
            !ok)
            return ok.error();
        return t.write(length, static_cast<int>(n));
    };
    if (level == SOL_SOCKET) {
        switch (option) {
            case SO_ERROR:
                return give(0);
            case SO_TYPE:
                return give(type_of(t, d));
            case SO_DOMAIN:
                return give(family_of(d));
            case SO_PROTOCOL:
                return give(family_of(d) == AF_UNIX        ? 0
                            : type_of(t, d) == SOCK_STREAM ? int{IPPROTO_TCP}
                                                           : int{IPPROTO_UDP});
            case SO_LINGER:
                return give(::linger{});
            case SO_PEERCRED: {
                if (!std::holds_alternative<vfs::pair_end>(d.body))
                    return give(::ucred{0, ~0u, ~0u});
                return give(::ucred{t.process().id, t.process().uid, t.process().gid});
            }
            case SO_RCVTIMEO:
            case SO_SNDTIMEO: {
                const auto it = d.socket_options.find({level, option});
                const std::int64_t us = it == d.socket_options.end() ? 0 : it->second;
                return give(std::array<std::int64_t, 2>{us / 1'000'000, us % 1'000'000});
            }
            default:
                break;
        }
    }
    const known_option* known = find_option(level, option);
    if (!known ||
        (level == IPPROTO_TCP && (family_of(d) != AF_INET || type_of(t, d) != SOCK_STREAM)))
        return sysret::error(level == SOL_SOCKET || known == nullptr ? ENOPROTOOPT : EOPNOTSUPP);
    const auto it = d.socket_options.find({level, option});
    return give(static_cast<int>(it == d.socket_options.end() ? known->initial : it->second));
}

sysret sys_setsockopt(
    task& t, int fd, int level, int option, guest_ptr<const void> value, int length) {
    auto o = find_socket(t, fd);
    if (!o) return o.error();
    if (length < 0) return sysret::error(EINVAL);
    auto& d = *o->description;
    if (level == SOL_SOCKET && (option == SO_RCVTIMEO || option == SO_SNDTIMEO)) {
        if (length < 16) return sysret::error(EINVAL);
        auto tv = t.read(guest_ptr<const std::array<std::int64_t, 2>>{value.address});
        if (!tv) return tv.error();
        const auto [seconds, microseconds] = *tv;
        if (microseconds < 0 || microseconds >= 1'000'000) return sysret::error(EDOM);
        constexpr std::int64_t most = 1'000'000'000;  // seconds: for ever, for our purposes
        d.socket_options[{level, option}] =
            seconds < 0 ? 0 : std::min(seconds, most) * 1'000'000 + microseconds;
        return 0;
    }
    if (level == SOL_SOCKET && option == SO_LINGER) {
        if (length < static_cast<int>(sizeof(::linger))) return sysret::error(EINVAL);
        auto l = t.read(guest_ptr<const ::linger>{value.address});
        return l ? sysret(0) : sysret(l.error());
    }
    const known_option* known = find_option(level, option);
    if (!known || !known->settable) return sysret::error(ENOPROTOOPT);
    if (level == IPPROTO_TCP && (family_of(d) != AF_INET || type_of(t, d) != SOCK_STREAM))
        return sysret::error(EOPNOTSUPP);
    if (length < static_cast<int>(sizeof(int))) return sysret::error(EINVAL);
    auto v = t.read(guest_ptr<const int>{value.address});
    if (!v) return v.error();
    std::int64_t kept = *v;
    // As Linux: the buffer sizes are doubled and have a floor (man 7 socket). Nothing else acts on
    // them.
    if (level == SOL_SOCKET && (option == SO_SNDBUF || option == SO_RCVBUF))
        kept = std::clamp<std::int64_t>(kept, 1152, buffer_size) * 2;
    d.socket_options[{level, option}] = kept;
    return 0;
}

sysret sys_sendto(task& t,
                  int fd,
                  guest_ptr<const void> buffer,
                  std::uint64_t count,
                  int flags,
                  guest_ptr<const void> address,
                  int length) {
    if (address && (length < 0 || length > static_cast<int>(sizeof(sockaddr_storage))))
        return sysret::error(EINVAL);
    return send(t, fd, files::one_segment(buffer.address.value, count), flags,
                static_cast<bool>(address));
}

sysret sys_recvfrom(task& t,
                    int fd,
                    guest_ptr<void> buffer,
                    std::uint64_t count,
                    int flags,
                    guest_ptr<void> address,
                    guest_ptr<int> length) {
    sysret r = receive(t, fd, files::one_segment(buffer.address.value, count), flags, nullptr);
    // Peers here have no names: a length of zero.
    if (address && r.what() == sysret::kind::value && r.value() >= 0)
        if (auto ok = t.write(length, 0); !ok) return ok.error();
    return r;
}

sysret sys_sendmsg(task& t, int fd, guest_ptr<const abi::msghdr> message, int flags) {
    auto m = read_header(t, message);
    if (!m) return m.error();
    if (m->control_length)
        return sysret::error(EOPNOTSUPP);  // no descriptors or credentials travel yet
    return send(t, fd, files::read_segments(t, {gva{m->iov}}, m->iov_count), flags, m->name != 0);
}

sysret sys_recvmsg(task& t, int fd, guest_ptr<abi::msghdr> message, int flags) {
    auto m = read_header(t, {message.address});
    if (!m) return m.error();
    int answered = 0;
    sysret r =
        receive(t, fd, files::read_segments(t, {gva{m->iov}}, m->iov_count), flags, &answered);
    if (r.what() != sysret::kind::value || r.value() < 0) return r;
    m->name_length = 0;
    m->control_length = 0;
    m->flags = static_cast<std::uint32_t>(answered | (flags & MSG_CMSG_CLOEXEC));
    if (auto ok = t.write(message, *m); !ok) return ok.error();
    return r;
}

sysret sys_shutdown(task& t, int fd, int how) {
    auto o = find_socket(t, fd);
    if (!o) return o.error();
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return sysret::error(EINVAL);
    const bool reads = how != SHUT_WR, writes = how != SHUT_RD;
    vfs::vfs_state& state = files::state_of(t);
    if (const auto* socket = std::get_if<vfs::service_socket>(&o->description->body)) {
        const auto it = state.connections.find(socket->connection);
        if (it == state.connections.end()) return sysret::error(ENOTCONN);
        vfs::service_connection& c = it->second;
        if (writes) c.guest_finished = c.active = true;
        if (reads) c.guest_reads_none = true;
        ++c.activity;
        return 0;
    }
    const auto* end = std::get_if<vfs::pair_end>(&o->description->body);
    if (!end) return sysret::error(ENOTCONN);
    const auto it = state.pairs.find(end->pair);
    if (it == state.pairs.end()) return sysret::error(ENOTCONN);
    if (writes) it->second.to[end->side ^ 1u].closed = true;
    if (reads) it->second.to[end->side].receiver_gone = true;
    ++it->second.activity;
    return 0;
}

}  // namespace hearth::guest
