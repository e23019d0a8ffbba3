#include "net/guest_network.hpp"

#include "guest/vfs/socket.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hearth::net {
namespace {

using guest::os_error;
using guest::outcome;
using guest::resolver_address;
using guest::resolver_port;
using guest::vfs::socket_name;

os_error last_error() { return os_error{errno}; }

/// A host that is out of descriptors or buffers says so as Linux would to a process of its own.
os_error no_socket() {
    return os_error{errno == EMFILE || errno == ENFILE ? ENFILE
                    : errno == EAFNOSUPPORT            ? EAFNOSUPPORT
                                                       : ENOBUFS};
}

bool is_resolver(const endpoint& to) {
    return to.port == resolver_port && to.address == address::v4(resolver_address);
}

const sockaddr* plain(const sockaddr_storage& s) { return reinterpret_cast<const sockaddr*>(&s); }

struct raw_name {
    sockaddr_storage bytes{};
    ::socklen_t length = 0;
};

/// In the socket's own family.
raw_name encode(const endpoint& to, bool v6) {
    raw_name out;
    if (v6) {
        sockaddr_in6 in{};
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(to.port);
        std::memcpy(&in.sin6_addr, to.address.bytes.data(), 16);
        std::memcpy(&out.bytes, &in, sizeof in);
        out.length = sizeof in;
    } else {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_port = htons(to.port);
        in.sin_addr.s_addr = htonl(to.address.to_v4());
        std::memcpy(&out.bytes, &in, sizeof in);
        out.length = sizeof in;
    }
    return out;
}

endpoint where(const socket_name& name) { return {{name.address}, name.port}; }

socket_name named(const endpoint& e, bool v6) {
    socket_name name;
    name.family = v6 ? AF_INET6 : AF_INET;
    name.address = e.address.bytes;
    name.port = e.port;
    return name;
}

constexpr std::uint16_t any_port = 32768;

}  // namespace

bool guest_network::bucket::take() {
    const auto now = std::chrono::steady_clock::now();
    left = std::min(most, left + per_second * std::chrono::duration<double>(now - since).count());
    since = now;
    if (left < 1) return false;
    left -= 1;
    return true;
}

guest_network::guest_network(engine& e, std::shared_ptr<rules> permitted, listener& who)
    : engine_(e),
      rules_(std::move(permitted)),
      who_(who),
      connections_{e.limits().connections_per_second, 2 * e.limits().connections_per_second,
                   2 * e.limits().connections_per_second},
      datagrams_{e.limits().datagrams_per_second, e.limits().datagrams_per_second,
                 e.limits().datagrams_per_second},
      lookups_(std::make_shared<std::atomic<std::size_t>>(0)) {}

guest_network::~guest_network() { close_all(); }

outcome<guest_network::socket*> guest_network::get(std::uint32_t id) {
    const auto it = sockets_.find(id);
    if (it == sockets_.end()) return os_error{ENOTCONN};
    return &it->second;
}

outcome<void> guest_network::permit(const endpoint& to) const {
    switch (rules_->check(to)) {
        case verdict::refused:
            return os_error{EACCES};
        case verdict::allowed:
            if (engine::is_own(to.address)) return os_error{EACCES};
            return {};
        case verdict::allowed_named:
            return {};
    }
    return os_error{EACCES};
}

bool guest_network::may_reach(const socket_name& name) {
    const endpoint to = where(name);
    return is_resolver(to) || permit(to).has_value();
}

