#pragma once

/// The network interfaces that a guest sees: its loopback, and, when it has a way out, one Ethernet
/// card with link-local addresses. Packets are not counted.

#include "guest/kernel/host.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace hearth::guest::vfs {

struct interface_address {
    int family = 0;                          ///< AF_INET, AF_INET6
    std::array<std::uint8_t, 16> address{};  ///< as in socket_name
    std::uint8_t prefix = 0;                 ///< bits
    std::uint8_t scope = 0;                  ///< RT_SCOPE_HOST, RT_SCOPE_LINK
};
struct network_interface {
    int index = 0;
    std::string_view name;
    std::uint32_t flags = 0;  ///< IFF_*
    std::uint32_t mtu = 0;
    std::uint16_t type = 0;  ///< ARPHRD_*
    std::array<std::uint8_t, 6> hardware{};
    std::array<interface_address, 2> addresses;  ///< IPv4, IPv6
};

/// In the order of their indices.
[[nodiscard]] std::span<const network_interface> interfaces_of(host& host);
[[nodiscard]] const network_interface* find_interface(host& host, std::string_view name);
[[nodiscard]] const network_interface* find_interface(host& host, int index);

}  // namespace hearth::guest::vfs
