#pragma once

/// Sockets that lead out of the guest. Host resources, so beside the state: a `vfs::host_socket`
/// names one by an id that its guest gave it. Nothing here blocks; what cannot go on is EAGAIN or
/// EINPROGRESS, and whoever runs the guest is woken when a socket has news. Owner thread only.

#include "guest/outcome.hpp"
#include "guest/vfs/socket_name.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace hearth::guest {

/// Where a guest's resolver library asks for names: inside its world, answered by whoever
/// implements `outbound`, reached by nothing else.
inline constexpr std::uint32_t resolver_address = 0xa9fe'4e01;  // 169.254.78.1
inline constexpr std::uint16_t resolver_port = 53;
/// Its /etc/resolv.conf.
inline constexpr std::string_view resolver_configuration =
    "nameserver 169.254.78.1\noptions timeout:5 attempts:2\n";

class outbound {
  public:
    virtual ~outbound() = default;

    /// The function's network allows it.
    virtual bool may_reach(const vfs::socket_name& to) = 0;
    /// Makes the socket with the first call for its id.
    /// EINPROGRESS: `poll` tells, and `take_error`. EACCES: the function's network does not allow
    /// it.
    virtual outcome<void> connect(std::uint32_t id,
                                  int family,
                                  int type,
                                  const vfs::socket_name& to) = 0;
    /// Of datagrams: forgets the peer.
    virtual void disconnect(std::uint32_t id) = 0;
    /// `to`: of a datagram, and makes the socket as connect does. A datagram goes whole.
    virtual outcome<std::size_t> send(std::uint32_t id,
                                      int family,
                                      std::span<const std::byte> bytes,
                                      const vfs::socket_name* to) = 0;
    /// Of a stream: the last of these bytes is urgent (man 7 tcp).
    virtual outcome<std::size_t> send_urgent(std::uint32_t id,
                                             std::span<const std::byte> bytes) = 0;
    /// The urgent byte. EINVAL: there is none. EAGAIN: it is said to come.
    virtual outcome<std::size_t> receive_urgent(std::uint32_t id,
                                                std::span<std::byte> into,
                                                bool peek) = 0;
    /// The next byte to be read is the urgent one, or follows it; SIOCATMARK.
    virtual bool at_mark(std::uint32_t id) = 0;
    struct received {
        std::size_t length = 0;
        std::size_t whole = 0;  ///< of the datagram
        vfs::socket_name from;
    };
    virtual outcome<received> receive(std::uint32_t id, std::span<std::byte> into, bool peek) = 0;
    /// POLLIN and the like.
    virtual short poll(std::uint32_t id) = 0;
    /// Grows with whatever may be news to an edge-triggered epoll.
    virtual std::uint64_t activity(std::uint32_t id) = 0;
    /// SO_ERROR, which is taken.
    virtual int take_error(std::uint32_t id) = 0;
    virtual outcome<void> shutdown(std::uint32_t id, int how) = 0;
    virtual outcome<vfs::socket_name> name(std::uint32_t id, bool peer) = 0;
    /// Those that change how the host's socket behaves; the others are ignored.
    virtual void set_option(std::uint32_t id, int level, int option, std::int64_t value) = 0;
    /// Bytes to be read; FIONREAD.
    virtual std::size_t unread(std::uint32_t id) = 0;
    virtual void close(std::uint32_t id) = 0;
    /// The guest is another one from now on.
    virtual void close_all() = 0;
};

}  // namespace hearth::guest
