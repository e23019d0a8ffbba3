#pragma once

/// mmap's question to the files: what may be mapped, and what the mapping stands on.

#include "guest/mm/address_space.hpp"
#include "guest/outcome.hpp"

namespace hearth::guest {
class task;
}

namespace hearth::guest::vfs {

/// Fills in `file`, and of a file in guest memory its number. EBADF; EACCES: not
/// open for reading, or a shared writable mapping of a file not open for writing; EPERM: or of one
/// sealed against it; ENODEV: no such mapping of that kind of file (directories, pipes, /proc,
/// devices).
outcome<void> find_mappable(task& t, int fd, mm::address_space::map_request& q);

}  // namespace hearth::guest::vfs
