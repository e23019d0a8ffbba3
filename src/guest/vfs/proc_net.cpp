#include "guest/vfs/proc_net.hpp"

#include "guest/vfs/fixed_text.hpp"
#include "guest/vfs/interfaces.hpp"
#include "guest/vfs/outside.hpp"
#include "guest/vfs/socket.hpp"

#include <fmt/format.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <bit>
#include <cstring>

namespace hearth::guest::vfs::proc {
namespace {

static_assert(std::endian::native == std::endian::little);

std::string dev(const context& c) {
    std::string out =
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
        "drop fifo colls carrier compressed\n";
    for (const network_interface& i : interfaces_of(c.host))
        out += fmt::format(
            "{:>6}:       0       0    0    0    0     0          0         0        0       0    0"
            "    0    0     0       0          0\n",
            i.name);
    return out;
}

std::string if_inet6(const context& c) {
    std::string out;
    for (const network_interface& i : interfaces_of(c.host)) {
        for (const interface_address& a : i.addresses) {
            if (a.family != AF_INET6) continue;
            for (const std::uint8_t b : a.address) out += fmt::format("{:02x}", b);
            constexpr unsigned loopback = 0x10, link_local = 0x20, permanent = 0x80;
            out += fmt::format(" {:02x} {:02x} {:02x} {:02x} {:>8}\n", i.index, a.prefix,
                               i.index == 1 ? loopback : link_local, permanent, i.name);
        }
    }
    return out;
}

std::string route(const context& c) {
    std::string out =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
    if (c.host.network()) {
        constexpr unsigned up = 1, gateway = 2;
        out += fmt::format("eth0\t00000000\t{:08X}\t{:04X}\t0\t0\t0\t00000000\t0\t0\t0\n",
                           htonl(resolver_address), up | gateway);
        out += fmt::format("eth0\t{:08X}\t00000000\t{:04X}\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
                           htonl(socket_name::own_address & 0xffff'ff00), up);
    }
    return out;
}

/// An Internet socket as /proc/net/tcp and its kin show it.
struct socket_row {
    socket_name local, remote;
    int state = TCP_ESTABLISHED;
    std::size_t unsent = 0, unread = 0;
    std::uint64_t inode = 0;
};

/// Words of the address, each in the machine's order, and the port.
std::string address_text(int family, const socket_name& name) {
    std::array<std::uint32_t, 4> words{};
    if (name.family) std::memcpy(words.data(), name.address.data(), sizeof words);
    std::string out;
    if (family == AF_INET) {
        out = fmt::format("{:08X}", words[3]);
    } else {
        for (const std::uint32_t w : words) out += fmt::format("{:08X}", w);
    }
    return out + fmt::format(":{:04X}", name.port);
}

std::string table(int family, bool tcp, const std::vector<socket_row>& rows) {
    std::string out =
        family == AF_INET
            ? "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
              "timeout inode"
            : "  sl  local_address                         remote_address                        "
              "st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
    if (!tcp) out += " ref pointer drops";
    out += '\n';
    int number = 0;
    for (const socket_row& r : rows)
        out += fmt::format(
            "{:4}: {} {} {:02X} {:08X}:{:08X} 00:00000000 00000000     0        0 {} {} "
            "0000000000000000 {}\n",
            number++, address_text(family, r.local), address_text(family, r.remote), r.state,
            r.unsent, r.unread, r.inode, tcp ? 1 : 2, tcp ? "20 4 30 10 -1" : "0");
    return out;
}

/// The description's row, if it is a socket of that family and kind and has a name.
std::optional<socket_row> row_of(const context& c, const description& d, int family, bool tcp) {
    const vfs_state& state = c.state.vfs;
    socket_row r;
    r.inode = d.serial;
    if (const auto* service = std::get_if<service_socket>(&d.body)) {
        const auto it = state.connections.find(service->connection);
        if (it == state.connections.end() || family != AF_INET || !tcp) return {};
        r.local.family = r.remote.family = AF_INET;
        r.local.address = socket_name::mapped(INADDR_LOOPBACK);
        r.local.port = it->second.local_port;
        r.remote.address = socket_name::mapped(it->second.address);
        r.remote.port = it->second.port;
        return r;
    }
    if (const auto* outside = std::get_if<host_socket>(&d.body)) {
        if (outside->family != family || (outside->type == SOCK_STREAM) != tcp) return {};
        const auto local = outside::name(c.host.network(), *outside, false);
        if (!local) return {};
        r.local = *local;
        if (const auto remote = outside::name(c.host.network(), *outside, true))
            r.remote = *remote;
        else
            r.state = TCP_CLOSE;
        return r;
    }
    const bool datagrams = std::holds_alternative<datagram_socket>(d.body);
    if (!is_socket(d) || family_of(state, d) != family || datagrams == tcp ||
        std::holds_alternative<unconnected_socket>(d.body))
        return {};
    r.local = name_of(state, d);
    if (!r.local.family) return {};
    if (const auto peer = peer_of(state, d)) r.remote = *peer;
    if (const auto* listener = std::get_if<listening_socket>(&d.body)) {
        r.state = TCP_LISTEN;
        r.unsent = listener->backlog;
        r.unread = listener->waiting.size();
    } else if (const auto* g = std::get_if<datagram_socket>(&d.body)) {
        r.state = g->peer.family ? TCP_ESTABLISHED : TCP_CLOSE;
        r.unread = g->queued;
    } else if (const auto* end = std::get_if<pair_end>(&d.body)) {
        const socket_pair& pair = state.pairs.at(end->pair);
        r.unread = pair.to[end->side].bytes.size();
        r.unsent = pair.to[end->side ^ 1u].bytes.size();
        if (pair.to[end->side].closed) r.state = TCP_CLOSE_WAIT;
    }
    return r;
}

std::string internet(const context& c, int family, bool tcp) {
    std::vector<socket_row> rows;
    for (const auto& [id, d] : c.state.vfs.descriptions)
        if (auto r = row_of(c, d, family, tcp)) rows.push_back(std::move(*r));
    return table(family, tcp, rows);
}

/// man 5 proc, /proc/net/unix.
std::string unix_sockets(const context& c) {
    const vfs_state& state = c.state.vfs;
    std::string out = "Num       RefCount Protocol Flags    Type St Inode Path\n";
    for (const auto& [id, d] : state.descriptions) {
        if (!is_socket(d) || family_of(state, d) != AF_UNIX) continue;
        constexpr unsigned accepting = 0x1'0000;       // __SO_ACCEPTCON
        constexpr int unconnected = 1, connected = 3;  // SS_*
        const bool listens = std::holds_alternative<listening_socket>(d.body);
        out += fmt::format("0000000000000000: {:08X} 00000000 {:08X} {:04X} {:02X} {:5}",
                           d.references + 1, listens ? accepting : 0u, type_of(state, d),
                           peer_of(state, d) ? connected : unconnected, d.serial);
        if (std::string path = name_of(state, d).path; !path.empty()) {
            for (char& ch : path)
                if (ch == '\0') ch = '@';
            out += ' ' + path;
        }
        out += '\n';
    }
    return out;
}

}  // namespace

made_files net_files() {
    using c = const context&;
    static constexpr std::array files{
        made_file{"dev", dev},
        made_file{"if_inet6", if_inet6},
        made_file{"packet", fixed<"sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n">},
        made_file{"raw", [](c) { return table(AF_INET, false, {}); }},
        made_file{"raw6", [](c) { return table(AF_INET6, false, {}); }},
        made_file{"route", route},
        made_file{"tcp", [](c k) { return internet(k, AF_INET, true); }},
        made_file{"tcp6", [](c k) { return internet(k, AF_INET6, true); }},
        made_file{"udp", [](c k) { return internet(k, AF_INET, false); }},
        made_file{"udp6", [](c k) { return internet(k, AF_INET6, false); }},
        made_file{"unix", unix_sockets},
    };
    static_assert(well_formed(files));
    return files;
}

}  // namespace hearth::guest::vfs::proc
