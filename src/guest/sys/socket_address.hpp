#pragma once

/// Between a socket's name and the sockaddr a guest gives or gets (man 7 ip, ipv6, unix).

#include "guest/kernel/task.hpp"
#include "guest/vfs/description.hpp"
#include "guest/vfs/tmpfs.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace hearth::guest::socket_address {

/// The bytes of an address argument. EINVAL, EFAULT
outcome<std::vector<std::byte>> read_argument(task& t, guest_ptr<const void> address, int length);

/// For a socket of that family. EINVAL, EAFNOSUPPORT
outcome<vfs::socket_name> decode(int family, std::span<const std::byte> raw);
/// As a socket of that family shows it; a family of 0 in the name is an unnamed socket.
std::vector<std::byte> encode(int family, const vfs::socket_name& name);

/// Copies an address out as the kernel does: as much as fits, and the true length.
outcome<void> give(task& t,
                   guest_ptr<void> out,
                   guest_ptr<int> length,
                   std::span<const std::byte> address);

/// Where a datagram or a connection leads: a name that stands for the guest itself is made
/// definite, a path's inode is found. ENETUNREACH, ECONNREFUSED, and those of path resolution
struct target {
    vfs::socket_name name;
    vfs::inode_id node{};
};
outcome<target> find_target(task& t, int family, vfs::socket_name name);

}  // namespace hearth::guest::socket_address
