#pragma once

/// What a socket is called: an Internet address and port inside the guest, a path, or an abstract
/// name (man 7 ip, ipv6, unix). Values.

#include <array>
#include <compare>
#include <cstdint>
#include <string>

namespace hearth::guest::vfs {

struct socket_name {
    int family = 0;    ///< AF_INET, AF_INET6, AF_UNIX; 0: it has no name
    std::string path;  ///< AF_UNIX: as given; an abstract name begins with a zero byte
    /// IPv6 in network order; an IPv4 address is its mapped form (::ffff:1.2.3.4), in either
    /// family.
    std::array<std::uint8_t, 16> address{};
    std::uint16_t port = 0;
    bool operator==(const socket_name&) const = default;

    [[nodiscard]] bool is_mapped() const noexcept {
        for (int i = 0; i < 10; ++i)
            if (address[static_cast<std::size_t>(i)]) return false;
        return address[10] == 0xff && address[11] == 0xff;
    }
    /// The IPv4 address, in host byte order.
    [[nodiscard]] std::uint32_t v4() const noexcept {
        return std::uint32_t{address[12]} << 24 | std::uint32_t{address[13]} << 16 |
               std::uint32_t{address[14]} << 8 | address[15];
    }
    [[nodiscard]] bool is_any() const noexcept {
        if (is_mapped()) return v4() == 0;
        return address == std::array<std::uint8_t, 16>{};
    }
    /// The guest's addresses on the interface that leads out, when it has one; link-local.
    static constexpr std::uint32_t own_address = 0xa9fe'4e02;  // 169.254.78.2
    static constexpr std::array<std::uint8_t, 16> own_address_v6{
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 2};
    /// 127.0.0.0/8, ::1 or one of those: what the guest itself is.
    [[nodiscard]] bool is_loopback() const noexcept {
        if (is_mapped()) return v4() >> 24 == 127 || v4() == own_address;
        std::array<std::uint8_t, 16> one{};
        one[15] = 1;
        return address == one || address == own_address_v6;
    }
    static std::array<std::uint8_t, 16> mapped(std::uint32_t v4) noexcept {
        std::array<std::uint8_t, 16> a{};
        a[10] = a[11] = 0xff;
        for (unsigned i = 0; i < 4; ++i) a[12 + i] = static_cast<std::uint8_t>(v4 >> (24 - 8 * i));
        return a;
    }
};

/// What names are looked up by. A path's socket is known by its inode, for the path may change.
struct socket_key {
    enum : std::uint8_t { none, path, abstract, stream_port, datagram_port };
    std::uint8_t kind = none;
    std::uint64_t number = 0;  ///< inode or port
    std::string text;          ///< of an abstract name
    auto operator<=>(const socket_key&) const = default;
};

/// struct ucred.
struct peer_credentials {
    std::int32_t pid = 0;
    std::uint32_t uid = ~0u, gid = ~0u;
    bool operator==(const peer_credentials&) const = default;
};

}  // namespace hearth::guest::vfs
