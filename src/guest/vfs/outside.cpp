#include "guest/vfs/outside.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace hearth::guest::vfs::outside {
namespace {

constexpr std::size_t largest_datagram = 65507;
/// One call moves at most this much: the host's own buffers are no larger for long.
constexpr std::size_t most_at_once = 4u << 20;

bool is_reset(const outbound* network, const host_socket& s) { return !network || s.id == 0; }

outcome<received> receive_datagram(outbound& network,
                                   const host_socket& s,
                                   user_buffers& to,
                                   bool peek) {
    std::vector<std::byte> bytes(std::min<std::uint64_t>(to.size(), largest_datagram + 1));
    auto got = network.receive(s.id, bytes, peek);
    if (!got) return got.error();
    auto n = to.put(std::span(bytes).first(got->length));
    if (!n) return n.error();
    received r;
    r.length = *n;
    r.whole = got->whole;
    r.truncated = r.length < r.whole;
    r.from = std::move(got->from);
    return r;
}

}  // namespace

short poll(outbound* network, const host_socket& s) {
    if (!is_reset(network, s)) return network->poll(s.id);
    constexpr int over = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP | POLLRDHUP;
    return static_cast<short>(s.told ? over : over | POLLERR);
}

outcome<received> receive(outbound* network, host_socket& s, user_buffers& to, bool peek) {
    if (is_reset(network, s)) {
        if (std::exchange(s.told, true)) return received{};
        return os_error{ECONNRESET};
    }
    if (s.type != SOCK_STREAM) return receive_datagram(*network, s, to, peek);
    received r;
    if (to.size() == 0) return r;
    int failure = 0;
    bool more = true;
    auto n = to.each(most_at_once, true, [&](std::span<std::byte> into) -> std::size_t {
        if (!more) return 0;
        // No read goes across the urgent byte.
        if (r.length && network->at_mark(s.id)) return 0;
        auto got = network->receive(s.id, into, peek);
        if (!got) {
            failure = got.error().number;
            return 0;
        }
        more = !peek;  // the next piece would begin with the same bytes
        r.length += got->length;
        return got->length;
    });
    if (!n) return n.error();
    if (*n == 0 && failure) return os_error{failure};
    r.length = r.whole = *n;
    return r;
}

outcome<received> receive_urgent(outbound* network, host_socket& s, user_buffers& to, bool peek) {
    if (is_reset(network, s)) return os_error{EINVAL};
    std::byte byte{};
    auto got = network->receive_urgent(s.id, std::span(&byte, to.size() ? 1 : 0), peek);
    if (!got) return got.error();
    auto n = to.put(std::span(&byte, *got));
    if (!n) return n.error();
    received r;
    r.length = r.whole = *n;
    r.truncated = to.size() == 0 && *n == 0;
    return r;
}

outcome<std::size_t> send(
    outbound* network, host_socket& s, user_buffers& from, const socket_name* name, bool urgent) {
    if (is_reset(network, s)) return os_error{std::exchange(s.told, true) ? EPIPE : ECONNRESET};
    if (s.type != SOCK_STREAM) {
        if (from.size() > largest_datagram) return os_error{EMSGSIZE};
        std::vector<std::byte> bytes(from.size());
        auto n = from.take(bytes);
        if (!n) return n;
        if (*n < bytes.size()) return os_error{EFAULT};
        return network->send(s.id, s.family, bytes, name);
    }
    if (from.size() == 0) return network->send(s.id, s.family, {}, nullptr);
    int failure = 0;
    std::uint64_t left = from.size();
    auto n = from.each(most_at_once, false, [&](std::span<std::byte> bytes) -> std::size_t {
        left -= bytes.size();
        auto sent = urgent && left == 0 ? network->send_urgent(s.id, bytes)
                                        : network->send(s.id, s.family, bytes, nullptr);
        if (sent) return *sent;
        failure = sent.error().number;
        return 0;
    });
    if (n && *n == 0 && failure) return os_error{failure};
    return n;
}

int take_error(outbound* network, host_socket& s) {
    if (is_reset(network, s)) return std::exchange(s.told, true) ? 0 : ECONNRESET;
    return network->take_error(s.id);
}

outcome<socket_name> name(outbound* network, const host_socket& s, bool peer) {
    if (!is_reset(network, s)) return network->name(s.id, peer);
    if (peer) return os_error{ENOTCONN};
    socket_name any;
    any.family = s.family;
    if (s.family == AF_INET) any.address = socket_name::mapped(0);
    return any;
}

outcome<void> shut_down(outbound* network, const host_socket& s, int how) {
    if (is_reset(network, s)) return os_error{ENOTCONN};
    return network->shutdown(s.id, how);
}

}  // namespace hearth::guest::vfs::outside
