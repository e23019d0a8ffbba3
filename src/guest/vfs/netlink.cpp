#include "guest/vfs/netlink.hpp"

#include "guest/kernel/outbound.hpp"
#include "guest/vfs/socket_name.hpp"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

namespace hearth::guest::vfs::netlink {
namespace {

/// More answers than these to one datagram are lost, as they are where a socket's room ends.
constexpr std::size_t max_answers = 64;
constexpr std::uint32_t lower_up = 1 << 16;  // IFF_LOWER_UP
constexpr std::uint32_t queue_length = 1000;
constexpr std::size_t alignment = 4;

std::size_t aligned(std::size_t n) { return (n + alignment - 1) / alignment * alignment; }

/// Messages of one datagram.
class datagram {
  public:
    void begin(std::uint16_t type,
               std::uint16_t flags,
               std::uint32_t sequence,
               std::uint32_t port) {
        end();
        start_ = bytes_.size();
        put(nlmsghdr{0, type, flags, sequence, port});
    }
    template <class T>
    requires std::is_trivially_copyable_v<T>
    void put(const T& value) {
        bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
        bytes_.resize(aligned(bytes_.size()));
    }
    void attribute(std::uint16_t type, std::string_view value) {
        put(rtattr{static_cast<std::uint16_t>(sizeof(rtattr) + value.size()), type});
        bytes_.append(value);
        bytes_.resize(aligned(bytes_.size()));
    }
    template <class T>
    requires(std::is_trivially_copyable_v<T> &&
             !std::is_convertible_v<T, std::string_view>) void number(std::uint16_t type,
                                                                      const T& value) {
        attribute(type, std::string_view(reinterpret_cast<const char*>(&value), sizeof value));
    }
    /// With its zero byte.
    void name(std::uint16_t type, std::string_view value) {
        attribute(type, std::string(value) + '\0');
    }
    std::string finish() {
        end();
        return std::exchange(bytes_, {});
    }

  private:
    void end() {
        if (bytes_.empty()) return;
        const auto length = static_cast<std::uint32_t>(bytes_.size() - start_);
        std::memcpy(bytes_.data() + start_, &length, sizeof length);
    }
    std::string bytes_;
    std::size_t start_ = 0;
};

/// The bytes of an address: four or sixteen.
std::string_view raw(const interface_address& a) {
    const std::string_view all(reinterpret_cast<const char*>(a.address.data()), a.address.size());
    return a.family == AF_INET ? all.substr(12) : all;
}

void put_link(datagram& d, const network_interface& i) {
    ifinfomsg m{};
    m.ifi_type = i.type;
    m.ifi_index = i.index;
    m.ifi_flags = i.flags | lower_up;
    d.put(m);
    d.name(IFLA_IFNAME, i.name);
    d.number(IFLA_TXQLEN, queue_length);
    constexpr std::uint8_t unknown = 0, up = 6;  // IF_OPER_*
    d.number(IFLA_OPERSTATE, i.flags & IFF_LOOPBACK ? unknown : up);
    d.number(IFLA_LINKMODE, std::uint8_t{0});
    d.number(IFLA_MTU, i.mtu);
    d.number(IFLA_GROUP, std::uint32_t{0});
    d.number(IFLA_NUM_TX_QUEUES, std::uint32_t{1});
    d.number(IFLA_NUM_RX_QUEUES, std::uint32_t{1});
    d.number(IFLA_CARRIER, std::uint8_t{1});
    d.name(IFLA_QDISC, "noqueue");
    d.number(IFLA_ADDRESS, i.hardware);
    std::array<std::uint8_t, 6> everybody{};
    if (!(i.flags & IFF_LOOPBACK)) everybody.fill(0xff);
    d.number(IFLA_BROADCAST, everybody);
    d.number(IFLA_STATS64, rtnl_link_stats64{});
    d.number(IFLA_STATS, rtnl_link_stats{});
}

void put_address(datagram& d, const network_interface& i, const interface_address& a) {
    ifaddrmsg m{};
    m.ifa_family = static_cast<std::uint8_t>(a.family);
    m.ifa_prefixlen = a.prefix;
    m.ifa_flags = IFA_F_PERMANENT;
    m.ifa_scope = a.scope;
    m.ifa_index = static_cast<std::uint32_t>(i.index);
    d.put(m);
    d.attribute(IFA_ADDRESS, raw(a));
    if (a.family == AF_INET) {
        d.attribute(IFA_LOCAL, raw(a));
        if (!(i.flags & IFF_LOOPBACK)) {
            interface_address everybody = a;
            everybody.address[15] = 0xff;  // its prefix is 24
            d.attribute(IFA_BROADCAST, raw(everybody));
        }
        d.name(IFA_LABEL, i.name);
    }
    d.number(IFA_FLAGS, std::uint32_t{IFA_F_PERMANENT});
    constexpr std::uint32_t for_ever = ~0u;
    d.number(IFA_CACHEINFO, ifa_cacheinfo{for_ever, for_ever, 0, 0});
}

/// The way out: by the interface that is no loopback, over whoever answers names there.
void put_route(datagram& d, const network_interface& i) {
    rtmsg m{};
    m.rtm_family = AF_INET;
    m.rtm_table = RT_TABLE_MAIN;
    m.rtm_protocol = RTPROT_BOOT;
    m.rtm_scope = RT_SCOPE_UNIVERSE;
    m.rtm_type = RTN_UNICAST;
    d.put(m);
    d.number(RTA_TABLE, std::uint32_t{RT_TABLE_MAIN});
    d.number(RTA_GATEWAY, htonl(resolver_address));
    d.number(RTA_OIF, i.index);
}

/// The value of an attribute among those behind the family's header.
std::optional<std::string_view> find_attribute(std::span<const std::byte> attributes,
                                               std::uint16_t type) {
    for (std::size_t at = 0; attributes.size() - at >= sizeof(rtattr);) {
        rtattr a;
        std::memcpy(&a, attributes.data() + at, sizeof a);
        if (a.rta_len < sizeof a || a.rta_len > attributes.size() - at) break;
        if (a.rta_type == type)
            return std::string_view(
                reinterpret_cast<const char*>(attributes.data()) + at + sizeof a,
                a.rta_len - sizeof a);
        at += std::min(aligned(a.rta_len), attributes.size() - at);
    }
    return std::nullopt;
}

class session {
  public:
    session(std::span<const network_interface> interfaces, std::uint32_t port)
        : interfaces_(interfaces), port_(port) {}

