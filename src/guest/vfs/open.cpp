#include "guest/vfs/open.hpp"

#include "guest/vfs/file_locks.hpp"
#include "guest/vfs/file_pages.hpp"
#include "guest/vfs/procfs.hpp"
#include "guest/vfs/sysfs.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/sysmacros.h>

#include <cerrno>

namespace hearth::guest::vfs {
namespace {

/// The kernel's O_LARGEFILE, which every open on x86-64 carries; the host's header has it as 0.
constexpr int large_file = 0100000;
/// What stays in a description's flags: not those that only concern the opening (man 2 open).
constexpr int kept_flags = ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);

int access_mode(int flags) { return flags & O_ACCMODE; }

description make(int flags, std::string path) {
    description d;
    d.flags = static_cast<std::uint32_t>(flags & kept_flags);
    d.path = std::move(path);
    return d;
}

std::size_t text_bytes(const vfs_state& state) {
    std::size_t total = 0;
    for (const auto& [id, d] : state.descriptions)
        if (const auto* text = std::get_if<text_file>(&d.body)) total += text->text->size();
    return total;
}

outcome<description_id> open_device(const context& c,
                                    const filesystem& fs,
                                    const location& l,
                                    int flags) {
    // Devices of the host are never opened; ours stand in trees that do not change, or are made by
    // the guest.
    const auto& tree = fs.mount_of(l.node).tree;
    if (tree && tree->changes()) return os_error{EACCES};
    description d = make(flags | large_file, l.path);
    device dev;
    dev.node = l.node;
    const auto is = [&](unsigned major, unsigned minor) {
        return l.attr.special == makedev(major, minor);
    };
    if (is(1, 3))
        dev.kind = device_kind::null;
    else if (is(1, 5))
        dev.kind = device_kind::zero;
    else if (is(1, 7))
        dev.kind = device_kind::full;
    else if (is(1, 8) || is(1, 9))
        dev.kind = device_kind::random;
    else
        return os_error{ENXIO};  // /dev/tty: there is no controlling terminal
    d.body = dev;
    return c.state.vfs.add(std::move(d));
}

outcome<description_id> open_regular(const context& c,
                                     const filesystem& fs,
                                     const location& l,
                                     int flags) {
    const mount& m = fs.mount_of(l.node);
    const bool writes = access_mode(flags) != O_RDONLY;
    description d = make(flags | large_file, l.path);
    switch (m.what) {
        case mount::kind::tree: {
            if (writes || (flags & O_TRUNC)) return os_error{EROFS};
            const file_identity identity{l.attr.device, l.attr.inode};
            // Opened now, so that "not readable" is open's answer and the first read finds it
            // there.
            if (auto content = fs.content(l.node, &identity); !content) return content.error();
            d.body = tree_file{l.node, l.attr.device, l.attr.inode};
            break;
        }
        case mount::kind::proc:
        case mount::kind::sys:
        case mount::kind::cgroup: {
            if ((writes || (flags & O_TRUNC)) &&
                !(m.what == mount::kind::proc && proc::writable(c, l.node.inner)))
                return os_error{EACCES};
            auto text = m.what == mount::kind::proc
                            ? proc::text(c, fs, l.node.inner)
                            : vfs::text(made_files_of(m.what), c, l.node.inner);
            if (!text) return text.error();
            if (text->size() + text_bytes(c.state.vfs) > max_text_bytes) return os_error{ENOMEM};
            d.body = text_file{l.node, std::make_shared<const std::string>(std::move(*text))};
            break;
        }
        case mount::kind::tmpfs:
            if (flags & O_DIRECT) return os_error{EINVAL};
            if (flags & O_TRUNC) {
                if (auto ok = file_pages(c.state, c.memory).truncate(l.node.inode, 0, c.host.realtime_now());
                    !ok)
                    return ok.error();
            }
            d.body = tmpfs_file{l.node.inode, l.node.mount};
            break;
    }
    return c.state.vfs.add(std::move(d));
}

outcome<description_id> open_location(const context& c,
                                      const filesystem& fs,
                                      const location& l,
                                      int flags);

/// /proc/self/fd/N: a new description of what that one stands for (man 5 proc).
outcome<description_id> reopen(const context& c,
                               const filesystem& fs,
                               description_id id,
                               int flags) {
    const description* found = c.state.vfs.find(id);
    if (!found) return os_error{ENOENT};
    const description old = *found;
    description d = make(flags | large_file, old.path);
    d.body = old.body;
    if (std::holds_alternative<path_only>(old.body)) {
        auto l = fs.at(c, old.path);
        if (!l) return l.error();
        return open_location(c, fs, *l, flags);
    }
    if (flags & O_PATH) return os_error{ENXIO};  // of what has no path there is nothing to keep
    if (flags & O_DIRECTORY) return os_error{ENOTDIR};
    if (const auto* file = std::get_if<tmpfs_file>(&old.body)) {
        if (flags & O_TRUNC)
            if (auto ok = file_pages(c.state, c.memory).truncate(file->inode, 0, c.host.realtime_now()); !ok)
                return ok.error();
        return c.state.vfs.add(std::move(d));
    }
    if (std::holds_alternative<tree_file>(old.body)) {
        if (access_mode(flags) != O_RDONLY || (flags & O_TRUNC)) return os_error{EROFS};
        return c.state.vfs.add(std::move(d));
    }
    if (std::holds_alternative<text_file>(old.body)) {
        if (access_mode(flags) != O_RDONLY) return os_error{EACCES};
        return c.state.vfs.add(std::move(d));
    }
    if (auto* end = std::get_if<pipe_end>(&d.body)) {
        end->reads = access_mode(flags) != O_WRONLY;
        end->writes = access_mode(flags) != O_RDONLY;
        return c.state.vfs.add(std::move(d));
    }
    if (std::holds_alternative<standard_stream>(old.body) ||
        std::holds_alternative<device>(old.body))
        return c.state.vfs.add(std::move(d));
    return os_error{ENXIO};
}

/// man 7 fifo. Who must wait for the other side is told apart by waits_for_partner.
outcome<description_id> open_fifo(const context& c, const location& l, int flags) {
    vfs_state& state = c.state.vfs;
    auto& body = std::get<fifo_body>(state.files.find(l.node.inode)->body);
    pipe_end end;
    end.reads = access_mode(flags) != O_WRONLY;
    end.writes = access_mode(flags) != O_RDONLY;
    end.mount = l.node.mount;
    end.fifo = l.node.inode;
    const auto shared = state.pipes.find(static_cast<pipe_id>(body.pipe));
    static const pipe fresh;
    const pipe& now = shared == state.pipes.end() ? fresh : shared->second;
    if (!end.reads && now.readers == 0) {
        if (flags & O_NONBLOCK) return os_error{ENXIO};
        end.met = now.readers_came;
    }
    if (!end.writes && now.writers == 0) end.met = now.writers_came;
    if (shared == state.pipes.end()) {
        body.pipe = state.fresh_id();
        state.pipes.emplace(static_cast<pipe_id>(body.pipe), pipe{});
    }
    end.pipe = static_cast<pipe_id>(body.pipe);
    description d = make(flags | large_file, l.path);
    d.body = end;
    return state.add(std::move(d));
}

outcome<description_id> open_location(const context& c,
                                      const filesystem& fs,
                                      const location& l,
                                      int flags) {
    if (l.what == location::kind::open_file) return reopen(c, fs, l.open_file, flags);
    if ((flags & O_DIRECTORY) && !l.attr.is_directory()) return os_error{ENOTDIR};
    if (flags & O_PATH) {
        description d = make(flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW), l.path);
        d.body = path_only{l.node};
        return c.state.vfs.add(std::move(d));
    }
    if (l.attr.is_symlink()) return os_error{ELOOP};
    if (l.attr.is_directory()) {
        if (access_mode(flags) != O_RDONLY || (flags & O_TRUNC)) return os_error{EISDIR};
        description d = make(flags | large_file, l.path);
        d.body = open_directory{l.node};
        return c.state.vfs.add(std::move(d));
    }
    if (l.attr.is_regular()) return open_regular(c, fs, l, flags);
    if (l.attr.is_character_device()) return open_device(c, fs, l, flags);
    if (S_ISFIFO(l.attr.mode) && fs.mount_of(l.node).what == mount::kind::tmpfs)
        return open_fifo(c, l, flags);
    if (S_ISBLK(l.attr.mode)) return os_error{EACCES};
    return os_error{ENXIO};  // fifos and sockets of the host
}