outcome<guest_network::socket*> guest_network::make(std::uint32_t id,
                                                    int family,
                                                    int type,
                                                    const endpoint& to) {
    if (const auto it = sockets_.find(id); it != sockets_.end()) return &it->second;
    if (sockets_.size() >= engine_.limits().sockets_per_guest) return os_error{ENOBUFS};
    if (!engine_.take_room()) return os_error{ENFILE};
    socket s;
    s.v6 = family == AF_INET6;
    s.stream = type == SOCK_STREAM;
    s.edges = std::make_shared<std::atomic<std::uint64_t>>(0);
    if (is_resolver(to) && !s.stream) {
        int ends[2] = {-1, -1};
        if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
            engine_.give_room();
            return no_socket();
        }
        s.fd = unique_fd(ends[0]);
        s.resolver = std::make_shared<unique_fd>(ends[1]);
    } else {
        s.fd = unique_fd(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!s.fd) {
            engine_.give_room();
            return no_socket();
        }
        // A v6 socket reaches IPv4 too, whatever net.ipv6.bindv6only says.
        const int zero = 0;
        if (s.v6) (void)::setsockopt(s.fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    }
    s.token = engine_.watch(s.fd.get(), who_, s.edges);
    if (s.token == 0) {
        engine_.give_room();
        return os_error{ENOBUFS};
    }
    return &sockets_.emplace(id, std::move(s)).first->second;
}

outcome<void> guest_network::connect(std::uint32_t id,
                                     int family,
                                     int type,
                                     const socket_name& name) {
    const endpoint to = where(name);
    if (family == AF_INET && !to.address.is_v4()) return os_error{EAFNOSUPPORT};
    const bool asks = is_resolver(to) && type != SOCK_STREAM;
    if (!asks) {
        if (auto ok = permit(to); !ok) return ok;
        // Datagrams send nothing yet; nor does who asks how a connect under way has gone.
        const auto it = sockets_.find(id);
        const bool again = it != sockets_.end() && it->second.connected;
        if (type == SOCK_STREAM && !again && !connections_.take()) return os_error{EADDRNOTAVAIL};
    }
    auto s = make(id, family, type, to);
    if (!s) return s.error();
    ++(*s)->calls;
    if ((*s)->resolver || asks) {
        if (!(*s)->resolver || !asks) return os_error{ENETUNREACH};  // it was something else before
        (*s)->connected = true;
        return {};
    }
    const raw_name out = encode(to, (*s)->v6);
    const bool done = ::connect((*s)->fd.get(), plain(out.bytes), out.length) == 0;
    const os_error failure = last_error();
    const int n = failure.number;
    (*s)->connected = done || n == EINPROGRESS || n == EALREADY || n == EISCONN;
    if (!done) return failure;
    return {};
}

void guest_network::disconnect(std::uint32_t id) {
    const auto s = get(id);
    if (!s) return;
    (*s)->connected = false;
    (*s)->seen.reset();
    const sockaddr_storage none{};  // AF_UNSPEC
    if (!(*s)->resolver) (void)::connect((*s)->fd.get(), plain(none), sizeof none);
}

