#pragma once

/// How sockets tell of network interfaces: the requests of man 7 netdevice, and NETLINK_ROUTE.

#include "guest/sys/files.hpp"

#include <cstdint>
#include <optional>

namespace hearth::guest {

/// ioctl of a socket; nothing: it is no request of these.
std::optional<sysret> interface_ioctl(task& t, unsigned request, std::uint64_t argument);

/// A message to the kernel on a netlink socket: its answers are queued. ENOBUFS, EMSGSIZE, EFAULT
sysret send_netlink(task& t, const files::opened& o, vfs::user_buffers& from);
/// Gives it a port id, the process's if `wanted` is 0 and nobody has it. EADDRINUSE, EINVAL
outcome<void> bind_netlink(task& t, const files::opened& o, std::uint32_t wanted);

}  // namespace hearth::guest
