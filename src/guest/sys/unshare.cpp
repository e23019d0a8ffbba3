#include "guest/sys/unshare.hpp"

#include "guest/kernel/kernel.hpp"
#include "guest/kernel/parts.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>

namespace hearth::guest {

sysret sys_unshare(task& t, std::uint64_t flags) {
    constexpr std::uint64_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                         CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                                         CLONE_NEWNET | CLONE_NEWTIME;
    constexpr std::uint64_t known = CLONE_THREAD | CLONE_FS | CLONE_SIGHAND | CLONE_VM |
                                    CLONE_FILES | CLONE_SYSVSEM | namespaces;
    if (flags & ~known) return sysret::error(EINVAL);
    kernel_state& state = t.kernel().state();
    // Linux takes these apart for nobody: they are asked for where nothing is shared, or refused
    // (kernel/fork.c, check_unshare_flags).
    if (flags & CLONE_NEWUSER) flags |= CLONE_THREAD;
    if (flags & CLONE_VM) flags |= CLONE_SIGHAND;
    if (flags & CLONE_SIGHAND) flags |= CLONE_THREAD;
    const bool alone = std::ranges::none_of(state.tasks, [&](const auto& entry) {
        return entry.second.process == t.process().id && entry.first != t.state().tid &&
               !std::holds_alternative<task_exited>(entry.second.run);
    });
    if ((flags & CLONE_THREAD) && !alone) return sysret::error(EINVAL);
    if ((flags & CLONE_SIGHAND) && state.actions.at(t.process().actions).holders > 1)
        return sysret::error(EINVAL);
    if ((flags & CLONE_VM) && (t.process().memory_of || t.kernel().memory_is_lent(t.process())))
        return sysret::error(EINVAL);
    if (flags & namespaces) return sysret::error(EPERM);
    if (flags & CLONE_FS) parts::own_view(state, t.state());
    if (flags & CLONE_FILES) parts::own_files(state, t.state());
    return 0;
}

}  // namespace hearth::guest
