#include "guest/sys/ioctl.hpp"

#include "guest/sys/files.hpp"
#include "guest/sys/interfaces.hpp"
#include "guest/sys/news.hpp"
#include "guest/vfs/socket.hpp"

#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/sockios.h>

#include <algorithm>
#include <cerrno>

namespace hearth::guest {
namespace {

// asm-generic/ioctls.h; <sys/ioctl.h> and <asm/termbits.h> do not go together.
constexpr unsigned tcgets = 0x5401, tcsets = 0x5402, tcsetsw = 0x5403, tcsetsf = 0x5404,
                   tiocgpgrp = 0x540f, tiocspgrp = 0x5410, tiocgwinsz = 0x5413, tiocswinsz = 0x5414,
                   fionread = 0x541b, siocatmark = 0x8905, fionbio = 0x5421, fionclex = 0x5450,
                   fioclex = 0x5451, fioqsize = 0x5460;

/// A terminal as a shell leaves it for a program: line mode, echo, signals. Changing it is not
/// there yet, so TCSETS is taken and this stays.
abi::termios sane_terminal() {
    abi::termios m{};
    m.input = ICRNL | IXON | IUTF8;
    m.output = OPOST | ONLCR;
    m.control = B38400 | CS8 | CREAD;
    m.local = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
    constexpr std::uint8_t characters[] = {3,  28, 127, 21, 4,  0,  1,  0, 17,
                                           19, 26, 0,   18, 15, 23, 22, 0};
    std::copy(std::begin(characters), std::end(characters), m.characters);
    return m;
}

sysret terminal(task& t, stream which, unsigned request, std::uint64_t argument) {
    const auto terminal = t.kernel().host().terminal_of(which);
    if (!terminal.is_terminal) return sysret::error(ENOTTY);
    switch (request) {
        case tcgets:
            return t.write(guest_ptr<abi::termios>{gva{argument}}, sane_terminal());
        case tcsets:
        case tcsetsw:
        case tcsetsf: {
            auto wanted = t.read(guest_ptr<const abi::termios>{gva{argument}});
            return wanted ? sysret(0) : sysret(wanted.error());
        }
        case tiocgwinsz:
            return t.write(guest_ptr<abi::winsize>{gva{argument}},
                           {terminal.rows, terminal.columns, 0, 0});
        case tiocgpgrp:
            return t.write(guest_ptr<std::int32_t>{gva{argument}}, t.process().id);
        case tiocspgrp:
            return 0;
        default:
            return sysret::error(ENOTTY);
    }
}

/// How many bytes a read would give at once.
outcome<std::int32_t> readable_bytes(task& t, const vfs::description& d) {
    const vfs::vfs_state& state = files::state_of(t);
    std::uint64_t n = 0;
    if (const auto* pipe = std::get_if<vfs::pipe_end>(&d.body)) {
        if (const auto it = state.pipes.find(pipe->pipe); it != state.pipes.end())
            n = it->second.bytes.size();
    } else if (const auto* pair = std::get_if<vfs::pair_end>(&d.body)) {
        if (const auto it = state.pairs.find(pair->pair); it != state.pairs.end()) {
            const auto& in = it->second.to[pair->side];
            n = in.messages.empty() ? in.bytes.size() : in.messages.front().bytes.size();
            if (in.urgent && !in.urgent_in_line) n = *in.urgent - in.taken;
        }
    } else if (const auto* socket = std::get_if<vfs::service_socket>(&d.body)) {
        if (const auto it = state.connections.find(socket->connection);
            it != state.connections.end())
            n = it->second.to_guest.size();
    } else if (const auto* outside = std::get_if<vfs::host_socket>(&d.body)) {
        if (auto* network = t.kernel().host().network()) n = network->unread(outside->id);
    } else if (std::holds_alternative<vfs::tree_file>(d.body) ||
               std::holds_alternative<vfs::tmpfs_file>(d.body)) {
        auto a = vfs::attributes_of(files::context_of(t), files::tree_of(t), d);
        if (!a) return a.error();
        n = a->size > d.offset ? a->size - d.offset : 0;
    } else if (const auto* datagrams = std::get_if<vfs::datagram_socket>(&d.body)) {
        n = datagrams->messages.empty() ? 0 : datagrams->messages.front().bytes.size();
    } else if (std::holds_alternative<vfs::listening_socket>(d.body)) {
        return os_error{EINVAL};
    } else if (!std::holds_alternative<vfs::unconnected_socket>(d.body)) {
        return os_error{ENOTTY};
    }
    return static_cast<std::int32_t>(std::min<std::uint64_t>(n, INT32_MAX));
}

}  // namespace

sysret sys_ioctl(task& t, int fd, unsigned request, std::uint64_t argument) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    switch (request) {
        case fioclex:
        case fionclex:
            o->descriptor->close_on_exec = request == fioclex;
            return 0;
        case fionbio: {
            auto on = t.read(guest_ptr<const std::int32_t>{gva{argument}});
            if (!on) return on.error();
            if (*on)
                o->description->flags |= O_NONBLOCK;
            else
                o->description->flags &= ~std::uint32_t{O_NONBLOCK};
            return 0;
        }
        case fionread: {
            auto n = readable_bytes(t, *o->description);
            if (!n) return n.error();
            return t.write(guest_ptr<std::int32_t>{gva{argument}}, *n);
        }
        case siocatmark: {
            vfs::vfs_state& state = files::state_of(t);
            if (!vfs::is_tcp(state, *o->description)) break;
            const auto* in = vfs::incoming(state, *o->description);
            const auto* outside = std::get_if<vfs::host_socket>(&o->description->body);
            auto* network = outside ? t.kernel().host().network() : nullptr;
            const bool at = (in && in->at_mark()) || (network && network->at_mark(outside->id));
            return t.write(guest_ptr<std::int32_t>{gva{argument}}, at ? 1 : 0);
        }
        default:
            if (auto answered = news_ioctl(t, *o, fd, request, argument))
                return std::move(*answered);
            break;
    }
    if (const auto* standard = std::get_if<vfs::standard_stream>(&o->description->body))
        return terminal(t, standard->which, request, argument);
    if (vfs::is_socket(*o->description))
        if (auto answered = interface_ioctl(t, request, argument)) return std::move(*answered);
    return sysret::error(ENOTTY);
}

}  // namespace hearth::guest
