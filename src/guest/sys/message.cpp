/// Sending and receiving on sockets: man 2 send, recv, sendmsg, recvmsg, sendmmsg, recvmmsg.

#include "guest/kernel/credentials.hpp"
#include "guest/sys/files.hpp"
#include "guest/sys/interfaces.hpp"
#include "guest/sys/outside.hpp"
#include "guest/sys/socket.hpp"
#include "guest/sys/socket_address.hpp"
#include "guest/sys/time.hpp"
#include "guest/vfs/socket.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace hearth::guest {
namespace {

using files::opened;

constexpr int send_flags =
    MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE | MSG_EOR | MSG_CONFIRM | MSG_DONTROUTE | MSG_OOB;
constexpr int receive_flags =
    MSG_DONTWAIT | MSG_PEEK | MSG_WAITALL | MSG_TRUNC | MSG_CMSG_CLOEXEC | MSG_NOSIGNAL;
constexpr std::uint64_t max_control = 20480;  // net.core.optmem_max
constexpr std::size_t max_rights = 253;       // SCM_MAX_FD
constexpr unsigned max_messages = 1024;       // UIO_MAXIOV, of sendmmsg and recvmmsg

/// struct cmsghdr.
struct control_header {
    std::uint64_t length;
    std::int32_t level, type;
};
static_assert(sizeof(control_header) == 16);
constexpr std::uint64_t aligned(std::uint64_t n) { return (n + 7) & ~std::uint64_t{7}; }

/// References that no message has taken yet.
class held_rights {
  public:
    explicit held_rights(vfs::vfs_state& state) noexcept : state_(state) {}
    held_rights(const held_rights&) = delete;
    held_rights& operator=(const held_rights&) = delete;
    ~held_rights() {
        for (const description_id id : extra.rights) state_.release(id);
    }
    vfs::ancillary extra;

