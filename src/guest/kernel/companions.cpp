/// Processes beside the first: programs that the owner starts in the same guest. Like the first one
/// they have no parent, and their end is told to the owner.

#include "guest/abi/signal.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/kernel/parts.hpp"
#include "guest/vfs/open.hpp"

#include <utility>

namespace hearth::guest {

process_state* kernel::add_process(const process_state& like) {
    process_state p;
    p.id = p.group = p.session = fresh_id();
    p.serial = ++state_.process_serials;
    p.started = host_.monotonic_now();
    p.ids = like.ids;
    p.uid = like.uid;
    p.gid = like.gid;
    p.limits = like.limits;
    if (!new_memory(p.mm)) return nullptr;
    p.actions = parts::add(state_, signal_actions{});
    task_state t;
    t.files = parts::add(state_, vfs::fd_table{});
    t.view = parts::add(state_, viewpoint{});
    vfs::open_standard_streams(state_.vfs, files_of(state_, t));
    t.tid = t.process = p.id;
    t.fpu = running_fpu();  // nothing has run: the vCPU's is as at the start
    state_.tasks.emplace(t.tid, std::move(t));
    contended_ = true;
    const pid id = p.id;
    return &state_.processes.emplace(id, std::move(p)).first->second;
}

void kernel::hold_first() {
    auto& all = state_.processes;
    const pid first = all.begin()->first;
    const auto stems_from_first = [&](const process_state& p) {
        const process_state* at = &p;
        while (at->parent) at = &all.at(at->parent);
        return at->id == first;
    };
    // As stopped processes, of which nothing runs; nobody is told.
    for (auto& [id, p] : all)
        if (!p.ended && stems_from_first(p)) p.job = {.stopped_by = abi::sigstop, .told = true};
    // If it was the first that ended, the others are not over with it.
    over_ = false;
    ended_process_ = 0;
}

void kernel::start_first() {
    state_.processes.begin()->second.job = {};
    contended_ = true;
}

}  // namespace hearth::guest
