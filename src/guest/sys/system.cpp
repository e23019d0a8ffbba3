#include "guest/sys/system.hpp"

#include "guest/abi/text_field.hpp"
#include "guest/kernel/credentials.hpp"
#include "guest/kernel/kernel.hpp"

#include <linux/capability.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

namespace hearth::guest {
namespace {

task_state* find_task(task& t, int id) {
    if (id == 0) return &t.state();
    auto& all = t.kernel().state().tasks;
    const auto it = all.find(id);
    return it == all.end() ? nullptr : &it->second;
}

/// One vCPU: the mask is one word, of which bit 0 counts.
constexpr std::uint64_t all_cpus = 1;

bool known_policy(int policy) noexcept {
    return policy == abi::sched_other || policy == abi::sched_fifo || policy == abi::sched_rr ||
           policy == abi::sched_batch || policy == abi::sched_idle || policy == abi::sched_deadline;
}

}  // namespace

sysret sys_uname(task& t, guest_ptr<abi::utsname> out) {
    const auto& identity = t.kernel().state().identity;
    abi::utsname name{};
    abi::put_text(name.sysname, "Linux");
    abi::put_text(name.nodename, identity.hostname);
    abi::put_text(name.release, "6.1.0-hearth");
    abi::put_text(name.version, "#1 SMP");
    abi::put_text(name.machine, "x86_64");
    abi::put_text(name.domainname, identity.domainname);
    return t.write(out, name);
}

sysret sys_sysinfo(task& t, guest_ptr<abi::sysinfo> out) {
    const auto& frames = t.kernel().state().frames;
    auto& host = t.kernel().host();
    const auto up = host.monotonic_now() - t.kernel().state().identity.boot_time;
    abi::sysinfo info{};
    info.uptime =
        std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(up).count());
    info.total_ram = frames.limit_pages();
    info.free_ram = frames.limit_pages() - std::min(frames.limit_pages(), frames.used_pages());
    info.processes = static_cast<std::uint16_t>(t.kernel().state().tasks.size());
    info.unit = static_cast<std::uint32_t>(vmm::page_size);
    return t.write(out, info);
}

sysret sys_sched_yield(task& t) {
    t.kernel().yield();
    return 0;
}

sysret sys_sched_getaffinity(task& t, int thread, std::uint32_t length, guest_ptr<void> out) {
    if (length < sizeof all_cpus || length % sizeof all_cpus) return sysret::error(EINVAL);
    if (!find_task(t, thread)) return sysret::error(ESRCH);
    if (auto r = t.write(guest_ptr<std::uint64_t>{out.address}, all_cpus); !r) return r.error();
    return sizeof all_cpus;
}
sysret sys_sched_setaffinity(task& t, int thread, std::uint32_t length, guest_ptr<const void> in) {
    std::uint64_t mask = 0;
    const auto used = std::min<std::size_t>(length, sizeof mask);
    if (auto r =
            t.memory().read(in.address, std::as_writable_bytes(std::span(&mask, 1)).first(used));
        !r)
        return r.error();
    if (!find_task(t, thread)) return sysret::error(ESRCH);
    return mask & all_cpus ? sysret(0) : sysret::error(EINVAL);
}
sysret sys_sched_getscheduler(task& t, int thread) {
    if (thread < 0) return sysret::error(EINVAL);
    return find_task(t, thread) ? sysret(abi::sched_other) : sysret::error(ESRCH);
}
sysret sys_sched_setscheduler(task& t,
                              int thread,
                              int policy,
                              guest_ptr<const abi::sched_param> in) {
    if (thread < 0 || policy < 0 || !in) return sysret::error(EINVAL);
    const auto param = t.read(in);
    if (!param) return param.error();
    if (!find_task(t, thread)) return sysret::error(ESRCH);
    policy &= ~abi::sched_reset_on_fork;
    if (!known_policy(policy) || policy == abi::sched_deadline) return sysret::error(EINVAL);
    const bool real_time = policy == abi::sched_fifo || policy == abi::sched_rr;
    if (real_time ? (param->priority < 1 || param->priority > 99) : param->priority != 0)
        return sysret::error(EINVAL);
    return policy == abi::sched_other ? sysret(0) : sysret::error(EPERM);
}
sysret sys_sched_getparam(task& t, int thread, guest_ptr<abi::sched_param> out) {
    if (thread < 0 || !out) return sysret::error(EINVAL);
    if (!find_task(t, thread)) return sysret::error(ESRCH);
    return t.write(out, {0});
}
sysret sys_sched_setparam(task& t, int thread, guest_ptr<const abi::sched_param> in) {
    if (thread < 0 || !in) return sysret::error(EINVAL);
    const auto param = t.read(in);
    if (!param) return param.error();
    if (!find_task(t, thread)) return sysret::error(ESRCH);
    return param->priority == 0 ? sysret(0) : sysret::error(EINVAL);
}
sysret sys_sched_get_priority_max(task&, int policy) {
    if (!known_policy(policy)) return sysret::error(EINVAL);
    return policy == abi::sched_fifo || policy == abi::sched_rr ? 99 : 0;
}
sysret sys_sched_get_priority_min(task&, int policy) {
    if (!known_policy(policy)) return sysret::error(EINVAL);
    return policy == abi::sched_fifo || policy == abi::sched_rr ? 1 : 0;
}
sysret sys_sched_rr_get_interval(task& t, int thread, guest_ptr<abi::timespec> out) {
    if (thread < 0) return sysret::error(EINVAL);
    if (!find_task(t, thread)) return sysret::error(ESRCH);
    return t.write(out, {0, 4'000'000});
}

