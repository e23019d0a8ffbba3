#include "guest/kernel/task.hpp"

#include "guest/kernel/kernel.hpp"
#include "guest/kernel/signals.hpp"

namespace hearth::guest {

task::task(guest::kernel& kernel,
           process_state& process,
           task_state& state,
           vmm::vcpu_state& registers) noexcept
    : kernel_(kernel),
      process_(process),
      state_(state),
      registers_(registers),
      shared_(kernel.state(), kernel.memory()),
      memory_(memory_of(kernel.state(), process), kernel.state().frames, kernel.memory(), &shared_) {}

vfs::fd_table& task::files() { return files_of(kernel_.state(), state_); }
viewpoint& task::view() { return view_of(kernel_.state(), state_); }
signal_actions& task::actions() { return actions_of(kernel_.state(), process_); }

void task::set_temporary_mask(signal_set mask) noexcept {
    if (wait_) return;  // dispatched again: the mask stands
    auto& s = state_.signals;
    s.saved_blocked = s.blocked;
    s.restore_blocked = true;
    s.blocked = mask & ~signals::unblockable;
}

}  // namespace hearth::guest
