#include "guest/sys/file.hpp"

#include "guest/sys/files.hpp"
#include "guest/sys/timerfd.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace hearth::guest {
namespace {

using files::opened;
using vfs::guest_buffers;
using vfs::segment;

sysret read_into(task& t,
                 int fd,
                 outcome<std::vector<segment>> segments,
                 std::optional<std::uint64_t> offset,
                 bool no_wait = false) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    if (!segments) return segments.error();
    guest_buffers to(t.memory(), std::move(*segments));
    const auto* wanted = std::get_if<vfs::signal_descriptor>(&o->description->body);
    auto n = wanted && !offset
                 ? read_signals(t, wanted->mask, to)
                 : vfs::read(files::context_of(t), files::tree_of(t), *o->description, to, offset);
    if (!n && n.error().number == EAGAIN && !no_wait) return files::would_block(t, o->id, POLLIN);
    return n;
}

sysret write_from(task& t,
                  int fd,
                  outcome<std::vector<segment>> segments,
                  std::optional<std::uint64_t> offset,
                  bool no_wait = false) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    if (!segments) return segments.error();
    guest_buffers from(t.memory(), std::move(*segments));
    // A blocking write goes on after a wait where it stopped.
    std::uint64_t done = t.wait() ? t.wait()->progress : 0;
    from.skip(done);
    for (;;) {
        auto n = vfs::write(files::context_of(t), files::tree_of(t), *o->description, from, offset);
        if (!n) {
            if (n.error().number == EAGAIN && !no_wait)
                return files::would_block(t, o->id, POLLOUT, done);
            if (n.error().number == EPIPE) files::broken_pipe(t);
            if (done) return static_cast<std::int64_t>(done);
            return n.error();
        }
        done += *n;
        if (*n == 0 || from.size() == 0 || !vfs::is_stream(*o->description))
            return static_cast<std::int64_t>(done);
    }
}

/// pread's offset: EINVAL when negative.
outcome<std::uint64_t> checked(std::int64_t offset) {
    if (offset < 0) return os_error{EINVAL};
    return static_cast<std::uint64_t>(offset);
}

/// preadv2: offset -1 means the description's own.
outcome<std::optional<std::uint64_t>> checked_or_current(std::int64_t offset) {
    if (offset == -1) return std::optional<std::uint64_t>();
    auto o = checked(offset);
    if (!o) return o.error();
    return std::optional(*o);
}

constexpr int rw_flags_known = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT;

/// The size that SEEK_END and SEEK_DATA count from.
outcome<std::uint64_t> size_of(task& t, const vfs::description& d) {
    if (const auto* text = std::get_if<vfs::text_file>(&d.body)) return text->text->size();
    auto a = vfs::attributes_of(files::context_of(t), files::tree_of(t), d);
    if (!a) return a.error();
    return a->size;
}

outcome<std::uint64_t> seek_target(task& t,
                                   const vfs::description& d,
                                   std::int64_t offset,
                                   int whence) {
    const auto add = [&](std::uint64_t from) -> outcome<std::uint64_t> {
        std::int64_t sum = 0;
        if (from > static_cast<std::uint64_t>(INT64_MAX) ||
            __builtin_add_overflow(static_cast<std::int64_t>(from), offset, &sum))
            return os_error{EOVERFLOW};
        if (sum < 0) return os_error{EINVAL};
        return static_cast<std::uint64_t>(sum);
    };
    switch (whence) {
        case SEEK_SET:
            return checked(offset);
        case SEEK_CUR:
            return add(d.offset);
        case SEEK_END: {
            auto size = size_of(t, d);
            if (!size) return size.error();
            return add(*size);
        }
        case SEEK_DATA:
        case SEEK_HOLE: {
            auto size = size_of(t, d);
            if (!size) return size.error();
            if (offset < 0 || static_cast<std::uint64_t>(offset) >= *size) return os_error{ENXIO};
            const auto at = static_cast<std::uint64_t>(offset);
            const vfs::inode* node = nullptr;
            if (const auto* file = std::get_if<vfs::tmpfs_file>(&d.body))
                node = files::state_of(t).files.find(file->inode);
            const auto* content = node ? std::get_if<vfs::file_content>(&node->body) : nullptr;
            if (!content)
                return whence == SEEK_DATA ? at : *size;  // one piece of data, then the end
            if (whence == SEEK_HOLE) return content->next_hole(at);
            const auto data = content->next_data(at);
            if (!data) return os_error{ENXIO};
            return *data;
        }
        default:
            return os_error{EINVAL};
    }
}

