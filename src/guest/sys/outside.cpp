#include "guest/sys/outside.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace hearth::guest::outside {
namespace {

outbound* network_of(task& t) { return t.kernel().host().network(); }

/// Datagrams need no connection that a snapshot could have cut.
bool begins_anew(const vfs::host_socket& socket) {
    return socket.id == 0 && socket.type == SOCK_DGRAM;
}

vfs::host_socket socket_of(task& t, const files::opened& o) {
    const vfs::vfs_state& state = files::state_of(t);
    return {static_cast<std::uint32_t>(o.id), vfs::family_of(state, *o.description),
            vfs::type_of(state, *o.description), false};
}

/// The socket inside the guest goes; what it was told to be stays.
void become(task& t, const files::opened& o, vfs::host_socket socket) {
    vfs::vfs_state& state = files::state_of(t);
    vfs::description& d = *o.description;
    if (const auto* idle = std::get_if<vfs::unconnected_socket>(&d.body)) {
        vfs::forget_name(state, o.id, idle->key);
    } else if (auto* datagrams = std::get_if<vfs::datagram_socket>(&d.body)) {
        vfs::datagram_socket gone = std::move(*datagrams);
        vfs::close_datagrams(state, o.id, gone);
    }
    d.body = socket;
    for (const auto& [key, value] : d.socket_options)
        network_of(t)->set_option(socket.id, key.first, key.second, value);
}

/// A connect under way: over when the host's socket says so.
sysret finish(task& t,
              const files::opened& o,
              vfs::host_socket& socket,
              const vfs::socket_name& to) {
    constexpr short over = POLLOUT | POLLERR | POLLHUP;
    if (vfs::outside::poll(network_of(t), socket) & over) {
        if (const int e = vfs::outside::take_error(network_of(t), socket)) return sysret::error(e);
        // The host's socket, which does not block, takes note of it with a second call.
        if (socket.id && network_of(t))
            (void)network_of(t)->connect(socket.id, socket.family, socket.type, to);
        return 0;
    }
    sysret r =
        files::would_block(t, o.id, POLLOUT, 0, files::time_limit(*o.description, SO_SNDTIMEO));
    // SO_SNDTIMEO is over, and the connection is still being made (man 7 socket).
    if (r.what() == sysret::kind::value && r.value() == -EAGAIN) return sysret::error(EINPROGRESS);
    return r;
}

}  // namespace

bool leads_out(task& t, const files::opened& o, const vfs::socket_name& to) {
    outbound* const network = network_of(t);
    if (!network || to.family == AF_UNIX) return false;
    const vfs::description& d = *o.description;
    if (std::holds_alternative<vfs::host_socket>(d.body)) return true;
    if (to.is_any()) return false;  // the guest itself
    if (!to.is_loopback()) return true;
    // The guest's own servers come first.
    const vfs::vfs_state& state = files::state_of(t);
    return network->may_reach(to) && !vfs::is_served(state, vfs::type_of(state, d), to);
}

sysret connect(task& t, const files::opened& o, const vfs::socket_name& to) {
    outbound* const network = network_of(t);
    auto* socket = std::get_if<vfs::host_socket>(&o.description->body);
    if (socket && !(network && begins_anew(*socket))) {
        if (t.wait()) return finish(t, o, *socket, to);
        if (!network || socket->id == 0) return sysret::error(EISCONN);
        auto again = network->connect(socket->id, socket->family, socket->type, to);
        if (again) return 0;
        const int n = again.error().number;
        if ((n == EINPROGRESS || n == EALREADY) && !(o.description->flags & O_NONBLOCK))
            return finish(t, o, *socket, to);
        return again.error();
    }
    const vfs::host_socket fresh = socket_of(t, o);
    auto done = network->connect(fresh.id, fresh.family, fresh.type, to);
    if (!done && done.error().number != EINPROGRESS) {
        network->close(fresh.id);
        return done.error();
    }
    become(t, o, fresh);
    if (done) return 0;
    if (o.description->flags & O_NONBLOCK) return sysret::error(EINPROGRESS);
    return finish(t, o, std::get<vfs::host_socket>(o.description->body), to);
}

outcome<void> make(task& t, const files::opened& o, const vfs::socket_name& to) {
    outbound* const network = network_of(t);
    const auto* socket = std::get_if<vfs::host_socket>(&o.description->body);
    if (socket && !(network && begins_anew(*socket))) return {};
    if (!network->may_reach(to)) return os_error{EACCES};
    become(t, o, socket_of(t, o));
    return {};
}

bool has_datagrams(const vfs::description& d) {
    const auto* socket = std::get_if<vfs::host_socket>(&d.body);
    return socket && socket->type == SOCK_DGRAM;
}

void disconnect(task& t, const vfs::description& d) {
    const auto* socket = std::get_if<vfs::host_socket>(&d.body);
    if (socket && network_of(t)) network_of(t)->disconnect(socket->id);
}

void set_option(task& t, const vfs::description& d, int level, int option, std::int64_t value) {
    const auto* socket = std::get_if<vfs::host_socket>(&d.body);
    if (socket && network_of(t)) network_of(t)->set_option(socket->id, level, option, value);
}

}  // namespace hearth::guest::outside
