#include "guest/sys/process.hpp"

#include "guest/kernel/kernel.hpp"
#include "guest/kernel/signals.hpp"
#include "guest/sys/time.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace hearth::guest {
namespace {

constexpr std::uint64_t user_end = 0x7fff'ffff'f000;  // TASK_SIZE_MAX
constexpr std::uint32_t unchanged = ~0u;              // -1 in setresuid and its like
constexpr int most_groups = 65536;                    // NGROUPS_MAX

/// Whether an unprivileged process may take the id: it has it already in another role.
template <class... Own>
bool may_take(const process_state& p, std::uint32_t id, Own... own) noexcept {
    return id == unchanged || privileged(p) || ((id == own) || ...);
}

/// A return with all registers, 0 in RAX: the stub page's answers are renewed on the way
/// (sandbox::enter_running_task).
sysret full_return(task& t) {
    t.registers().rax = 0;
    return sysret::registers_set();
}

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
    return &me == &p || privileged(me) ||
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

sysret sys_getuid(task& t) { return t.process().uid; }
sysret sys_getgid(task& t) { return t.process().gid; }
sysret sys_geteuid(task& t) { return t.process().ids.euid; }
sysret sys_getegid(task& t) { return t.process().ids.egid; }

sysret sys_setuid(task& t, std::uint32_t uid) {
    auto& p = t.process();
    if (uid == unchanged) return sysret::error(EINVAL);
    if (privileged(p))
        p.uid = p.ids.suid = uid;
    else if (uid != p.uid && uid != p.ids.suid)
        return sysret::error(EPERM);
    p.ids.euid = p.ids.fsuid = uid;
    return full_return(t);
}
sysret sys_setgid(task& t, std::uint32_t gid) {
    auto& p = t.process();
    if (gid == unchanged) return sysret::error(EINVAL);
    if (privileged(p))
        p.gid = p.ids.sgid = gid;
    else if (gid != p.gid && gid != p.ids.sgid)
        return sysret::error(EPERM);
    p.ids.egid = p.ids.fsgid = gid;
    return full_return(t);
}
sysret sys_setreuid(task& t, std::uint32_t real, std::uint32_t effective) {
    auto& p = t.process();
    if (!may_take(p, real, p.uid, p.ids.euid)) return sysret::error(EPERM);
    if (!may_take(p, effective, p.uid, p.ids.euid, p.ids.suid)) return sysret::error(EPERM);
    const auto old_real = p.uid;
    if (real != unchanged) p.uid = real;
    if (effective != unchanged) p.ids.euid = effective;
    if (real != unchanged || (effective != unchanged && effective != old_real))
        p.ids.suid = p.ids.euid;
    p.ids.fsuid = p.ids.euid;
    return full_return(t);
}
sysret sys_setregid(task& t, std::uint32_t real, std::uint32_t effective) {
    auto& p = t.process();
    if (!may_take(p, real, p.gid, p.ids.egid)) return sysret::error(EPERM);
    if (!may_take(p, effective, p.gid, p.ids.egid, p.ids.sgid)) return sysret::error(EPERM);
    const auto old_real = p.gid;
    if (real != unchanged) p.gid = real;
    if (effective != unchanged) p.ids.egid = effective;
    if (real != unchanged || (effective != unchanged && effective != old_real))
        p.ids.sgid = p.ids.egid;
    p.ids.fsgid = p.ids.egid;
    return full_return(t);
}
sysret sys_setresuid(task& t, std::uint32_t real, std::uint32_t effective, std::uint32_t saved) {
    auto& p = t.process();
    for (const auto id : {real, effective, saved})
        if (!may_take(p, id, p.uid, p.ids.euid, p.ids.suid)) return sysret::error(EPERM);
    if (real != unchanged) p.uid = real;
    if (effective != unchanged) p.ids.euid = effective;
    if (saved != unchanged) p.ids.suid = saved;
    p.ids.fsuid = p.ids.euid;
    return full_return(t);
}
sysret sys_setresgid(task& t, std::uint32_t real, std::uint32_t effective, std::uint32_t saved) {
    auto& p = t.process();
    for (const auto id : {real, effective, saved})
        if (!may_take(p, id, p.gid, p.ids.egid, p.ids.sgid)) return sysret::error(EPERM);
    if (real != unchanged) p.gid = real;
    if (effective != unchanged) p.ids.egid = effective;
    if (saved != unchanged) p.ids.sgid = saved;
    p.ids.fsgid = p.ids.egid;
    return full_return(t);
}

namespace {
sysret write_three(task& t,
                   guest_ptr<std::uint32_t> a_at,
                   std::uint32_t a,
                   guest_ptr<std::uint32_t> b_at,
                   std::uint32_t b,
                   guest_ptr<std::uint32_t> c_at,
                   std::uint32_t c) {
    if (auto r = t.write(a_at, a); !r) return r.error();
    if (auto r = t.write(b_at, b); !r) return r.error();
    return t.write(c_at, c);
}
}  // namespace

sysret sys_getresuid(task& t,
                     guest_ptr<std::uint32_t> real,
                     guest_ptr<std::uint32_t> effective,
                     guest_ptr<std::uint32_t> saved) {
    const auto& p = t.process();
    return write_three(t, real, p.uid, effective, p.ids.euid, saved, p.ids.suid);
}
sysret sys_getresgid(task& t,
                     guest_ptr<std::uint32_t> real,
                     guest_ptr<std::uint32_t> effective,
                     guest_ptr<std::uint32_t> saved) {
    const auto& p = t.process();
    return write_three(t, real, p.gid, effective, p.ids.egid, saved, p.ids.sgid);
}
sysret sys_setfsuid(task& t, std::uint32_t uid) {  // no errors: the old id is the answer either way
    auto& p = t.process();
    const auto old = p.ids.fsuid;
    if (uid != unchanged && may_take(p, uid, p.uid, p.ids.euid, p.ids.suid, p.ids.fsuid))
        p.ids.fsuid = uid;
    return old;
}
sysret sys_setfsgid(task& t, std::uint32_t gid) {
    auto& p = t.process();
    const auto old = p.ids.fsgid;
    if (gid != unchanged && may_take(p, gid, p.gid, p.ids.egid, p.ids.sgid, p.ids.fsgid))
        p.ids.fsgid = gid;
    return old;
}
sysret sys_getgroups(task& t, int size, guest_ptr<std::uint32_t> out) {
    const auto& groups = t.process().ids.groups;
    if (size < 0) return sysret::error(EINVAL);
    const auto count = static_cast<std::int64_t>(groups.size());
    if (size == 0) return count;
    if (size < count) return sysret::error(EINVAL);
    if (auto r = t.memory().write(out.address, std::as_bytes(std::span(groups))); !r)
        return r.error();
    return count;
}
sysret sys_setgroups(task& t, int size, guest_ptr<const std::uint32_t> in) {
    if (!privileged(t.process())) return sysret::error(EPERM);
    if (size < 0 || size > most_groups) return sysret::error(EINVAL);
    std::vector<std::uint32_t> groups(static_cast<std::size_t>(size));
    if (auto r = t.memory().read(in.address, std::as_writable_bytes(std::span(groups))); !r)
        return r.error();
    t.process().ids.groups = std::move(groups);
    return 0;
}

namespace {
/// The number of 32-bit words a header's version means; an unknown one is answered with ours (man 2
/// capget).
outcome<int> capability_words(task& t,
                              guest_ptr<abi::cap_header> at,
                              bool probing,
                              abi::cap_header& header) {
    const auto in = t.read(at);
    if (!in) return in.error();
    header = *in;
    if (header.version == abi::cap_version_1) return 1;
    if (header.version == abi::cap_version_2 || header.version == abi::cap_version_3) return 2;
    if (auto r = t.write(guest_ptr<std::uint32_t>{at.address}, abi::cap_version_3); !r)
        return r.error();
    if (probing) return 0;
    return os_error{EINVAL};
}
}  // namespace

sysret sys_capget(task& t, guest_ptr<abi::cap_header> at, guest_ptr<abi::cap_data> out) {
    abi::cap_header header{};
    const auto words = capability_words(t, at, !out, header);
    if (!words) return words.error();
    if (!out) return 0;
    if (header.pid < 0) return sysret::error(EINVAL);
    const auto* p = process_or_self(t, header.pid);
    if (!p) return sysret::error(ESRCH);
    std::array<abi::cap_data, 2> data{};
    for (unsigned i = 0; i < 2; ++i) {
        const auto word = [i](std::uint64_t set) {
            return static_cast<std::uint32_t>(set >> (32 * i));
        };
        data[i] = {word(p->ids.effective), word(p->ids.permitted), word(p->ids.inheritable)};
    }
    return t.memory().write(out.address,
                            std::as_bytes(std::span(data))
                                .first(sizeof(abi::cap_data) * static_cast<std::size_t>(*words)));
}

sysret sys_capset(task& t, guest_ptr<abi::cap_header> at, guest_ptr<const abi::cap_data> in) {
    abi::cap_header header{};
    const auto words = capability_words(t, at, false, header);
    if (!words) return words.error();
    if (header.pid != 0 && header.pid != t.state().tid) return sysret::error(EPERM);
    std::array<abi::cap_data, 2> data{};
    const auto bytes = std::as_writable_bytes(std::span(data))
                           .first(sizeof(abi::cap_data) * static_cast<std::size_t>(*words));
    if (auto r = t.memory().read(in.address, bytes); !r) return r.error();
    const auto set = [&](std::uint32_t abi::cap_data::*word) {
        return (data[0].*word | std::uint64_t{data[1].*word} << 32) & abi::all_capabilities;
    };
    auto& ids = t.process().ids;
    const auto effective = set(&abi::cap_data::effective),
               permitted = set(&abi::cap_data::permitted),
               inheritable = set(&abi::cap_data::inheritable);
    if ((permitted & ~ids.permitted) || (effective & ~permitted) ||
        (inheritable & ~(ids.inheritable | ids.permitted)))
        return sysret::error(EPERM);
    ids.effective = effective;
    ids.permitted = permitted;
    ids.inheritable = inheritable;
    return 0;
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
        case abi::pr_get_keepcaps:
            return p.keep_capabilities ? 1 : 0;
        case abi::pr_set_keepcaps:
            return a2 > 1 ? sysret::error(EINVAL) : flag(p.keep_capabilities, a2);
        case abi::pr_get_timing:
            return 0;  // PR_TIMING_STATISTICAL
        case abi::pr_set_timing:
            return a2 == 0 ? sysret(0) : sysret::error(EINVAL);
        case abi::pr_get_seccomp:
            return 0;
        case abi::pr_set_seccomp:
            return sysret::error(EINVAL);  // as on a kernel without CONFIG_SECCOMP
        case abi::pr_capbset_read:
            if (a2 > static_cast<std::uint64_t>(abi::last_capability)) return sysret::error(EINVAL);
            return static_cast<std::int64_t>(p.ids.bounding >> a2 & 1);
        case abi::pr_capbset_drop:
            if (!privileged(p)) return sysret::error(EPERM);
            if (a2 > static_cast<std::uint64_t>(abi::last_capability)) return sysret::error(EINVAL);
            p.ids.bounding &= ~(std::uint64_t{1} << a2);
            return 0;
        case abi::pr_get_securebits:
            return 0;
        case abi::pr_set_securebits:
            return sysret::error(EPERM);
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
            return sysret::error(EINVAL);
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
