#pragma once

/// An open file description: what `open` creates and `dup` shares. A value: it names what it stands
/// for by ids and paths, never by a host descriptor, so a clone works on from a copy with its own
/// offset.

#include "guest/kernel/host.hpp"
#include "guest/kernel/wait_state.hpp"
#include "guest/vfs/pipe.hpp"
#include "guest/vfs/tmpfs.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace hearth::guest::vfs {

/// A node of a mounted tree, of whichever kind the mount is.
struct tree_node {
    std::uint32_t mount = 0;
    std::string inner;  ///< path below the mount, without a leading slash; for all trees but tmpfs
    inode_id inode{};   ///< tmpfs only
    bool operator==(const tree_node&) const = default;
};

/// A regular file of a read-only tree. The host's file is opened when needed and known again by its
/// identity.
struct tree_file {
    tree_node node;
    std::uint64_t device = 0, host_inode = 0;
    bool operator==(const tree_file&) const = default;
};
struct tmpfs_file {
    inode_id inode{};
    std::uint32_t mount = 0;
    bool operator==(const tmpfs_file&) const = default;
};
/// Its offset is the cookie of the entry last given.
struct open_directory {
    tree_node node;
    bool operator==(const open_directory&) const = default;
};
/// Opened with O_PATH: a place in the tree and nothing more.
struct path_only {
    tree_node node;
    bool operator==(const path_only&) const = default;
};
/// A generated text (/proc), as it was when it was opened.
struct text_file {
    tree_node node;
    std::shared_ptr<const std::string> text;
    bool operator==(const text_file& o) const {
        return node == o.node && (text == o.text || (text && o.text && *text == *o.text));
    }
};
enum class pipe_id : std::uint32_t {};
struct pipe_end {
    pipe_id pipe{};
    bool reads = false, writes = false;
    std::uint32_t mount = 0;  ///< of a FIFO, and
    inode_id fifo{};          ///< which it is
    /// Opened when the other side had nobody: how many had come there by then.
    std::uint32_t met = 0;
    bool operator==(const pipe_end&) const = default;
};
enum class pair_id : std::uint32_t {};
/// One end of a socketpair(2), or of a connection.
struct pair_end {
    pair_id pair{};
    std::uint8_t side = 0;
    bool operator==(const pair_end&) const = default;
};
/// A connection to a service in the host process.
struct service_socket {
    std::uint32_t connection = 0;
    bool operator==(const service_socket&) const = default;
};
/// A stream or seqpacket socket that is neither connected nor listening.
struct unconnected_socket {
    int family = 0, type = 0, protocol = 0;
    socket_name name;  ///< where it is bound
    socket_key key;
    bool operator==(const unconnected_socket&) const = default;
};
struct listening_socket {
    int family = 0, type = 0;
    socket_name name;
    socket_key key;
    std::uint32_t backlog = 0;
    peer_credentials owner;
    std::deque<pair_id> waiting;  ///< to be accepted: side 1 of each
    std::uint64_t activity = 0;
    bool operator==(const listening_socket&) const = default;
};
struct datagram_socket {
    int family = 0;
    socket_name name, peer;  ///< where it is bound, what it is connected to
    socket_key key, peer_key;
    std::deque<message> messages;
    std::size_t queued = 0;  ///< bytes in `messages`
    bool reads_none = false, writes_none = false;  ///< shutdown(2)
    int error = 0;                                 ///< pending: ECONNREFUSED
    std::uint64_t activity = 0;
    bool operator==(const datagram_socket&) const = default;
};
/// A socket that leads out of the guest, by its id in the host's hands (guest/kernel/outbound.hpp).
/// A clone has none of its snapshot's: they are reset.
struct host_socket {
    std::uint32_t id = 0;  ///< 0: reset
    int family = 0, type = 0;
    bool told = false;  ///< of the reset
    bool operator==(const host_socket&) const = default;
};
struct event_counter {
    std::uint64_t count = 0;
    bool semaphore = false;
    std::uint64_t activity = 0;
    bool operator==(const event_counter&) const = default;
};
/// timerfd_create(2). Expirations are counted when they are asked for.
struct timer_descriptor {
    std::int32_t clock = 0;
    std::optional<std::chrono::nanoseconds> deadline;  ///< guest CLOCK_MONOTONIC; none: disarmed
    std::chrono::nanoseconds interval{};
    std::uint64_t expired = 0;  ///< those that were read, or forgotten when it was set anew
    bool operator==(const timer_descriptor&) const = default;
    /// How often it has expired and nobody has read that.
    [[nodiscard]] std::uint64_t due(std::chrono::nanoseconds now) const noexcept {
        if (!deadline || *deadline > now) return 0;
        if (interval.count() <= 0) return 1;
        return static_cast<std::uint64_t>((now - *deadline) / interval) + 1;
    }
};
/// signalfd(2): whoever reads it gets pending signals of its own.
struct signal_descriptor {
    signal_set mask = 0;
    bool operator==(const signal_descriptor&) const = default;
};
/// pidfd_open(2): ready for reading when the process has ended.
struct process_descriptor {
    std::int32_t process = 0;
    std::uint64_t serial = 0;
    bool operator==(const process_descriptor&) const = default;
};
struct epoll_set {
    struct item {
        std::uint32_t events = 0;
        std::uint64_t data = 0;
        std::uint32_t reported = 0;  ///< edge-triggered: what was ready when last reported
        std::uint64_t activity = 0;  ///< … and how far its source had come then
        bool disabled = false;       ///< EPOLLONESHOT, and it has shot
        bool operator==(const item&) const = default;
    };
    /// As in Linux, an interest is known by number and description.
    using key = std::pair<int, description_id>;
    std::map<key, item> items;
    /// Where the last answer was full; the next begins behind it, so that every one has its turn.
    key last{-1, {}};
    bool operator==(const epoll_set&) const = default;
};
struct standard_stream {
    stream which = stream::input;
    bool operator==(const standard_stream&) const = default;
};
enum class device_kind : std::uint8_t { null, zero, full, random };
struct device {
    device_kind kind = device_kind::null;
    tree_node node;
    bool operator==(const device&) const = default;
};

