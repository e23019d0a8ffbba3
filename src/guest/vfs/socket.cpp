#include "guest/vfs/socket.hpp"

#include "base/assert.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace hearth::guest::vfs {
namespace {

constexpr std::uint16_t first_port = 32768, last_port = 60999;  // ip_local_port_range

bool internet(int family) { return family == AF_INET || family == AF_INET6; }

bool has_option(const description& d, int level, int option) {
    const auto it = d.socket_options.find({level, option});
    return it != d.socket_options.end() && it->second != 0;
}
constexpr int ipv6_level = 41, ipv6_v6only = 26;  // IPPROTO_IPV6, IPV6_V6ONLY

/// The name and key under which the description is found, if it can have any.
struct named {
    socket_name* name = nullptr;
    socket_key* key = nullptr;
};
named named_of(description& d) {
    return std::visit(
        [](auto& body) -> named {
            if constexpr (requires { body.key; }) return {&body.name, &body.key};
            return {};
        },
        d.body);
}

socket_key key_of(int family, int type, const socket_name& name, inode_id node) {
    if (internet(family))
        return {type == SOCK_DGRAM ? socket_key::datagram_port : socket_key::stream_port,
                name.port,
                {}};
    if (node != inode_id::none) return {socket_key::path, static_cast<std::uint64_t>(node), {}};
    return {socket_key::abstract, static_cast<std::uint64_t>(type), name.path};
}

/// Whether a socket with that name is meant by an address: 2 exactly, 1 by a wildcard, 0 not.
int fits(const description& d, const socket_name& bound, const socket_name& address) {
    if (!internet(bound.family)) return 2;
    if (bound.address == address.address) return 2;
    if (!bound.is_any()) return 0;
    const bool v6 = !bound.is_mapped();
    if (v6 != address.is_mapped()) return 1;
    return v6 && !has_option(d, ipv6_level, ipv6_v6only) ? 1 : 0;
}

description_id find_bound(const vfs_state& state,
                          const socket_key& key,
                          const socket_name& address) {
    const auto at = state.socket_names.find(key);
    description_id best{};
    int rank = 0;
    if (at == state.socket_names.end()) return best;
    for (const description_id id : at->second) {
        const description* d = state.find(id);
        HEARTH_ASSERT(d);
        const int r = fits(*d, name_of(state, *d), address);
        if (r > rank) best = id, rank = r;
    }
    return best;
}

/// SO_REUSEPORT of both, or SO_REUSEADDR of both while the other does not listen (man 7 socket).
bool may_share(const description& mine, const description& other) {
    if (has_option(mine, SOL_SOCKET, SO_REUSEPORT) && has_option(other, SOL_SOCKET, SO_REUSEPORT))
        return true;
    return has_option(mine, SOL_SOCKET, SO_REUSEADDR) &&
           has_option(other, SOL_SOCKET, SO_REUSEADDR) &&
           !std::holds_alternative<listening_socket>(other.body);
}

bool is_taken(const vfs_state& state,
              const description& mine,
              const socket_key& key,
              const socket_name& name) {
    const auto at = state.socket_names.find(key);
    if (at == state.socket_names.end()) return false;
    return std::ranges::any_of(at->second, [&](description_id id) {
        const description* other = state.find(id);
        HEARTH_ASSERT(other);
        const socket_name theirs = name_of(state, *other);
        return (fits(*other, theirs, name) || fits(mine, name, theirs)) && !may_share(mine, *other);
    });
}

/// A free port for the name; 0: there is none.
std::uint16_t choose_port(vfs_state& state, int type, socket_name name) {
    for (int tries = 0; tries <= last_port - first_port; ++tries) {
        name.port = state.next_port;
        state.next_port = state.next_port >= last_port
                              ? first_port
                              : static_cast<std::uint16_t>(state.next_port + 1);
        const auto key = key_of(name.family, type, name, inode_id::none);
        if (!state.socket_names.contains(key)) return name.port;
    }
    return 0;
}

/// Where a socket that connects or sends without a name does so from.
socket_name source_for(int family, const socket_name& to) {
    socket_name from;
    from.family = family;
    if (to.is_mapped())
        from.address = socket_name::mapped(0x7f00'0001);
    else
        from.address[15] = 1;
    return from;
}

void add_name(vfs_state& state, description_id id, const socket_key& key) {
    if (key.kind != socket_key::none) state.socket_names[key].push_back(id);
}

std::string text_of(std::uint32_t id) { return fmt::format("socket:[{}]", id); }

description_id add_socket(vfs_state& state, int flags, decltype(description::body) body) {
    description d;
    d.flags = static_cast<std::uint32_t>(O_RDWR | (flags & O_NONBLOCK));
    d.body = std::move(body);
    const description_id id = state.add(std::move(d));
    state.find(id)->path = text_of(static_cast<std::uint32_t>(id));
    return id;
}

}  // namespace

description_id make_socket(vfs_state& state, int family, int type, int protocol, int flags) {
    if (type == SOCK_DGRAM) {
        datagram_socket socket;
        socket.family = family;
        return add_socket(state, flags, std::move(socket));
    }
    return add_socket(state, flags, unconnected_socket{family, type, protocol, {}, {}});
}

std::pair<description_id, description_id> make_pair(vfs_state& state,
                                                    int type,
                                                    int flags,
                                                    const peer_credentials& owner) {
    const auto id = static_cast<pair_id>(state.fresh_id());
    socket_pair pair;
    pair.families = {AF_UNIX, AF_UNIX};
    pair.type = type;
    pair.owners = {owner, owner};
    state.pairs.emplace(id, std::move(pair));
    const description_id first = add_socket(state, flags, pair_end{id, 0});
    return {first, add_socket(state, flags, pair_end{id, 1})};
}

bool is_socket(const description& d) {
    return std::holds_alternative<pair_end>(d.body) ||
           std::holds_alternative<service_socket>(d.body) ||
           std::holds_alternative<unconnected_socket>(d.body) ||
           std::holds_alternative<listening_socket>(d.body) ||
           std::holds_alternative<datagram_socket>(d.body) ||
           std::holds_alternative<host_socket>(d.body);
}

int family_of(const vfs_state& state, const description& d) {
    if (const auto* idle = std::get_if<unconnected_socket>(&d.body)) return idle->family;
    if (const auto* l = std::get_if<listening_socket>(&d.body)) return l->family;
    if (const auto* g = std::get_if<datagram_socket>(&d.body)) return g->family;
    if (const auto* h = std::get_if<host_socket>(&d.body)) return h->family;
    if (const auto* end = std::get_if<pair_end>(&d.body))
        if (const auto it = state.pairs.find(end->pair); it != state.pairs.end())
            return it->second.families[end->side];
    return AF_INET;
}

int type_of(const vfs_state& state, const description& d) {
    if (const auto* idle = std::get_if<unconnected_socket>(&d.body)) return idle->type;
    if (const auto* l = std::get_if<listening_socket>(&d.body)) return l->type;
    if (const auto* g = std::get_if<datagram_socket>(&d.body))
        return g->family == AF_NETLINK ? SOCK_RAW : SOCK_DGRAM;
    if (const auto* h = std::get_if<host_socket>(&d.body)) return h->type;
    if (const auto* end = std::get_if<pair_end>(&d.body))
        if (const auto it = state.pairs.find(end->pair); it != state.pairs.end())
            return it->second.type;
    return SOCK_STREAM;
}

socket_name name_of(const vfs_state& state, const description& d) {
    if (const auto* idle = std::get_if<unconnected_socket>(&d.body)) return idle->name;
    if (const auto* l = std::get_if<listening_socket>(&d.body)) return l->name;
    if (const auto* g = std::get_if<datagram_socket>(&d.body)) return g->name;
    if (const auto* end = std::get_if<pair_end>(&d.body))
        if (const auto it = state.pairs.find(end->pair); it != state.pairs.end())
            return it->second.names[end->side];
    return {};
}

outcome<socket_name> peer_of(const vfs_state& state, const description& d) {
    if (const auto* g = std::get_if<datagram_socket>(&d.body)) {
        if (!g->peer.family) return os_error{ENOTCONN};
        return g->peer;
    }
    const auto* end = std::get_if<pair_end>(&d.body);
    if (!end) return os_error{ENOTCONN};
    const auto it = state.pairs.find(end->pair);
    if (it == state.pairs.end()) return os_error{ENOTCONN};
    return it->second.names[end->side ^ 1u];
}

peer_credentials peer_credentials_of(const vfs_state& state, const description& d) {
    if (const auto* listener = std::get_if<listening_socket>(&d.body)) return listener->owner;
    if (const auto* end = std::get_if<pair_end>(&d.body))
        if (const auto it = state.pairs.find(end->pair); it != state.pairs.end())
            return it->second.owners[end->side ^ 1u];
    return {};
}

outcome<void> bind(vfs_state& state, description_id id, socket_name name, inode_id node) {
    description* d = state.find(id);
    HEARTH_ASSERT(d);
    const named mine = named_of(*d);
    if (!mine.name || mine.name->family || std::holds_alternative<listening_socket>(d->body))
        return os_error{EINVAL};
    const int family = family_of(state, *d), type = type_of(state, *d);
    if (internet(family) && name.port == 0) {
        name.port = choose_port(state, type, name);
        if (name.port == 0) return os_error{EADDRINUSE};
    } else if (family == AF_UNIX && name.path.empty()) {
        // Autobind (man 7 unix): five hexadecimal digits.
        do name.path = std::string(1, '\0') + fmt::format("{:05x}", state.fresh_id() & 0xfffff);
        while (state.socket_names.contains(key_of(family, type, name, node)));
    }
    const socket_key key = key_of(family, type, name, node);
    if (is_taken(state, *d, key, name)) return os_error{EADDRINUSE};
    *mine.name = std::move(name);
    *mine.key = key;
    add_name(state, id, key);
    return {};
}

outcome<void> listen(vfs_state& state,
                     description_id id,
                     int backlog,
                     const peer_credentials& owner) {
    description* d = state.find(id);
    HEARTH_ASSERT(d);
    // Negative is "as many as may be" (it is compared unsigned).
    const std::uint32_t limit = std::min(static_cast<std::uint32_t>(backlog), max_backlog);
    if (auto* already = std::get_if<listening_socket>(&d->body)) {
        already->backlog = limit;
        return {};
    }
    if (std::holds_alternative<datagram_socket>(d->body)) return os_error{EOPNOTSUPP};
    auto* idle = std::get_if<unconnected_socket>(&d->body);
    if (!idle) return os_error{EINVAL};
    if (!idle->name.family) {
        if (idle->family == AF_UNIX) return os_error{EINVAL};
        socket_name any;
        any.family = idle->family;
        if (idle->family == AF_INET) any.address = socket_name::mapped(0);
        if (auto bound = bind(state, id, std::move(any), inode_id::none); !bound) return bound;
    }
    listening_socket listener;
    listener.family = idle->family;
    listener.type = idle->type;
    listener.name = std::move(idle->name);
    listener.key = std::move(idle->key);
    listener.backlog = limit;
    listener.owner = owner;
    d->body = std::move(listener);
    return {};
}

connect_result connect(vfs_state& state,
                       description_id id,
                       const socket_name& to,
                       inode_id node,
                       const peer_credentials& owner) {
    description* d = state.find(id);
    HEARTH_ASSERT(d);
    const int family = family_of(state, *d), type = type_of(state, *d);
    const socket_key key = key_of(family, type, to, node);
    const description_id found = find_bound(state, key, to);
    description* other = state.find(found);

    if (auto* mine = std::get_if<datagram_socket>(&d->body)) {
        if (family == AF_UNIX && !other) return {ECONNREFUSED, {}};
        if (internet(family) && !mine->name.family)
            if (auto bound = bind(state, id, source_for(family, to), inode_id::none); !bound)
                return {bound.error().number, {}};
        mine->peer = to;
        mine->peer_key = key;
        return {};
    }
    auto* mine = std::get_if<unconnected_socket>(&d->body);
    if (!mine) return {EISCONN, {}};
    auto* listener = other ? std::get_if<listening_socket>(&other->body) : nullptr;
    if (!listener) return {ECONNREFUSED, {}};
    if (listener->type != type) return {EPROTOTYPE, {}};
    // TCP's handshake is done by the kernel whatever the backlog says, up to the system's limit.
    const std::uint32_t limit = family == AF_UNIX ? listener->backlog : max_backlog;
    if (listener->waiting.size() > limit) return {EAGAIN, found};
    if (state.pairs.size() >= max_pairs) return {family == AF_UNIX ? ENOBUFS : ECONNREFUSED, {}};

    socket_pair pair;
    pair.families = {family, listener->family};
    pair.type = type;
    pair.names[0] = mine->name;
    pair.names[1] = listener->name;
    pair.owners = {owner, listener->owner};
    if (internet(family)) {
        pair.names[1].address = to.address;
        if (!pair.names[0].family || pair.names[0].is_any()) {
            const std::uint16_t port = pair.names[0].port;
            pair.names[0] = source_for(family, to);
            pair.names[0].port = port ? port : choose_port(state, type, pair.names[0]);
        }
    }
    pair.to[0].urgent_in_line = has_option(*d, SOL_SOCKET, SO_OOBINLINE);
    pair.to[1].urgent_in_line = has_option(*other, SOL_SOCKET, SO_OOBINLINE);
    forget_name(state, id, mine->key);
    const auto pair_number = static_cast<pair_id>(state.fresh_id());
    state.pairs.emplace(pair_number, std::move(pair));
    d->body = pair_end{pair_number, 0};
    listener->waiting.push_back(pair_number);
    ++listener->activity;
    return {};
}

description_id find_receiver(const vfs_state& state,
                             const datagram_socket& mine,
                             const send_request& request) {
    const socket_name& to = request.to ? *request.to : mine.peer;
    return find_bound(
        state, request.to ? key_of(mine.family, SOCK_DGRAM, to, request.node) : mine.peer_key, to);
}

bool is_served(const vfs_state& state, int type, const socket_name& at) {
    return find_bound(state, key_of(at.family, type, at, inode_id::none), at) != description_id{};
}

void disconnect(vfs_state& state, description_id id) {
    description* d = state.find(id);
    HEARTH_ASSERT(d);
    if (auto* mine = std::get_if<datagram_socket>(&d->body)) {
        mine->peer = {};
        mine->peer_key = {};
    }
}

outcome<description_id> accept(vfs_state& state, description_id id, int flags) {
    description* d = state.find(id);
    HEARTH_ASSERT(d);
    auto* listener = std::get_if<listening_socket>(&d->body);
    if (!listener)
        return os_error{std::holds_alternative<datagram_socket>(d->body) ? EOPNOTSUPP : EINVAL};
    if (listener->waiting.empty()) return os_error{EAGAIN};
    const pair_id next = listener->waiting.front();
    listener->waiting.pop_front();
    ++listener->activity;
    const auto options = d->socket_options;
    const auto it = state.pairs.find(next);
    HEARTH_ASSERT(it != state.pairs.end());
    const description_id accepted = add_socket(state, flags, pair_end{next, 1});
    state.find(accepted)->socket_options = options;
    return accepted;
}

outcome<void> shut_down(vfs_state& state, description_id id, int how) {
    description* d = state.find(id);
    HEARTH_ASSERT(d);
    const bool reads = how != SHUT_WR, writes = how != SHUT_RD;
    if (auto* g = std::get_if<datagram_socket>(&d->body)) {
        if (!g->peer.family && internet(g->family)) return os_error{ENOTCONN};
        g->reads_none |= reads;
        g->writes_none |= writes;
        ++g->activity;
        return {};
    }
    if (std::holds_alternative<listening_socket>(d->body)) {
        if (!reads) return {};
        // Nobody is accepted any more, and accept says EINVAL.
        const listening_socket was = std::get<listening_socket>(d->body);
        close_listener(state, id, was);
        d = state.find(id);
        d->body = unconnected_socket{was.family, was.type, 0, {}, {}};
        return {};
    }
    const auto* end = std::get_if<pair_end>(&d->body);
    if (!end) return os_error{ENOTCONN};
    const auto it = state.pairs.find(end->pair);
    if (it == state.pairs.end() || is_over(state, *d)) return os_error{ENOTCONN};
    if (writes) it->second.to[end->side ^ 1u].closed = true;
    if (reads) it->second.to[end->side].receiver_gone = true;
    ++it->second.activity;
    return {};
}

int take_error(vfs_state& state, description& d) {
    if (auto* g = std::get_if<datagram_socket>(&d.body)) return std::exchange(g->error, 0);
    if (const auto* end = std::get_if<pair_end>(&d.body))
        if (const auto it = state.pairs.find(end->pair); it != state.pairs.end())
            return std::exchange(it->second.error[end->side], 0);
    return 0;
}

void forget_name(vfs_state& state, description_id id, const socket_key& key) {
    const auto at = state.socket_names.find(key);
    if (at == state.socket_names.end()) return;
    std::erase(at->second, id);
    if (at->second.empty()) state.socket_names.erase(at);
}

}  // namespace hearth::guest::vfs
