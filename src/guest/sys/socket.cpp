#include "guest/sys/socket.hpp"

#include "guest/sys/files.hpp"
#include "guest/sys/interfaces.hpp"
#include "guest/sys/outside.hpp"
#include "guest/sys/socket_address.hpp"
#include "guest/vfs/service_sockets.hpp"
#include "guest/vfs/socket.hpp"

#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace hearth::guest {
namespace {

vfs::peer_credentials credentials_of(task& t) {
    return {t.process().id, t.process().ids.euid, t.process().ids.egid};
}

/// The service's or the guest's own end of a connection to a service.
vfs::socket_name service_name(task& t, const vfs::service_socket& socket, bool peer) {
    vfs::socket_name name;
    name.family = AF_INET;
    name.address = vfs::socket_name::mapped(INADDR_LOOPBACK);
    const auto& connections = files::state_of(t).connections;
    if (const auto it = connections.find(socket.connection); it != connections.end()) {
        if (peer) name.address = vfs::socket_name::mapped(it->second.address);
        name.port = peer ? it->second.port : it->second.local_port;
    }
    return name;
}

/// A connection to a service of this process, or nothing if none listens there.
std::optional<sysret> connect_service(task& t, vfs::description& d, const vfs::socket_name& to) {
    const auto* idle = std::get_if<vfs::unconnected_socket>(&d.body);
    if (!idle || idle->family != AF_INET || !t.kernel().host().service_listens(to.v4(), to.port))
        return std::nullopt;
    vfs::vfs_state& state = files::state_of(t);
    if (state.connections.size() >= vfs::max_connections)
        return sysret::error(ECONNREFUSED);  // its backlog is full
    vfs::service_connection c;
    c.address = to.v4();
    c.port = to.port;
    c.local_port = state.next_port;
    state.next_port =
        state.next_port >= 60999 ? 32768 : static_cast<std::uint16_t>(state.next_port + 1);
    c.active = true;
    vfs::forget_name(state, vfs::id_of(d), idle->key);
    const std::uint32_t id = state.fresh_id();
    state.connections.emplace(id, std::move(c));
    d.body = vfs::service_socket{id};
    return sysret(0);
}

/// The socket's node at the path of its name. EADDRINUSE, and those of making a name
outcome<vfs::inode_id> make_node(task& t, const std::string& path) {
    auto w = files::tree_of(t).walk(files::context_of(t), t.view().working_directory, path,
                                    vfs::filesystem::last::no_follow);
    if (!w) return w.error();
    if (w->found) return os_error{EADDRINUSE};
    if (w->must_be_directory || w->name.empty()) return os_error{ENOENT};
    auto directory = files::tree_of(t).at(files::context_of(t), w->directory);
    if (!directory) return directory.error();
    if (!directory->attr.is_directory()) return os_error{ENOTDIR};
    const files::entry entry{std::move(*w), std::move(*directory)};
    auto parent = files::changeable_directory(t, entry);
    if (!parent) return parent.error();
    return files::state_of(t).files.create_socket(*parent, entry.walk.name, 0777 & ~t.view().umask,
                                                  {t.process().ids.fsuid, t.process().ids.fsgid},
                                                  files::now_of(t));
}

sysret give_name(task& t, int fd, bool peer, guest_ptr<void> address, guest_ptr<int> length) {
    auto o = files::find_socket(t, fd);
    if (!o) return o.error();
    const vfs::vfs_state& state = files::state_of(t);
    const vfs::description& d = *o->description;
    outcome<vfs::socket_name> name = vfs::name_of(state, d);
    if (const auto* service = std::get_if<vfs::service_socket>(&d.body))
        name = service_name(t, *service, peer);
    else if (const auto* socket = std::get_if<vfs::host_socket>(&d.body))
        name = vfs::outside::name(t.kernel().host().network(), *socket, peer);
    else if (peer && vfs::is_over(state, d))
        name = os_error{ENOTCONN};
    else if (peer)
        name = vfs::peer_of(state, d);
    if (!name) return name.error();
    auto given = socket_address::give(t, address, length,
                                      socket_address::encode(vfs::family_of(state, d), *name));
    return given ? sysret(0) : sysret(given.error());
}

}  // namespace

