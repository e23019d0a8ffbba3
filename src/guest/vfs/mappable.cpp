#include "guest/vfs/mappable.hpp"

#include "guest/kernel/kernel.hpp"
#include "guest/kernel/task.hpp"
#include "guest/vfs/filesystem.hpp"

#include <fcntl.h>

#include <cerrno>

namespace hearth::guest::vfs {

outcome<void> find_mappable(task& t, int fd, mm::address_space::map_request& q) {
    const descriptor* entry = t.files().find(fd);
    vfs_state& state = t.kernel().state().vfs;
    const description* d = entry ? state.find(entry->description) : nullptr;
    if (!d || (d->flags & O_PATH)) return os_error{EBADF};
    const unsigned access = d->flags & O_ACCMODE;
    const bool writable_shared = q.shared && q.prot.write;
    if (const auto* file = std::get_if<tree_file>(&d->body)) {
        if (access == O_WRONLY || writable_shared) return os_error{EACCES};
        const file_identity expected{file->device, file->host_inode};
        auto backing = t.kernel().filesystem().content(file->node, &expected);
        if (!backing) return backing.error();
        q.file = std::move(*backing);
        q.file->path = d->path;
        return {};
    }
    if (const auto* special = std::get_if<device>(&d->body)) {
        if (special->kind != device_kind::zero) return os_error{ENODEV};
        if (access == O_WRONLY || (writable_shared && access != O_RDWR)) return os_error{EACCES};
        return {};  // as anonymous memory
    }
    const auto* file = std::get_if<tmpfs_file>(&d->body);
    if (!file) return os_error{ENODEV};
    if (access == O_WRONLY || (writable_shared && access != O_RDWR)) return os_error{EACCES};
    const inode* node = state.files.find(file->inode);
    if (!node || !std::holds_alternative<file_content>(node->body)) return os_error{ENODEV};
    q.file.emplace();
    q.file->path = d->path;
    q.memory_file = static_cast<std::uint64_t>(file->inode);
    if (!q.shared) return {};
    const bool sealed = node->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
    if (sealed && writable_shared) return os_error{EPERM};
    q.file_writable = access == O_RDWR && !sealed;
    return {};
}

}  // namespace hearth::guest::vfs
