#include "guest/sys/splice.hpp"

#include "guest/sys/files.hpp"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hearth::guest {
namespace {

using files::opened;

constexpr unsigned known_flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;

bool may_read(const opened& o) { return (o.description->flags & O_ACCMODE) != O_WRONLY; }
bool may_write(const opened& o) { return (o.description->flags & O_ACCMODE) != O_RDONLY; }

/// The pipe that a descriptor is an end of; null: it is something else.
vfs::pipe* pipe_of(task& t, const opened& o) {
    const auto* end = std::get_if<vfs::pipe_end>(&o.description->body);
    return end ? &files::state_of(t).pipes.at(end->pipe) : nullptr;
}

sysret wait_for_room(task& t, const opened& o, bool no_wait) {
    return no_wait ? sysret::error(EAGAIN) : files::would_block(t, o.id, POLLOUT);
}
/// Of a pipe that holds nothing.
sysret wait_for_bytes(task& t, const opened& o, const vfs::pipe& from, bool no_wait) {
    if (from.writers == 0) return 0;
    return no_wait ? sysret::error(EAGAIN) : files::would_block(t, o.id, POLLIN);
}
sysret nobody_reads(task& t) {
    files::broken_pipe(t);
    return sysret::error(EPIPE);
}

sysret out_of_pipe(task& t,
                   const opened& in,
                   vfs::pipe& from,
                   const opened& out,
                   std::optional<std::uint64_t>& offset,
                   std::uint64_t count,
                   bool no_wait) {
    if (from.bytes.empty()) return wait_for_bytes(t, in, from, no_wait);
    // The description it goes to is another's, so the bytes stay where they are meanwhile.
    std::string bytes(from.bytes.view().substr(0, count));
    vfs::host_buffer buffer(std::as_writable_bytes(std::span(bytes)));
    auto n = vfs::write(files::context_of(t), files::tree_of(t), *out.description, buffer, offset);
    if (!n && n.error().number == EAGAIN) return wait_for_room(t, out, no_wait);
    if (!n && n.error().number == EPIPE) return nobody_reads(t);
    if (!n) return n.error();
    from.bytes.consume(*n);
    ++from.activity;
    if (offset) *offset += *n;
    return static_cast<std::int64_t>(*n);
}

sysret into_pipe(task& t,
                 const opened& in,
                 std::optional<std::uint64_t>& offset,
                 const opened& out,
                 vfs::pipe& to,
                 std::uint64_t count,
                 bool no_wait) {
    if (to.readers == 0) return nobody_reads(t);
    if (to.room() == 0) return wait_for_room(t, out, no_wait);
    std::vector<std::byte> bytes(std::min<std::uint64_t>(count, to.room()));
    vfs::host_buffer buffer(bytes);
    auto n = vfs::read(files::context_of(t), files::tree_of(t), *in.description, buffer, offset);
    if (!n && n.error().number == EAGAIN && !no_wait) return files::would_block(t, in.id, POLLIN);
    if (!n) return n.error();
    to.bytes.append(std::span(bytes).first(*n));
    ++to.activity;
    if (offset) *offset += *n;
    return static_cast<std::int64_t>(*n);
}

}  // namespace

sysret sys_splice(task& t,
                  int in_fd,
                  guest_ptr<std::int64_t> in_offset,
                  int out_fd,
                  guest_ptr<std::int64_t> out_offset,
                  std::uint64_t count,
                  unsigned flags) {
    if (count == 0) return 0;
    if (flags & ~known_flags) return sysret::error(EINVAL);
    const auto in = files::find(t, in_fd);
    if (!in) return in.error();
    const auto out = files::find(t, out_fd);
    if (!out) return out.error();
    if (!may_read(*in) || !may_write(*out)) return sysret::error(EBADF);
    vfs::pipe* const from = pipe_of(t, *in);
    vfs::pipe* const to = pipe_of(t, *out);
    if ((from && in_offset) || (to && out_offset)) return sysret::error(ESPIPE);
    if ((!from && !to) || from == to) return sysret::error(EINVAL);
    if ((in_offset && !vfs::seekable(*in->description)) ||
        (out_offset && !vfs::seekable(*out->description)) || (out->description->flags & O_APPEND))
        return sysret::error(EINVAL);
    auto at = files::read_offset(t, from ? out_offset : in_offset);
    if (!at) return at.error();
    const bool no_wait = flags & SPLICE_F_NONBLOCK;
    count = std::min<std::uint64_t>(count, vfs::pipe::max_capacity);
    auto n = from ? out_of_pipe(t, *in, *from, *out, *at, count, no_wait)
                  : into_pipe(t, *in, *at, *out, *to, count, no_wait);
    if (*at && n.what() == sysret::kind::value && n.value() >= 0)
        if (auto ok = t.write(from ? out_offset : in_offset, static_cast<std::int64_t>(**at)); !ok)
            return ok.error();
    return n;
}

sysret sys_tee(task& t, int in_fd, int out_fd, std::uint64_t count, unsigned flags) {
    if (flags & ~known_flags) return sysret::error(EINVAL);
    if (count == 0) return 0;
    const auto in = files::find(t, in_fd);
    if (!in) return in.error();
    const auto out = files::find(t, out_fd);
    if (!out) return out.error();
    if (!may_read(*in) || !may_write(*out)) return sysret::error(EBADF);
    vfs::pipe* const from = pipe_of(t, *in);
    vfs::pipe* const to = pipe_of(t, *out);
    if (!from || !to || from == to) return sysret::error(EINVAL);
    const bool no_wait = flags & SPLICE_F_NONBLOCK;
    if (to->readers == 0) return nobody_reads(t);
    if (from->bytes.empty()) return wait_for_bytes(t, *in, *from, no_wait);
    if (to->room() == 0) return wait_for_room(t, *out, no_wait);
    const auto bytes = from->bytes.view().substr(0, std::min<std::uint64_t>(count, to->room()));
    to->bytes.append(std::as_bytes(std::span(bytes)));
    ++to->activity;
    return static_cast<std::int64_t>(bytes.size());
}

}  // namespace hearth::guest
