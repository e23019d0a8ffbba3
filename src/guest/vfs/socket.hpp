#pragma once

/// Sockets that stay inside the guest: names, listening, connecting, accepting, and datagrams
/// between them. Meaning only; addresses are decoded and waits are made in sys/. What a call
/// cannot do now is EAGAIN, as in file_io.hpp.

#include "guest/kernel/kernel_state.hpp"
#include "guest/vfs/user_buffers.hpp"
#include "guest/vfs/vfs_state.hpp"

#include <optional>

namespace hearth::guest::vfs {

/// What all sockets' queues may hold together, and how many descriptors (RLIMIT_NOFILE's sense of
/// it, man 7 unix, ETOOMANYREFS). Sockets sent over each other in a circle stay until the guest
/// ends, so the latter bounds those too.
inline constexpr std::size_t max_socket_bytes = 64u << 20;
/// What a message counts for besides its bytes: an empty one takes the host's memory too.
inline constexpr std::size_t message_cost = 256;
inline constexpr std::size_t max_in_flight = 1024;
/// Connections and socketpairs at once.
inline constexpr std::size_t max_pairs = 4096;
inline constexpr std::uint32_t max_backlog = 4096;  ///< net.core.somaxconn
/// An event that poll(2) never reports: a listener or a datagram socket takes more. For waits.
inline constexpr short room_event = 0x400;

/// socket(2).
description_id make_socket(vfs_state& state, int family, int type, int protocol, int flags);
/// socketpair(2), by `owner`; the caller has seen to max_pairs.
std::pair<description_id, description_id> make_pair(vfs_state& state,
                                                    int type,
                                                    int flags,
                                                    const peer_credentials& owner);

[[nodiscard]] int family_of(const vfs_state& state, const description& d);
[[nodiscard]] int type_of(const vfs_state& state, const description& d);
[[nodiscard]] bool is_socket(const description& d);
/// Its name; family 0: it has none. Not for services' connections.
[[nodiscard]] socket_name name_of(const vfs_state& state, const description& d);
/// ENOTCONN
[[nodiscard]] outcome<socket_name> peer_of(const vfs_state& state, const description& d);

/// Who connected, or listens, at the other end.
[[nodiscard]] peer_credentials peer_credentials_of(const vfs_state& state, const description& d);

/// bind(2) of a socket without a name. A port of 0 chooses one, AF_UNIX without a path an abstract
/// name. `node`: the socket's inode, for a path. EADDRINUSE
outcome<void> bind(vfs_state& state, description_id id, socket_name name, inode_id node);
/// EINVAL, EOPNOTSUPP
outcome<void> listen(vfs_state& state,
                     description_id id,
                     int backlog,
                     const peer_credentials& owner);
/// Connects to what has the name (`node`: the inode at the path). EAGAIN: the listener `full` has
/// too many waiting.
struct connect_result {
    int error = 0;
    description_id full{};
};
connect_result connect(vfs_state& state,
                       description_id id,
                       const socket_name& to,
                       inode_id node,
                       const peer_credentials& owner);
/// Datagram sockets only: forgets the peer.
void disconnect(vfs_state& state, description_id id);
/// The next of those waiting. EAGAIN, EINVAL
outcome<description_id> accept(vfs_state& state, description_id listener, int flags);
/// SHUT_RD, SHUT_WR, SHUT_RDWR. ENOTCONN
outcome<void> shut_down(vfs_state& state, description_id id, int how);
/// The pending error, which is then gone (SO_ERROR).
int take_error(vfs_state& state, description& d);
/// A TCP socket of the guest's own network.
[[nodiscard]] bool is_tcp(const vfs_state& state, const description& d);
/// What its side of a connection will receive; null: it is none.
[[nodiscard]] socket_pair::direction* incoming(vfs_state& state, const description& d);
/// A TCP connection that both sides have closed, or a reset has.
[[nodiscard]] bool is_over(const vfs_state& state, const description& d);

/// SO_LINGER, kept as one number.
constexpr std::int64_t linger_option(bool on, int seconds) {
    return (on ? std::int64_t{1} << 32 : 0) | static_cast<std::uint32_t>(seconds);
}
/// SO_LINGER of no time at all (man 7 socket). Nothing lingers otherwise: what was sent has
/// arrived.
[[nodiscard]] bool closes_with_reset(const description& d);

/// What a message brings. Its descriptors' references are the receiver's to install or release.
struct received {
    std::size_t length = 0;
    std::size_t whole = 0;  ///< of a message that was cut: its true length
    bool truncated = false;
    socket_name from;
    ancillary extra;
};
outcome<received> receive(vfs_state& state, description_id id, user_buffers& to, bool peek);
/// MSG_OOB: the urgent byte. EINVAL: there is none
outcome<received> receive_urgent(vfs_state& state,
                                 const description& d,
                                 user_buffers& to,
                                 bool peek);
/// `to` and `node`: an address given with the message. Takes over the references in `extra` when
/// it succeeds. `blocked_by` is the receiver when EAGAIN is for want of its room.
struct send_request {
    const socket_name* to = nullptr;
    inode_id node{};
    ancillary extra;
    description_id blocked_by{};
    bool urgent = false;  ///< of TCP: the last byte of it
};
outcome<std::size_t> send(vfs_state& state,
                          description_id id,
                          user_buffers& from,
                          send_request& request);

/// Queues a message that no socket of the guest sent. False: there is no room for it.
[[nodiscard]] bool deliver(vfs_state& state, datagram_socket& to, message m);
/// Where a datagram goes; no id: nowhere.
[[nodiscard]] description_id find_receiver(const vfs_state& state,
                                           const datagram_socket& mine,
                                           const send_request& request);
/// Something of this type listens or is bound there.
[[nodiscard]] bool is_served(const vfs_state& state, int type, const socket_name& at);
/// Whether the datagram socket takes another message.
[[nodiscard]] bool has_room(const vfs_state& state, const datagram_socket& socket);

// What a description's end means here (vfs_state::release).
/// `reset`: the other side loses the connection, instead of seeing its end.
void close_pair_end(vfs_state& state, const pair_end& end, bool reset);
void close_listener(vfs_state& state, description_id id, const listening_socket& socket);
void close_datagrams(vfs_state& state, description_id id, datagram_socket& socket);
void forget_name(vfs_state& state, description_id id, const socket_key& key);

}  // namespace hearth::guest::vfs
