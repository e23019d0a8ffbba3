#include "guest/vfs/service_sockets.hpp"

#include <algorithm>

namespace hearth::guest::vfs {

std::vector<std::uint32_t> take_service_activity(vfs_state& state) {
    std::vector<std::uint32_t> active;
    for (auto& [id, connection] : state.connections) {
        if (!connection.active) continue;
        connection.active = false;
        active.push_back(id);
    }
    return active;
}

std::string* service_input(vfs_state& state, std::uint32_t connection) {
    const auto it = state.connections.find(connection);
    return it == state.connections.end() ? nullptr : &it->second.from_guest;
}

bool service_peer_closed(const vfs_state& state, std::uint32_t connection) {
    const auto it = state.connections.find(connection);
    return it == state.connections.end() || it->second.guest_finished;
}

void service_send(vfs_state& state, std::uint32_t connection, std::string_view bytes) {
    const auto it = state.connections.find(connection);
    if (it == state.connections.end() || it->second.service_closed || it->second.guest_reads_none)
        return;
    it->second.to_guest.append(bytes);
    ++it->second.activity;
}

void service_close(vfs_state& state, std::uint32_t connection) {
    const auto it = state.connections.find(connection);
    if (it == state.connections.end()) return;
    service_connection& c = it->second;
    c.service_closed = true;
    c.active = false;
    c.from_guest = {};
    ++c.activity;
    if (c.guest_closed) state.connections.erase(it);
}

std::size_t service_room(const vfs_state& state, const service_connection& connection) {
    std::size_t all = 0;
    for (const auto& [id, c] : state.connections) all += c.from_guest.size();
    const std::size_t own = connection.from_guest.size();
    return std::min(own < service_connection::window ? service_connection::window - own : 0,
                    all < max_unread ? max_unread - all : 0);
}

}  // namespace hearth::guest::vfs
