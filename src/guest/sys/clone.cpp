#include "guest/sys/clone.hpp"

#include "guest/abi/signal.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/kernel/parts.hpp"
#include "guest/kernel/signals.hpp"
#include "guest/sys/files.hpp"
#include "guest/sys/pidfd.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace hearth::guest {
namespace {

struct clone_request {
    std::uint64_t flags = 0;
    std::int32_t exit_signal = 0;
    std::uint64_t stack = 0;  ///< the new RSP; 0: the caller's
    guest_ptr<std::int32_t> parent_tid = {}, child_tid = {};
    std::uint64_t tls = 0;
    guest_ptr<std::int32_t> pidfd = {};
};

constexpr std::uint64_t task_end = 0x7fff'ffff'f000;  // TASK_SIZE_MAX
constexpr std::uint64_t clear_sighand = 0x1'0000'0000, into_cgroup = 0x2'0000'0000;
constexpr std::uint64_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                     CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
outcome<void> check(task& t, const clone_request& q) {
    const auto f = q.flags;
    if ((f & CLONE_THREAD) && !(f & CLONE_SIGHAND)) return os_error{EINVAL};
    if ((f & CLONE_SIGHAND) && !(f & CLONE_VM)) return os_error{EINVAL};
    if ((f & clear_sighand) && (f & CLONE_SIGHAND)) return os_error{EINVAL};
    if (f & namespaces) return os_error{EPERM};
    if ((f & CLONE_PIDFD) && (f & (CLONE_THREAD | CLONE_DETACHED))) return os_error{EINVAL};
    if (f & (CLONE_PTRACE | CLONE_PARENT | into_cgroup)) return os_error{EINVAL};
    if ((f & CLONE_THREAD) && (f & CLONE_VFORK)) return os_error{EINVAL};
    if (q.exit_signal < 0 || q.exit_signal > signal_count) return os_error{EINVAL};
    if ((f & CLONE_SETTLS) && q.tls >= task_end) return os_error{EPERM};
    if (t.kernel().state().tasks.size() >= max_tasks) return os_error{EAGAIN};
    return {};
}

task_state new_task(task& t, const clone_request& q, pid id) {
    task_state child;
    child.tid = child.process = id;
    child.registers = t.registers();
    child.registers.rax = 0;
    if (q.stack) child.registers.rsp = q.stack;
    if (q.flags & CLONE_SETTLS) child.registers.fs_base = q.tls;
    child.fpu = t.kernel().running_fpu();
    child.signals.blocked = t.state().signals.blocked;
    // One stack cannot serve two that run in one memory, but after vfork only one does.
    if (!(q.flags & CLONE_VM) || (q.flags & CLONE_VFORK)) {
        const auto& of = t.state().signals;
        child.signals.alternate_stack = of.alternate_stack;
        child.signals.alternate_size = of.alternate_size;
        child.signals.alternate_flags = of.alternate_flags;
    }
    child.nice = t.state().nice;
    child.name = t.state().name;
    if (q.flags & CLONE_CHILD_CLEARTID) child.clear_child_tid = q.child_tid.address.value;
    return child;
}

process_state new_process(const process_state& parent, const clone_request& q, pid id) {
    process_state child;
    child.id = id;
    child.parent = parent.id;
    child.exit_signal = q.exit_signal;
    child.vforked = (q.flags & CLONE_VFORK) != 0;
    child.group = parent.group;
    child.session = parent.session;
    child.ids = parent.ids;
    child.executable = parent.executable;
    child.uid = parent.uid;
    child.gid = parent.gid;
    child.limits = parent.limits;
    child.dumpable = parent.dumpable;
    child.no_new_privileges = parent.no_new_privileges;
    child.no_huge_pages = parent.no_huge_pages;
    child.personality = parent.personality;
    child.timer_slack = parent.timer_slack;
    return child;
}

void give_actions(kernel_state& state, process_state& child, part_id of, const clone_request& q) {
    if (q.flags & CLONE_SIGHAND) {
        child.actions = parts::share_actions(state, of);
        return;
    }
    child.actions = parts::copy_actions(state, of);
    if (q.flags & clear_sighand)
        for (auto& action : actions_of(state, child))
            if (action.handler > abi::sig_ign) action = {};
}

void give_files(kernel_state& state,
                task_state& child,
                const task_state& of,
                const clone_request& q) {
    child.files = q.flags & CLONE_FILES ? parts::share_files(state, of.files)
                                        : parts::copy_files(state, of.files);
    child.view =
        q.flags & CLONE_FS ? parts::share_view(state, of.view) : parts::copy_view(state, of.view);
}

sysret clone(task& t, const clone_request& q) {
    if (t.wait()) return t.wait()->vfork_child;  // it lives in memory of its own by now
    if (auto r = check(t, q); !r) return r.error();
    auto& kernel = t.kernel();
    auto& state = kernel.state();
    if (q.flags & CLONE_PIDFD) {
        if (auto r = files::check_free_descriptor(t); !r) return r.error();
        if (auto r = t.write(q.pidfd, 0); !r) return r.error();
    }
    const pid id = kernel.fresh_id();
    const bool thread = q.flags & CLONE_THREAD;

    if (q.flags & CLONE_PARENT_SETTID)
        if (auto r = t.write(q.parent_tid, id); !r) return r.error();
    task_state child = new_task(t, q, id);
    if (thread) {
        child.process = t.process().id;
        if (q.flags & CLONE_CHILD_SETTID) (void)t.write(q.child_tid, id);
    } else {
        process_state p = new_process(t.process(), q, id);
        p.serial = ++state.process_serials;
        p.started = kernel.host().monotonic_now();
        if (q.flags & CLONE_VM) {
            const auto& of = t.process();
            p.memory_of = of.memory_of ? of.memory_of : of.id;
        } else {
            if (auto r = kernel.fork_memory(t, p.mm); !r) return r.error();
        }
        give_actions(state, p, t.process().actions, q);
        auto& made = state.processes.emplace(id, std::move(p)).first->second;
        kernel.set_cpu_limit(made);
        if (q.flags & CLONE_PIDFD)
            if (const auto fd = open_process(t, made, 0)) (void)t.write(q.pidfd, *fd);
        if (q.flags & CLONE_CHILD_SETTID) {
            vfs::file_pages shared(state, kernel.memory());
            (void)mm::address_space(memory_of(state, made), state.frames, kernel.memory(), &shared)
                .write(q.child_tid.address, std::as_bytes(std::span(&id, 1)));
        }
    }
    give_files(state, child, t.state(), q);
    state.tasks.emplace(id, std::move(child));
    kernel.contend();
    if (q.flags & CLONE_VFORK) {
        wait_state wait;
        wait.vfork_child = id;
        return sysret::park(std::move(wait));
    }
    return id;
}

}  // namespace

