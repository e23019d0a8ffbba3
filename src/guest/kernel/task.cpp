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

void task::set_temporary_mask(signal_set mask) noexcept {
    if (wait_) return;  // dispatched again: the mask stands
    auto& s = state_.signals;
    s.saved_blocked = s.blocked;
    s.restore_blocked = true;
    s.blocked = mask & ~signals::unblockable;
}

}  // namespace hearth::guest