/// O_TMPFILE: a file without a name, in a writable directory.
outcome<description_id> open_unnamed(const context& c,
                                     const filesystem& fs,
                                     std::string_view base,
                                     std::string_view path,
                                     int flags,
                                     std::uint32_t mode) {
    if (access_mode(flags) == O_RDONLY) return os_error{EINVAL};
    auto l = fs.resolve(c, base, path);
    if (!l) return l.error();
    if (!l->attr.is_directory()) return os_error{ENOTDIR};
    if (!fs.writable(*l)) return os_error{EROFS};
    auto inode = c.state.vfs.files.create_anonymous(
        mode & ~c.view.umask, F_SEAL_SEAL, {c.process.uid, c.process.gid}, c.host.realtime_now());
    if (!inode) return inode.error();
    description d = make((flags & ~(O_TMPFILE & ~O_DIRECTORY)) | large_file,
                         fmt::format("{}/#{}", l->path, static_cast<std::uint64_t>(*inode)));
    d.body = tmpfs_file{*inode, l->node.mount};
    return c.state.vfs.add(std::move(d));
}

}  // namespace

outcome<description_id> open(const context& c,
                             const filesystem& fs,
                             std::string_view base,
                             std::string_view path,
                             int flags,
                             std::uint32_t mode) {
    if (flags & O_PATH) flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if (access_mode(flags) == O_ACCMODE) return os_error{EINVAL};
    constexpr int unnamed = O_TMPFILE & ~O_DIRECTORY;
    if (flags & unnamed) {
        if (!(flags & O_DIRECTORY) || (flags & O_CREAT)) return os_error{EINVAL};
        return open_unnamed(c, fs, base, path, flags, mode);
    }
    const auto last = flags & O_NOFOLLOW ? filesystem::last::no_follow : filesystem::last::follow;
    if (!(flags & O_CREAT)) {
        auto l = fs.resolve(c, base, path, last);
        if (!l) return l.error();
        return open_location(c, fs, *l, flags);
    }
    if (flags & O_DIRECTORY) return os_error{EINVAL};
    auto w = fs.walk(c, base, path, flags & O_EXCL ? filesystem::last::no_follow : last);
    if (!w) return w.error();
    if (w->found) {
        if (flags & O_EXCL) return os_error{EEXIST};
        if (w->must_be_directory || w->child.attr.is_directory()) return os_error{EISDIR};
        return open_location(c, fs, w->child, flags);
    }
    if (w->must_be_directory) return os_error{EISDIR};
    auto directory = fs.at(c, w->directory);
    if (!directory) return directory.error();
    if (!directory->attr.is_directory()) return os_error{ENOTDIR};
    if (!fs.writable(*directory))
        return os_error{fs.mount_of(directory->node).is_made() ? ENOENT : EROFS};
    auto inode =
        c.state.vfs.files.create_file(directory->node.inode, w->name, mode & 07777 & ~c.view.umask,
                                      {c.process.uid, c.process.gid}, c.host.realtime_now());
    if (!inode) return inode.error();
    description d = make(flags | large_file, join(w->directory, w->name));
    d.body = tmpfs_file{*inode, directory->node.mount};
    return c.state.vfs.add(std::move(d));
}