sysret sys_clone(task& t,
                 std::uint64_t flags,
                 std::uint64_t stack,
                 guest_ptr<std::int32_t> parent_tid,
                 guest_ptr<std::int32_t> child_tid,
                 std::uint64_t tls) {
    constexpr std::uint64_t low = 0xffff'ffff;
    // One place for both numbers.
    if ((flags & CLONE_PIDFD) && (flags & CLONE_PARENT_SETTID)) return sysret::error(EINVAL);
    return clone(t, {.flags = flags & low & ~std::uint64_t{CSIGNAL},
                     .exit_signal = static_cast<std::int32_t>(flags & CSIGNAL),
                     .stack = stack,
                     .parent_tid = parent_tid,
                     .child_tid = child_tid,
                     .tls = tls,
                     .pidfd = parent_tid});
}

sysret sys_clone3(task& t, guest_ptr<const void> arguments, std::uint64_t size) {
    // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls,
    // set_tid, set_tid_size, cgroup. What a newer one has more must be zero.
    constexpr std::size_t first_version = 64, known = 11;
    std::array<std::uint64_t, known> a{};
    if (size < first_version) return sysret::error(EINVAL);
    if (size > 4096) return sysret::error(E2BIG);
    const auto bytes = std::as_writable_bytes(std::span(a));
    const auto there = std::min<std::size_t>(size, bytes.size());
    if (auto r = t.memory().read(arguments.address, bytes.first(there)); !r) return r.error();
    if (size > bytes.size()) {
        std::vector<std::byte> rest(size - bytes.size());
        if (auto r = t.memory().read(arguments.address + bytes.size(), rest); !r)
            return r.error();
        if (std::ranges::any_of(rest, [](std::byte b) { return b != std::byte{}; }))
            return sysret::error(E2BIG);
    }
    const auto flags = a[0], exit_signal = a[4], stack = a[5], stack_size = a[6];
    if ((flags & CSIGNAL) || exit_signal > static_cast<std::uint64_t>(signal_count) ||
        (stack == 0) != (stack_size == 0) || stack > task_end || stack_size > task_end - stack)
        return sysret::error(EINVAL);
    if ((flags & (CLONE_THREAD | CLONE_PARENT)) && exit_signal) return sysret::error(EINVAL);
    if (a[8] || a[9]) return sysret::error(EPERM);  // set_tid: choosing numbers
    return clone(t, {.flags = flags,
                     .exit_signal = static_cast<std::int32_t>(exit_signal),
                     .stack = stack + stack_size,
                     .parent_tid = {gva{a[3]}},
                     .child_tid = {gva{a[2]}},
                     .tls = a[7],
                     .pidfd = {gva{a[1]}}});
}

sysret sys_fork(task& t) { return clone(t, {.exit_signal = abi::sigchld}); }
sysret sys_vfork(task& t) {
    return clone(t, {.flags = CLONE_VFORK | CLONE_VM, .exit_signal = abi::sigchld});
}

}  // namespace hearth::guest
