#include "guest/sys/credentials.hpp"

#include "guest/kernel/credentials.hpp"
#include "guest/kernel/kernel.hpp"

#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>

#include <array>
#include <cerrno>
#include <utility>

namespace hearth::guest {
namespace {

constexpr std::uint32_t unchanged = ~0u;  // -1 in setresuid and its like
constexpr int most_groups = 65536;        // NGROUPS_MAX

/// Whether a process may take the id: by its capability, or it has it already in another role.
template <class... Own>
bool may_take(const process_state& p, int capability, std::uint32_t id, Own... own) noexcept {
    return id == unchanged || capable(p, capability) || ((id == own) || ...);
}

/// A return with all registers, 0 in RAX: the stub page's answers are renewed on the way
/// (sandbox::enter_running_task).
sysret full_return(task& t) {
    t.registers().rax = 0;
    return sysret::registers_set();
}

/// A process's ids of one kind, users or groups: the rules are the same.
struct roles {
    std::uint32_t &real, &effective, &saved, &file;
    int capability;  ///< to take any
};
roles users_of(process_state& p) noexcept {
    return {p.uid, p.ids.euid, p.ids.suid, p.ids.fsuid, CAP_SETUID};
}
roles groups_of(process_state& p) noexcept {
    return {p.gid, p.ids.egid, p.ids.sgid, p.ids.fsgid, CAP_SETGID};
}

sysret set(task& t, const roles& ids, std::uint32_t id) {
    const id_change change(t.process());
    if (id == unchanged) return sysret::error(EINVAL);
    if (capable(t.process(), ids.capability))
        ids.real = ids.saved = id;
    else if (id != ids.real && id != ids.saved)
        return sysret::error(EPERM);
    ids.effective = ids.file = id;
    return full_return(t);
}

sysret set_two(task& t, const roles& ids, std::uint32_t real, std::uint32_t effective) {
    auto& p = t.process();
    const id_change change(p);
    if (!may_take(p, ids.capability, real, ids.real, ids.effective)) return sysret::error(EPERM);
    if (!may_take(p, ids.capability, effective, ids.real, ids.effective, ids.saved))
        return sysret::error(EPERM);
    const auto old_real = ids.real;
    if (real != unchanged) ids.real = real;
    if (effective != unchanged) ids.effective = effective;
    if (real != unchanged || (effective != unchanged && effective != old_real))
        ids.saved = ids.effective;
    ids.file = ids.effective;
    return full_return(t);
}

sysret set_three(
    task& t, const roles& ids, std::uint32_t real, std::uint32_t effective, std::uint32_t saved) {
    auto& p = t.process();
    const id_change change(p);
    for (const auto id : {real, effective, saved})
        if (!may_take(p, ids.capability, id, ids.real, ids.effective, ids.saved))
            return sysret::error(EPERM);
    if (real != unchanged) ids.real = real;
    if (effective != unchanged) ids.effective = effective;
    if (saved != unchanged) ids.saved = saved;
    ids.file = ids.effective;
    return full_return(t);
}

/// No errors: the old id is the answer either way.
sysret set_file(task& t, const roles& ids, std::uint32_t id) {
    auto& p = t.process();
    const auto old = ids.file;
    const id_change change(p, true);
    if (id != unchanged &&
        may_take(p, ids.capability, id, ids.real, ids.effective, ids.saved, ids.file))
        ids.file = id;
    return old;
}

}  // namespace

sysret sys_getuid(task& t) { return t.process().uid; }
sysret sys_getgid(task& t) { return t.process().gid; }
sysret sys_geteuid(task& t) { return t.process().ids.euid; }
sysret sys_getegid(task& t) { return t.process().ids.egid; }

sysret sys_setuid(task& t, std::uint32_t uid) { return set(t, users_of(t.process()), uid); }
sysret sys_setgid(task& t, std::uint32_t gid) { return set(t, groups_of(t.process()), gid); }
sysret sys_setreuid(task& t, std::uint32_t real, std::uint32_t effective) {
    return set_two(t, users_of(t.process()), real, effective);
}
sysret sys_setregid(task& t, std::uint32_t real, std::uint32_t effective) {
    return set_two(t, groups_of(t.process()), real, effective);
}
sysret sys_setresuid(task& t, std::uint32_t real, std::uint32_t effective, std::uint32_t saved) {
    return set_three(t, users_of(t.process()), real, effective, saved);
}
sysret sys_setresgid(task& t, std::uint32_t real, std::uint32_t effective, std::uint32_t saved) {
    return set_three(t, groups_of(t.process()), real, effective, saved);
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
sysret sys_setfsuid(task& t, std::uint32_t uid) { return set_file(t, users_of(t.process()), uid); }
sysret sys_setfsgid(task& t, std::uint32_t gid) { return set_file(t, groups_of(t.process()), gid); }
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
    if (!capable(t.process(), CAP_SETGID)) return sysret::error(EPERM);
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
    const auto* p = &t.process();
    if (header.pid) {
        const auto& state = t.kernel().state();
        const auto thread = state.tasks.find(header.pid);
        const auto it = state.processes.find(thread == state.tasks.end() ? header.pid
                                                                         : thread->second.process);
        if (it == state.processes.end()) return sysret::error(ESRCH);
        p = &it->second;
    }
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
        (inheritable & ~(ids.inheritable | ids.bounding)) ||
        (!capable(t.process(), CAP_SETPCAP) &&
         (inheritable & ~(ids.inheritable | ids.permitted))))
        return sysret::error(EPERM);
    ids.effective = effective;
    ids.permitted = permitted;
    ids.inheritable = inheritable;
    ids.ambient &= permitted & inheritable;
    return 0;
}

