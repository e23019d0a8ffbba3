/// What travels over sockets inside the guest, and what becomes of it when they close.

#include "base/assert.hpp"
#include "guest/vfs/service_sockets.hpp"
#include "guest/vfs/socket.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <span>

namespace hearth::guest::vfs {
namespace {

std::size_t cost_of(const message& m) { return m.bytes.size() + message_cost; }
static_assert(sizeof(message) <= message_cost);

void drop(vfs_state& state, ancillary& extra) {
    const std::vector<description_id> rights = std::exchange(extra.rights, {});
    state.in_flight -= rights.size();
    for (const description_id id : rights) state.release(id);
}

void drop(vfs_state& state, std::deque<message>& messages) {
    std::deque<message> gone;
    gone.swap(messages);
    for (message& m : gone) {
        state.socket_bytes -= cost_of(m);
        drop(state, m.extra);
    }
}

/// Out of the queue's hands, into the receiver's.
ancillary hand_over(vfs_state& state, ancillary& extra, bool peek) {
    if (!peek) {
        state.in_flight -= extra.rights.size();
        return std::exchange(extra, {});
    }
    for (const description_id id : extra.rights) state.retain(id);
    return extra;
}

bool is_tcp(const socket_pair& pair) {
    return pair.type == SOCK_STREAM && pair.families[0] != AF_UNIX;
}

/// A reset went to both sides. What has arrived can still be read; who had seen the other's end
/// before hears of it by writing only (tcp_reset, CLOSE_WAIT).
void cut(socket_pair& pair) {
    for (std::size_t side : {0u, 1u}) pair.error[side] = pair.to[side].closed ? EPIPE : ECONNRESET;
    pair.to[0].closed = pair.to[1].closed = true;
}

outcome<received> receive_message(vfs_state& state,
                                  std::deque<message>& messages,
                                  std::size_t& queued,
                                  std::uint64_t& activity,
                                  user_buffers& to,
                                  bool peek) {
    message& front = messages.front();
    auto n = to.put(std::as_bytes(std::span(front.bytes)));
    if (!n) return n.error();
    received r;
    r.length = *n;
    r.whole = front.bytes.size();
    r.truncated = *n < r.whole;
    r.from = front.from;
    r.extra = hand_over(state, front.extra, peek);
    if (!peek) {
        queued -= front.bytes.size();
        state.socket_bytes -= cost_of(front);
        messages.pop_front();
        ++activity;
    }
    return r;
}

outcome<received> receive_service(service_connection& s, user_buffers& to, bool peek) {
    received r;
    if (s.guest_reads_none || to.size() == 0) return r;
    if (s.to_guest.empty()) {
        if (s.service_closed) return r;
        return os_error{EAGAIN};
    }
    auto n = to.put(std::as_bytes(std::span(s.to_guest.view())));
    if (!n) return n.error();
    if (!peek) {
        s.to_guest.consume(*n);
        ++s.activity;
    }
    r.length = r.whole = *n;
    return r;
}

void take_bytes(vfs_state& state, socket_pair::direction& in, std::size_t n) {
    in.bytes.consume(n);
    in.taken += n;
    state.socket_bytes -= n;
    if (in.urgent && in.taken > *in.urgent) in.urgent.reset();
}

/// The last byte in the queue is urgent now. One before it that waits at the mark is lost
/// (tcp_check_urg).
void mark_urgent(vfs_state& state, socket_pair::direction& to, std::size_t fresh) {
    if (to.skips_next() && to.bytes.size() > fresh) take_bytes(state, to, 1);
    to.urgent = to.taken + to.bytes.size() - 1;
    to.urgent_read = false;
}

/// As Linux: bytes sent before ancillary data and those sent with it may come together, what follows
/// comes by itself, and whoever gets the first of them gets the data.
outcome<received> receive_stream(vfs_state& state,
                                 socket_pair& pair,
                                 socket_pair::direction& in,
                                 int& failed,
                                 user_buffers& to,
                                 bool peek) {
    received r;
    if (to.size() == 0) return r;
    const bool skips = in.skips_next();
    if (skips && !peek) {
        take_bytes(state, in, 1);
        ++pair.activity;
    }
    if (in.bytes.size() == (skips && peek ? 1 : 0)) {
        if (failed && failed != EPIPE) return os_error{std::exchange(failed, 0)};
        if (in.closed || in.receiver_gone) return r;
        return os_error{EAGAIN};
    }
    std::string_view bytes = in.bytes.view();
    if (skips && peek) bytes.remove_prefix(1);
    if (in.urgent && *in.urgent > in.taken) bytes = bytes.substr(0, *in.urgent - in.taken);
    if (!in.marks.empty()) bytes = bytes.substr(0, in.marks.front().to - in.taken);
    auto n = to.put(std::as_bytes(std::span(bytes)));
    if (!n) return n.error();
    r.length = r.whole = *n;
    const bool marked = !in.marks.empty() && in.marks.front().from < in.taken + *n;
    if (marked) r.extra = hand_over(state, in.marks.front().extra, peek);
    if (!peek && *n) {
        if (marked) in.marks.pop_front();
        take_bytes(state, in, *n);
        ++pair.activity;
    }
    return r;
}

outcome<std::size_t> send_service(const vfs_state& state,
                                  service_connection& s,
                                  user_buffers& from) {
    if (s.guest_finished || s.service_closed) return os_error{EPIPE};
    if (from.size() == 0) return std::size_t{0};
    const std::size_t room = service_room(state, s);
    if (room == 0) return os_error{EAGAIN};
    auto n = from.each(room, false, [&](std::span<std::byte> b) {
        s.from_guest.append(reinterpret_cast<const char*>(b.data()), b.size());
        return b.size();
    });
    if (n) {
        s.active = true;
        ++s.activity;
    }
    return n;
}

outcome<message> take_message(user_buffers& from) {
    message m;
    m.bytes.resize(from.size());
    auto n = from.take(std::as_writable_bytes(std::span(m.bytes)));
    if (!n) return n.error();
    if (*n < m.bytes.size()) return os_error{EFAULT};
    return m;
}

void keep(vfs_state& state,
          message m,
          ancillary& extra,
          std::deque<message>& messages,
          std::size_t& queued) {
    m.extra = std::exchange(extra, {});
    state.in_flight += m.extra.rights.size();
    state.socket_bytes += cost_of(m);
    queued += m.bytes.size();
    messages.push_back(std::move(m));
}

outcome<std::size_t> send_pair(vfs_state& state,
                               const pair_end& end,
                               user_buffers& from,
                               ancillary& extra,
                               bool urgent,
                               std::uint64_t send_buffer) {
    const auto it = state.pairs.find(end.pair);
    if (it == state.pairs.end()) return os_error{EPIPE};
    socket_pair& pair = it->second;
    socket_pair::direction& out = pair.to[end.side ^ 1u];
    const bool tcp = is_tcp(pair);
    if (tcp && pair.error[end.side]) return os_error{std::exchange(pair.error[end.side], 0)};
    if (out.closed) return os_error{EPIPE};
    // A TCP that reads no more takes what comes nevertheless, unless it has also said its last.
    const bool gone =
        !pair.open[end.side ^ 1u] || (out.receiver_gone && (!tcp || pair.to[end.side].closed));
    if (gone && tcp) {
        // What the buffer holds goes, and a reset is the answer.
        const std::uint64_t lost = std::min(from.size(), send_buffer);
        if (lost == 0) return std::size_t{0};
        from.skip(lost);
        cut(pair);
        ++pair.activity;
        return static_cast<std::size_t>(lost);
    }
    if (gone) return os_error{pair.type == SOCK_DGRAM ? ECONNREFUSED : EPIPE};
    if (pair.type == SOCK_STREAM) {
        if (from.size() == 0) return std::size_t{0};
        const std::size_t room =
            out.bytes.size() < socket_pair::capacity && state.socket_bytes < max_socket_bytes
                ? socket_pair::capacity - out.bytes.size()
                : 0;
        if (room == 0) return os_error{EAGAIN};
        const std::uint64_t at = out.taken + out.bytes.size();
        auto n = from.each(room, false, [&](std::span<std::byte> b) {
            out.bytes.append(b);
            return b.size();
        });
        if (!n) return n;
        state.socket_bytes += *n;
        if (urgent && *n) mark_urgent(state, out, *n);
        if (*n && !extra.empty()) {
            state.in_flight += extra.rights.size();
            out.marks.push_back({at, at + *n, std::exchange(extra, {})});
        }
        ++pair.activity;
        return n;
    }
    if (from.size() > socket_pair::capacity) return os_error{EMSGSIZE};
    if (!out.takes_message() || state.socket_bytes >= max_socket_bytes) return os_error{EAGAIN};
    auto m = take_message(from);
    if (!m) return m.error();
    const std::size_t length = m->bytes.size();
    keep(state, std::move(*m), extra, out.messages, out.queued);
    ++pair.activity;
    return length;
}

outcome<std::size_t> send_datagram(vfs_state& state,
                                   description_id id,
                                   datagram_socket& mine,
                                   user_buffers& from,
                                   send_request& request) {
    if (mine.error) return os_error{std::exchange(mine.error, 0)};
    if (mine.writes_none) return os_error{EPIPE};
    const bool unix_domain = mine.family == AF_UNIX;
    if (!request.to && !mine.peer.family) return os_error{unix_domain ? ENOTCONN : EDESTADDRREQ};
    if (from.size() > (unix_domain ? socket_pair::capacity : 65507)) return os_error{EMSGSIZE};
    if (!unix_domain && !mine.name.family) {
        socket_name any;
        any.family = mine.family;
        if (mine.family == AF_INET) any.address = socket_name::mapped(0);
        if (auto bound = bind(state, id, std::move(any), inode_id::none); !bound)
            return bound.error();
    }
    const description_id target = find_receiver(state, mine, request);
    description* other = state.find(target);
    auto* to = other ? std::get_if<datagram_socket>(&other->body) : nullptr;
    if (to && to->peer.family) {
        // It takes messages of its peer alone.
        const bool from_peer =
            unix_domain ? to->peer_key == mine.key : to->peer.port == mine.name.port;
        if (!from_peer) {
            if (unix_domain) return os_error{EPERM};
            to = nullptr;
        }
    }
    if (!to || to->reads_none) {
        if (unix_domain) return os_error{to ? EPIPE : ECONNREFUSED};
        // As the network would: it is lost, and a connected socket hears that nobody is there.
        if (mine.peer.family) mine.error = ECONNREFUSED, ++mine.activity;
        const auto lost = static_cast<std::size_t>(from.size());
        from.skip(lost);
        return lost;
    }
    if (!has_room(state, *to)) {
        if (unix_domain) {
            request.blocked_by = target;
            return os_error{EAGAIN};
        }
        const auto lost = static_cast<std::size_t>(from.size());  // UDP drops it
        from.skip(lost);
        return lost;
    }
    auto m = take_message(from);
    if (!m) return m.error();
    m->from = mine.name;
    if (!unix_domain && m->from.is_any()) {
        m->from.address = request.to ? request.to->address : mine.peer.address;
        if (m->from.is_mapped()) m->from.address = socket_name::mapped(0x7f00'0001);
    }
    const std::size_t length = m->bytes.size();
    keep(state, std::move(*m), request.extra, to->messages, to->queued);
    ++to->activity;
    return length;
}

}  // namespace

bool deliver(vfs_state& state, datagram_socket& to, message m) {
    if (to.reads_none || !has_room(state, to)) return false;
    ancillary none;
    keep(state, std::move(m), none, to.messages, to.queued);
    ++to.activity;
    return true;
}

bool has_room(const vfs_state& state, const datagram_socket& socket) {
    return socket.messages.size() < socket_pair::max_messages &&
           socket.queued <= socket_pair::capacity / 2 && state.socket_bytes < max_socket_bytes;
}

outcome<received> receive(vfs_state& state, description_id id, user_buffers& to, bool peek) {
    description* d = state.find(id);
    HEARTH_ASSERT(d);
    if (const auto* socket = std::get_if<service_socket>(&d->body)) {
        const auto it = state.connections.find(socket->connection);
        if (it == state.connections.end()) return received{};
        return receive_service(it->second, to, peek);
    }
    if (auto* mine = std::get_if<datagram_socket>(&d->body)) {
        if (mine->error) return os_error{std::exchange(mine->error, 0)};
        if (!mine->messages.empty())
            return receive_message(state, mine->messages, mine->queued, mine->activity, to, peek);
        if (mine->reads_none) return received{};
        return os_error{EAGAIN};
    }
    const auto* end = std::get_if<pair_end>(&d->body);
    if (!end) return os_error{ENOTCONN};
    const auto it = state.pairs.find(end->pair);
    if (it == state.pairs.end()) return received{};
    socket_pair& pair = it->second;
    socket_pair::direction& in = pair.to[end->side];
    if (pair.type == SOCK_STREAM)
        return receive_stream(state, pair, in, pair.error[end->side], to, peek);
    if (in.messages.empty()) {
        if (pair.error[end->side]) return os_error{std::exchange(pair.error[end->side], 0)};
        if (in.receiver_gone || (in.closed && pair.type == SOCK_SEQPACKET)) return received{};
        return os_error{EAGAIN};
    }
    return receive_message(state, in.messages, in.queued, pair.activity, to, peek);
}

outcome<std::size_t> send(vfs_state& state,
                          description_id id,
                          user_buffers& from,
                          send_request& request) {
    description* d = state.find(id);
    HEARTH_ASSERT(d);
    if (state.in_flight + request.extra.rights.size() > max_in_flight)
        return os_error{ETOOMANYREFS};
    if (const auto* idle = std::get_if<unconnected_socket>(&d->body))
        return os_error{idle->family == AF_UNIX ? ENOTCONN : EPIPE};
    if (std::holds_alternative<listening_socket>(d->body))
        return os_error{family_of(state, *d) == AF_UNIX ? ENOTCONN : EPIPE};
    if (const auto* socket = std::get_if<service_socket>(&d->body)) {
        const auto it = state.connections.find(socket->connection);
        if (it == state.connections.end()) return os_error{EPIPE};
        return send_service(state, it->second, from);
    }
    if (auto* mine = std::get_if<datagram_socket>(&d->body))
        return send_datagram(state, id, *mine, from, request);
    const auto* end = std::get_if<pair_end>(&d->body);
    if (!end) return os_error{ENOTSOCK};
    const auto size = d->socket_options.find({SOL_SOCKET, SO_SNDBUF});
    const std::uint64_t send_buffer = size == d->socket_options.end()
                                          ? socket_pair::capacity
                                          : static_cast<std::uint64_t>(size->second);
    return send_pair(state, *end, from, request.extra, request.urgent, send_buffer);
}

bool is_tcp(const vfs_state& state, const description& d) {
    const int family = family_of(state, d);
    return (family == AF_INET || family == AF_INET6) && type_of(state, d) == SOCK_STREAM &&
           !std::holds_alternative<service_socket>(d.body);
}

socket_pair::direction* incoming(vfs_state& state, const description& d) {
    const auto* end = std::get_if<pair_end>(&d.body);
    const auto it = end ? state.pairs.find(end->pair) : state.pairs.end();
    return it == state.pairs.end() ? nullptr : &it->second.to[end->side];
}

outcome<received> receive_urgent(vfs_state& state,
                                 const description& d,
                                 user_buffers& to,
                                 bool peek) {
    auto* const in = is_tcp(state, d) ? incoming(state, d) : nullptr;
    if (!in || !in->urgent || in->urgent_read || in->urgent_in_line) return os_error{EINVAL};
    received r;
    r.truncated = to.size() == 0;
    const std::uint64_t at = *in->urgent - in->taken;
    if (at >= in->bytes.size()) return os_error{EINVAL};
    const std::string_view byte = in->bytes.view().substr(at, 1);
    auto n = to.put(std::as_bytes(std::span(byte)));
    if (!n) return n.error();
    r.length = r.whole = *n;
    if (!peek) in->urgent_read = true;
    return r;
}

bool closes_with_reset(const description& d) {
    const auto it = d.socket_options.find({SOL_SOCKET, SO_LINGER});
    return it != d.socket_options.end() && it->second == linger_option(true, 0);
}

bool is_over(const vfs_state& state, const description& d) {
    const auto* end = std::get_if<pair_end>(&d.body);
    const auto it = end ? state.pairs.find(end->pair) : state.pairs.end();
    return it != state.pairs.end() && is_tcp(it->second) && it->second.to[0].closed &&
           it->second.to[1].closed;
}

void close_pair_end(vfs_state& state, const pair_end& end, bool reset) {
    const auto it = state.pairs.find(end.pair);
    if (it == state.pairs.end()) return;
    socket_pair& pair = it->second;
    const std::size_t other = end.side ^ 1u;
    socket_pair::direction& mine = pair.to[end.side];
    const bool has_unread = !mine.bytes.empty() || !mine.messages.empty();
    if (is_tcp(pair)) {
        const bool over = pair.to[0].closed && pair.to[1].closed;
        if ((has_unread || reset) && !over) cut(pair);
    } else if (pair.open[other] && pair.type != SOCK_DGRAM && (has_unread || reset)) {
        pair.error[other] = ECONNRESET;  // it was sent what nobody read
    }
    pair.open[end.side] = false;
    pair.to[other].closed = true;
    mine.receiver_gone = true;
    ++pair.activity;
    // What is dropped may hold the last reference to other sockets, even to this pair's.
    socket_pair::direction unread = std::exchange(mine, {});
    mine.closed = unread.closed;
    mine.receiver_gone = true;
    state.socket_bytes -= unread.bytes.size();
    if (!pair.open[other]) state.pairs.erase(it);
    for (auto& mark : unread.marks) drop(state, mark.extra);
    drop(state, unread.messages);
}

void close_listener(vfs_state& state, description_id id, const listening_socket& socket) {
    forget_name(state, id, socket.key);
    for (const pair_id waiting : socket.waiting) close_pair_end(state, {waiting, 1}, true);
}

void close_datagrams(vfs_state& state, description_id id, datagram_socket& socket) {
    forget_name(state, id, socket.key);
    drop(state, socket.messages);
}

}  // namespace hearth::guest::vfs