  private:
    vfs::vfs_state& state_;
};

sysret wait_or_again(
    task& t, const opened& o, short events, int flags, std::uint64_t progress, int option) {
    if (flags & MSG_DONTWAIT)
        return progress ? sysret(static_cast<std::int64_t>(progress)) : sysret::error(EAGAIN);
    return files::would_block(t, o.id, events, progress, files::time_limit(*o.description, option));
}

outcome<void> take_rights(task& t, std::span<const std::byte> data, vfs::ancillary& to) {
    const std::size_t n = data.size() / sizeof(int);
    if (n > max_rights - std::min(max_rights, to.rights.size())) return os_error{EINVAL};
    for (std::size_t i = 0; i < n; ++i) {
        int fd = -1;
        std::memcpy(&fd, data.data() + i * sizeof fd, sizeof fd);
        auto o = files::find(t, fd, true);
        if (!o) return o.error();
        files::state_of(t).retain(o->id);
        to.rights.push_back(o->id);
    }
    return {};
}

outcome<void> take_credentials(task& t, std::span<const std::byte> data, vfs::ancillary& to) {
    ::ucred given{};
    if (data.size() != sizeof given) return os_error{EINVAL};
    std::memcpy(&given, data.data(), sizeof given);
    const process_state& p = t.process();
    const bool own_uid = given.uid == p.uid || given.uid == p.ids.euid || given.uid == p.ids.suid;
    const bool own_gid = given.gid == p.gid || given.gid == p.ids.egid || given.gid == p.ids.sgid;
    if ((given.pid != p.id && !capable(p, CAP_SYS_ADMIN)) ||
        (!own_uid && !capable(p, CAP_SETUID)) || (!own_gid && !capable(p, CAP_SETGID)))
        return os_error{EPERM};
    to.sender = vfs::peer_credentials{given.pid, given.uid, given.gid};
    return {};
}

/// Hop limit and traffic class of a datagram, instead of the socket's (man 7 ip, man 7 ipv6; -1
/// leaves those).
outcome<void> take_of_ip(const control_header& h,
                         std::span<const std::byte> data,
                         int family,
                         vfs::ancillary& to) {
    const bool v6 = h.level == IPPROTO_IPV6;
    if (family != (v6 ? AF_INET6 : AF_INET)) return {};  // the other protocol's: not looked at
    const bool hops = h.type == (v6 ? IPV6_HOPLIMIT : IP_TTL);
    if (!hops && h.type != (v6 ? IPV6_TCLASS : IP_TOS)) return os_error{EINVAL};
    int value = 0;
    if (h.type == IP_TOS && !v6 && data.size() == 1)
        value = std::to_integer<int>(data[0]);
    else if (data.size() != sizeof value)
        return os_error{EINVAL};
    else
        std::memcpy(&value, data.data(), sizeof value);
    const int least = v6 ? -1 : hops ? 1 : 0;
    if (value < least || value > 255) return os_error{EINVAL};
    if (value >= 0) (hops ? to.hop_limit : to.traffic_class) = static_cast<std::uint8_t>(value);
    return {};
}

/// What a datagram of the socket carries when nothing else is said.
void add_of_ip(const vfs::description& d, int family, vfs::ancillary& to) {
    const auto option = [&](int level, int name, int initial) {
        const auto it = d.socket_options.find({level, name});
        const auto value = it == d.socket_options.end() ? initial : it->second;
        return static_cast<std::uint8_t>(value < 0 ? initial : value);
    };
    const bool v6 = family == AF_INET6;
    if (!to.hop_limit)
        to.hop_limit =
            v6 ? option(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 64) : option(IPPROTO_IP, IP_TTL, 64);
    if (!to.traffic_class)
        to.traffic_class =
            v6 ? option(IPPROTO_IPV6, IPV6_TCLASS, 0) : option(IPPROTO_IP, IP_TOS, 0);
}

/// The ancillary data of a message that is sent. EINVAL, EBADF, ENOBUFS, EFAULT, EPERM
outcome<void> read_control(
    task& t, const abi::msghdr& m, int family, bool datagrams, vfs::ancillary& to) {
    const bool unix_domain = family == AF_UNIX;
    if (m.control_length == 0) return {};
    if (m.control_length > max_control) return os_error{ENOBUFS};
    std::vector<std::byte> raw(m.control_length);
    if (auto ok = t.memory().read(gva{m.control}, raw); !ok) return ok;
    for (std::uint64_t at = 0; raw.size() - at >= sizeof(control_header);) {
        control_header h{};
        std::memcpy(&h, raw.data() + at, sizeof h);
        if (h.length < sizeof h || h.length > raw.size() - at) return os_error{EINVAL};
        const auto data = std::span(raw).subspan(at + sizeof h, h.length - sizeof h);
        at += std::min<std::uint64_t>(aligned(h.length), raw.size() - at);
        if (h.level != SOL_SOCKET) {  // of other protocols, if any, nobody takes note
            if (!datagrams || (h.level != IPPROTO_IP && h.level != IPPROTO_IPV6)) continue;
            if (auto taken = take_of_ip(h, data, family, to); !taken) return taken;
            continue;
        }
        if (h.type != SCM_RIGHTS && h.type != SCM_CREDENTIALS) return os_error{EINVAL};
        if (unix_domain) {
            auto taken =
                h.type == SCM_RIGHTS ? take_rights(t, data, to) : take_credentials(t, data, to);
            if (!taken) return taken;
        }
    }
    return {};
}

/// How much of its one message a call has moved before it waited.
std::uint64_t progress_of(const task& t) { return t.wait() ? t.wait()->progress : 0; }

/// `done`: bytes of the message that went before. `m`: for its ancillary data; may be null.
sysret send(task& t,
            int fd,
            outcome<std::vector<vfs::segment>> segments,
            int flags,
            std::uint64_t done,
            guest_ptr<const void> address,
            int address_length,
            const abi::msghdr* m = nullptr) {
    auto o = files::find_socket(t, fd);
    if (!o) return o.error();
    if (!segments) return segments.error();
    if ((flags & MSG_OOB) && !vfs::is_tcp(files::state_of(t), *o->description))
        return sysret::error(EOPNOTSUPP);
    if (flags & ~send_flags) return sysret::error(EINVAL);
    vfs::vfs_state& state = files::state_of(t);
    const int family = vfs::family_of(state, *o->description);
    const bool datagrams = std::holds_alternative<vfs::datagram_socket>(o->description->body) ||
                           outside::has_datagrams(*o->description);

    vfs::send_request request;
    request.urgent = flags & MSG_OOB;
    socket_address::target to;
    if (address && datagrams) {
        auto raw = socket_address::read_argument(t, address, address_length);
        if (!raw) return raw.error();
        auto name = socket_address::decode(family, *raw);
        if (!name) return name.error();
        if (family == AF_NETLINK) {
            if (name->v4() != 0) return sysret::error(ECONNREFUSED);  // the kernel alone is there
        } else if (outside::has_datagrams(*o->description) || outside::leads_out(t, *o, *name)) {
            if (auto made = outside::make(t, *o, *name); !made) return made.error();
            to.name = std::move(*name);
        } else {
            auto found = socket_address::find_target(t, family, std::move(*name));
            if (!found) return found.error();
            to = std::move(*found);
        }
        request.to = &to.name;
        request.node = to.node;
    } else if (address && family == AF_UNIX) {
        return sysret::error(
            std::holds_alternative<vfs::pair_end>(o->description->body) ? EISCONN : EOPNOTSUPP);
    }
    held_rights held(state);
    if (m)
        if (auto read = read_control(t, *m, family, datagrams, held.extra); !read)
            return read.error();
    if (family == AF_UNIX && !held.extra.sender)
        held.extra.sender = vfs::peer_credentials{t.process().id, t.process().uid, t.process().gid};

    if (datagrams && (family == AF_INET || family == AF_INET6))
        add_of_ip(*o->description, family, held.extra);

    vfs::guest_buffers from(t.memory(), std::move(*segments));
    if (family == AF_NETLINK) return send_netlink(t, *o, from);
    from.skip(done);
    // Ancillary data goes with the first byte: what parked after it has sent that already. Without
    // descriptors a stream carries none: its peer's credentials are those of the connection.
    const bool stream = vfs::type_of(state, *o->description) == SOCK_STREAM;
    for (;;) {
        const bool offered = done == 0 && (!stream || !held.extra.rights.empty());
        request.extra = offered ? held.extra : vfs::ancillary{};
        auto* host_socket = std::get_if<vfs::host_socket>(&o->description->body);
        auto n = host_socket ? vfs::outside::send(t.kernel().host().network(), *host_socket, from,
                                                  request.to, request.urgent)
                             : vfs::send(state, o->id, from, request);
        if (!n) {
            if (n.error().number == EAGAIN) {
                if (request.blocked_by != description_id{}) {
                    if ((flags & MSG_DONTWAIT) || (o->description->flags & O_NONBLOCK))
                        return sysret::error(EAGAIN);
                    return files::wait_for(t, request.blocked_by, vfs::room_event);
                }
                return wait_or_again(t, *o, POLLOUT, flags, done, SO_SNDTIMEO);
            }
            if (done) return static_cast<std::int64_t>(done);
            if (n.error().number == EPIPE && !(flags & MSG_NOSIGNAL) && stream)
                files::broken_pipe(t);
            return n.error();
        }
        if (offered && request.extra.empty()) held.extra = {};  // the queue's now
        done += *n;
        if (*n == 0 || from.size() == 0) return static_cast<std::int64_t>(done);
    }
}

/// What recvmsg gives besides the bytes.
struct details {
    int flags = 0;
    vfs::socket_name from;
    int family = 0;
    vfs::ancillary extra;
};

/// `more`: who does not take ancillary data drops it.
sysret receive(task& t,
               int fd,
               outcome<std::vector<vfs::segment>> segments,
               int flags,
               std::uint64_t done,
               details& more) {
    auto o = files::find_socket(t, fd);
    if (!o) return o.error();
    if (!segments) return segments.error();
    if (flags & MSG_ERRQUEUE) return sysret::error(EAGAIN);  // the error queue is empty
    vfs::vfs_state& state = files::state_of(t);
    vfs::guest_buffers to(t.memory(), std::move(*segments));
    if (flags & MSG_OOB) {
        auto* host_socket = std::get_if<vfs::host_socket>(&o->description->body);
        auto got = host_socket ? vfs::outside::receive_urgent(t.kernel().host().network(),
                                                              *host_socket, to, flags & MSG_PEEK)
                               : vfs::receive_urgent(state, *o->description, to, flags & MSG_PEEK);
        if (!got) return got.error();
        more.family = vfs::family_of(state, *o->description);
        more.flags |= MSG_OOB | (got->truncated ? MSG_TRUNC : 0);
        return static_cast<std::int64_t>(got->length);
    }
    if (flags & ~receive_flags) return sysret::error(EINVAL);
    const bool stream = vfs::type_of(state, *o->description) == SOCK_STREAM;
    const bool all = stream && (flags & MSG_WAITALL) && !(flags & MSG_PEEK);
    more.family = vfs::family_of(state, *o->description);
    to.skip(done);
    for (;;) {
        auto* host_socket = std::get_if<vfs::host_socket>(&o->description->body);
        auto got = host_socket ? vfs::outside::receive(t.kernel().host().network(), *host_socket,
                                                       to, flags & MSG_PEEK)
                               : vfs::receive(state, o->id, to, flags & MSG_PEEK);
        if (!got) {
            if (got.error().number == EAGAIN)
                return wait_or_again(t, *o, POLLIN, flags, done, SO_RCVTIMEO);
            if (done) return static_cast<std::int64_t>(done);
            return got.error();
        }
        if (got->truncated) more.flags |= MSG_TRUNC;
        more.from = std::move(got->from);
        if (!stream || !got->extra.empty()) more.extra = std::move(got->extra);
        if (!stream && (flags & MSG_TRUNC)) return static_cast<std::int64_t>(got->whole);
        done += got->length;
        if (!all || got->length == 0 || to.size() == 0 || !more.extra.rights.empty())
            return static_cast<std::int64_t>(done);
    }
}

outcome<abi::msghdr> read_header(task& t, guest_ptr<const abi::msghdr> p) {
    auto m = t.read(p);
    if (!m) return m;
    if (m->iov_count > abi::iov_max) return os_error{EMSGSIZE};
    if (m->name && m->name_length < 0) return os_error{EINVAL};
    return m;
}

/// One item of ancillary data at `at`, as much of it as there is room for; else MSG_CTRUNC
/// (net/core/scm.c, put_cmsg).
outcome<void> give_control(task& t,
                           const abi::msghdr& m,
                           std::uint64_t& at,
                           int level,
                           int type,
                           std::span<const std::byte> data,
                           int& flags) {
    const std::uint64_t room = m.control_length > at ? m.control_length - at : 0;
    if (room < sizeof(control_header) + data.size()) flags |= MSG_CTRUNC;
    if (room < sizeof(control_header)) return {};
    data = data.first(std::min<std::uint64_t>(data.size(), room - sizeof(control_header)));
    const control_header h{sizeof h + data.size(), level, type};
    const gva to{m.control + at};
    if (auto ok = t.memory().write(to, std::as_bytes(std::span(&h, 1))); !ok) return ok;
    if (auto ok = t.memory().write(to + sizeof h, data); !ok) return ok;
    at += std::min(aligned(h.length), m.control_length - at);
    return {};
}

/// What the socket asks for of IP's (IP_RECVTTL and its like).
outcome<void> give_of_ip(
    task& t, const vfs::description& d, const abi::msghdr& m, std::uint64_t& at, details& more) {
    const auto give = [&](int level, int wanted, int type, std::optional<std::uint8_t> value,
                          bool byte) -> outcome<void> {
        const auto it = d.socket_options.find({level, wanted});
        if (!value || it == d.socket_options.end() || !it->second) return {};
        const int number = *value;
        const auto bytes = std::as_bytes(std::span(&number, 1)).first(byte ? 1 : sizeof number);
        return give_control(t, m, at, level, type, bytes, more.flags);
    };
    const auto &hops = more.extra.hop_limit, &traffic = more.extra.traffic_class;
    if (more.family == AF_INET6) {
        auto ok = give(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, IPV6_HOPLIMIT, hops, false);
        return ok ? give(IPPROTO_IPV6, IPV6_RECVTCLASS, IPV6_TCLASS, traffic, false) : ok;
    }
    if (more.family != AF_INET) return {};
    auto ok = give(IPPROTO_IP, IP_RECVTTL, IP_TTL, hops, false);
    return ok ? give(IPPROTO_IP, IP_RECVTOS, IP_TOS, traffic, true) : ok;
}

/// As many descriptors as there is room for; the rest are closed. @return bytes of control data
outcome<std::uint64_t> give_ancillary(
    task& t, int fd, const abi::msghdr& m, int flags, details& more) {
    vfs::vfs_state& state = files::state_of(t);
    std::uint64_t at = 0;
    held_rights held(state);
    held.extra.rights = std::exchange(more.extra.rights, {});
    auto o = files::find_socket(t, fd);
    if (!o) return o.error();
    const auto wants = o->description->socket_options.find({SOL_SOCKET, SO_PASSCRED});
    if (wants != o->description->socket_options.end() && wants->second && more.family == AF_UNIX) {
        const auto from =
            more.extra.sender.value_or(vfs::peer_credentials_of(state, *o->description));
        const ::ucred sender{from.pid, from.uid, from.gid};
        auto given = give_control(t, m, at, SOL_SOCKET, SCM_CREDENTIALS,
                                  std::as_bytes(std::span(&sender, 1)), more.flags);
        if (!given) return given.error();
    }
    if (auto given = give_of_ip(t, *o->description, m, at, more); !given) return given.error();
    if (held.extra.rights.empty()) return at;
    const std::uint64_t room = m.control_length > at ? m.control_length - at : 0;
    const std::size_t fits =
        room < sizeof(control_header) ? 0 : (room - sizeof(control_header)) / sizeof(int);
    std::vector<int> numbers;
    while (!held.extra.rights.empty() && numbers.size() < fits) {
        const description_id id = held.extra.rights.front();
        held.extra.rights.erase(held.extra.rights.begin());
        auto number = files::install(t, id, flags & MSG_CMSG_CLOEXEC);
        if (!number) break;  // it is released
        numbers.push_back(*number);
    }
    if (!held.extra.rights.empty() || numbers.empty()) more.flags |= MSG_CTRUNC;
    if (numbers.empty()) return at;
    auto given = give_control(t, m, at, SOL_SOCKET, SCM_RIGHTS, std::as_bytes(std::span(numbers)),
                              more.flags);
    if (given) return at;
    for (const int number : numbers) files::close_descriptor(t, number);
    return given.error();
}

sysret receive_message(
    task& t, int fd, guest_ptr<abi::msghdr> message, int flags, std::uint64_t done) {
    auto m = read_header(t, {message.address});
    if (!m) return m.error();
    details more;
    auto segments = files::read_segments(t, {gva{m->iov}}, m->iov_count);
    sysret r = receive(t, fd, std::move(segments), flags, done, more);
    if (r.what() != sysret::kind::value || r.value() < 0) return r;
    auto control = give_ancillary(t, fd, *m, flags, more);
    if (!control) return control.error();
    if (m->name) {
        const auto raw = more.from.family ? socket_address::encode(more.family, more.from)
                                          : std::vector<std::byte>{};
        const std::size_t n = std::min(static_cast<std::size_t>(m->name_length), raw.size());
        if (auto ok = t.memory().write(gva{m->name}, std::span(raw).first(n)); !ok)
            return ok.error();
        m->name_length = static_cast<std::int32_t>(raw.size());
    } else {
        m->name_length = 0;
    }
    m->control_length = *control;
    m->flags = static_cast<std::uint32_t>(more.flags | (flags & MSG_CMSG_CLOEXEC));
    if (auto ok = t.write(message, *m); !ok) return ok.error();
    return r;
}

sysret send_message(
    task& t, int fd, guest_ptr<const abi::msghdr> message, int flags, std::uint64_t done) {
    auto m = read_header(t, message);
    if (!m) return m.error();
    return send(t, fd, files::read_segments(t, {gva{m->iov}}, m->iov_count), flags, done,
                {gva{m->name}}, m->name_length, &*m);
}

/// struct mmsghdr: a message and how much of it went.
constexpr std::uint64_t many_stride = sizeof(abi::msghdr) + 8;

/// What a call of many messages has done before it waits, as wait_state::progress keeps it. A
/// message has at most MAX_RW_COUNT bytes.
struct batch_progress {
    unsigned messages = 0;
    std::uint64_t bytes = 0;  ///< of the next message
};
batch_progress batch_of(const task& t) {
    const std::uint64_t p = progress_of(t);
    return {static_cast<unsigned>(p >> 32), p & UINT32_MAX};
}

/// Calls `one(message, index, bytes gone before)` for each of the messages until it fails or
/// `deadline` has passed, which is asked after each message. A failure counts only if it is the
/// first message's.
template <class One>
sysret for_each_message(task& t,
                        gva messages,
                        unsigned count,
                        std::optional<std::chrono::nanoseconds> deadline,
                        const One& one) {
    const batch_progress before = batch_of(t);
    count = std::min(count, max_messages);
    unsigned done = before.messages;
    while (done < count) {
        const gva at = messages + done * many_stride;
        sysret r = one(at, done, done == before.messages ? before.bytes : 0);
        if (r.what() == sysret::kind::parked && done) {
            if (t.interrupted()) return static_cast<std::int64_t>(done);
            r.wait().progress |= std::uint64_t{done} << 32;
            if (deadline) r.wait().deadline = deadline;
        }
        if (r.what() != sysret::kind::value) return r;
        if (r.value() < 0) return done ? sysret(static_cast<std::int64_t>(done)) : std::move(r);
        const auto length = static_cast<std::uint32_t>(r.value());
        if (auto ok = t.write(guest_ptr<std::uint32_t>{at + sizeof(abi::msghdr)}, length); !ok)
            return done ? sysret(static_cast<std::int64_t>(done)) : sysret(ok.error());
        ++done;
        if (deadline && t.kernel().host().monotonic_now() >= *deadline) break;
    }
    return static_cast<std::int64_t>(done);
}

}  // namespace