bool waits_for_partner(const vfs_state& state, description_id id) {
    const description* d = state.find(id);
    const auto* end = d ? std::get_if<pipe_end>(&d->body) : nullptr;
    if (!end || end->met == 0 || (d->flags & O_NONBLOCK)) return false;
    const pipe& p = state.pipes.at(end->pipe);
    return end->reads ? p.writers == 0 && p.writers_came == end->met
                      : p.readers == 0 && p.readers_came == end->met;
}

std::pair<description_id, description_id> make_pipe(vfs_state& state, int flags) {
    const auto id = static_cast<pipe_id>(state.fresh_id());
    state.pipes.emplace(id, pipe{});
    const auto end = [&](bool reads) {
        description d = make((reads ? O_RDONLY : O_WRONLY) | (flags & O_NONBLOCK),
                             fmt::format("pipe:[{}]", static_cast<std::uint32_t>(id)));
        d.body = pipe_end{id, reads, !reads};
        return state.add(std::move(d));
    };
    const description_id reader = end(true);
    return {reader, end(false)};
}

outcome<description_id> make_memory_file(
    const context& c, const filesystem& fs, std::string_view name, bool sealable, bool executable) {
    auto inode =
        c.state.vfs.files.create_anonymous(executable ? 0777 : 0666, sealable ? 0 : F_SEAL_SEAL,
                                           {c.process.uid, c.process.gid}, c.host.realtime_now());
    if (!inode) return inode.error();
    description d = make(O_RDWR | large_file, fmt::format("/memfd:{} (deleted)", name));
    d.body = tmpfs_file{*inode, fs.memory_files()};
    return c.state.vfs.add(std::move(d));
}

void close_on_exec(vfs_state& state, part_id id, fd_table& files) {
    std::vector<int> closing;
    for (const auto& [fd, d] : files.all())
        if (d.close_on_exec) closing.push_back(fd);
    for (int fd : closing) {
        const description_id gone = files.remove(fd)->description;
        if (const description* d = state.find(gone)) forget_records(state, id, *d);
        state.release(gone);
    }
}

void close_all(vfs_state& state, part_id id, fd_table& files) {
    forget_records(state, id);
    while (!files.all().empty())
        state.release(files.remove(files.all().begin()->first)->description);
}

void open_standard_streams(vfs_state& state, fd_table& files) {
    struct one {
        stream which;
        int flags;
        const char* path;
    };
    constexpr one streams[] = {{stream::input, O_RDONLY, "/dev/stdin"},
                               {stream::output, O_WRONLY, "/dev/stdout"},
                               {stream::error, O_WRONLY, "/dev/stderr"}};
    int fd = 0;
    for (const one& s : streams) {
        description d = make(s.flags | large_file, s.path);
        d.body = standard_stream{s.which};
        files.set(fd++, {state.add(std::move(d)), false});
    }
}

}  // namespace hearth::guest::vfs
