#include "guest/vfs/interfaces.hpp"

#include "guest/vfs/socket_name.hpp"

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include <algorithm>

namespace hearth::guest::vfs {

std::span<const network_interface> interfaces_of(host& host) {
    static const std::array<network_interface, 2> all{
        network_interface{
            .index = 1,
            .name = "lo",
            .flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING,
            .mtu = 65536,
            .type = ARPHRD_LOOPBACK,
            .hardware = {},
            .addresses =
                {interface_address{AF_INET, socket_name::mapped(INADDR_LOOPBACK), 8, RT_SCOPE_HOST},
                 {AF_INET6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, RT_SCOPE_HOST}}},
        network_interface{
            .index = 2,
            .name = "eth0",
            .flags = IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST,
            .mtu = 1500,
            .type = ARPHRD_ETHER,
            .hardware = {0x02, 0, 0, 0, 0, 0x02},
            .addresses = {interface_address{AF_INET, socket_name::mapped(socket_name::own_address),
                                            24, RT_SCOPE_LINK},
                          {AF_INET6, socket_name::own_address_v6, 64, RT_SCOPE_LINK}}}};
    return std::span(all).first(host.network() ? 2 : 1);
}

const network_interface* find_interface(host& host, std::string_view name) {
    const auto all = interfaces_of(host);
    const auto it = std::ranges::find(all, name, &network_interface::name);
    return it == all.end() ? nullptr : &*it;
}
const network_interface* find_interface(host& host, int index) {
    const auto all = interfaces_of(host);
    const auto it = std::ranges::find(all, index, &network_interface::index);
    return it == all.end() ? nullptr : &*it;
}

}  // namespace hearth::guest::vfs