outcome<std::size_t> guest_network::ask(socket& s, std::span<const std::byte> bytes) {
    const auto q = dns::parse(bytes);
    if (!q) return bytes.size();  // lost, as on a network
    const auto say = [&](dns::rcode code) {
        const auto reply = dns::answer(*q, code);
        (void)!::send(s.resolver->get(), reply.data(), reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    };
    if (q->klass != dns::class_in)
        say(dns::rcode::not_implemented);
    else if (!rules_->policy().allows_name(q->name))
        say(dns::rcode::no_such_name);
    else if (lookups_->fetch_add(1) >= engine_.limits().lookups_under_way ||
             !engine_.ask({*q, s.resolver, rules_, lookups_})) {
        --*lookups_;
        say(dns::rcode::server_failure);
    }
    return bytes.size();
}

outcome<std::size_t> guest_network::send(std::uint32_t id,
                                         int family,
                                         std::span<const std::byte> bytes,
                                         const socket_name* name) {
    std::optional<endpoint> to;
    if (name) {
        to = where(*name);
        if (family == AF_INET && !to->address.is_v4()) return os_error{EAFNOSUPPORT};
    }
    const auto it = sockets_.find(id);
    socket* s = it == sockets_.end() ? nullptr : &it->second;
    if (!s && !to) return os_error{EDESTADDRREQ};
    if (s && s->stream) to.reset();
    const bool asks = to ? is_resolver(*to) : s->resolver != nullptr;
    if (to && !asks)
        if (auto ok = permit(*to); !ok) return ok.error();
    if (!s) {
        auto made = make(id, family, SOCK_DGRAM, *to);
        if (!made) return made.error();
        s = *made;
    }
    ++s->calls;
    if (!s->stream && !datagrams_.take()) return os_error{ENOBUFS};
    if (asks || s->resolver) {
        if (!asks || !s->resolver) return os_error{ENETUNREACH};
        return ask(*s, bytes);
    }
    ssize_t n = 0;
    if (to) {
        const raw_name out = encode(*to, s->v6);
        n = ::sendto(s->fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                     plain(out.bytes), out.length);
    } else {
        n = ::send(s->fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (n < 0) return last_error();
    return static_cast<std::size_t>(n);
}

outcome<std::size_t> guest_network::send_urgent(std::uint32_t id,
                                                std::span<const std::byte> bytes) {
    const auto s = get(id);
    if (!s) return s.error();
    if (!(*s)->stream) return os_error{EOPNOTSUPP};
    ++(*s)->calls;
    const ssize_t n =
        ::send((*s)->fd.get(), bytes.data(), bytes.size(), MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) return last_error();
    return static_cast<std::size_t>(n);
}

outcome<std::size_t> guest_network::receive_urgent(std::uint32_t id,
                                                   std::span<std::byte> into,
                                                   bool peek) {
    const auto s = get(id);
    if (!s) return s.error();
    if (!(*s)->stream) return os_error{EOPNOTSUPP};
    ++(*s)->calls;
    const ssize_t n = ::recv((*s)->fd.get(), into.data(), into.size(),
                             MSG_OOB | MSG_DONTWAIT | (peek ? MSG_PEEK : 0));
    if (n < 0) return last_error();
    return static_cast<std::size_t>(n);
}

bool guest_network::at_mark(std::uint32_t id) {
    const auto s = get(id);
    return s && (*s)->stream && ::sockatmark((*s)->fd.get()) == 1;
}

outcome<guest::outbound::received> guest_network::receive(std::uint32_t id,
                                                          std::span<std::byte> into,
                                                          bool peek) {
    auto found = get(id);
    if (!found) return os_error{EAGAIN};  // a datagram socket that has sent nothing
    socket& s = **found;
    ++s.calls;
    // From whoever the guest may not send to, nothing comes in either; a flood of it is not ours to
    // read to its end.
    for (int skipped = 0; skipped < 64; ++skipped) {
        received r;
        iovec piece{into.data(), into.size()};
        msghdr m{};
        m.msg_iov = &piece;
        m.msg_iovlen = 1;
        raw_name sender;
        m.msg_name = &sender.bytes;
        m.msg_namelen = sizeof sender.bytes;
        const int flags = MSG_DONTWAIT | (peek ? MSG_PEEK : 0) | (s.stream ? 0 : MSG_TRUNC);
        const ssize_t n = ::recvmsg(s.fd.get(), &m, flags);
        if (n < 0) return last_error();
        r.whole = static_cast<std::size_t>(n);
        r.length = std::min(r.whole, into.size());
        if (s.stream) return r;
        const auto from =
            s.resolver ? std::optional(endpoint{address::v4(resolver_address), resolver_port})
                       : endpoint::of(sender.bytes, m.msg_namelen);
        if (!from || (!s.resolver && !s.connected && !permit(*from))) {
            if (peek) (void)!::recv(s.fd.get(), nullptr, 0, MSG_DONTWAIT | MSG_TRUNC);
            continue;
        }
        r.from = named(*from, s.v6);
        return r;
    }
    who_.network_ready();  // there is more, of which the watcher will not tell again
    return os_error{EAGAIN};
}

short guest_network::poll(std::uint32_t id) {
    const auto found = get(id);
    if (!found) return POLLOUT | POLLWRNORM;
    socket& s = **found;
    const std::uint64_t activity = s.edges->load() + s.calls;
    if (s.seen && s.seen->first == activity) return s.seen->second;
    pollfd p{s.fd.get(), POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLWRNORM | POLLRDHUP, 0};
    if (::poll(&p, 1, 0) < 0) return 0;
    s.seen = {activity, p.revents};
    return p.revents;
}

std::uint64_t guest_network::activity(std::uint32_t id) {
    const auto s = get(id);
    return s ? (*s)->edges->load() + (*s)->calls : 0;
}

int guest_network::take_error(std::uint32_t id) {
    const auto s = get(id);
    if (!s) return 0;
    (*s)->seen.reset();
    int number = 0;
    ::socklen_t length = sizeof number;
    if (::getsockopt((*s)->fd.get(), SOL_SOCKET, SO_ERROR, &number, &length) != 0) return errno;
    return number;
}

outcome<void> guest_network::shutdown(std::uint32_t id, int how) {
    const auto s = get(id);
    if (!s) return os_error{ENOTCONN};
    ++(*s)->calls;
    if (::shutdown((*s)->fd.get(), how) != 0) return last_error();
    return {};
}

outcome<socket_name> guest_network::name(std::uint32_t id, bool peer) {
    const auto found = get(id);
    if (!found)
        return peer ? outcome<socket_name>(os_error{ENOTCONN}) : named({address::v4(0), 0}, false);
    const socket& s = **found;
    if (s.resolver) {
        if (!peer)  // its neighbour on a link of the guest's own
            return named({address::v4(resolver_address + 1), any_port}, s.v6);
        if (!s.connected) return os_error{ENOTCONN};
        return named({address::v4(resolver_address), resolver_port}, s.v6);
    }
    raw_name raw;
    raw.length = sizeof raw.bytes;
    auto* to = reinterpret_cast<sockaddr*>(&raw.bytes);
    if ((peer ? ::getpeername(s.fd.get(), to, &raw.length)
              : ::getsockname(s.fd.get(), to, &raw.length)) != 0)
        return last_error();
    const auto e = endpoint::of(raw.bytes, raw.length);
    if (!e) return os_error{ENOTCONN};
    return named(*e, s.v6);
}

void guest_network::set_option(std::uint32_t id, int level, int option, std::int64_t value) {
    const auto s = get(id);
    if (!s || (*s)->resolver) return;
    if (level == SOL_SOCKET && option == SO_LINGER) {
        // Of no time at all is a reset. Any other would hold up the thread that closes it.
        const ::linger reset{value == guest::vfs::linger_option(true, 0), 0};
        (void)::setsockopt((*s)->fd.get(), level, option, &reset, sizeof reset);
        return;
    }
    const bool known = level == SOL_SOCKET ? option == SO_KEEPALIVE || option == SO_OOBINLINE
                       : level == IPPROTO_TCP
                           ? (*s)->stream && (option == TCP_NODELAY || option == TCP_KEEPIDLE ||
                                              option == TCP_KEEPINTVL || option == TCP_KEEPCNT ||
                                              option == TCP_SYNCNT || option == TCP_USER_TIMEOUT ||
                                              option == TCP_CORK || option == TCP_QUICKACK)
                           : false;
    const int number = static_cast<int>(value);
    if (known) (void)::setsockopt((*s)->fd.get(), level, option, &number, sizeof number);
}

std::size_t guest_network::unread(std::uint32_t id) {
    const auto s = get(id);
    int n = 0;
    if (!s || ::ioctl((*s)->fd.get(), FIONREAD, &n) != 0 || n < 0) return 0;
    return static_cast<std::size_t>(n);
}

void guest_network::let_go(socket& s) {
    engine_.forget(s.fd.get(), s.token);
    engine_.give_room();
}

void guest_network::close(std::uint32_t id) {
    const auto it = sockets_.find(id);
    if (it == sockets_.end()) return;
    let_go(it->second);
    sockets_.erase(it);
}

void guest_network::close_all() {
    for (auto& [id, s] : sockets_) let_go(s);
    sockets_.clear();
}

}  // namespace hearth::net