/// Moves bytes between two descriptions through a bounded buffer of the host; stops at the first
/// short step.
outcome<std::uint64_t> copy(task& t,
                            vfs::description& in,
                            std::optional<std::uint64_t>& in_offset,
                            vfs::description& out,
                            std::optional<std::uint64_t>& out_offset,
                            std::uint64_t count) {
    std::vector<std::byte> piece(std::min<std::uint64_t>(count, 256 * 1024));
    std::uint64_t total = 0;
    // As much as one call may take of a vCPU thread's time.
    count = std::min<std::uint64_t>(count, 2u << 20);
    const auto c = files::context_of(t);
    while (total < count) {
        const std::size_t wanted = std::min<std::uint64_t>(piece.size(), count - total);
        vfs::host_buffer to({piece.data(), wanted});
        const std::uint64_t from = in_offset.value_or(in.offset);
        auto got = vfs::read(c, files::tree_of(t), in, to, from);
        if (!got) {
            if (total) break;
            return got.error();
        }
        if (*got == 0) break;
        vfs::host_buffer give({piece.data(), *got});
        auto put = vfs::write(c, files::tree_of(t), out, give, out_offset);
        if (!put) {
            if (total) break;
            return put.error();
        }
        total += *put;
        if (in_offset)
            *in_offset += *put;
        else
            in.offset += *put;
        if (out_offset) *out_offset += *put;
        if (*put < *got) break;
    }
    return total;
}

}  // namespace

sysret sys_read(task& t, int fd, guest_ptr<void> buffer, std::uint64_t count) {
    return read_into(t, fd, files::one_segment(buffer.address.value, count), {});
}
sysret sys_write(task& t, int fd, guest_ptr<const void> buffer, std::uint64_t count) {
    return write_from(t, fd, files::one_segment(buffer.address.value, count), {});
}
sysret sys_vmsplice(
    task& t, int fd, guest_ptr<const abi::iovec> iov, std::uint64_t count, unsigned flags) {
    if (flags & ~(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT))
        return sysret::error(EINVAL);
    auto o = files::find(t, fd);
    if (!o) return o.error();
    const auto* end = std::get_if<vfs::pipe_end>(&o->description->body);
    if (!end) return sysret::error(EBADF);
    const bool no_wait = flags & SPLICE_F_NONBLOCK;
    auto segments = files::read_segments(t, iov, count);
    return end->writes ? write_from(t, fd, std::move(segments), {}, no_wait)
                       : read_into(t, fd, std::move(segments), {}, no_wait);
}
sysret sys_pread64(
    task& t, int fd, guest_ptr<void> buffer, std::uint64_t count, std::int64_t offset) {
    auto at = checked(offset);
    if (!at) return at.error();
    return read_into(t, fd, files::one_segment(buffer.address.value, count), *at);
}
sysret sys_pwrite64(
    task& t, int fd, guest_ptr<const void> buffer, std::uint64_t count, std::int64_t offset) {
    auto at = checked(offset);
    if (!at) return at.error();
    return write_from(t, fd, files::one_segment(buffer.address.value, count), *at);
}
sysret sys_readv(task& t, int fd, guest_ptr<const abi::iovec> iov, std::uint64_t count) {
    return read_into(t, fd, files::read_segments(t, iov, count), {});
}
sysret sys_writev(task& t, int fd, guest_ptr<const abi::iovec> iov, std::uint64_t count) {
    return write_from(t, fd, files::read_segments(t, iov, count), {});
}
sysret sys_preadv(task& t,
                  int fd,
                  guest_ptr<const abi::iovec> iov,
                  std::uint64_t count,
                  std::int64_t offset,
                  std::uint64_t) {
    auto at = checked(offset);
    if (!at) return at.error();
    return read_into(t, fd, files::read_segments(t, iov, count), *at);
}
sysret sys_pwritev(task& t,
                   int fd,
                   guest_ptr<const abi::iovec> iov,
                   std::uint64_t count,
                   std::int64_t offset,
                   std::uint64_t) {
    auto at = checked(offset);
    if (!at) return at.error();
    return write_from(t, fd, files::read_segments(t, iov, count), *at);
}
sysret sys_preadv2(task& t,
                   int fd,
                   guest_ptr<const abi::iovec> iov,
                   std::uint64_t count,
                   std::int64_t offset,
                   std::uint64_t,
                   int flags) {
    if (flags & ~rw_flags_known) return sysret::error(EOPNOTSUPP);
    auto at = checked_or_current(offset);
    if (!at) return at.error();
    return read_into(t, fd, files::read_segments(t, iov, count), *at, flags & RWF_NOWAIT);
}
sysret sys_pwritev2(task& t,
                    int fd,
                    guest_ptr<const abi::iovec> iov,
                    std::uint64_t count,
                    std::int64_t offset,
                    std::uint64_t,
                    int flags) {
    if (flags & ~rw_flags_known) return sysret::error(EOPNOTSUPP);
    auto at = checked_or_current(offset);
    if (!at) return at.error();
    return write_from(t, fd, files::read_segments(t, iov, count), *at, flags & RWF_NOWAIT);
}

