/// kernel's side of connections to services in this process and of stdin: thin, for the meaning
/// stands in vfs.

#include "guest/kernel/kernel.hpp"
#include "guest/vfs/service_sockets.hpp"

#include <algorithm>
#include <set>

namespace hearth::guest {
namespace {

bool is_input(const vfs::description& d) {
    const auto* stream = std::get_if<vfs::standard_stream>(&d.body);
    return stream && stream->which == stream::input;
}

/// The description is stdin, or an epoll set that leads to it. `seen`: sets that do not.
bool leads_to_input(const vfs::vfs_state& files,
                    description_id id,
                    std::set<description_id>& seen) {
    const auto* d = files.find(id);
    if (!d) return false;
    if (is_input(*d)) return true;
    const auto* set = std::get_if<vfs::epoll_set>(&d->body);
    return set && seen.insert(id).second && std::ranges::any_of(set->items, [&](const auto& item) {
               return leads_to_input(files, item.first.second, seen);
           });
}

}  // namespace

bool kernel::waits_for_input() const {
    std::set<description_id> seen;
    return std::ranges::any_of(state_.tasks, [&](const auto& entry) {
        const auto* waiting = std::get_if<task_waiting>(&entry.second.run);
        return waiting &&
               std::ranges::any_of(waiting->wait.watches, [&](const wait_state::watch& w) {
                   return leads_to_input(state_.vfs, w.description, seen);
               });
    });
}

std::vector<kernel::connection> kernel::take_service_activity() {
    return vfs::take_service_activity(state_.vfs);
}
bool kernel::has_service_activity() const noexcept {
    return std::ranges::any_of(state_.vfs.connections,
                               [](const auto& entry) { return entry.second.active; });
}
std::string* kernel::service_input(connection c) { return vfs::service_input(state_.vfs, c); }
bool kernel::service_peer_closed(connection c) const {
    return vfs::service_peer_closed(state_.vfs, c);
}
void kernel::service_send(connection c, std::string_view bytes) {
    vfs::service_send(state_.vfs, c, bytes);
}
void kernel::service_close(connection c) { vfs::service_close(state_.vfs, c); }

}  // namespace hearth::guest