    void handle(const nlmsghdr& h, std::span<const std::byte> body) {
        if (!(h.nlmsg_flags & NLM_F_REQUEST) || h.nlmsg_type < NLMSG_MIN_TYPE)
            return acknowledge(h);
        const bool dump = (h.nlmsg_flags & NLM_F_DUMP) != 0;
        // Types come in fours: NEW, DEL, GET, SET.
        if ((h.nlmsg_type & 3) != 2) return refuse(h, EPERM);
        // Old programs send the first byte alone, the address family.
        const int family = body.empty() ? AF_UNSPEC : std::to_integer<int>(body[0]);
        if (h.nlmsg_type == RTM_GETLINK && !dump) return one_link(h, body);
        if (!dump) return refuse(h, EOPNOTSUPP);
        switch (h.nlmsg_type) {
            case RTM_GETLINK:
                for (const auto& i : interfaces_) {
                    begin(h, RTM_NEWLINK, NLM_F_MULTI);
                    put_link(now_, i);
                }
                break;
            case RTM_GETADDR:
                for (const auto& i : interfaces_)
                    for (const auto& a : i.addresses) {
                        if (family != AF_UNSPEC && family != a.family) continue;
                        begin(h, RTM_NEWADDR, NLM_F_MULTI);
                        put_address(now_, i, a);
                    }
                break;
            case RTM_GETROUTE:
                for (const auto& i : interfaces_) {
                    if ((i.flags & IFF_LOOPBACK) || family == AF_INET6) continue;
                    begin(h, RTM_NEWROUTE, NLM_F_MULTI);
                    put_route(now_, i);
                }
                break;
            case RTM_GETNEIGH:
            case RTM_GETRULE:
                break;
            default:
                return refuse(h, EOPNOTSUPP);
        }
        send();
        begin(h, NLMSG_DONE, NLM_F_MULTI);
        now_.put(int{0});
        send();
    }
    std::vector<std::string> finish() { return std::move(answers_); }

  private:
    void begin(const nlmsghdr& h, std::uint16_t type, std::uint16_t flags) {
        now_.begin(type, flags, h.nlmsg_seq, port_);
    }
    void send() {
        std::string bytes = now_.finish();
        if (!bytes.empty() && answers_.size() < max_answers) answers_.push_back(std::move(bytes));
    }
    void refuse(const nlmsghdr& h, int number) {
        begin(h, NLMSG_ERROR, 0);
        now_.put(nlmsgerr{-number, h});
        send();
    }
    void acknowledge(const nlmsghdr& h) {
        if (h.nlmsg_flags & NLM_F_ACK) refuse(h, 0);
    }
    void one_link(const nlmsghdr& h, std::span<const std::byte> body) {
        ifinfomsg wanted{};
        if (body.size() < sizeof wanted) return refuse(h, EINVAL);
        std::memcpy(&wanted, body.data(), sizeof wanted);
        auto name = find_attribute(body.subspan(sizeof wanted), IFLA_IFNAME);
        if (name) name = name->substr(0, name->find('\0'));
        if (wanted.ifi_index <= 0 && !name) return refuse(h, EINVAL);
        const auto it = std::ranges::find_if(interfaces_, [&](const network_interface& i) {
            return wanted.ifi_index > 0 ? i.index == wanted.ifi_index : i.name == *name;
        });
        if (it == interfaces_.end()) return refuse(h, ENODEV);
        begin(h, RTM_NEWLINK, 0);
        put_link(now_, *it);
        send();
        acknowledge(h);
    }

    std::span<const network_interface> interfaces_;
    std::uint32_t port_;
    datagram now_;
    std::vector<std::string> answers_;
};

}  // namespace

std::vector<std::string> answer(std::span<const network_interface> interfaces,
                                std::span<const std::byte> request,
                                std::uint32_t port) {
    session s(interfaces, port);
    while (request.size() >= sizeof(nlmsghdr)) {
        nlmsghdr h;
        std::memcpy(&h, request.data(), sizeof h);
        if (h.nlmsg_len < sizeof h || h.nlmsg_len > request.size()) break;
        s.handle(h, request.subspan(sizeof h, h.nlmsg_len - sizeof h));
        request = request.subspan(std::min(aligned(h.nlmsg_len), request.size()));
    }
    return s.finish();
}

}  // namespace hearth::guest::vfs::netlink
