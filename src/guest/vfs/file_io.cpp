#include "guest/vfs/file_io.hpp"

#include "guest/vfs/file_pages.hpp"
#include "guest/vfs/outside.hpp"
#include "guest/vfs/procfs.hpp"
#include "guest/vfs/socket.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hearth::guest::vfs {
namespace {

bool may_read(const description& d) {
    return (d.flags & O_ACCMODE) != O_WRONLY && !(d.flags & O_PATH);
}
bool may_write(const description& d) {
    return (d.flags & O_ACCMODE) != O_RDONLY && !(d.flags & O_PATH);
}

/// Straight from the host's page cache into guest memory, one pread for each run of contiguous
/// frames. (A span is good only until its callback returns, so they cannot be gathered for one
/// preadv.)
outcome<std::size_t> read_backing(const mm::file_backing& file,
                                  std::uint64_t offset,
                                  user_buffers& to) {
    if (offset >= file.size) return std::size_t{0};
    const std::uint64_t left = std::min({to.size(), file.size - offset, max_transfer});
    if (file.bytes) return to.put(std::span(*file.bytes).subspan(offset, left));
    int failure = 0;
    std::uint64_t at = file.fd_offset + offset;
    auto n = to.each(left, true, [&](std::span<std::byte> s) -> std::size_t {
        std::size_t done = 0;
        while (done < s.size()) {
            const ssize_t got =
                ::pread(file.fd->get(), s.data() + done, s.size() - done, static_cast<off_t>(at));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) failure = errno;
            if (got <= 0) break;  // shorter than it was, or unreadable
            done += static_cast<std::size_t>(got);
            at += static_cast<std::uint64_t>(got);
        }
        return done;
    });
    if (n && *n == 0 && failure) return os_error{failure};
    return n;
}

outcome<std::size_t> read_pipe(vfs_state& state, const pipe_end& end, user_buffers& to) {
    if (!end.reads) return os_error{EBADF};
    pipe& p = state.pipes[end.pipe];
    if (to.size() == 0) return std::size_t{0};
    if (p.bytes.empty()) {
        if (p.writers == 0) return std::size_t{0};
        return os_error{EAGAIN};
    }
    auto n = to.put(std::as_bytes(std::span(p.bytes.view())));
    if (n) {
        p.bytes.consume(*n);
        ++p.activity;
    }
    return n;
}

outcome<std::size_t> write_pipe(vfs_state& state, const pipe_end& end, user_buffers& from) {
    if (!end.writes) return os_error{EBADF};
    pipe& p = state.pipes[end.pipe];
    if (from.size() == 0) return std::size_t{0};
    if (p.readers == 0) return os_error{EPIPE};
    const std::size_t room = p.room();
    if (room == 0 || (from.size() <= pipe::atomic_size && room < from.size()))
        return os_error{EAGAIN};
    auto n = from.each(room, false, [&](std::span<std::byte> s) {
        p.bytes.append(s);
        return s.size();
    });
    if (n) ++p.activity;
    return n;
}

outcome<std::size_t> read_counter(event_counter& e, user_buffers& to) {
    if (to.size() < 8) return os_error{EINVAL};
    if (e.count == 0) return os_error{EAGAIN};
    const std::uint64_t value = e.semaphore ? 1 : e.count;
    auto n = to.put(std::as_bytes(std::span(&value, 1)));
    if (!n) return n;
    e.count -= value;
    ++e.activity;
    return std::size_t{8};
}

outcome<std::size_t> read_timer(timer_descriptor& timer,
                                std::chrono::nanoseconds now,
                                user_buffers& to) {
    if (to.size() < 8) return os_error{EINVAL};
    const std::uint64_t due = timer.due(now);
    if (due == 0) return os_error{EAGAIN};
    auto n = to.put(std::as_bytes(std::span(&due, 1)));
    if (!n) return n;
    timer.expired += due;
    if (timer.interval.count() > 0)
        *timer.deadline += timer.interval * static_cast<std::int64_t>(due);
    else
        timer.deadline.reset();
    return std::size_t{8};
}

outcome<std::size_t> write_counter(event_counter& e, user_buffers& from) {
    if (from.size() < 8) return os_error{EINVAL};
    constexpr std::uint64_t highest = ~std::uint64_t{0} - 1;  // man 2 eventfd
    std::uint64_t value = 0;
    auto n = from.take(std::as_writable_bytes(std::span(&value, 1)));
    if (!n) return n;
    if (*n < 8) return os_error{EFAULT};
    if (value > highest) return os_error{EINVAL};
    if (value > highest - e.count) return os_error{EAGAIN};
    e.count += value;
    ++e.activity;
    return std::size_t{8};
}

