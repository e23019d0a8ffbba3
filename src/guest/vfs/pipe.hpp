#pragma once

/// Pipes and socket pairs as values. `activity` counts what happened, for edge-triggered epoll.

#include "guest/kernel/wait_state.hpp"
#include "guest/vfs/byte_queue.hpp"
#include "guest/vfs/socket_name.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace hearth::guest::vfs {

struct pipe {
    static constexpr std::size_t default_capacity = 64 * 1024;  ///< man 7 pipe
    static constexpr std::size_t max_capacity = 1024 * 1024;
    /// Writes up to this many bytes are atomic.
    static constexpr std::size_t atomic_size = 4096;

    byte_queue bytes;
    std::size_t capacity = default_capacity;
    std::uint32_t readers = 0, writers = 0;  ///< descriptions, not descriptors
    /// Counted up with each that is opened: one that came and went was there.
    std::uint32_t readers_came = 1, writers_came = 1;
    std::uint64_t activity = 0;
    bool operator==(const pipe&) const = default;

    [[nodiscard]] std::size_t room() const noexcept {
        return bytes.size() < capacity ? capacity - bytes.size() : 0;
    }
};

/// What travels beside the bytes: descriptors, each holding a reference to what it stands for, and
/// who sent them (man 7 unix); of IP's datagrams, their hop limit and traffic class.
struct ancillary {
    std::vector<description_id> rights;
    std::optional<peer_credentials> sender;
    std::optional<std::uint8_t> hop_limit, traffic_class;
    bool operator==(const ancillary&) const = default;
    [[nodiscard]] bool empty() const noexcept { return rights.empty() && !sender; }
};
struct message {
    std::string bytes;
    socket_name from;
    ancillary extra;
    bool operator==(const message&) const = default;
};

/// Two sockets connected to each other: a socketpair(2), or a connection that was accepted or waits
/// for it. Stream pairs keep bytes, datagram and seqpacket pairs keep messages.
struct socket_pair {
    static constexpr std::size_t capacity = 208 * 1024;  ///< net.core.wmem_default
    static constexpr std::size_t max_messages = 1024;
    struct direction {
        /// Ancillary data of a stream, with the bytes of these numbers, counted from its beginning.
        struct mark {
            std::uint64_t from = 0, to = 0;
            ancillary extra;
            bool operator==(const mark&) const = default;
        };
        byte_queue bytes;
        std::uint64_t taken = 0;  ///< bytes that have been received
        std::deque<mark> marks;
        std::deque<message> messages;
        std::size_t queued = 0;      ///< bytes in `messages`
        bool closed = false;         ///< the sender will send no more
        bool receiver_gone = false;  ///< the receiver will read no more
        /// TCP's urgent byte, by its number: known until what follows it is read (man 7 tcp).
        std::optional<std::uint64_t> urgent;
        bool urgent_read = false;     ///< with MSG_OOB
        bool urgent_in_line = false;  ///< the receiver's SO_OOBINLINE
        bool operator==(const direction&) const = default;
        /// Of whatever length: the same answer for send and for POLLOUT, so no wait for room ends
        /// in vain.
        [[nodiscard]] bool takes_message() const noexcept {
            return messages.size() < max_messages && queued <= capacity / 2;
        }
        /// The next byte is the urgent one: no read goes across.
        [[nodiscard]] bool at_mark() const noexcept { return urgent && *urgent == taken; }
        /// … and is none of the stream's.
        [[nodiscard]] bool skips_next() const noexcept {
            return at_mark() && !urgent_in_line && !bytes.empty();
        }
    };
    std::array<int, 2> families{};  ///< of each side: AF_UNIX, AF_INET, AF_INET6
    int type = 0;                 ///< SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET
    std::array<direction, 2> to;  ///< what side i will receive
    /// Side i has a description. One that waits to be accepted counts as open.
    std::array<bool, 2> open{true, true};
    std::array<int, 2> error{};  ///< pending at side i (SO_ERROR): ECONNRESET
    std::array<socket_name, 2> names;
    std::array<peer_credentials, 2> owners;
    std::uint64_t activity = 0;
    bool operator==(const socket_pair&) const = default;
    /// For the codec: g++ 12 fails to take this aggregate apart by itself.
    static auto fields(auto& self) {
        return std::tie(self.families, self.type, self.to, self.open, self.error, self.names,
                        self.owners, self.activity);
    }
};

/// A guest's TCP connection to a service in this process (the Runtime API).
struct service_connection {
    /// What the guest may have sent and the service not taken: one response of 6 MB and its
    /// headers.
    static constexpr std::size_t window = 8 * 1024 * 1024;

    std::string from_guest;  ///< consumed by the service, by erasing
    byte_queue to_guest;
    bool guest_finished = false;    ///< shutdown(SHUT_WR), or closed
    bool guest_reads_none = false;  ///< shutdown(SHUT_RD), or closed
    bool guest_closed = false;      ///< no descriptor is left
    bool service_closed = false;
    bool active = false;  ///< something new for the service
    std::uint32_t address = 0;
    std::uint16_t port = 0, local_port = 0;
    std::uint64_t activity = 0;
    bool operator==(const service_connection&) const = default;
};

}  // namespace hearth::guest::vfs
