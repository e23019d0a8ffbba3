/// The memory that processes live in: each its own, but after vfork and CLONE_VM the parent's.

#include "guest/kernel/kernel.hpp"
#include "guest/kernel/task.hpp"
#include "guest/vfs/file_pages.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace hearth::guest {

outcome<void> kernel::fork_memory(task& t, mm::mm_state& child) {
    if (!new_memory(child)) return os_error{ENOMEM};
    auto copied = t.memory().fork_into(child);
    if (!copied) {
        vfs::file_pages shared(state_, memory_);
        mm::address_space(child, state_.frames, memory_, &shared).clear();
        state_.retired.push_back(std::move(child));
    }
    return copied;
}

bool kernel::new_memory(mm::mm_state& mm) {
    // Tables stay bound to their ranges and their root: those of an ended process serve again.
    if (!state_.retired.empty()) {
        mm = std::move(state_.retired.back());
        state_.retired.pop_back();
        return true;
    }
    mm = {};
    return mm::make_root(mm, state_.frames, memory_);
}

bool kernel::memory_is_lent(const process_state& p) const {
    return std::ranges::any_of(state_.processes,
                               [&](const auto& entry) { return entry.second.memory_of == p.id; });
}

void kernel::leave_memory(process_state& p) {
    if (p.memory_of) {
        p.memory_of = 0;
        return;
    }
    // Who still lives in it takes it over.
    process_state* heir = nullptr;
    for (auto& [id, other] : state_.processes) {
        if (other.memory_of != p.id) continue;
        if (!heir) {
            heir = &other;
            heir->memory_of = 0;
            heir->mm = std::move(p.mm);
        } else {
            other.memory_of = heir->id;
        }
    }
    if (heir) {
        for (auto& [tid, ts] : state_.tasks) {
            auto* waiting = std::get_if<task_waiting>(&ts.run);
            if (waiting && waiting->wait.futex && waiting->wait.futex->space == p.id)
                waiting->wait.futex->space = heir->id;
        }
    } else {
        vfs::file_pages shared(state_, memory_);
        mm::address_space(p.mm, state_.frames, memory_, &shared).clear();
        state_.retired.push_back(std::move(p.mm));
    }
    p.mm = {};
}

}  // namespace hearth::guest
