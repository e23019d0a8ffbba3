#include "guest/sys/wait.hpp"

#include "guest/kernel/kernel.hpp"
#include "guest/sys/files.hpp"
#include "guest/sys/pidfd.hpp"

#include <fcntl.h>

#include <algorithm>

namespace hearth::guest {
namespace {

bool options_valid(int options, int allowed) noexcept {
    return (static_cast<unsigned>(options) &
            ~(static_cast<unsigned>(allowed) | abi::wait_thread_flags)) == 0;
}

/// Which children a call asks for.
struct selection {
    pid parent = 0;
    pid process = 0;  ///< 0: any
    pid group = 0;    ///< 0: any
    [[nodiscard]] bool has(const process_state& p) const noexcept {
        return p.parent == parent && (process == 0 || p.id == process) &&
               (group == 0 || p.group == group);
    }
};

/// A child that ended; null, when there are only living ones. ECHILD: none at all.
outcome<process_state*> find_ended(task& t, const selection& wanted) {
    bool any = false;
    for (auto& [id, p] : t.kernel().state().processes) {
        if (!wanted.has(p)) continue;
        any = true;
        // One that still holds a thread of its own running is not over.
        if (p.ended) return &p;
    }
    if (!any) return os_error{ECHILD};
    return nullptr;
}

sysret park_for_child() {
    wait_state wait;
    wait.child = true;
    return sysret::park(std::move(wait));
}

}  // namespace

sysret sys_wait4(task& t,
                 int process,
                 guest_ptr<std::int32_t> status,
                 int options,
                 guest_ptr<abi::rusage> usage) {
    if (!options_valid(options, abi::wnohang | abi::wuntraced | abi::wcontinued))
        return sysret::error(EINVAL);
    if (process == -0x7fff'ffff - 1) return sysret::error(ESRCH);  // its negation is no pid
    selection wanted{.parent = t.process().id};
    if (process > 0) wanted.process = process;
    if (process == 0) wanted.group = t.process().group;
    if (process < -1) wanted.group = -process;
    const auto found = find_ended(t, wanted);
    if (!found) return found.error();
    if (!*found) return options & abi::wnohang ? sysret(0) : park_for_child();
    auto& child = **found;
    const pid id = child.id;
    const std::int32_t code = *child.ended;
    t.kernel().reap(child);
    if (status)
        if (auto r = t.write(status, code); !r) return r.error();
    if (usage)
        if (auto r = t.write(usage, {}); !r) return r.error();
    return id;
}

sysret sys_waitid(task& t,
                  int type,
                  int id,
                  guest_ptr<abi::siginfo> info,
                  int options,
                  guest_ptr<abi::rusage> usage) {
    constexpr int kinds = abi::wexited | abi::wstopped | abi::wcontinued;
    if (!options_valid(options, abi::wnohang | abi::wnowait | kinds) || !(options & kinds))
        return sysret::error(EINVAL);
    selection wanted{.parent = t.process().id};
    bool no_wait = false;
    switch (type) {
        case abi::p_all:
            break;
        case abi::p_pid:
            if (id <= 0) return sysret::error(EINVAL);
            wanted.process = id;
            break;
        case abi::p_pgid:
            if (id < 0) return sysret::error(EINVAL);
            wanted.group = id ? id : t.process().group;
            break;
        case abi::p_pidfd: {
            if (id < 0) return sysret::error(EINVAL);
            const auto of = process_of_descriptor(t, id);
            if (!of) return of.error();
            if (!*of) return sysret::error(ECHILD);
            wanted.process = (*of)->id;
            no_wait = files::find(t, id)->description->flags & O_NONBLOCK;
            break;
        }
        default:
            return sysret::error(EINVAL);
    }
    const auto found = find_ended(t, wanted);
    if (!found) return found.error();
    if (!*found || !(options & abi::wexited)) {
        if (!(options & abi::wnohang)) return no_wait ? sysret::error(EAGAIN) : park_for_child();
        return info ? sysret(t.write(info, {})) : sysret(0);
    }
    auto& child = **found;
    abi::siginfo out{};
    const auto code = *child.ended;
    const int signal = code & 0x7f;
    out.number = abi::sigchld;
    out.code = signal ? abi::cld_killed : abi::cld_exited;
    out.child = {child.id, child.uid, signal ? signal : code >> 8 & 0xff};
    if (!(options & abi::wnowait)) t.kernel().reap(child);
    if (info)
        if (auto r = t.write(info, out); !r) return r.error();
    if (usage)
        if (auto r = t.write(usage, {}); !r) return r.error();
    return 0;
}

}  // namespace hearth::guest
