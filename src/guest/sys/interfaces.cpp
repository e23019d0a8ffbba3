#include "guest/sys/interfaces.hpp"

#include "guest/vfs/interfaces.hpp"
#include "guest/vfs/netlink.hpp"
#include "guest/vfs/socket.hpp"

#include <linux/if.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hearth::guest {
namespace {

using vfs::interface_address;
using vfs::network_interface;

sockaddr_in address_of(std::uint32_t v4) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(v4);
    return a;
}

std::uint32_t v4_of(const interface_address& a) {
    return std::uint32_t{a.address[12]} << 24 | std::uint32_t{a.address[13]} << 16 |
           std::uint32_t{a.address[14]} << 8 | a.address[15];
}
std::uint32_t mask_of(const interface_address& a) { return ~0u << (32 - a.prefix); }

template <class T>
void put(ifreq& r, const T& value) {
    static_assert(sizeof value <= sizeof r.ifr_ifru);
    std::memcpy(&r.ifr_ifru, &value, sizeof value);
}

/// SIOCGIFCONF: as many as there is room for, or how much room all of them take.
sysret list(task& t, std::uint64_t argument) {
    struct request {
        std::int32_t length;
        std::uint32_t padding;
        std::uint64_t buffer;
    };
    const guest_ptr<request> place{gva{argument}};
    auto r = t.read(place);
    if (!r) return r.error();
    const auto all = vfs::interfaces_of(t.kernel().host());
    std::int32_t done = 0;
    for (const network_interface& i : all) {
        ifreq one{};
        std::copy(i.name.begin(), i.name.end(), one.ifr_name);
        put(one, address_of(v4_of(i.addresses[0])));
        if (r->buffer) {
            if (r->length - done < static_cast<std::int32_t>(sizeof one)) break;
            const auto to = gva{r->buffer} + static_cast<std::uint64_t>(done);
            if (auto ok = t.write(guest_ptr<ifreq>{to}, one); !ok) return ok.error();
        }
        done += static_cast<std::int32_t>(sizeof one);
    }
    r->length = done;
    return t.write(place, *r);
}

/// What the request asks of the interface goes into `r`. False: it is no such request.
bool answer(unsigned request, const network_interface& i, ifreq& r) {
    const interface_address& a = i.addresses[0];
    switch (request) {
        case SIOCGIFFLAGS:
            put(r, static_cast<short>(i.flags));
            return true;
        case SIOCGIFADDR:
            put(r, address_of(v4_of(a)));
            return true;
        case SIOCGIFDSTADDR:
            put(r, address_of(v4_of(a)));
            return true;
        case SIOCGIFBRDADDR:
            put(r, address_of(i.flags & IFF_BROADCAST ? v4_of(a) | ~mask_of(a) : 0));
            return true;
        case SIOCGIFNETMASK:
            put(r, address_of(mask_of(a)));
            return true;
        case SIOCGIFMTU:
            put(r, static_cast<int>(i.mtu));
            return true;
        case SIOCGIFINDEX:
            put(r, i.index);
            return true;
        case SIOCGIFMETRIC:
            put(r, 0);
            return true;
        case SIOCGIFTXQLEN:
            put(r, 1000);
            return true;
        case SIOCGIFMAP:
            put(r, ifmap{});
            return true;
        case SIOCGIFHWADDR: {
            sockaddr hardware{};
            hardware.sa_family = i.type;
            std::memcpy(hardware.sa_data, i.hardware.data(), i.hardware.size());
            put(r, hardware);
            return true;
        }
        default:
            return false;
    }
}

bool port_is_taken(const vfs::vfs_state& state, std::uint32_t port) {
    return std::ranges::any_of(state.descriptions, [&](const auto& entry) {
        const auto* g = std::get_if<vfs::datagram_socket>(&entry.second.body);
        return g && g->family == AF_NETLINK && g->name.family && g->name.v4() == port;
    });
}

}  // namespace

std::optional<sysret> interface_ioctl(task& t, unsigned request, std::uint64_t argument) {
    if (request == SIOCGIFCONF) return list(t, argument);
    if (request < SIOCGIFNAME || request > SIOCETHTOOL) return std::nullopt;
    const guest_ptr<ifreq> place{gva{argument}};
    auto r = t.read(place);
    if (!r) return r.error();
    r->ifr_name[IFNAMSIZ - 1] = '\0';
    if (request == SIOCGIFNAME) {
        const auto* i = vfs::find_interface(t.kernel().host(), r->ifr_ifindex);
        if (!i) return sysret::error(ENODEV);
        std::memset(r->ifr_name, 0, sizeof r->ifr_name);
        std::copy(i->name.begin(), i->name.end(), r->ifr_name);
        return t.write(place, *r);
    }
    const auto* i = vfs::find_interface(t.kernel().host(), std::string_view(r->ifr_name));
    if (!i) return sysret::error(ENODEV);
    // Those that would change one, or ask what none of ours has.
    if (!answer(request, *i, *r)) return sysret::error(EOPNOTSUPP);
    return t.write(place, *r);
}

outcome<void> bind_netlink(task& t, const files::opened& o, std::uint32_t wanted) {
    auto& socket = std::get<vfs::datagram_socket>(o.description->body);
    const vfs::vfs_state& state = files::state_of(t);
    if (socket.name.family) {
        if (wanted && socket.name.v4() != wanted) return os_error{EINVAL};
        return {};
    }
    if (wanted && port_is_taken(state, wanted)) return os_error{EADDRINUSE};
    std::uint32_t port = wanted ? wanted : static_cast<std::uint32_t>(t.process().id);
    // As Linux: the process's other sockets have numbers that are no process's.
    if (!wanted && port_is_taken(state, port))
        port = 0x8000'0000u | static_cast<std::uint32_t>(o.id);
    socket.name.family = AF_NETLINK;
    socket.name.address = vfs::socket_name::mapped(port);
    return {};
}

sysret send_netlink(task& t, const files::opened& o, vfs::user_buffers& from) {
    if (from.size() > vfs::netlink::max_request) return sysret::error(EMSGSIZE);
    if (auto bound = bind_netlink(t, o, 0); !bound) return bound.error();
    std::vector<std::byte> request(static_cast<std::size_t>(from.size()));
    auto n = from.take(request);
    if (!n) return n.error();
    if (*n < request.size()) return sysret::error(EFAULT);
    auto& socket = std::get<vfs::datagram_socket>(o.description->body);
    for (std::string& bytes :
         vfs::netlink::answer(vfs::interfaces_of(t.kernel().host()), request, socket.name.v4())) {
        vfs::message m;
        m.bytes = std::move(bytes);
        m.from.family = AF_NETLINK;
        m.from.address = vfs::socket_name::mapped(0);  // the kernel
        if (!vfs::deliver(files::state_of(t), socket, std::move(m))) return sysret::error(ENOBUFS);
    }
    return static_cast<std::int64_t>(*n);
}

}  // namespace hearth::guest
