#include "guest/sys/process.hpp"

#include "guest/kernel/credentials.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/kernel/signals.hpp"
#include "guest/sys/credentials.hpp"
#include "guest/sys/time.hpp"

#include <linux/capability.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace hearth::guest {
namespace {

constexpr std::uint64_t user_end = 0x7fff'ffff'f000;  // TASK_SIZE_MAX

process_state* process_or_self(task& t, int id) {
    if (id == 0) return &t.process();
    auto& all = t.kernel().state().processes;
    const auto it = all.find(id);
    return it == all.end() ? nullptr : &it->second;
}

abi::rusage usage_of(task& t, std::chrono::nanoseconds cpu_time) {
    abi::rusage usage{};
    usage.user = to_timeval(cpu_time);
    usage.max_resident_kib = static_cast<std::int64_t>(t.memory().frames().peak_pages() * 4);
    return usage;
}

/// The process of a thread, or one that has ended and nobody has waited for.
process_state* with_thread(task& t, int id) {
    if (id == 0) return &t.process();
    auto& state = t.kernel().state();
    const auto thread = state.tasks.find(id);
    const auto it = state.processes.find(thread == state.tasks.end() ? id : thread->second.process);
    return it == state.processes.end() ? nullptr : &it->second;
}

/// Of another user's process only with CAP_SYS_RESOURCE (kernel/sys.c, check_prlimit_permission).
bool may_limit(const process_state& me, const process_state& p) noexcept {
    return &me == &p || capable(me, CAP_SYS_RESOURCE) ||
           (me.uid == p.uid && me.uid == p.ids.euid && me.uid == p.ids.suid && me.gid == p.gid &&
            me.gid == p.ids.egid && me.gid == p.ids.sgid);
}

sysret limits(task& t,
              process_state& of,
              std::uint32_t resource,
              guest_ptr<const abi::rlimit64> in,
              guest_ptr<abi::rlimit64> old) {
    if (resource >= static_cast<std::uint32_t>(abi::rlimit_count)) return sysret::error(EINVAL);
    auto& all = of.limits;
    const auto key = static_cast<int>(resource);
    const auto it = all.find(key);
    const auto before =
        it != all.end() ? it->second : std::pair{abi::rlim_infinity, abi::rlim_infinity};
    if (in) {
        const auto value = t.read(in);
        if (!value) return value.error();
        if (value->soft > value->hard) return sysret::error(EINVAL);
        // Raising takes CAP_SYS_RESOURCE, which no guest has.
        if (value->hard > before.second) return sysret::error(EPERM);
        all[key] = {value->soft, value->hard};
        if (key == abi::rlimit_cpu) t.kernel().set_cpu_limit(of);
    }
    return old ? sysret(t.write(old, {before.first, before.second})) : sysret(0);
}

}  // namespace

// -- the end
// ----------------------------------------------------------------------------------------------------

sysret sys_exit(task& t, int code) {
    t.kernel().exit_task(t, code);
    return sysret::exited();
}
sysret sys_exit_group(task& t, int code) {
    t.kernel().exit_process(t.process(), {.code = code & 0xff, .signal = 0});
    return sysret::exited();
}

// -- ids
// --------------------------------------------------------------------------------------------------------

sysret sys_getpid(task& t) { return t.process().id; }
sysret sys_gettid(task& t) { return t.state().tid; }
sysret sys_getppid(task& t) { return t.process().parent; }
sysret sys_getpgrp(task& t) { return t.process().group; }

