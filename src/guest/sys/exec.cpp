#include "guest/sys/exec.hpp"

#include "guest/abi/signal.hpp"
#include "guest/exec/load_program.hpp"
#include "guest/kernel/credentials.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/kernel/parts.hpp"
#include "guest/sys/files.hpp"
#include "guest/sys/futex.hpp"
#include "guest/vfs/file_pages.hpp"
#include "guest/vfs/open.hpp"
#include "guest/vfs/programs.hpp"

#include <fcntl.h>
#include <sys/auxv.h>

#include <string>
#include <utility>
#include <vector>

namespace hearth::guest {
namespace {

/// Strings of argv and envp together: a quarter of the stack (man 2 execve, E2BIG).
constexpr std::size_t most_bytes = mm::stack_limit / 4;
constexpr std::size_t longest_string = 128u << 10;  // MAX_ARG_STRLEN

outcome<std::vector<std::string>> read_strings(task& t,
                                               guest_ptr<const std::uint64_t> list,
                                               std::size_t& total) {
    std::vector<std::string> out;
    if (!list) return out;  // as Linux: an empty one
    for (gva at = list.address;; at += sizeof(std::uint64_t)) {
        const auto pointer = t.read(guest_ptr<const std::uint64_t>{at});
        if (!pointer) return pointer.error();
        if (*pointer == 0) return out;
        auto text = t.memory().read_string(gva{*pointer}, longest_string);
        if (!text) return os_error{text.error().number == ENAMETOOLONG ? E2BIG : EFAULT};
        total += text->size() + 1 + sizeof(std::uint64_t);
        if (total > most_bytes) return os_error{E2BIG};
        out.push_back(std::move(*text));
    }
}

sysret execute(task& t,
            std::string path,
            guest_ptr<const std::uint64_t> arguments,
            guest_ptr<const std::uint64_t> environment) {
    auto& kernel = t.kernel();
    auto& state = kernel.state();
    auto& p = t.process();
    exec::program_request request;
    request.path = std::move(path);
    std::size_t total = 0;
    auto argv = read_strings(t, arguments, total);
    if (!argv) return argv.error();
    auto envp = read_strings(t, environment, total);
    if (!envp) return envp.error();
    request.arguments = std::move(*argv);
    if (request.arguments.empty()) request.arguments.emplace_back();  // as Linux since 5.18
    request.environment = std::move(*envp);
    kernel.host().random(request.random);
    request.uid = p.uid;
    request.euid = p.ids.euid;
    request.gid = p.gid;
    request.egid = p.ids.egid;
    request.hwcap = exec::host_hwcap();
    request.minsigstksz = ::getauxval(AT_MINSIGSTKSZ);

    vfs::programs programs(kernel.filesystem(), files::context_of(t));
    auto plan = exec::plan_program(programs, request);
    if (plan.has_error()) return sysret::error(exec::errno_of(plan.error()));

    // From here on there is no way back.
    kernel.end_other_threads(t);
    const auto fatal = [&] {
        kernel.exit_process(p, {.code = 0, .signal = abi::sigkill});
        return sysret::exited();
    };
    // The memory may be others' too, or have parts of a file that others map (exec_mm_release); the
    // caller has its new number by now.
    walk_robust_list(t);
    auto& ts = t.state();
    if (p.memory_of || kernel.memory_is_lent(p)) {
        clear_child_tid(t);
        kernel.leave_memory(p);
        if (!kernel.new_memory(p.mm)) return fatal();
    }
    vfs::file_pages shared(state, kernel.memory());
    mm::address_space space(p.mm, state.frames, kernel.memory(), &shared);
    auto loaded = exec::load_program(p, space, *plan, request);
    if (loaded.has_error()) return fatal();

    parts::own_files(state, ts);
    parts::own_actions(state, p);
    vfs::close_on_exec(state.vfs, ts.files, t.files());
    for (auto& action : t.actions())
        if (action.handler != abi::sig_ign) action = {};
    p.timers.posix.clear();
    p.vforked = false;
    p.executed = true;
    execute_with(p);
    ts.signals.alternate_stack = ts.signals.alternate_size = 0;
    ts.signals.alternate_flags = abi::ss_disable;
    ts.clear_child_tid = 0;
    ts.name = loaded->name;
    kernel.set_running_fpu({});
    kernel.contend();  // a parent that waited for this
    t.registers() = loaded->registers;
    return sysret::registers_set();
}

}  // namespace

sysret sys_execve(task& t,
                  guest_ptr<const char> path,
                  guest_ptr<const std::uint64_t> arguments,
                  guest_ptr<const std::uint64_t> environment) {
    auto name = t.read_path(path);
    if (!name) return name.error();
    return execute(t, std::move(*name), arguments, environment);
}

sysret sys_execveat(task& t,
                    int directory,
                    guest_ptr<const char> path,
                    guest_ptr<const std::uint64_t> arguments,
                    guest_ptr<const std::uint64_t> environment,
                    int flags) {
    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) return sysret::error(EINVAL);
    auto name = t.read_path(path);
    if (!name) return name.error();
    const bool itself = name->empty() && (flags & AT_EMPTY_PATH);
    if (itself || (!name->starts_with('/') && directory != AT_FDCWD)) {
        const auto* fd = t.files().find(directory);
        if (!fd) return sysret::error(EBADF);
        auto base = "/proc/self/fd/" + std::to_string(directory);
        *name = itself ? base : base + "/" + *name;
    }
    return execute(t, std::move(*name), arguments, environment);
}

}  // namespace hearth::guest
