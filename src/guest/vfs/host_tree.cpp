#include "guest/vfs/host_tree.hpp"

#include "base/system_error.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hearth::guest::vfs {
namespace {

int open_at2(int root, const char* path, int flags) {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    for (;;) {
        const long fd = ::syscall(SYS_openat2, root, path, &how, sizeof how);
        // EAGAIN: a rename raced with the check that we stay beneath (man 2 openat2).
        if (fd < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        return static_cast<int>(fd);
    }
}

std::chrono::nanoseconds time_of(const timespec& t) {
    return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

struct linux_dirent64_head {
    std::uint64_t inode;
    std::int64_t offset;
    std::uint16_t length;
    std::uint8_t type;
};

}  // namespace

outcome<attributes> attributes_of_host_fd(int fd) {
    struct stat st {};
    if (::fstat(fd, &st) != 0) return os_error{errno};
    attributes a;
    a.device = st.st_dev;
    a.inode = st.st_ino;
    a.mode = st.st_mode;
    a.links = st.st_nlink;
    a.uid = st.st_uid;
    a.gid = st.st_gid;
    a.special = st.st_rdev;
    a.size = static_cast<std::uint64_t>(st.st_size);
    a.block_size = static_cast<std::uint64_t>(st.st_blksize);
    a.blocks = static_cast<std::uint64_t>(st.st_blocks);
    a.accessed = time_of(st.st_atim);
    a.modified = time_of(st.st_mtim);
    a.changed = time_of(st.st_ctim);
    a.born = a.changed;
    return a;
}

template <class T>
T* host_tree::cache<T>::find(std::string_view key) {
    const auto it = index.find(key);
    if (it == index.end()) return nullptr;
    order.splice(order.begin(), order, it->second);
    return &it->second->second;
}

template <class T>
std::optional<T> host_tree::cache<T>::put(std::string_view key, T value, std::size_t limit) {
    if (T* known = find(key)) return std::exchange(*known, std::move(value));
    order.emplace_front(std::string(key), std::move(value));
    index.emplace(order.front().first, order.begin());
    if (order.size() <= limit) return std::nullopt;
    std::optional<T> gone(std::move(order.back().second));
    index.erase(order.back().first);
    order.pop_back();
    return gone;
}

result<std::shared_ptr<const host_tree>> host_tree::open(const std::filesystem::path& directory) {
    unique_fd root(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!root) return system_failure(errc::io_failed, "cannot open " + directory.string());
    if (unique_fd probe(open_at2(root.get(), ".", O_PATH | O_CLOEXEC)); !probe) {
        if (errno == ENOSYS)
            return error{errc::io_failed,
                         "this host's kernel has no openat2: Linux 5.6 or later is needed"};
        return system_failure(errc::io_failed, "cannot look into " + directory.string());
    }
    return std::shared_ptr<const host_tree>(new host_tree(std::move(root)));
}

outcome<unique_fd> host_tree::open_beneath(std::string_view path, int flags) const {
    std::array<char, 4096> name;
    if (path.empty()) path = ".";
    if (path.size() >= name.size()) return os_error{ENAMETOOLONG};
    // A name with a zero byte would be cut short by the host's kernel: it names nothing.
    if (path.find('\0') != std::string_view::npos) return os_error{ENOENT};
    std::memcpy(name.data(), path.data(), path.size());
    name[path.size()] = '\0';
    unique_fd fd(open_at2(root_.get(), name.data(), flags | O_CLOEXEC));
    // EXDEV: the path would leave the tree; a canonical one never does.
    if (!fd) return os_error{errno == EXDEV ? ENOENT : errno};
    return fd;
}

outcome<attributes> host_tree::lookup(std::string_view path) const {
    auto fd = open_beneath(path, O_PATH | O_NOFOLLOW);
    if (!fd) return fd.error();
    return attributes_of_host_fd(fd->get());
}

outcome<std::string> host_tree::read_link(std::string_view path) const {
    auto fd = open_beneath(path, O_PATH | O_NOFOLLOW);
    if (!fd) return fd.error();
    std::array<char, 4096> target;
    const ssize_t n = ::readlinkat(fd->get(), "", target.data(), target.size());
    if (n < 0) return os_error{errno == ENOENT ? EINVAL : errno};
    return std::string(target.data(), static_cast<std::size_t>(n));
}

std::uint64_t host_tree::used_bytes() const {
    struct ::statvfs s {};
    if (::fstatvfs(root_.get(), &s) != 0 || s.f_bfree > s.f_blocks) return 0;
    return (s.f_blocks - s.f_bfree) * s.f_frsize;
}

outcome<listing> host_tree::list(std::string_view path, bool again) const {
    if (again) {
        const std::lock_guard lock(mutex_);
        if (listing* known = listings_.find(path)) return *known;
    }
    auto fd = open_beneath(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!fd) return fd.error();
    std::vector<directory_entry> entries;
    alignas(8) std::array<char, 32 * 1024> buffer;
    for (;;) {
        const long n = ::syscall(SYS_getdents64, fd->get(), buffer.data(), buffer.size());
        if (n < 0) return os_error{errno};
        if (n == 0) break;
        for (long at = 0; at < n;) {
            linux_dirent64_head head;
            std::memcpy(&head, buffer.data() + at, sizeof head);
            // d_name begins right after d_type, before the structure's padding.
            const char* name = buffer.data() + at + 19;
            at += head.length;
            if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) continue;
            entries.push_back({name, head.inode, head.type, 0});
        }
    }
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    std::uint64_t cookie = 3;
    for (directory_entry& e : entries) e.cookie = cookie++;
    listing made = std::make_shared<const std::vector<directory_entry>>(std::move(entries));
    std::unique_lock lock(mutex_);
    const auto gone = listings_.put(path, made, max_cached_listings);
    lock.unlock();
    return made;
}

outcome<mm::file_backing> host_tree::content(std::string_view path,
                                             const file_identity* expected) const {
    opened file;
    {
        const std::lock_guard lock(mutex_);
        if (const opened* known = files_.find(path);
            known && (!expected || known->identity == *expected))
            file = *known;
    }
    const bool cached = file.fd != nullptr;
    if (!cached) {
        // First without opening, to see what it is: opening a device or a fifo has effects.
        auto place = lookup(path);
        if (!place) return place.error();
        if (S_ISDIR(place->mode)) return os_error{EISDIR};
        if (S_ISCHR(place->mode) || S_ISBLK(place->mode)) return os_error{EACCES};
        if (!S_ISREG(place->mode)) return os_error{ENXIO};
        auto fd = open_beneath(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
        if (!fd) return fd.error();
        file.fd = std::make_shared<const unique_fd>(std::move(*fd));
    }
    auto now = attributes_of_host_fd(file.fd->get());
    if (!now) return now.error();
    if (!S_ISREG(now->mode)) return os_error{EACCES};
    file.identity = {now->device, now->inode};
    if (expected && file.identity != *expected) return os_error{ESTALE};
    mm::file_backing backing;
    backing.fd = file.fd;
    backing.size = now->size;
    if (!cached) {
        std::unique_lock lock(mutex_);
        const auto gone = files_.put(path, std::move(file), max_cached_files);
        lock.unlock();
    }
    return backing;
}

outcome<void> host_tree::access(std::string_view path, int mode) const {
    auto fd = open_beneath(path, O_PATH | O_NOFOLLOW);
    if (!fd) return fd.error();
    const int wanted = mode & (R_OK | X_OK);
    if (::syscall(SYS_faccessat2, fd->get(), "", wanted, AT_EMPTY_PATH | AT_EACCESS) != 0)
        return os_error{errno};
    return {};
}

}  // namespace hearth::guest::vfs
