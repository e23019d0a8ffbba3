#include "guest/sys/wait.hpp"

#include "guest/kernel/kernel.hpp"
#include "guest/sys/files.hpp"
#include "guest/sys/pidfd.hpp"
#include "guest/sys/time.hpp"

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

/// A child there is something to say of, as asked: it ended, stopped or goes on. Null: there are
/// others. ECHILD: none at all.
outcome<process_state*> find_child(task& t, const selection& wanted, int options) {
    bool any = false;
    for (auto& [id, p] : t.kernel().state().processes) {
        if (!wanted.has(p)) continue;
        any = true;
        // One that still holds a thread of its own running is not over.
        if (p.ended && options & abi::wexited) return &p;
        if (p.job.stop_untold && options & abi::wstopped) return &p;
        if (p.job.continue_untold && options & abi::wcontinued) return &p;
    }
    if (!any) return os_error{ECHILD};
    return nullptr;
}

/// What there is to say of it, as SIGCHLD says it.
struct child_news {
    int code = 0, status = 0;
    [[nodiscard]] std::int32_t encoded() const noexcept {
        switch (code) {
            case abi::cld_exited:
                return (status & 0xff) << 8;
            case abi::cld_stopped:
                return status << 8 | 0x7f;
            case abi::cld_continued:
                return 0xffff;
            default:
                return status;
        }
    }
};
child_news news_of(const process_state& child) noexcept {
    if (child.ended) {
        const int signal = *child.ended & 0x7f;
        if (signal) return {abi::cld_killed, signal};
        return {abi::cld_exited, *child.ended >> 8 & 0xff};
    }
    if (child.job.stop_untold) return {abi::cld_stopped, child.job.stopped_by};
    return {abi::cld_continued, abi::sigcont};
}
/// It has been told.
void take_news(task& t, process_state& child, int code) {
    if (child.ended)
        t.kernel().reap(child);
    else if (code == abi::cld_stopped)
        child.job.stop_untold = false;
    else
        child.job.continue_untold = false;
}
abi::rusage usage_of_child(task& t, const process_state& child) {
    abi::rusage usage{};
    usage.user = to_timeval(t.kernel().cpu_time_of(child) + child.children_time);
    usage.max_resident_kib = static_cast<std::int64_t>(t.memory().frames().peak_pages() * 4);
    return usage;
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
    const auto found = find_child(t, wanted, options | abi::wexited);
    if (!found) return found.error();
    if (!*found) return options & abi::wnohang ? sysret(0) : park_for_child();
    auto& child = **found;
    const pid id = child.id;
    const child_news news = news_of(child);
    const abi::rusage used = usage_of_child(t, child);
    take_news(t, child, news.code);
    if (status)
        if (auto r = t.write(status, news.encoded()); !r) return r.error();
    if (usage)
        if (auto r = t.write(usage, used); !r) return r.error();
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
    const auto found = find_child(t, wanted, options);
    if (!found) return found.error();
    if (!*found) {
        if (!(options & abi::wnohang)) return no_wait ? sysret::error(EAGAIN) : park_for_child();
        return info ? sysret(t.write(info, {})) : sysret(0);
    }
    auto& child = **found;
    abi::siginfo out{};
    const child_news news = news_of(child);
    const abi::rusage used = usage_of_child(t, child);
    out.number = abi::sigchld;
    out.code = news.code;
    out.child = {child.id, child.uid, news.status};
    if (!(options & abi::wnowait)) take_news(t, child, news.code);
    if (info)
        if (auto r = t.write(info, out); !r) return r.error();
    if (usage)
        if (auto r = t.write(usage, used); !r) return r.error();
    return 0;
}

}  // namespace hearth::guest