sysret sys_socket(task& t, int family, int type, int protocol) {
    const int kind = type & 0xf;
    if (type & ~(0xf | SOCK_CLOEXEC | SOCK_NONBLOCK)) return sysret::error(EINVAL);
    if (family == AF_INET || family == AF_INET6) {
        if (protocol < 0 || protocol >= IPPROTO_MAX) return sysret::error(EINVAL);
        if (kind == SOCK_RAW) return sysret::error(EPERM);
        if (kind != SOCK_STREAM && kind != SOCK_DGRAM) return sysret::error(ESOCKTNOSUPPORT);
        if (protocol != 0 && protocol != (kind == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP))
            return sysret::error(EPROTONOSUPPORT);
    } else if (family == AF_UNIX) {
        if (kind != SOCK_STREAM && kind != SOCK_DGRAM && kind != SOCK_SEQPACKET)
            return sysret::error(ESOCKTNOSUPPORT);
        if (protocol != 0 && protocol != PF_UNIX) return sysret::error(EPROTONOSUPPORT);
    } else if (family == AF_NETLINK) {
        if (kind != SOCK_RAW && kind != SOCK_DGRAM) return sysret::error(ESOCKTNOSUPPORT);
        if (protocol != NETLINK_ROUTE) return sysret::error(EPROTONOSUPPORT);
    } else {
        return sysret::error(EAFNOSUPPORT);
    }
    const description_id id =
        vfs::make_socket(files::state_of(t), family, family == AF_NETLINK ? SOCK_DGRAM : kind,
                         protocol, type & SOCK_NONBLOCK);
    return files::install(t, id, type & SOCK_CLOEXEC);
}

sysret sys_socketpair(task& t, int family, int type, int protocol, guest_ptr<int[2]> fds) {
    const int kind = type & 0xf;
    if (type & ~(0xf | SOCK_CLOEXEC | SOCK_NONBLOCK)) return sysret::error(EINVAL);
    if (family != AF_UNIX)
        return sysret::error(family == AF_INET || family == AF_INET6 || family == AF_NETLINK
                                 ? EOPNOTSUPP
                                 : EAFNOSUPPORT);
    if (kind != SOCK_STREAM && kind != SOCK_DGRAM && kind != SOCK_SEQPACKET)
        return sysret::error(ESOCKTNOSUPPORT);
    if (protocol != 0 && protocol != PF_UNIX) return sysret::error(EPROTONOSUPPORT);
    if (files::state_of(t).pairs.size() >= vfs::max_pairs) return sysret::error(ENFILE);
    const auto [a, b] =
        vfs::make_pair(files::state_of(t), kind, type & SOCK_NONBLOCK, credentials_of(t));
    return files::install_pair(t, a, b, type & SOCK_CLOEXEC, fds);
}

sysret sys_connect(task& t, int fd, guest_ptr<const void> address, int length) {
    auto o = files::find_socket(t, fd);
    if (!o) return o.error();
    auto raw = socket_address::read_argument(t, address, length);
    if (!raw) return raw.error();
    vfs::vfs_state& state = files::state_of(t);
    vfs::description& d = *o->description;
    const bool datagrams = std::holds_alternative<vfs::datagram_socket>(d.body);
    if ((datagrams || outside::has_datagrams(d)) && raw->size() >= sizeof(sa_family_t) &&
        (*raw)[0] == std::byte{AF_UNSPEC} && (*raw)[1] == std::byte{0}) {
        vfs::disconnect(state, o->id);
        outside::disconnect(t, d);
        return 0;
    }
    if (std::holds_alternative<vfs::listening_socket>(d.body)) return sysret::error(EINVAL);
    const bool outside_already = std::holds_alternative<vfs::host_socket>(d.body);
    if (!datagrams && !outside_already && !std::holds_alternative<vfs::unconnected_socket>(d.body))
        return sysret::error(EISCONN);
    const int family = vfs::family_of(state, d);
    auto name = socket_address::decode(family, *raw);
    if (!name) return name.error();
    if (family == AF_INET)
        if (auto service = connect_service(t, d, *name)) return std::move(*service);
    if (family == AF_NETLINK) return name->v4() == 0 ? sysret(0) : sysret::error(ECONNREFUSED);
    if (outside_already || outside::leads_out(t, *o, *name)) return outside::connect(t, *o, *name);
    auto to = socket_address::find_target(t, family, std::move(*name));
    if (!to) return to.error();
    const auto connected = vfs::connect(state, o->id, to->name, to->node, credentials_of(t));
    // As Linux: the answer to a connection over IP that nobody waits for comes later, by SO_ERROR.
    if (connected.error == 0)
        return family != AF_UNIX && !datagrams && (d.flags & O_NONBLOCK)
                   ? sysret::error(EINPROGRESS)
                   : sysret(0);
    if (connected.error != EAGAIN) return sysret::error(connected.error);
    if (d.flags & O_NONBLOCK) return sysret::error(EAGAIN);
    return files::wait_for(t, connected.full, vfs::room_event);
}