// -- prctl
// ------------------------------------------------------------------------------------------------------

namespace {

sysret ambient(task& t, std::uint64_t what, std::uint64_t capability, bool rest) {
    auto& ids = t.process().ids;
    if (what == PR_CAP_AMBIENT_CLEAR_ALL) {
        if (capability || rest) return sysret::error(EINVAL);
        ids.ambient = 0;
        return 0;
    }
    if (capability > static_cast<std::uint64_t>(abi::last_capability) || rest)
        return sysret::error(EINVAL);
    const auto bit = std::uint64_t{1} << capability;
    switch (what) {
        case PR_CAP_AMBIENT_IS_SET:
            return (ids.ambient & bit) ? 1 : 0;
        case PR_CAP_AMBIENT_RAISE:
            if (!(ids.permitted & ids.inheritable & bit) ||
                (ids.secure_bits & issecure_mask(SECURE_NO_CAP_AMBIENT_RAISE)))
                return sysret::error(EPERM);
            ids.ambient |= bit;
            return 0;
        case PR_CAP_AMBIENT_LOWER:
            ids.ambient &= ~bit;
            return 0;
        default:
            return sysret::error(EINVAL);
    }
}

/// A lock stays, and what is locked stays as it is (security/commoncap.c, cap_task_prctl).
sysret set_secure_bits(task& t, std::uint64_t wanted) {
    auto& bits = t.process().ids.secure_bits;
    const std::uint64_t locks = bits & SECURE_ALL_LOCKS;
    if (((locks >> 1) & (bits ^ wanted)) || (locks & ~wanted) ||
        (wanted & ~std::uint64_t{SECURE_ALL_LOCKS | SECURE_ALL_BITS}) ||
        !capable(t.process(), CAP_SETPCAP))
        return sysret::error(EPERM);
    bits = static_cast<std::uint32_t>(wanted);
    return 0;
}

sysret set_keep_capabilities(task& t, std::uint64_t on) {
    auto& bits = t.process().ids.secure_bits;
    if (on > 1) return sysret::error(EINVAL);
    if (bits & issecure_mask(SECURE_KEEP_CAPS_LOCKED)) return sysret::error(EPERM);
    constexpr std::uint32_t keep = issecure_mask(SECURE_KEEP_CAPS);
    bits = on ? bits | keep : bits & ~keep;
    return 0;
}

}  // namespace

sysret credential_control(
    task& t, int option, std::uint64_t a2, std::uint64_t a3, std::uint64_t a4, std::uint64_t a5) {
    auto& ids = t.process().ids;
    switch (option) {
        case PR_CAPBSET_READ:
            if (a2 > static_cast<std::uint64_t>(abi::last_capability)) return sysret::error(EINVAL);
            return static_cast<std::int64_t>(ids.bounding >> a2 & 1);
        case PR_CAPBSET_DROP:
            if (!capable(t.process(), CAP_SETPCAP)) return sysret::error(EPERM);
            if (a2 > static_cast<std::uint64_t>(abi::last_capability)) return sysret::error(EINVAL);
            ids.bounding &= ~(std::uint64_t{1} << a2);
            return 0;
        case PR_CAP_AMBIENT:
            return ambient(t, a2, a3, a4 || a5);
        case PR_GET_SECUREBITS:
            return ids.secure_bits;
        case PR_SET_SECUREBITS:
            return set_secure_bits(t, a2);
        case PR_GET_KEEPCAPS:
            return (ids.secure_bits & issecure_mask(SECURE_KEEP_CAPS)) ? 1 : 0;
        case PR_SET_KEEPCAPS:
            return set_keep_capabilities(t, a2);
        default:
            return sysret::error(EINVAL);
    }
}

}  // namespace hearth::guest
