#include "guest/vfs/readiness.hpp"

#include "guest/kernel/signals.hpp"
#include "guest/vfs/outside.hpp"
#include "guest/vfs/service_sockets.hpp"
#include "guest/vfs/socket.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <set>

namespace hearth::guest::vfs {
namespace {

constexpr int readable = POLLIN | POLLRDNORM;
constexpr int writable = POLLOUT | POLLWRNORM;

int of_pipe(const vfs_state& state, const pipe_end& end) {
    const auto it = state.pipes.find(end.pipe);
    if (it == state.pipes.end()) return POLLERR;
    const pipe& p = it->second;
    int events = 0;
    if (end.reads) {
        if (!p.bytes.empty()) events |= readable;
        if (p.writers == 0 && p.writers_came != end.met) events |= POLLHUP;
    }
    if (end.writes) {
        if (p.room() >= pipe::atomic_size) events |= writable;
        if (p.readers == 0) events |= POLLERR;
    }
    return events;
}

int of_pair(const vfs_state& state, const pair_end& end) {
    const auto it = state.pairs.find(end.pair);
    if (it == state.pairs.end()) return POLLHUP;
    const socket_pair& pair = it->second;
    const auto& in = pair.to[end.side];
    const auto& out = pair.to[end.side ^ 1u];
    const bool connection = pair.type != SOCK_DGRAM;
    int events = 0;
    if (in.bytes.size() > (in.skips_next() ? 1 : 0) || !in.messages.empty()) events |= readable;
    if (in.urgent && !in.urgent_read) events |= POLLPRI;
    // A TCP does not see that its peer reads no more.
    const bool reads_none = in.closed || in.receiver_gone;
    const bool writes_none =
        out.closed || (out.receiver_gone && pair.families[end.side] == AF_UNIX);
    if (connection && reads_none) events |= readable | POLLRDHUP;
    if (connection && reads_none && writes_none) events |= POLLHUP;
    // The same measure as send's, so that a wait for room never wakes for nothing.
    const bool room =
        state.socket_bytes < max_socket_bytes &&
        (pair.type == SOCK_STREAM ? out.bytes.size() < socket_pair::capacity : out.takes_message());
    if (room || writes_none) events |= writable;
    if (pair.error[end.side]) events |= readable | POLLERR;
    return events;
}

int of_listener(const listening_socket& socket) {
    return (socket.waiting.empty() ? 0 : readable) |
           (socket.waiting.size() <= socket.backlog ? room_event : 0);
}

int of_datagrams(const vfs_state& state, const datagram_socket& socket) {
    int events = 0;
    if (!socket.messages.empty()) events |= readable;
    if (socket.reads_none) events |= readable | POLLRDHUP;
    if (socket.reads_none && socket.writes_none) events |= POLLHUP;
    if (socket.error) events |= readable | POLLERR;
    if (has_room(state, socket)) events |= room_event;
    // Only between two of AF_UNIX does a sender wait.
    const description* peer = nullptr;
    if (socket.family == AF_UNIX && socket.peer.family)
        peer = state.find(find_receiver(state, socket, {}));
    const auto* to = peer ? std::get_if<datagram_socket>(&peer->body) : nullptr;
    if (!to || has_room(state, *to)) events |= writable;
    return events;
}

int of_service(const vfs_state& state, const service_socket& socket) {
    const auto it = state.connections.find(socket.connection);
    if (it == state.connections.end()) return readable | POLLHUP | POLLRDHUP;
    const service_connection& c = it->second;
    int events = 0;
    if (!c.to_guest.empty() || c.service_closed || c.guest_reads_none) events |= readable;
    if (c.service_closed || c.guest_reads_none) events |= POLLRDHUP;
    if (c.service_closed && c.guest_finished) events |= POLLHUP;
    if (c.service_closed || c.guest_finished || service_room(state, c) > 0) events |= writable;
    return events;
}

int of_epoll(const asker& who, description_id id, const epoll_set& set) {
    if (const auto known = who.sets.find(id); known != who.sets.end()) return known->second;
    int events = 0;
    for (const auto& [key, item] : set.items)
        if (epoll_ready(who, key.second, item)) {
            events = readable;
            break;
        }
    if (who.state.vfs.epoll_sets > 1) who.sets.emplace(id, events);
    return events;
}

/// Of all that is in a set.
std::uint64_t activity_inside(const asker& who, description_id id, const epoll_set& set) {
    if (const auto known = who.activities.find(id); known != who.activities.end())
        return known->second;
    std::uint64_t sum = set.items.size();
    for (const auto& [key, item] : set.items)
        if (const description* d = who.state.vfs.find(key.second)) sum += activity_of(who, *d);
    who.activities.emplace(id, sum);
    return sum;
}

int of_signals(const asker& who, const signal_descriptor& signals_) {
    const auto process = who.state.processes.find(who.task.process);
    if (process == who.state.processes.end()) return 0;
    return signals::peek(who.task, process->second, signals_.mask) ? readable : 0;
}

int of_process(const asker& who, const process_descriptor& d) {
    const auto process = who.state.processes.find(d.process);
    const bool lives = process != who.state.processes.end() &&
                       process->second.serial == d.serial && !process->second.ended;
    return lives ? 0 : readable;
}

}  // namespace

short poll_events(const asker& who, description_id id) {
    const vfs_state& state = who.state.vfs;
    host& h = who.h;
    const description* d = state.find(id);
    if (!d) return POLLNVAL;
    int events = readable | writable;  // files, directories, devices: always
    if (const auto* end = std::get_if<pipe_end>(&d->body)) events = of_pipe(state, *end);
    if (const auto* end = std::get_if<pair_end>(&d->body)) events = of_pair(state, *end);
    if (const auto* socket = std::get_if<service_socket>(&d->body))
        events = of_service(state, *socket);
    if (std::holds_alternative<unconnected_socket>(d->body)) events = writable | POLLHUP;
    if (const auto* listener = std::get_if<listening_socket>(&d->body))
        events = of_listener(*listener);
    if (const auto* datagrams = std::get_if<datagram_socket>(&d->body))
        events = of_datagrams(state, *datagrams);
    if (const auto* socket = std::get_if<host_socket>(&d->body))
        events = outside::poll(h.network(), *socket);
    if (const auto* set = std::get_if<epoll_set>(&d->body)) events = of_epoll(who, id, *set);
    if (const auto* counter = std::get_if<event_counter>(&d->body))
        events = (counter->count ? readable : 0) |
                 (counter->count < ~std::uint64_t{0} - 1 ? writable : 0);
    if (const auto* timer = std::get_if<timer_descriptor>(&d->body))
        events = timer->due(h.monotonic_now()) ? readable : 0;
    if (const auto* wanted = std::get_if<signal_descriptor>(&d->body))
        events = of_signals(who, *wanted);
    if (const auto* process = std::get_if<process_descriptor>(&d->body))
        events = of_process(who, *process);
    if (const auto* standard = std::get_if<standard_stream>(&d->body))
        events = standard->which != stream::input ? writable : h.input_ready() ? readable : 0;
    return static_cast<short>(events);
}

std::uint64_t activity_of(const asker& who, const description& d) {
    const vfs_state& state = who.state.vfs;
    if (const auto* socket = std::get_if<host_socket>(&d.body))
        return who.h.network() ? who.h.network()->activity(socket->id) : 0;
    if (const auto* end = std::get_if<pipe_end>(&d.body))
        if (const auto it = state.pipes.find(end->pipe); it != state.pipes.end())
            return it->second.activity;
    if (const auto* end = std::get_if<pair_end>(&d.body))
        if (const auto it = state.pairs.find(end->pair); it != state.pairs.end())
            return it->second.activity;
    if (const auto* socket = std::get_if<service_socket>(&d.body))
        if (const auto it = state.connections.find(socket->connection);
            it != state.connections.end())
            return it->second.activity;
    if (const auto* counter = std::get_if<event_counter>(&d.body)) return counter->activity;
    if (const auto* timer = std::get_if<timer_descriptor>(&d.body))
        return timer->expired + (timer->due(who.h.monotonic_now()) ? 1 : 0);  // until it is read
    if (const auto* listener = std::get_if<listening_socket>(&d.body)) return listener->activity;
    if (const auto* datagrams = std::get_if<datagram_socket>(&d.body)) return datagrams->activity;
    if (const auto* set = std::get_if<epoll_set>(&d.body))
        return activity_inside(who, id_of(d), *set);
    return 0;
}

std::uint32_t epoll_ready(const asker& who, description_id id, const epoll_set::item& item) {
    const description* d = who.state.vfs.find(id);
    if (!d || item.disabled) return 0;
    const auto wanted = item.events | EPOLLERR | EPOLLHUP;
    const auto ready =
        static_cast<std::uint32_t>(static_cast<unsigned short>(poll_events(who, id))) & wanted;
    if (ready && (item.events & EPOLLET) && (ready & ~item.reported) == 0 &&
        activity_of(who, *d) == item.activity)
        return 0;
    return ready;
}

namespace {

using std::chrono::nanoseconds;

/// `told`: what is ready in the set was reported by an edge-triggered item around it.
void find_deadline(const asker& who,
                   const epoll_set& set,
                   bool told,
                   std::set<description_id>& seen,
                   std::optional<nanoseconds>& first) {
    const vfs_state& state = who.state.vfs;
    for (const auto& [key, item] : set.items) {
        const description* member = state.find(key.second);
        if (!member || item.disabled) continue;
        const bool edge = item.events & EPOLLET;
        if (const auto* inner = std::get_if<epoll_set>(&member->body)) {
            const bool known = told || (edge && item.reported != 0 &&
                                        activity_of(who, *member) == item.activity);
            if (seen.insert(key.second).second) find_deadline(who, *inner, known, seen, first);
            continue;
        }
        const auto* timer = std::get_if<timer_descriptor>(&member->body);
        if (!timer || !timer->deadline) continue;
        // What an edge-triggered item has told counts no more.
        if (edge && item.activity > timer->expired) continue;
        if (told && timer->due(who.h.monotonic_now())) continue;
        if (!first || *timer->deadline < *first) first = timer->deadline;
    }
}

using ways = std::multimap<description_id, description_id>;

/// Sets on the longest way that begins at one.
std::size_t longest(const ways& w, description_id from, std::map<description_id, std::size_t>& known) {
    if (const auto it = known.find(from); it != known.end()) return it->second;
    std::size_t most = 0;
    for (auto [it, end] = w.equal_range(from); it != end; ++it)
        most = std::max(most, longest(w, it->second, known));
    return known[from] = most + 1;
}

}  // namespace

std::optional<nanoseconds> ready_at(const asker& who, description_id id) {
    const description* d = who.state.vfs.find(id);
    if (!d) return std::nullopt;
    if (const auto* timer = std::get_if<timer_descriptor>(&d->body)) return timer->deadline;
    const auto* set = std::get_if<epoll_set>(&d->body);
    if (!set) return std::nullopt;
    std::optional<nanoseconds> first;
    std::set<description_id> seen{id};
    find_deadline(who, *set, false, seen, first);
    return first;
}

bool may_hold(const vfs_state& state, description_id set, description_id inner) {
    constexpr std::size_t most = 6;  // "a nesting depth greater than 5"
    ways inside, around;
    for (const auto& [id, d] : state.descriptions) {
        const auto* held = std::get_if<epoll_set>(&d.body);
        if (!held) continue;
        for (const auto& [key, item] : held->items) {
            const description* member = state.find(key.second);
            if (!member || !std::holds_alternative<epoll_set>(member->body)) continue;
            inside.emplace(id, key.second);
            around.emplace(key.second, id);
        }
    }
    std::map<description_id, std::size_t> below, above;
    const std::size_t depth = longest(inside, inner, below);
    if (below.contains(set)) return false;
    return depth + longest(around, set, above) <= most;
}

}  // namespace hearth::guest::vfs
