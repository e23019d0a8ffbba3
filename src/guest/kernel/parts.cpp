#include "guest/kernel/parts.hpp"

#include "guest/vfs/open.hpp"

#include <utility>

namespace hearth::guest::parts {
namespace {

template <class T>
using arena = std::map<part_id, part<T>>;

template <class T>
part_id add_to(arena<T>& all, kernel_state& state, T value) {
    all.emplace(++state.last_part, part<T>{std::move(value), 1});
    return state.last_part;
}

template <class T>
part_id share(arena<T>& all, part_id id) {
    ++all.at(id).holders;
    return id;
}

/// @return what nobody has any more
template <class T>
std::optional<T> drop(arena<T>& all, part_id id) {
    const auto it = all.find(id);
    if (it == all.end() || --it->second.holders != 0) return std::nullopt;
    T last = std::move(it->second.value);
    all.erase(it);
    return last;
}

void drop_files(kernel_state& state, part_id id) {
    if (auto last = drop(state.tables, id)) vfs::close_all(state.vfs, id, *last);
}

}  // namespace

part_id add(kernel_state& state, vfs::fd_table files) {
    return add_to(state.tables, state, std::move(files));
}
part_id add(kernel_state& state, viewpoint view) {
    return add_to(state.views, state, std::move(view));
}
part_id add(kernel_state& state, const signal_actions& actions) {
    return add_to(state.actions, state, actions);
}

part_id share_files(kernel_state& state, part_id id) { return share(state.tables, id); }
part_id share_view(kernel_state& state, part_id id) { return share(state.views, id); }
part_id share_actions(kernel_state& state, part_id id) { return share(state.actions, id); }

part_id copy_files(kernel_state& state, part_id id) {
    vfs::fd_table copy = state.tables.at(id).value;
    for (const auto& [fd, entry] : copy.all()) state.vfs.retain(entry.description);
    return add(state, std::move(copy));
}
part_id copy_view(kernel_state& state, part_id id) { return add(state, state.views.at(id).value); }
part_id copy_actions(kernel_state& state, part_id id) {
    return add(state, state.actions.at(id).value);
}

void own_files(kernel_state& state, task_state& ts) {
    if (state.tables.at(ts.files).holders == 1) return;
    const part_id shared = std::exchange(ts.files, copy_files(state, ts.files));
    drop_files(state, shared);
}
void own_view(kernel_state& state, task_state& ts) {
    if (state.views.at(ts.view).holders == 1) return;
    const part_id shared = std::exchange(ts.view, copy_view(state, ts.view));
    drop(state.views, shared);
}
void own_actions(kernel_state& state, process_state& p) {
    if (state.actions.at(p.actions).holders == 1) return;
    const part_id shared = std::exchange(p.actions, copy_actions(state, p.actions));
    drop(state.actions, shared);
}

void leave(kernel_state& state, task_state& ts) {
    drop_files(state, std::exchange(ts.files, 0));
    drop(state.views, std::exchange(ts.view, 0));
}
void leave(kernel_state& state, process_state& p) {
    drop(state.actions, std::exchange(p.actions, 0));
}

}  // namespace hearth::guest::parts