sysret sys_getpgid(task& t, int process) {
    const auto* p = process_or_self(t, process);
    return p ? sysret(p->group) : sysret::error(ESRCH);
}
sysret sys_setpgid(task& t, int process, int group) {
    if (group < 0) return sysret::error(EINVAL);
    auto* p = process_or_self(t, process);
    const auto self = t.process().id;
    if (!p || (p->id != self && p->parent != self)) return sysret::error(ESRCH);
    if (p->session != t.process().session) return sysret::error(EPERM);
    if (p->id != self && p->executed) return sysret::error(EACCES);
    if (p->session == p->id) return sysret::error(EPERM);  // a session leader stays
    const auto wanted = group == 0 ? p->id : group;
    const bool known =
        wanted == p->id ||
        std::ranges::any_of(t.kernel().state().processes, [&](const auto& entry) {
            return entry.second.group == wanted && entry.second.session == p->session;
        });
    if (!known) return sysret::error(EPERM);
    p->group = wanted;
    return 0;
}
sysret sys_getsid(task& t, int process) {
    const auto* p = process_or_self(t, process);
    return p ? sysret(p->session) : sysret::error(ESRCH);
}
sysret sys_setsid(task& t) {
    auto& p = t.process();
    if (p.group == p.id) return sysret::error(EPERM);
    p.session = p.group = p.id;
    return p.id;
}

// -- properties of the process
// ----------------------------------------------------------------------------------

namespace {

sysret set_name(task& t, gva from) {
    std::array<char, 15> name{};
    // Copied byte by byte up to the zero, as strncpy_from_user does: the string may end before a
    // bad page.
    std::size_t length = 0;
    for (; length < name.size(); ++length) {
        const auto c = t.read(guest_ptr<const char>{from + length});
        if (!c) return c.error();
        if (*c == 0) break;
        name[length] = *c;
    }
    t.state().name.assign(name.data(), length);
    return 0;
}

sysret get_name(task& t, gva to) {
    std::array<char, 16> name{};
    std::ranges::copy(std::string_view(t.state().name).substr(0, 15), name.begin());
    return t.memory().write(to, std::as_bytes(std::span(name)));
}

sysret flag(bool& value, std::uint64_t a2) {
    value = a2 != 0;
    return 0;
}

}  // namespace

sysret sys_prctl(
    task& t, int option, std::uint64_t a2, std::uint64_t a3, std::uint64_t a4, std::uint64_t a5) {
    auto& p = t.process();
    const bool rest = a3 || a4 || a5;
    switch (option) {
        case abi::pr_set_name:
            return set_name(t, gva{a2});
        case abi::pr_get_name:
            return get_name(t, gva{a2});
        case abi::pr_set_pdeathsig:
            if (a2 > signal_count) return sysret::error(EINVAL);
            p.parent_death_signal = static_cast<std::int32_t>(a2);
            return 0;
        case abi::pr_get_pdeathsig:
            return t.write(guest_ptr<std::int32_t>{gva{a2}}, p.parent_death_signal);
        case abi::pr_get_dumpable:
            return p.dumpable ? 1 : 0;
        case abi::pr_set_dumpable:
            return a2 > 1 ? sysret::error(EINVAL) : flag(p.dumpable, a2);
        case abi::pr_get_timing:
            return 0;  // PR_TIMING_STATISTICAL
        case abi::pr_set_timing:
            return a2 == 0 ? sysret(0) : sysret::error(EINVAL);
        case abi::pr_get_seccomp:
            return 0;
        case abi::pr_set_seccomp:
            return sysret::error(EINVAL);  // as on a kernel without CONFIG_SECCOMP
        case abi::pr_get_tsc:
            return t.write(guest_ptr<std::int32_t>{gva{a2}}, 1);  // PR_TSC_ENABLE
        case abi::pr_set_tsc:
            return a2 == 1 ? sysret(0) : sysret::error(EINVAL);
        case abi::pr_get_timerslack:
            return static_cast<std::int64_t>(p.timer_slack);
        case abi::pr_set_timerslack:
            p.timer_slack = a2 == 0 || static_cast<std::int64_t>(a2) < 0 ? 50'000 : a2;
            return 0;
        case abi::pr_get_child_subreaper:
            return t.write(guest_ptr<std::int32_t>{gva{a2}}, p.child_subreaper ? 1 : 0);
        case abi::pr_set_child_subreaper:
            return flag(p.child_subreaper, a2);
        case abi::pr_set_no_new_privs:
            if (a2 != 1 || rest) return sysret::error(EINVAL);
            return flag(p.no_new_privileges, 1);
        case abi::pr_get_no_new_privs:
            if (a2 || rest) return sysret::error(EINVAL);
            return p.no_new_privileges ? 1 : 0;
        case abi::pr_get_tid_address:
            return t.write(guest_ptr<std::uint64_t>{gva{a2}}, t.state().clear_child_tid);
        case abi::pr_set_thp_disable:
            if (rest) return sysret::error(EINVAL);
            return flag(p.no_huge_pages, a2);
        case abi::pr_get_thp_disable:
            if (a2 || rest) return sysret::error(EINVAL);
            return p.no_huge_pages ? 1 : 0;
        default:
            return credential_control(t, option, a2, a3, a4, a5);
    }
}

