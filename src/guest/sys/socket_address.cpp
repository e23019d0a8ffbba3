#include "guest/sys/socket_address.hpp"

#include "guest/sys/files.hpp"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hearth::guest::socket_address {
namespace {

using vfs::socket_name;

template <class T>
std::vector<std::byte> bytes_of(const T& value) {
    const auto raw = std::as_bytes(std::span(&value, 1));
    return {raw.begin(), raw.end()};
}

outcome<socket_name> decode_v4(std::span<const std::byte> raw) {
    sockaddr_in address;
    if (raw.size() < sizeof address) return os_error{EINVAL};
    std::memcpy(&address, raw.data(), sizeof address);
    socket_name name;
    name.family = AF_INET;
    name.address = socket_name::mapped(ntohl(address.sin_addr.s_addr));
    name.port = ntohs(address.sin_port);
    return name;
}

outcome<socket_name> decode_v6(std::span<const std::byte> raw) {
    sockaddr_in6 address;
    constexpr std::size_t least = offsetof(sockaddr_in6, sin6_scope_id);  // SIN6_LEN_RFC2133
    if (raw.size() < least) return os_error{EINVAL};
    std::memcpy(&address, raw.data(), least);
    socket_name name;
    name.family = AF_INET6;
    std::memcpy(name.address.data(), &address.sin6_addr, name.address.size());
    name.port = ntohs(address.sin6_port);
    return name;
}

/// The port id stands where an IPv4 address would.
outcome<socket_name> decode_netlink(std::span<const std::byte> raw) {
    sockaddr_nl address;
    if (raw.size() < sizeof address) return os_error{EINVAL};
    std::memcpy(&address, raw.data(), sizeof address);
    socket_name name;
    name.family = AF_NETLINK;
    name.address = socket_name::mapped(address.nl_pid);
    return name;
}

outcome<socket_name> decode_unix(std::span<const std::byte> raw) {
    if (raw.size() > sizeof(sockaddr_un)) return os_error{EINVAL};
    socket_name name;
    name.family = AF_UNIX;
    const std::string_view rest(reinterpret_cast<const char*>(raw.data()) + sizeof(sa_family_t),
                                raw.size() - sizeof(sa_family_t));
    // A path ends at its zero byte or with the address; an abstract name has all of it.
    name.path = rest.starts_with('\0') ? rest : rest.substr(0, rest.find('\0'));
    return name;
}

}  // namespace

outcome<std::vector<std::byte>> read_argument(task& t, guest_ptr<const void> address, int length) {
    if (length < 0 || length > static_cast<int>(sizeof(sockaddr_storage))) return os_error{EINVAL};
    std::vector<std::byte> raw(static_cast<std::size_t>(length));
    if (auto ok = t.memory().read(address.address, raw); !ok) return ok.error();
    return raw;
}

outcome<socket_name> decode(int family, std::span<const std::byte> raw) {
    sa_family_t given = 0;
    if (raw.size() < sizeof given) return os_error{EINVAL};
    std::memcpy(&given, raw.data(), sizeof given);
    if (given != family) {
        // An IPv4 address will do for a socket of IPv6 nowhere; AF_UNIX says EINVAL.
        return os_error{family == AF_UNIX || family == AF_NETLINK ? EINVAL : EAFNOSUPPORT};
    }
    if (family == AF_UNIX) return decode_unix(raw);
    if (family == AF_NETLINK) return decode_netlink(raw);
    return family == AF_INET ? decode_v4(raw) : decode_v6(raw);
}

std::vector<std::byte> encode(int family, const socket_name& name) {
    if (family == AF_UNIX) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::size_t n = std::min(name.path.size(), sizeof address.sun_path);
        std::memcpy(address.sun_path, name.path.data(), n);
        std::size_t length = offsetof(sockaddr_un, sun_path) + n;
        if (n && name.path.front() != '\0') ++length;  // its zero byte, which may stand outside
        auto raw = bytes_of(address);
        raw.resize(length);
        return raw;
    }
    if (family == AF_NETLINK) {
        sockaddr_nl address{};
        address.nl_family = AF_NETLINK;
        if (name.family) address.nl_pid = name.v4();
        return bytes_of(address);
    }
    if (family == AF_INET) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(name.port);
        if (name.family) address.sin_addr.s_addr = htonl(name.v4());
        return bytes_of(address);
    }
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(name.port);
    std::memcpy(&address.sin6_addr, name.address.data(), name.address.size());
    return bytes_of(address);
}

outcome<void> give(task& t,
                   guest_ptr<void> out,
                   guest_ptr<int> length,
                   std::span<const std::byte> address) {
    auto room = t.read(length);
    if (!room) return room.error();
    if (*room < 0) return os_error{EINVAL};
    const std::size_t n = std::min(static_cast<std::size_t>(*room), address.size());
    if (auto ok = t.memory().write(out.address, address.first(n)); !ok) return ok;
    return t.write(length, static_cast<int>(address.size()));
}

outcome<target> find_target(task& t, int family, socket_name name) {
    target to;
    if (family == AF_UNIX) {
        if (name.path.empty()) return os_error{EINVAL};
        if (name.path.front() != '\0') {
            auto l = files::tree_of(t).resolve(files::context_of(t), t.view().working_directory,
                                               name.path);
            if (!l) return l.error();
            // A socket in one of the host's directories belongs to another world.
            if (l->what != vfs::location::kind::node || !S_ISSOCK(l->attr.mode) ||
                l->node.inode == vfs::inode_id::none)
                return os_error{ECONNREFUSED};
            to.node = l->node.inode;
        }
    } else if (name.is_any()) {  // this host
        if (name.is_mapped())
            name.address = socket_name::mapped(INADDR_LOOPBACK);
        else
            name.address.back() = 1;
    } else if (!name.is_loopback()) {
        return os_error{ENETUNREACH};
    }
    to.name = std::move(name);
    return to;
}

}  // namespace hearth::guest::socket_address