sysret sys_getcpu(task& t,
                  guest_ptr<std::uint32_t> cpu,
                  guest_ptr<std::uint32_t> node,
                  guest_ptr<void>) {
    if (cpu) {
        if (auto r = t.write(cpu, 0); !r) return r.error();
    }
    return node ? sysret(t.write(node, 0)) : sysret(0);
}

namespace {

constexpr int of_process = 0, of_group = 1, of_user = 2;  // PRIO_*

/// The threads that (which, who) names (kernel/sys.c, getpriority): one, or all of a process group,
/// or all of a real user id. 0 is the caller's own. EINVAL, ESRCH
outcome<std::vector<task_state*>> named_by(task& t, int which, int who) {
    if (which < of_process || which > of_user) return os_error{EINVAL};
    std::vector<task_state*> named;
    if (which == of_process) {
        if (auto* one = find_task(t, who)) named.push_back(one);
    } else {
        const auto& self = t.process();
        const auto group = who ? who : self.group;
        const auto user = who ? static_cast<std::uint32_t>(who) : self.uid;
        for (auto& [tid, ts] : t.kernel().state().tasks) {
            const auto& p = t.kernel().process_of(ts);
            if (which == of_group ? p.group == group : p.uid == user) named.push_back(&ts);
        }
    }
    if (named.empty()) return os_error{ESRCH};
    return named;
}

/// Of another user's thread: EPERM. To be favoured more takes CAP_SYS_NICE, which no guest has:
/// EACCES.
outcome<void> set_nice(task& t, task_state& of, int nice) {
    const auto caller = t.process().ids.euid;
    const auto& p = t.kernel().process_of(of);
    if (!capable(t.process(), CAP_SYS_NICE) && caller != p.uid && caller != p.ids.euid)
        return os_error{EPERM};
    if (nice < of.nice) return os_error{EACCES};
    of.nice = nice;
    return {};
}

}  // namespace

sysret sys_getpriority(task& t, int which, int who) {
    const auto named = named_by(t, which, who);
    if (!named) return named.error();
    const auto* first = *std::ranges::min_element(*named, {}, &task_state::nice);
    return 20 - first->nice;  // the kernel's own answer: 1..40
}
sysret sys_setpriority(task& t, int which, int who, int value) {
    const auto named = named_by(t, which, who);
    if (!named) return named.error();
    const int nice = std::clamp(value, -20, 19);
    outcome<void> last{};
    for (auto* one : *named)
        if (auto r = set_nice(t, *one, nice); !r) last = r;
    return last;
}

sysret sys_membarrier(task& t, int command, std::uint32_t flags, int) {
    // All tasks of a guest share one vCPU, and an exit to the host is a full barrier.
    constexpr std::uint32_t query = 0, global = 1, global_expedited = 2,
                            register_global_expedited = 4, private_expedited = 8,
                            register_private_expedited = 16, sync_core = 32,
                            register_sync_core = 64;
    if (flags != 0) return sysret::error(EINVAL);
    auto& registered = memory_of(t.kernel().state(), t.process()).barriers;
    const auto c = static_cast<std::uint32_t>(command);
    switch (c) {
        case query:
            return std::int64_t{global | global_expedited | register_global_expedited |
                                private_expedited | register_private_expedited | sync_core |
                                register_sync_core};
        case global:
        case global_expedited:
            return 0;
        case register_global_expedited:
        case register_private_expedited:
        case register_sync_core:
            registered |= c;
            return 0;
        case private_expedited:
        case sync_core:
            return registered & (c << 1) ? sysret(0) : sysret::error(EPERM);
        default:
            return sysret::error(EINVAL);
    }
}

/// Only the kernel itself arranges this call; from a program, nothing is to be restarted.
sysret sys_restart_syscall(task&) { return sysret::error(EINTR); }

}  // namespace hearth::guest