/// How far a description's source had come when its owner was last told (news.hpp).
struct noticed {
    std::uint64_t activity = 0;  ///< of a pipe
    std::uint64_t arrived = 0;   ///< bytes or messages
    std::optional<std::uint64_t> urgent;
    std::int16_t events = 0;  ///< as poll has them
    bool operator==(const noticed&) const = default;
};
/// Who is told of news by signals (man 2 fcntl, F_SETOWN), and how.
struct news_owner {
    std::int32_t type = 0, id = 0;    ///< F_OWNER_TID …; 0: nobody
    std::uint64_t serial = 0;         ///< of the process, which tells it from others of its number
    std::uint32_t uid = 0, euid = 0;  ///< who said so
    std::int32_t signal = 0;          ///< F_SETSIG; 0: SIGIO that says nothing more
    std::int32_t descriptor = 0;      ///< by which O_ASYNC was set: si_fd
    noticed seen;
    bool operator==(const news_owner&) const = default;
};

struct description {
    std::uint32_t flags = 0;  ///< access mode, O_APPEND, O_NONBLOCK, O_DIRECT … as F_GETFL answers
    std::uint64_t offset = 0;
    std::uint32_t references = 1;  ///< descriptors in all tables
    std::string path;              ///< as opened, canonical; or "pipe:[7]" and the like
    std::variant<tree_file,
                 tmpfs_file,
                 open_directory,
                 path_only,
                 text_file,
                 pipe_end,
                 pair_end,
                 service_socket,
                 unconnected_socket,
                 listening_socket,
                 datagram_socket,
                 host_socket,
                 event_counter,
                 timer_descriptor,
                 signal_descriptor,
                 process_descriptor,
                 epoll_set,
                 standard_stream,
                 device>
        body;
    std::map<std::pair<int, int>, std::int64_t>
        socket_options;        ///< (level, option); times in microseconds
    std::uint64_t serial = 0;  ///< st_ino of what has no inode of its own
    bool operator==(const description&) const = default;
};

/// Its place in the arena.
inline description_id id_of(const description& d) {
    return static_cast<description_id>(d.serial);
}

}  // namespace hearth::guest::vfs