outcome<std::size_t> read_device(const context& c, device_kind kind, user_buffers& to) {
    if (kind == device_kind::null) return std::size_t{0};
    return to.each(max_transfer, true, [&](std::span<std::byte> s) {
        if (kind == device_kind::random)
            c.host.random(s);
        else
            std::memset(s.data(), 0, s.size());
        return s.size();
    });
}

outcome<std::size_t> write_device(device_kind kind, user_buffers& from) {
    if (kind == device_kind::full && from.size() != 0) return os_error{ENOSPC};
    const std::uint64_t n = std::min(from.size(), max_count);
    from.skip(n);
    return static_cast<std::size_t>(n);
}

outcome<std::size_t> read_stream(const context& c, stream which, user_buffers& to) {
    if (which != stream::input) return os_error{EBADF};
    if (to.size() == 0) return std::size_t{0};
    bool blocked = false;
    auto n = to.each(max_transfer, true, [&](std::span<std::byte> s) -> std::size_t {
        const auto r = c.host.read_input(s);
        blocked = r.status == host::input_status::would_block;
        return r.status == host::input_status::data ? std::min(r.length, s.size()) : 0;
    });
    if (n && *n == 0 && blocked) return os_error{EAGAIN};
    return n;
}

outcome<std::size_t> write_stream(const context& c, stream which, user_buffers& from) {
    if (which == stream::input) return os_error{EBADF};
    const std::uint64_t wanted = from.size();
    auto n = from.each(max_transfer, false, [&](std::span<std::byte> s) {
        return std::min(c.host.write_stream(which, s), s.size());
    });
    if (n && *n == 0 && wanted) return os_error{EIO};
    return n;
}

outcome<std::size_t> write_tmpfs(const context& c,
                                 description& d,
                                 const tmpfs_file& file,
                                 user_buffers& from,
                                 std::optional<std::uint64_t> offset) {
    file_pages files(c.state, c.memory);
    std::uint64_t at = offset.value_or(d.offset);
    if (d.flags & O_APPEND) at = c.state.vfs.files.attributes_of(file.inode).size;
    int failure = 0;
    const auto now = c.host.realtime_now();
    const std::uint64_t begin = at;
    auto n = from.each(max_transfer, false, [&](std::span<std::byte> s) -> std::size_t {
        auto wrote = files.write(file.inode, at, s, now);
        if (!wrote) {
            failure = wrote.error().number;
            return 0;
        }
        at += *wrote;
        return *wrote;
    });
    if (!n) return n;
    if (at == begin && failure) return os_error{failure};
    if (!offset) d.offset = at;
    return n;
}

/// One setting, at most a page of it.
outcome<std::size_t> write_text(const context& c, const text_file& file, user_buffers& from) {
    std::string given(std::min<std::size_t>(from.size(), 4096), '\0');
    auto n = from.take(std::as_writable_bytes(std::span(given)));
    if (!n) return n.error();
    given.resize(*n);
    if (auto ok = proc::write(c, file.node.inner, given); !ok) return ok.error();
    return *n;
}

}  // namespace

bool seekable(const description& d) {
    return std::holds_alternative<tree_file>(d.body) ||
           std::holds_alternative<tmpfs_file>(d.body) ||
           std::holds_alternative<text_file>(d.body) ||
           std::holds_alternative<open_directory>(d.body) || std::holds_alternative<device>(d.body);
}
bool is_stream(const description& d) {
    return std::holds_alternative<pipe_end>(d.body) || is_socket(d);
}

