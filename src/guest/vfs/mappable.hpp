#pragma once

/// mmap's question to the files: what may be mapped, and what the mapping stands on.

#include "guest/mm/file_backing.hpp"
#include "guest/outcome.hpp"

namespace hearth::guest {
class task;
}

namespace hearth::guest::vfs {

/// EBADF; EACCES: not open for reading, or a shared writable mapping of a file not open for
/// writing; ENODEV: no such mapping of that kind of file (directories, pipes, /proc, devices;
/// shared writable mappings of memory files, which are not there yet). A memory file is mapped as
/// it is at this moment.
outcome<mm::file_backing> mappable(task& t, int fd, bool writable_shared);

}  // namespace hearth::guest::vfs