sysret sys_sendto(task& t,
                  int fd,
                  guest_ptr<const void> buffer,
                  std::uint64_t count,
                  int flags,
                  guest_ptr<const void> address,
                  int length) {
    if (address && (length < 0 || length > static_cast<int>(sizeof(sockaddr_storage))))
        return sysret::error(EINVAL);
    return send(t, fd, files::one_segment(buffer.address.value, count), flags, progress_of(t),
                address, length);
}

sysret sys_recvfrom(task& t,
                    int fd,
                    guest_ptr<void> buffer,
                    std::uint64_t count,
                    int flags,
                    guest_ptr<void> address,
                    guest_ptr<int> length) {
    details more;
    auto segments = files::one_segment(buffer.address.value, count);
    sysret r = receive(t, fd, std::move(segments), flags, progress_of(t), more);
    for (const description_id id : more.extra.rights) files::state_of(t).release(id);
    if (address && r.what() == sysret::kind::value && r.value() >= 0) {
        const auto raw = more.from.family ? socket_address::encode(more.family, more.from)
                                          : std::vector<std::byte>{};
        if (auto ok = socket_address::give(t, address, length, raw); !ok) return ok.error();
    }
    return r;
}

sysret sys_sendmsg(task& t, int fd, guest_ptr<const abi::msghdr> message, int flags) {
    return send_message(t, fd, message, flags, progress_of(t));
}