outcome<std::size_t> read(const context& c,
                          const filesystem& fs,
                          description& d,
                          user_buffers& to,
                          std::optional<std::uint64_t> offset) {
    if (!may_read(d)) return os_error{EBADF};
    if (offset && !seekable(d)) return os_error{ESPIPE};
    vfs_state& state = c.state.vfs;
    const std::uint64_t at = offset.value_or(d.offset);
    outcome<std::size_t> n = os_error{EINVAL};
    if (const auto* file = std::get_if<tree_file>(&d.body)) {
        const file_identity expected{file->device, file->host_inode};
        auto content = fs.content(file->node, &expected);
        if (!content) return content.error();
        n = read_backing(*content, at, to);
    } else if (const auto* tmp = std::get_if<tmpfs_file>(&d.body)) {
        std::uint64_t from = at;
        file_pages files(c.state, c.memory);
        const std::uint64_t size = state.files.attributes_of(tmp->inode).size;
        n = to.each(from < size ? std::min(size - from, max_transfer) : 0, true,
                    [&](std::span<std::byte> s) {
                        const std::size_t got = files.read(tmp->inode, from, s);
                        from += got;
                        return got;
                    });
        if (inode* node = state.files.find(tmp->inode); node && n && *n && !(d.flags & O_NOATIME))
            node->accessed = c.host.realtime_now();
    } else if (const auto* text = std::get_if<text_file>(&d.body)) {
        const std::string_view all = *text->text;
        n = to.put(std::as_bytes(std::span(all.substr(std::min<std::uint64_t>(at, all.size())))));
    } else if (std::holds_alternative<open_directory>(d.body)) {
        return os_error{EISDIR};
    } else if (const auto* end = std::get_if<pipe_end>(&d.body)) {
        return read_pipe(state, *end, to);
    } else if (auto* counter = std::get_if<event_counter>(&d.body)) {
        return read_counter(*counter, to);
    } else if (auto* timer = std::get_if<timer_descriptor>(&d.body)) {
        return read_timer(*timer, c.host.monotonic_now(), to);
    } else if (const auto* standard = std::get_if<standard_stream>(&d.body)) {
        return read_stream(c, standard->which, to);
    } else if (const auto* dev = std::get_if<device>(&d.body)) {
        return read_device(c, dev->kind, to);
    } else if (auto* socket = std::get_if<host_socket>(&d.body)) {
        auto got = outside::receive(c.host.network(), *socket, to, false);
        if (!got) return got.error();
        return got->length;
    } else if (is_socket(d)) {
        auto got = receive(state, id_of(d), to, false);
        if (!got) return got.error();
        for (const description_id sent : got->extra.rights) state.release(sent);
        return got->length;
    }
    if (n && !offset) d.offset += *n;
    return n;
}

outcome<std::size_t> write(const context& c,
                           const filesystem&,
                           description& d,
                           user_buffers& from,
                           std::optional<std::uint64_t> offset) {
    if (!may_write(d)) return os_error{EBADF};
    if (offset && !seekable(d)) return os_error{ESPIPE};
    vfs_state& state = c.state.vfs;
    if (const auto* file = std::get_if<tmpfs_file>(&d.body))
        return write_tmpfs(c, d, *file, from, offset);
    if (const auto* text = std::get_if<text_file>(&d.body)) return write_text(c, *text, from);
    if (const auto* end = std::get_if<pipe_end>(&d.body)) return write_pipe(state, *end, from);
    if (auto* counter = std::get_if<event_counter>(&d.body)) return write_counter(*counter, from);
    if (const auto* standard = std::get_if<standard_stream>(&d.body))
        return write_stream(c, standard->which, from);
    if (const auto* dev = std::get_if<device>(&d.body)) return write_device(dev->kind, from);
    if (auto* socket = std::get_if<host_socket>(&d.body))
        return outside::send(c.host.network(), *socket, from, nullptr, false);
    if (is_socket(d)) {
        send_request plain;
        return send(state, id_of(d), from, plain);
    }
    return os_error{EINVAL};
}

outcome<attributes> attributes_of(const context& c, const filesystem& fs, const description& d) {
    if (const auto* file = std::get_if<tree_file>(&d.body)) return fs.attributes_of(c, file->node);
    if (const auto* directory = std::get_if<open_directory>(&d.body))
        return fs.attributes_of(c, directory->node);
    if (const auto* place = std::get_if<path_only>(&d.body))
        return fs.attributes_of(c, place->node);
    if (const auto* text = std::get_if<text_file>(&d.body)) return fs.attributes_of(c, text->node);
    if (const auto* dev = std::get_if<device>(&d.body)) return fs.attributes_of(c, dev->node);
    if (const auto* file = std::get_if<tmpfs_file>(&d.body))
        return fs.attributes_of(c, {file->mount, {}, file->inode});
    if (const auto* end = std::get_if<pipe_end>(&d.body); end && end->fifo != inode_id::none)
        return fs.attributes_of(c, {end->mount, {}, end->fifo});
    attributes a;
    a.inode = d.serial;
    a.device = 0xd;
    a.uid = c.process.uid;
    a.gid = c.process.gid;
    a.accessed = a.modified = a.changed = a.born = c.host.realtime_now();
    if (const auto* standard = std::get_if<standard_stream>(&d.body)) {
        if (c.host.terminal_of(standard->which).is_terminal) {
            a.mode = S_IFCHR | 0620;
            a.special = makedev(136, 0);
            a.block_size = 1024;
        } else {
            a.mode = S_IFIFO | 0600;
        }
    } else if (std::holds_alternative<pipe_end>(d.body)) {
        a.mode = S_IFIFO | 0600;
    } else if (is_socket(d)) {
        a.mode = S_IFSOCK | 0777;
    } else {
        a.mode = 0600;  // an anonymous inode has no type
    }
    return a;
}

}  // namespace hearth::guest::vfs
