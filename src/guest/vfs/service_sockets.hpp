#pragma once

/// The host's side of the guest's connections to services in this process; the bodies of `kernel`'s
/// functions of the same names.

#include "guest/vfs/vfs_state.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hearth::guest::vfs {

/// Connections a guest may have at once. With the window of each this bounds what a guest can make
/// us hold.
inline constexpr std::size_t max_connections = 64;
/// What all connections together may hold that no service has taken.
inline constexpr std::size_t max_unread = 24u << 20;

std::vector<std::uint32_t> take_service_activity(vfs_state& state);
std::string* service_input(vfs_state& state, std::uint32_t connection);
/// The guest will send no more, or the connection is gone.
bool service_peer_closed(const vfs_state& state, std::uint32_t connection);
void service_send(vfs_state& state, std::uint32_t connection, std::string_view bytes);
/// The service is done with it; what it has sent stays for the guest to read.
void service_close(vfs_state& state, std::uint32_t connection);

/// How many bytes the guest may send on a connection now.
std::size_t service_room(const vfs_state& state, const service_connection& connection);

}  // namespace hearth::guest::vfs