sysret sys_recvmsg(task& t, int fd, guest_ptr<abi::msghdr> message, int flags) {
    return receive_message(t, fd, message, flags, progress_of(t));
}

sysret sys_sendmmsg(task& t, int fd, guest_ptr<void> messages, unsigned count, int flags) {
    return for_each_message(t, messages.address, count, {},
                            [&](gva at, unsigned, std::uint64_t bytes) {
                                return send_message(t, fd, {at}, flags, bytes);
                            });
}

sysret sys_recvmmsg(task& t,
                    int fd,
                    guest_ptr<void> messages,
                    unsigned count,
                    int flags,
                    guest_ptr<abi::timespec> timeout) {
    std::optional<std::chrono::nanoseconds> deadline;
    if (timeout) {
        auto ts = t.read(guest_ptr<const abi::timespec>{timeout.address});
        if (!ts) return ts.error();
        auto limit = to_duration(*ts);
        if (!limit) return limit.error();
        // The first message may come later than that: man 2 recvmmsg, BUGS.
        const auto now = t.kernel().host().monotonic_now();
        const bool resumed = t.wait() && batch_of(t).messages && t.wait()->deadline;
        deadline = resumed ? t.wait()->deadline : deadline_after(now, *limit);
    }
    const bool only_one_waits = flags & MSG_WAITFORONE;
    flags &= ~MSG_WAITFORONE;
    return for_each_message(t, messages.address, count, deadline,
                            [&](gva at, unsigned index, std::uint64_t bytes) {
                                const int more = index && only_one_waits ? MSG_DONTWAIT : 0;
                                return receive_message(t, fd, {at}, flags | more, bytes);
                            });
}

}  // namespace hearth::guest