sysret sys_lseek(task& t, int fd, std::int64_t offset, int whence) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    vfs::description& d = *o->description;
    if (!vfs::seekable(d)) return sysret::error(ESPIPE);
    if (std::holds_alternative<vfs::device>(d.body)) {  // null_lseek
        d.offset = 0;
        return 0;
    }
    auto target = seek_target(t, d, offset, whence);
    if (!target) return target.error();
    d.offset = *target;
    return static_cast<std::int64_t>(*target);
}

sysret sys_sendfile(task& t, int out, int in, guest_ptr<std::int64_t> offset, std::uint64_t count) {
    auto from = files::find(t, in);
    if (!from) return from.error();
    auto to = files::find(t, out);
    if (!to) return to.error();
    if ((to->description->flags & O_ACCMODE) == O_RDONLY ||
        (from->description->flags & O_ACCMODE) == O_WRONLY)
        return sysret::error(EBADF);
    if (!vfs::seekable(*from->description) || (to->description->flags & O_APPEND))
        return sysret::error(EINVAL);
    auto at = files::read_offset(t, offset);
    if (!at) return at.error();
    std::optional<std::uint64_t> none;
    auto n =
        copy(t, *from->description, *at, *to->description, none, std::min(count, vfs::max_count));
    if (!n && n.error().number == EAGAIN) return files::would_block(t, to->id, POLLOUT);
    if (!n && n.error().number == EPIPE) files::broken_pipe(t);
    if (n && offset)
        if (auto ok = t.write(offset, static_cast<std::int64_t>(**at)); !ok) return ok.error();
    return n;
}

sysret sys_copy_file_range(task& t,
                           int in,
                           guest_ptr<std::int64_t> in_offset,
                           int out,
                           guest_ptr<std::int64_t> out_offset,
                           std::uint64_t count,
                           unsigned flags) {
    if (flags) return sysret::error(EINVAL);
    auto from = files::find(t, in);
    if (!from) return from.error();
    auto to = files::find(t, out);
    if (!to) return to.error();
    const auto regular = [](const vfs::description& d) {
        return std::holds_alternative<vfs::tree_file>(d.body) ||
               std::holds_alternative<vfs::tmpfs_file>(d.body);
    };
    for (const opened* o : {&*from, &*to})
        if (!regular(*o->description))
            return sysret::error(std::holds_alternative<vfs::open_directory>(o->description->body)
                                     ? EISDIR
                                     : EINVAL);
    if ((to->description->flags & O_ACCMODE) == O_RDONLY ||
        (from->description->flags & O_ACCMODE) == O_WRONLY || (to->description->flags & O_APPEND))
        return sysret::error(EBADF);
    auto from_offset = files::read_offset(t, in_offset);
    if (!from_offset) return from_offset.error();
    auto to_offset = files::read_offset(t, out_offset);
    if (!to_offset) return to_offset.error();
    auto &from_at = *from_offset, &to_at = *to_offset;
    // Overlapping ranges of one file are refused (man 2 copy_file_range).
    const auto* a = std::get_if<vfs::tmpfs_file>(&from->description->body);
    const auto* b = std::get_if<vfs::tmpfs_file>(&to->description->body);
    if (a && b && a->inode == b->inode) {
        const std::uint64_t x = from_at.value_or(from->description->offset),
                            y = to_at.value_or(to->description->offset);
        if ((x > y ? x - y : y - x) < count) return sysret::error(EINVAL);
    }
    auto n = copy(t, *from->description, from_at, *to->description, to_at,
                  std::min(count, vfs::max_count));
    if (!n) return n.error();
    if (in_offset)
        if (auto ok = t.write(in_offset, static_cast<std::int64_t>(*from_at)); !ok)
            return ok.error();
    if (out_offset)
        if (auto ok = t.write(out_offset, static_cast<std::int64_t>(*to_at)); !ok)
            return ok.error();
    return n;
}

sysret sys_readahead(task& t, int fd, std::int64_t, std::uint64_t) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    if ((o->description->flags & O_ACCMODE) == O_WRONLY) return sysret::error(EBADF);
    if (!std::holds_alternative<vfs::tree_file>(o->description->body) &&
        !std::holds_alternative<vfs::tmpfs_file>(o->description->body))
        return sysret::error(EINVAL);
    return 0;
}

sysret sys_fadvise64(task& t, int fd, std::int64_t, std::int64_t length, int advice) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    if (!vfs::seekable(*o->description)) return sysret::error(ESPIPE);
    if (length < 0 || advice < POSIX_FADV_NORMAL || advice > POSIX_FADV_NOREUSE)
        return sysret::error(EINVAL);
    return 0;
}

}  // namespace hearth::guest
