#pragma once

/// Internet addresses and networks as values. An IPv4 address and its v4-mapped IPv6 form are one
/// and the same.

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::net {

struct address {
    /// IPv4 as ::ffff:a.b.c.d.
    std::array<std::uint8_t, 16> bytes{};

    static address v4(std::uint32_t host_order);
    /// "192.0.2.1" or "2001:db8::1", nothing around it.
    static std::optional<address> parse(std::string_view text);
    [[nodiscard]] bool is_v4() const;
    [[nodiscard]] std::uint32_t to_v4() const;  ///< host order
    [[nodiscard]] std::string text() const;
    auto operator<=>(const address&) const = default;
};

struct endpoint {
    net::address address;
    std::uint16_t port = 0;
    /// Nothing: no AF_INET or AF_INET6, or too short.
    static std::optional<endpoint> of(const ::sockaddr_storage& name, ::socklen_t length);
    bool operator==(const endpoint&) const = default;
};

/// The first `bits` of 128 are fixed.
struct network {
    net::address base;
    unsigned bits = 128;
    [[nodiscard]] bool contains(const address& a) const;
    [[nodiscard]] bool within(const network& other) const {
        return bits >= other.bits && other.contains(base);
    }
    bool operator==(const network&) const = default;
};

/// "192.0.2.0/24" for v4, with the prefix counted in 32 bits.
[[nodiscard]] network v4_network(std::uint32_t base, unsigned bits);

/// What is not the world outside but this machine, its link or everyone at once: reached only when
/// named for itself. "loopback", "link-local", …; null: none of these.
[[nodiscard]] const char* special_kind(const address& a);
/// The network it is special for.
[[nodiscard]] std::optional<network> special_network(const address& a);

}  // namespace hearth::net
