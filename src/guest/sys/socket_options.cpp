#include "guest/sys/files.hpp"
#include "guest/sys/outside.hpp"
#include "guest/sys/socket.hpp"
#include "guest/vfs/socket.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace hearth::guest {
namespace {

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
    {IPPROTO_IP, IP_RECVTOS, 0, true},
    {IPPROTO_IP, IP_RECVTTL, 0, true},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 0, true},
    {IPPROTO_IP, IP_MTU_DISCOVER, 1, true},
    {IPPROTO_IPV6, IPV6_V6ONLY, 0, true},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, 64, true},
    {IPPROTO_IPV6, IPV6_TCLASS, 0, true},
    {IPPROTO_IPV6, IPV6_RECVERR, 0, true},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 0, true},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, 0, true},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, 1, true},
};
const known_option* find_option(int level, int option) {
    const auto* it =
        std::find_if(std::begin(options), std::end(options),
                     [&](const known_option& k) { return k.level == level && k.option == option; });
    return it == std::end(options) ? nullptr : it;
}

::linger linger_of(const vfs::description& d) {
    const auto it = d.socket_options.find({SOL_SOCKET, SO_LINGER});
    if (it == d.socket_options.end()) return {};
    return {static_cast<int>(it->second >> 32), static_cast<int>(it->second & 0x7fff'ffff)};
}

/// The option's level does not go with the socket's kind.
bool is_foreign(const vfs::vfs_state& state, const vfs::description& d, int level) {
    const int family = vfs::family_of(state, d);
    if (level == IPPROTO_TCP)
        return (family != AF_INET && family != AF_INET6) || vfs::type_of(state, d) != SOCK_STREAM;
    if (level == IPPROTO_IPV6) return family != AF_INET6;
    return level == IPPROTO_IP && family != AF_INET && family != AF_INET6;
}

}  // namespace

sysret sys_getsockopt(
    task& t, int fd, int level, int option, guest_ptr<void> value, guest_ptr<int> length) {
    auto o = files::find_socket(t, fd);
    if (!o) return o.error();
    auto room = t.read(length);
    if (!room) return room.error();
    if (*room < 0) return sysret::error(EINVAL);
    auto& d = *o->description;
    vfs::vfs_state& state = files::state_of(t);
    const int family = vfs::family_of(state, d), type = vfs::type_of(state, d);
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
                if (auto* socket = std::get_if<vfs::host_socket>(&d.body))
                    return give(vfs::outside::take_error(t.kernel().host().network(), *socket));
                return give(vfs::take_error(state, d));
            case SO_TYPE:
                return give(type);
            case SO_DOMAIN:
                return give(family);
            case SO_PROTOCOL:
                return give(family == AF_UNIX || family == AF_NETLINK ? 0
                            : type == SOCK_STREAM                     ? int{IPPROTO_TCP}
                                                                      : int{IPPROTO_UDP});
            case SO_ACCEPTCONN:
                return give(std::holds_alternative<vfs::listening_socket>(d.body) ? 1 : 0);
            case SO_LINGER:
                return give(linger_of(d));
            case SO_PEERCRED: {
                const auto peer = vfs::peer_credentials_of(state, d);
                return give(::ucred{peer.pid, peer.uid, peer.gid});
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
    if (is_foreign(state, d, level)) return sysret::error(EOPNOTSUPP);
    if (level == IPPROTO_TCP && option == TCP_INFO) {
        ::tcp_info info{};
        info.tcpi_state = std::holds_alternative<vfs::listening_socket>(d.body) ? TCP_LISTEN
                          : std::holds_alternative<vfs::unconnected_socket>(d.body)
                              ? TCP_CLOSE
                              : TCP_ESTABLISHED;
        info.tcpi_snd_mss = info.tcpi_rcv_mss = 65483;
        info.tcpi_pmtu = 65535;
        return give(info);
    }
    const known_option* known = find_option(level, option);
    if (!known) return sysret::error(ENOPROTOOPT);
    const auto it = d.socket_options.find({level, option});
    return give(static_cast<int>(it == d.socket_options.end() ? known->initial : it->second));
}

sysret sys_setsockopt(
    task& t, int fd, int level, int option, guest_ptr<const void> value, int length) {
    auto o = files::find_socket(t, fd);
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
        if (!l) return l.error();
        const std::int64_t kept = vfs::linger_option(l->l_onoff, l->l_linger);
        d.socket_options[{level, option}] = kept;
        outside::set_option(t, d, level, option, kept);
        return 0;
    }
    if (is_foreign(files::state_of(t), d, level)) return sysret::error(EOPNOTSUPP);
    const known_option* known = find_option(level, option);
    if (!known || !known->settable) return sysret::error(ENOPROTOOPT);
    if (length < static_cast<int>(sizeof(int))) return sysret::error(EINVAL);
    auto v = t.read(guest_ptr<const int>{value.address});
    if (!v) return v.error();
    std::int64_t kept = *v;
    // As Linux: the buffer sizes are doubled and have a floor (man 7 socket). Nothing else acts on
    // them.
    if (level == SOL_SOCKET && (option == SO_SNDBUF || option == SO_RCVBUF))
        kept = std::clamp<std::int64_t>(kept, 1152, buffer_size) * 2;
    d.socket_options[{level, option}] = kept;
    if (level == SOL_SOCKET && option == SO_OOBINLINE)
        if (auto* in = vfs::incoming(files::state_of(t), d)) in->urgent_in_line = *v != 0;
    outside::set_option(t, d, level, option, *v);
    return 0;
}

}  // namespace hearth::guest
