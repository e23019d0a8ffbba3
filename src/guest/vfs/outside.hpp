#pragma once

/// Reading, writing and readiness of sockets that lead out of the guest. One that is reset says
/// ECONNRESET once, and is at its end then. `network` may be null: then all are reset.

#include "guest/kernel/outbound.hpp"
#include "guest/vfs/description.hpp"
#include "guest/vfs/socket.hpp"
#include "guest/vfs/user_buffers.hpp"

namespace hearth::guest::vfs::outside {

short poll(outbound* network, const host_socket& s);
outcome<received> receive(outbound* network, host_socket& s, user_buffers& to, bool peek);
/// MSG_OOB of a stream: the urgent byte. EINVAL: there is none
outcome<received> receive_urgent(outbound* network, host_socket& s, user_buffers& to, bool peek);
/// `name`: where a datagram goes. `urgent`: of a stream, the last byte.
outcome<std::size_t> send(
    outbound* network, host_socket& s, user_buffers& from, const socket_name* name, bool urgent);
int take_error(outbound* network, host_socket& s);
outcome<socket_name> name(outbound* network, const host_socket& s, bool peer);
outcome<void> shut_down(outbound* network, const host_socket& s, int how);

}  // namespace hearth::guest::vfs::outside
