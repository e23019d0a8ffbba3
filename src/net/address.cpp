#include "net/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace hearth::net {
namespace {

struct special {
    network where;
    const char* kind;
};

network v6_network(std::array<std::uint8_t, 16> base, unsigned bits) { return {{base}, bits}; }

/// RFC 6890's registry, those that are of this host or this link.
const std::array<special, 13>& specials() {
    static const std::array<special, 13> list{{
        {v4_network(0x0000'0000, 8), "this host"},
        {v4_network(0x7f00'0000, 8), "loopback"},
        {v4_network(0xa9fe'0000, 16), "link-local (metadata services)"},
        {v4_network(0xe000'0000, 4), "multicast"},
        {v4_network(0xf000'0000, 4), "reserved or broadcast"},
        {v6_network({}, 128), "this host"},
        {v6_network({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128), "loopback"},
        {v6_network({}, 96), "an IPv4-compatible address"},
        {v6_network({0xfe, 0x80}, 10), "link-local (metadata services)"},
        {v6_network({0xfe, 0xc0}, 10), "site-local"},
        {v6_network({0xff}, 8), "multicast"},
        // The metadata service of EC2 and of others that took the same place.
        {v6_network({0xfd, 0, 0x0e, 0xc2}, 32), "a metadata service"},
        {v6_network({0x20, 0x02}, 16), "6to4"},
    }};
    return list;
}

/// An IPv4 address inside an address for translation (RFC 6052) means that one.
address untranslated(const address& a) {
    static const network translated = v6_network({0, 0x64, 0xff, 0x9b}, 96);
    if (!translated.contains(a)) return a;
    std::uint32_t low = 0;
    std::memcpy(&low, a.bytes.data() + 12, sizeof low);
    return address::v4(ntohl(low));
}

const special* find_special(const address& given) {
    const address a = untranslated(given);
    for (const special& s : specials())
        if (s.where.contains(a)) return &s;
    return nullptr;
}

}  // namespace

address address::v4(std::uint32_t host_order) {
    address a;
    a.bytes[10] = a.bytes[11] = 0xff;
    const std::uint32_t wire = htonl(host_order);
    std::memcpy(a.bytes.data() + 12, &wire, sizeof wire);
    return a;
}

std::optional<address> address::parse(std::string_view text) {
    const std::string s(text);
    in_addr four{};
    if (::inet_pton(AF_INET, s.c_str(), &four) == 1) return v4(ntohl(four.s_addr));
    address a;
    if (::inet_pton(AF_INET6, s.c_str(), a.bytes.data()) == 1) return a;
    return std::nullopt;
}

bool address::is_v4() const {
    static constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::equal(mapped.begin(), mapped.end(), bytes.begin());
}

std::uint32_t address::to_v4() const {
    std::uint32_t wire = 0;
    std::memcpy(&wire, bytes.data() + 12, sizeof wire);
    return ntohl(wire);
}

std::string address::text() const {
    char buffer[INET6_ADDRSTRLEN] = {};
    if (is_v4())
        ::inet_ntop(AF_INET, bytes.data() + 12, buffer, sizeof buffer);
    else
        ::inet_ntop(AF_INET6, bytes.data(), buffer, sizeof buffer);
    return buffer;
}

std::optional<endpoint> endpoint::of(const ::sockaddr_storage& name, ::socklen_t length) {
    endpoint e;
    if (name.ss_family == AF_INET && length >= sizeof(sockaddr_in)) {
        sockaddr_in in;
        std::memcpy(&in, &name, sizeof in);
        e.address = address::v4(ntohl(in.sin_addr.s_addr));
        e.port = ntohs(in.sin_port);
        return e;
    }
    constexpr ::socklen_t without_scope = 24;  // SIN6_LEN_RFC2133
    if (name.ss_family == AF_INET6 && length >= without_scope) {
        sockaddr_in6 in;
        std::memcpy(&in, &name, sizeof in);
        std::memcpy(e.address.bytes.data(), &in.sin6_addr, 16);
        e.port = ntohs(in.sin6_port);
        return e;
    }
    return std::nullopt;
}

bool network::contains(const address& a) const {
    const unsigned whole = bits / 8;
    if (!std::equal(base.bytes.begin(), base.bytes.begin() + whole, a.bytes.begin())) return false;
    if (bits % 8 == 0) return true;
    const auto mask = static_cast<std::uint8_t>(0xff00u >> (bits % 8));
    return (base.bytes[whole] & mask) == (a.bytes[whole] & mask);
}

network v4_network(std::uint32_t base, unsigned bits) { return {address::v4(base), bits + 96}; }

const char* special_kind(const address& a) {
    const special* s = find_special(a);
    return s ? s->kind : nullptr;
}

std::optional<network> special_network(const address& a) {
    const special* s = find_special(a);
    return s ? std::optional(s->where) : std::nullopt;
}

}  // namespace hearth::net
