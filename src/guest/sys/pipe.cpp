#include "guest/sys/pipe.hpp"

#include "guest/sys/files.hpp"
#include "guest/vfs/open.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>

namespace hearth::guest {

sysret sys_pipe2(task& t, guest_ptr<int[2]> fds, int flags) {
    // O_DIRECT would make it a pipe of packets.
    if (flags & ~(O_CLOEXEC | O_NONBLOCK)) return sysret::error(EINVAL);
    const auto [reader, writer] = vfs::make_pipe(files::state_of(t), flags);
    return files::install_pair(t, reader, writer, flags & O_CLOEXEC, fds);
}
sysret sys_pipe(task& t, guest_ptr<int[2]> fds) { return sys_pipe2(t, fds, 0); }

sysret sys_eventfd2(task& t, unsigned initial, int flags) {
    if (flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)) return sysret::error(EINVAL);
    vfs::description d;
    d.flags = static_cast<std::uint32_t>(O_RDWR | (flags & EFD_NONBLOCK));
    d.path = "anon_inode:[eventfd]";
    d.body = vfs::event_counter{initial, (flags & EFD_SEMAPHORE) != 0, 0};
    return files::install(t, files::state_of(t).add(std::move(d)), flags & EFD_CLOEXEC);
}
sysret sys_eventfd(task& t, unsigned initial) { return sys_eventfd2(t, initial, 0); }

}  // namespace hearth::guest
