#include "guest/vfs/vfs_state.hpp"

#include "base/assert.hpp"
#include "guest/vfs/file_locks.hpp"
#include "guest/vfs/socket.hpp"

#include <sys/socket.h>

namespace hearth::guest::vfs {
namespace {

void acquire(vfs_state& state, const description& d) {
    if (const auto* file = std::get_if<tmpfs_file>(&d.body)) state.files.opened(file->inode);
    if (const auto* directory = std::get_if<open_directory>(&d.body))
        state.files.opened(directory->node.inode);
    if (const auto* place = std::get_if<path_only>(&d.body)) state.files.opened(place->node.inode);
    if (const auto* dev = std::get_if<device>(&d.body)) state.files.opened(dev->node.inode);
    if (std::holds_alternative<epoll_set>(d.body)) ++state.epoll_sets;
    if (const auto* end = std::get_if<pipe_end>(&d.body)) {
        pipe& p = state.pipes[end->pipe];
        p.readers += end->reads;
        p.writers += end->writes;
        p.readers_came += end->reads;
        p.writers_came += end->writes;
        state.files.opened(end->fifo);
    }
}

void close_service(vfs_state& state, std::uint32_t connection) {
    const auto it = state.connections.find(connection);
    if (it == state.connections.end()) return;
    service_connection& c = it->second;
    c.guest_finished = c.guest_reads_none = c.guest_closed = c.active = true;
    c.to_guest = {};
    if (c.service_closed) state.connections.erase(it);
}

void let_go(vfs_state& state, description_id id, description& d) {
    if (const auto* file = std::get_if<tmpfs_file>(&d.body)) state.files.closed(file->inode);
    if (const auto* directory = std::get_if<open_directory>(&d.body))
        state.files.closed(directory->node.inode);
    if (const auto* place = std::get_if<path_only>(&d.body)) state.files.closed(place->node.inode);
    if (const auto* dev = std::get_if<device>(&d.body)) state.files.closed(dev->node.inode);
    if (const auto* end = std::get_if<pipe_end>(&d.body)) {
        const auto it = state.pipes.find(end->pipe);
        if (it == state.pipes.end()) return;
        it->second.readers -= end->reads;
        it->second.writers -= end->writes;
        ++it->second.activity;
        if (it->second.readers == 0 && it->second.writers == 0) {
            state.pipes.erase(it);
            if (inode* node = state.files.find(end->fifo)) node->body = fifo_body{};
        }
        state.files.closed(end->fifo);
    }
    if (std::holds_alternative<epoll_set>(d.body)) --state.epoll_sets;
    if (const auto* end = std::get_if<pair_end>(&d.body))
        close_pair_end(state, *end, family_of(state, d) != AF_UNIX && closes_with_reset(d));
    if (const auto* idle = std::get_if<unconnected_socket>(&d.body))
        forget_name(state, id, idle->key);
    if (const auto* listener = std::get_if<listening_socket>(&d.body))
        close_listener(state, id, *listener);
    if (auto* datagrams = std::get_if<datagram_socket>(&d.body))
        close_datagrams(state, id, *datagrams);
    if (const auto* socket = std::get_if<host_socket>(&d.body); socket && socket->id)
        state.gone_outside.push_back(socket->id);
    if (const auto* socket = std::get_if<service_socket>(&d.body))
        close_service(state, socket->connection);
}

}  // namespace

description* vfs_state::find(description_id id) {
    const auto it = descriptions.find(id);
    return it == descriptions.end() ? nullptr : &it->second;
}
const description* vfs_state::find(description_id id) const {
    const auto it = descriptions.find(id);
    return it == descriptions.end() ? nullptr : &it->second;
}

std::uint32_t vfs_state::fresh_id() {
    for (;;) {
        const std::uint32_t id = next_id++;
        if (id != 0 && !descriptions.contains(static_cast<description_id>(id)) &&
            !pipes.contains(static_cast<pipe_id>(id)) &&
            !pairs.contains(static_cast<pair_id>(id)) && !connections.contains(id))
            return id;
    }
}

description_id vfs_state::add(description d) {
    const auto id = static_cast<description_id>(fresh_id());
    acquire(*this, d);
    d.references = 1;
    d.serial = static_cast<std::uint64_t>(id);
    descriptions.emplace(id, std::move(d));
    return id;
}

void vfs_state::retain(description_id id) {
    description* d = find(id);
    HEARTH_ASSERT(d);
    ++d->references;
}

void vfs_state::release(description_id id) {
    const auto it = descriptions.find(id);
    if (it == descriptions.end()) return;
    HEARTH_ASSERT(it->second.references > 0);
    if (--it->second.references != 0) return;
    description gone = std::move(it->second);
    descriptions.erase(it);
    let_go(*this, id, gone);
    owners.erase(id);
    if (!locks.empty()) forget_locks(*this, id);
    if (epoll_sets == 0) return;
    // Its interests go with it (man 7 epoll, Q6).
    for (auto& [other, d] : descriptions) {
        if (auto* set = std::get_if<epoll_set>(&d.body))
            std::erase_if(set->items, [id](const auto& item) { return item.first.second == id; });
    }
}

}  // namespace hearth::guest::vfs
