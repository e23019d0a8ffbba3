#include "guest/sys/pidfd.hpp"

#include "guest/sys/files.hpp"

#include <fcntl.h>

#include <cerrno>
#include <charconv>
#include <string>
#include <system_error>
#include <utility>

namespace hearth::guest {

outcome<process_state*> process_of_descriptor(task& t, int fd) {
    const auto o = files::find(t, fd);
    if (!o) return o.error();
    const auto* d = std::get_if<vfs::process_descriptor>(&o->description->body);
    if (!d) return os_error{EBADF};
    auto& all = t.kernel().state().processes;
    const auto it = all.find(d->process);
    return it != all.end() && it->second.serial == d->serial ? &it->second : nullptr;
}

outcome<process_state*> process_to_signal(task& t, int fd) {
    const auto o = files::find(t, fd);
    const auto* place = o ? std::get_if<vfs::open_directory>(&o->description->body) : nullptr;
    if (!place || files::tree_of(t).mount_of(place->node).what != vfs::mount::kind::proc)
        return process_of_descriptor(t, fd);
    const std::string& name = place->node.inner;
    pid number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc{} || end != name.data() + name.size()) return os_error{EBADF};
    auto& all = t.kernel().state().processes;
    const auto it = all.find(number);
    return it != all.end() ? &it->second : nullptr;
}

outcome<int> open_process(task& t, const process_state& p, int flags) {
    vfs::description d;
    d.flags = static_cast<std::uint32_t>(O_RDWR | flags);
    d.path = "anon_inode:[pidfd]";
    d.body = vfs::process_descriptor{p.id, p.serial};
    return files::install(t, files::state_of(t).add(std::move(d)), true);
}

sysret sys_pidfd_open(task& t, int process, unsigned flags) {
    if ((flags & ~static_cast<unsigned>(O_NONBLOCK)) || process <= 0)  // PIDFD_NONBLOCK
        return sysret::error(EINVAL);
    const auto& state = t.kernel().state();
    const auto it = state.processes.find(process);
    if (it == state.processes.end())  // a thread that leads none
        return sysret::error(state.tasks.contains(process) ? EINVAL : ESRCH);
    return open_process(t, it->second, static_cast<int>(flags));
}

sysret sys_pidfd_getfd(task& t, int pidfd, int fd, unsigned flags) {
    if (flags) return sysret::error(EINVAL);
    const auto of = process_of_descriptor(t, pidfd);
    if (!of) return of.error();
    if (!*of || (*of)->ended) return sysret::error(ESRCH);
    kernel_state& state = t.kernel().state();
    const auto leader = state.tasks.find((*of)->id);
    if (leader == state.tasks.end() || leader->second.files == 0) return sysret::error(EBADF);
    const vfs::descriptor* d = files_of(state, leader->second).find(fd);
    if (!d) return sysret::error(EBADF);
    files::state_of(t).retain(d->description);
    return files::install(t, d->description, true);
}

}  // namespace hearth::guest
