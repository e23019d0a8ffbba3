#pragma once

/// NETLINK_ROUTE as far as programs ask it which interfaces and addresses there are: dumps of
/// links, addresses and routes, and one link by its index or name (man 7 netlink, rtnetlink).
/// Whatever would change something is EPERM, the rest EOPNOTSUPP. Pure: a request's bytes to the
/// datagrams that answer it.

#include "guest/vfs/interfaces.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hearth::guest::vfs::netlink {

/// What a socket may send at once.
inline constexpr std::size_t max_request = 32 * 1024;

/// `port`: the asking socket's. Parts that are no whole message are ignored, as Linux does.
[[nodiscard]] std::vector<std::string> answer(std::span<const network_interface> interfaces,
                                              std::span<const std::byte> request,
                                              std::uint32_t port);

}  // namespace hearth::guest::vfs::netlink
