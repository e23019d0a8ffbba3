#include "guest/sys/kcmp.hpp"

#include "guest/kernel/credentials.hpp"
#include "guest/kernel/kernel.hpp"

#include <linux/kcmp.h>

#include <cerrno>

namespace hearth::guest {
namespace {

/// 0: the same; 1 and 2 order what is not, in a way that means nothing else.
sysret compare(std::uint64_t a, std::uint64_t b) { return a == b ? 0 : a < b ? 1 : 2; }

/// Whom the caller may look into, as ptrace(2) has it; only the living have anything to compare.
outcome<const task_state*> inspectable(task& t, int id) {
    const kernel_state& state = t.kernel().state();
    const auto it = state.tasks.find(id);
    if (it == state.tasks.end() || it->second.files == 0) return os_error{ESRCH};
    const process_state& p = state.processes.at(it->second.process);
    if (!may_attach(t.process(), p)) return os_error{EPERM};
    return &it->second;
}

outcome<std::uint64_t> description_of(task& t, const task_state& of, std::uint64_t fd) {
    const vfs::descriptor* d = files_of(t.kernel().state(), of).find(static_cast<int>(fd));
    if (!d) return os_error{EBADF};
    return static_cast<std::uint64_t>(d->description);
}

}  // namespace

sysret sys_kcmp(task& t, int first, int second, int type, std::uint64_t a, std::uint64_t b) {
    const auto one = inspectable(t, first), other = inspectable(t, second);
    if (!one) return one.error();
    if (!other) return other.error();
    kernel_state& state = t.kernel().state();
    process_state& p = state.processes.at((*one)->process);
    process_state& q = state.processes.at((*other)->process);
    switch (type) {
        case KCMP_FILE: {
            const auto x = description_of(t, **one, a), y = description_of(t, **other, b);
            if (!x) return x.error();
            if (!y) return y.error();
            return compare(*x, *y);
        }
        case KCMP_VM:
            return compare(static_cast<std::uint64_t>(p.memory_of ? p.memory_of : p.id),
                           static_cast<std::uint64_t>(q.memory_of ? q.memory_of : q.id));
        case KCMP_FILES:
            return compare((*one)->files, (*other)->files);
        case KCMP_FS:
            return compare((*one)->view, (*other)->view);
        case KCMP_SIGHAND:
            return compare(p.actions, q.actions);
        case KCMP_IO:
        case KCMP_SYSVSEM:
            return 0;  // nobody has any
        default:
            return sysret::error(type == KCMP_EPOLL_TFD ? EOPNOTSUPP : EINVAL);
    }
}

}  // namespace hearth::guest
