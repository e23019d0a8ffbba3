#include "guest/vfs/news.hpp"

#include <poll.h>

#include <csignal>

namespace hearth::guest::vfs {
namespace {

/// Linux tells of every write and of every read, and both sides of the other's end
/// (fs/pipe.c, kill_fasync).
void of_pipe(const vfs_state& state, const pipe_end& end, noticed& seen, news& out) {
    const auto it = state.pipes.find(end.pipe);
    if (it == state.pipes.end()) return;
    const pipe& p = it->second;
    if (p.activity != seen.activity) {
        const auto held = p.bytes.size();
        if (end.reads && held >= seen.arrived) out.reasons.push_back(POLL_IN);
        if (end.writes && held <= seen.arrived) out.reasons.push_back(POLL_OUT);
    }
    seen.activity = p.activity;
    seen.arrived = p.bytes.size();
}

/// How much has come to a socket, whoever took it since; of messages, how many wait.
std::uint64_t arrived_at(const vfs_state& state, const description& d) {
    if (const auto* end = std::get_if<pair_end>(&d.body)) {
        const auto it = state.pairs.find(end->pair);
        if (it == state.pairs.end()) return 0;
        const auto& in = it->second.to[end->side];
        return in.taken + in.bytes.size() + in.messages.size();
    }
    if (const auto* socket = std::get_if<listening_socket>(&d.body)) return socket->waiting.size();
    if (const auto* socket = std::get_if<datagram_socket>(&d.body)) return socket->messages.size();
    return 0;
}

std::optional<std::uint64_t> urgent_at(const vfs_state& state, const description& d) {
    const auto* end = std::get_if<pair_end>(&d.body);
    const auto it = end ? state.pairs.find(end->pair) : state.pairs.end();
    return it == state.pairs.end() ? std::nullopt : it->second.to[end->side].urgent;
}

}  // namespace

bool tells_news(const description& d) {
    return std::holds_alternative<pipe_end>(d.body) || std::holds_alternative<pair_end>(d.body) ||
           std::holds_alternative<unconnected_socket>(d.body) ||
           std::holds_alternative<listening_socket>(d.body) ||
           std::holds_alternative<host_socket>(d.body) ||
           std::holds_alternative<datagram_socket>(d.body);
}

news take_news(const asker& who, const description& d, noticed& seen) {
    news out;
    const vfs_state& state = who.state.vfs;
    if (!tells_news(d)) return out;
    if (const auto* end = std::get_if<pipe_end>(&d.body)) {
        of_pipe(state, *end, seen, out);
        return out;
    }
    const auto arrived = arrived_at(state, d);
    const auto urgent = urgent_at(state, d);
    const int events = poll_events(who, id_of(d));
    const int fresh = events & ~seen.events;
    // Outside it is the host that knows how much has come: what is told is that there is something.
    const bool outside = std::holds_alternative<host_socket>(d.body);
    if ((urgent && (!seen.urgent || *seen.urgent < *urgent)) || (outside && fresh & POLLPRI)) {
        out.urgent = true;
        out.reasons.push_back(POLL_PRI);
    }
    if (arrived > seen.arrived || (outside && fresh & POLLIN)) out.reasons.push_back(POLL_IN);
    if (fresh & POLLRDHUP) out.reasons.push_back(events & POLLHUP ? POLL_HUP : POLL_IN);
    if (fresh & POLLERR) out.reasons.push_back(POLL_ERR);
    // There was no room, and now there is.
    if (fresh & POLLOUT) out.reasons.push_back(POLL_OUT);
    seen = {.arrived = arrived, .urgent = urgent, .events = static_cast<std::int16_t>(events)};
    return out;
}

}  // namespace hearth::guest::vfs
