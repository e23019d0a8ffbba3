#pragma once

/// Descriptors of processes: man 2 pidfd_open, pidfd_getfd. pidfd_send_signal stands with the other
/// signals, P_PIDFD with waitid, CLONE_PIDFD with clone.

#include "guest/kernel/task.hpp"

namespace hearth::guest {

/// The process that a descriptor stands for, which may have ended; null: it is gone. EBADF
outcome<process_state*> process_of_descriptor(task& t, int fd);
/// The same for pidfd_send_signal, to which a directory /proc/PID stands for its process too.
outcome<process_state*> process_to_signal(task& t, int fd);
/// A descriptor of a process, close-on-exec. EMFILE
outcome<int> open_process(task& t, const process_state& p, int flags);

sysret sys_pidfd_open(task& t, int process, unsigned flags);
sysret sys_pidfd_getfd(task& t, int pidfd, int fd, unsigned flags);

}  // namespace hearth::guest