sysret sys_bind(task& t, int fd, guest_ptr<const void> address, int length) {
    auto o = files::find_socket(t, fd);
    if (!o) return o.error();
    auto raw = socket_address::read_argument(t, address, length);
    if (!raw) return raw.error();
    vfs::vfs_state& state = files::state_of(t);
    const int family = vfs::family_of(state, *o->description);
    auto name = socket_address::decode(family, *raw);
    if (!name) return name.error();
    if (family == AF_NETLINK) {
        auto bound = bind_netlink(t, *o, name->v4());
        return bound ? sysret(0) : sysret(bound.error());
    }
    if (vfs::name_of(state, *o->description).family) return sysret::error(EINVAL);
    if (family != AF_UNIX) {
        if (!name->is_any() && !name->is_loopback()) return sysret::error(EADDRNOTAVAIL);
        // The host's services have their ports to themselves.
        if (name->port && t.kernel().host().service_listens(
                              name->is_any() ? INADDR_LOOPBACK : name->v4(), name->port))
            return sysret::error(EADDRINUSE);
        auto bound = vfs::bind(state, o->id, std::move(*name), vfs::inode_id::none);
        return bound ? sysret(0) : sysret(bound.error());
    }
    vfs::inode_id node{};
    if (!name->path.empty() && name->path.front() != '\0') {
        auto made = make_node(t, name->path);
        if (!made) return made.error();
        node = *made;
    }
    auto bound = vfs::bind(state, o->id, std::move(*name), node);
    return bound ? sysret(0) : sysret(bound.error());
}

sysret sys_listen(task& t, int fd, int backlog) {
    auto o = files::find_socket(t, fd);
    if (!o) return o.error();
    auto listens = vfs::listen(files::state_of(t), o->id, backlog, credentials_of(t));
    return listens ? sysret(0) : sysret(listens.error());
}

sysret sys_accept4(task& t, int fd, guest_ptr<void> address, guest_ptr<int> length, int flags) {
    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) return sysret::error(EINVAL);
    auto o = files::find_socket(t, fd);
    if (!o) return o.error();
    vfs::vfs_state& state = files::state_of(t);
    auto accepted = vfs::accept(state, o->id, flags & SOCK_NONBLOCK);
    if (!accepted) {
        if (accepted.error().number != EAGAIN) return accepted.error();
        return files::would_block(t, o->id, POLLIN, 0,
                                  files::time_limit(*o->description, SO_RCVTIMEO));
    }
    const vfs::description& d = *state.find(*accepted);
    const auto peer = vfs::peer_of(state, d);
    const auto raw =
        socket_address::encode(vfs::family_of(state, d), peer ? *peer : vfs::socket_name{});
    auto number = files::install(t, *accepted, flags & SOCK_CLOEXEC);
    if (!number) return number.error();
    if (address)
        if (auto given = socket_address::give(t, address, length, raw); !given) {
            files::close_descriptor(t, *number);
            return given.error();
        }
    return *number;
}
sysret sys_accept(task& t, int fd, guest_ptr<void> address, guest_ptr<int> length) {
    return sys_accept4(t, fd, address, length, 0);
}

sysret sys_getsockname(task& t, int fd, guest_ptr<void> address, guest_ptr<int> length) {
    return give_name(t, fd, false, address, length);
}
sysret sys_getpeername(task& t, int fd, guest_ptr<void> address, guest_ptr<int> length) {
    return give_name(t, fd, true, address, length);
}

sysret sys_shutdown(task& t, int fd, int how) {
    auto o = files::find_socket(t, fd);
    if (!o) return o.error();
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return sysret::error(EINVAL);
    vfs::vfs_state& state = files::state_of(t);
    if (const auto* socket = std::get_if<vfs::service_socket>(&o->description->body)) {
        const auto it = state.connections.find(socket->connection);
        if (it == state.connections.end()) return sysret::error(ENOTCONN);
        vfs::service_connection& c = it->second;
        if (how != SHUT_RD) c.guest_finished = c.active = true;
        if (how != SHUT_WR) c.guest_reads_none = true;
        ++c.activity;
        return 0;
    }
    if (const auto* socket = std::get_if<vfs::host_socket>(&o->description->body)) {
        auto shut = vfs::outside::shut_down(t.kernel().host().network(), *socket, how);
        return shut ? sysret(0) : sysret(shut.error());
    }
    auto shut = vfs::shut_down(state, o->id, how);
    return shut ? sysret(0) : sysret(shut.error());
}

}  // namespace hearth::guest
