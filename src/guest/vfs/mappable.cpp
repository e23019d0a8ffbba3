#include "guest/vfs/mappable.hpp"

#include "guest/kernel/kernel.hpp"
#include "guest/kernel/task.hpp"
#include "guest/vfs/file_pages.hpp"
#include "guest/vfs/filesystem.hpp"

#include <fcntl.h>

#include <cerrno>
#include <set>

namespace hearth::guest::vfs {
namespace {

/// Host memory that file contents in memory hold for this process's mappings, each counted once.
std::uint64_t mapped_bytes(const mm::mm_state& mm) {
    std::set<const void*> seen;
    std::uint64_t total = 0;
    for (const auto& [start, v] : mm.vmas)
        if (v.file && v.file->bytes && seen.insert(v.file->bytes.get()).second)
            total += v.file->bytes->size();
    return total;
}

}  // namespace

outcome<void> find_mappable(task& t, int fd, mm::address_space::map_request& q) {
    const descriptor* entry = t.process().files.find(fd);
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
    const auto* file = std::get_if<tmpfs_file>(&d->body);
    if (!file) return os_error{ENODEV};
    if (access == O_WRONLY || (writable_shared && access != O_RDWR)) return os_error{EACCES};
    const inode* node = state.files.find(file->inode);
    const auto* content = node ? std::get_if<file_content>(&node->body) : nullptr;
    if (!content) return os_error{ENODEV};
    q.file.emplace();
    q.file->path = d->path;
    if (q.shared) {
        const bool sealed = node->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
        if (sealed && writable_shared) return os_error{EPERM};
        q.memory_file = static_cast<std::uint64_t>(file->inode);
        q.file_writable = access == O_RDWR && !sealed;
        return {};
    }
    // The copy lives as long as the mapping, beside guest memory: no more of it than guest
    // memory.
    const std::uint64_t limit = t.kernel().state().frames.limit_pages() * 4096;
    const std::uint64_t held = mapped_bytes(t.memory().state());
    if (held > limit || content->size() > limit - held) return os_error{ENOMEM};
    q.file->bytes = std::make_shared<const std::vector<std::byte>>(
        file_pages(t.kernel().state(), t.kernel().memory()).contents(file->inode));
    q.file->size = q.file->bytes->size();
    return {};
}

}  // namespace hearth::guest::vfs