sysret sys_arch_prctl(task& t, int option, std::uint64_t argument) {
    auto& r = t.registers();
    switch (option) {
        case abi::arch_set_fs:
        case abi::arch_set_gs:
            if (argument >= user_end) return sysret::error(EPERM);
            (option == abi::arch_set_fs ? r.fs_base : r.gs_base) = argument;
            r.rax = 0;
            return sysret::registers_set();  // the bases are beyond the fast return
        case abi::arch_get_fs:
            return t.write(guest_ptr<std::uint64_t>{gva{argument}}, r.fs_base);
        case abi::arch_get_gs:
            return t.write(guest_ptr<std::uint64_t>{gva{argument}}, r.gs_base);
        case abi::arch_get_cpuid:
            return 1;  // CPUID is not trapped
        case abi::arch_set_cpuid:
            return sysret::error(ENODEV);
        default:
            return sysret::error(EINVAL);
    }
}

sysret sys_personality(task& t, std::uint32_t persona) {
    auto& p = t.process();
    if (persona == 0xffff'ffff) return p.personality;
    // ADDR_NO_RANDOMIZE and its like are remembered for an exec; another execution domain there is
    // not.
    if (persona & 0xff) return sysret::error(EINVAL);
    return std::exchange(p.personality, persona);
}

// -- limits and usage
// -------------------------------------------------------------------------------------------

sysret sys_getrlimit(task& t, std::uint32_t resource, guest_ptr<abi::rlimit64> out) {
    if (!out)
        return sysret::error(resource < static_cast<std::uint32_t>(abi::rlimit_count) ? EFAULT
                                                                                      : EINVAL);
    return limits(t, t.process(), resource, {}, out);
}
sysret sys_setrlimit(task& t, std::uint32_t resource, guest_ptr<const abi::rlimit64> in) {
    if (!in) return sysret::error(EFAULT);
    return limits(t, t.process(), resource, in, {});
}
sysret sys_prlimit64(task& t,
                     int process,
                     std::uint32_t resource,
                     guest_ptr<const abi::rlimit64> in,
                     guest_ptr<abi::rlimit64> old) {
    process_state* const of = with_thread(t, process);
    if (!of) return sysret::error(ESRCH);
    if (!may_limit(t.process(), *of)) return sysret::error(EPERM);
    return limits(t, *of, resource, in, old);
}

sysret sys_getrusage(task& t, int who, guest_ptr<abi::rusage> out) {
    switch (who) {
        case abi::rusage_self:
            return t.write(out, usage_of(t, t.kernel().cpu_time_of(t.process())));
        case abi::rusage_thread:
            return t.write(out, usage_of(t, t.kernel().cpu_time_of(t.state())));
        case abi::rusage_children:
            return t.write(out, usage_of(t, t.process().children_time));
        default:
            return sysret::error(EINVAL);
    }
}

sysret sys_set_tid_address(task& t, guest_ptr<std::int32_t> at) {
    t.state().clear_child_tid = at.address.value;
    return t.state().tid;
}

}  // namespace hearth::guest
