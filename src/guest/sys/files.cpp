#include "guest/sys/files.hpp"

#include "guest/abi/process.hpp"
#include "guest/abi/signal.hpp"
#include "guest/sys/time.hpp"
#include "guest/vfs/file_locks.hpp"
#include "guest/vfs/socket.hpp"
#include "vmm/x86_64/layout.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

namespace hearth::guest::files {

outcome<opened> find(task& t, int fd, bool path_only_too) {
    opened o;
    o.descriptor = t.files().find(fd);
    if (!o.descriptor) return os_error{EBADF};
    o.id = o.descriptor->description;
    o.description = state_of(t).find(o.id);
    if (!o.description) return os_error{EBADF};
    if (!path_only_too && (o.description->flags & O_PATH)) return os_error{EBADF};
    return o;
}

outcome<opened> find_socket(task& t, int fd) {
    auto o = find(t, fd);
    if (!o) return o.error();
    if (!vfs::is_socket(*o->description)) return os_error{ENOTSOCK};
    return o;
}

int descriptor_limit(task& t) {
    const auto& limits = t.process().limits;
    const auto it = limits.find(abi::rlimit_nofile);
    if (it == limits.end()) return vfs::max_descriptors;
    return static_cast<int>(std::min<std::uint64_t>(it->second.first, vfs::max_descriptors));
}

outcome<void> check_free_descriptor(task& t) {
    vfs::fd_table& table = t.files();
    const auto fd = table.insert({});
    if (!fd) return fd.error();
    table.remove(*fd);
    if (*fd >= descriptor_limit(t)) return os_error{EMFILE};
    return {};
}

outcome<int> install(task& t, description_id id, bool close_on_exec, int from) {
    auto fd = t.files().insert({id, close_on_exec}, from);
    if (fd && *fd >= descriptor_limit(t)) {
        t.files().remove(*fd);
        fd = os_error{EMFILE};
    }
    if (!fd) state_of(t).release(id);
    return fd;
}

sysret install_pair(task& t,
                    description_id first,
                    description_id second,
                    bool close_on_exec,
                    guest_ptr<int[2]> fds) {
    const auto a = install(t, first, close_on_exec);
    if (!a) {
        state_of(t).release(second);
        return a.error();
    }
    const auto b = install(t, second, close_on_exec);
    if (!b) {
        close_descriptor(t, *a);
        return b.error();
    }
    const std::array<int, 2> both{*a, *b};
    if (auto ok = t.memory().write(fds.address, std::as_bytes(std::span(both))); !ok) {
        close_descriptor(t, *a);
        close_descriptor(t, *b);
        return ok.error();
    }
    return 0;
}

void close_descriptor(task& t, int fd) {
    const auto gone = t.files().remove(fd);
    if (!gone) return;
    vfs::vfs_state& state = state_of(t);
    if (!state.locks.empty()) {
        if (const auto* d = state.find(gone->description))
            vfs::forget_records(state, t.state().files, *d);
        t.kernel().contend();  // somebody may have waited for one
    }
    state.release(gone->description);
}

outcome<std::string> base_of(task& t, int directory, std::string_view path) {
    if (path.starts_with('/')) return std::string("/");
    if (directory == AT_FDCWD) return t.view().working_directory;
    auto o = find(t, directory, true);
    if (!o) return o.error();
    auto base = tree_of(t).path_of(context_of(t), *o->description);
    if (!base) return base.error();
    if (const auto* place = std::get_if<vfs::path_only>(&o->description->body)) {
        auto attr = tree_of(t).attributes_of(context_of(t), place->node);
        if (!attr || !attr->is_directory()) return os_error{ENOTDIR};
    }
    return base;
}

outcome<place> find_place(task& t, int directory, guest_ptr<const char> path, int how) {
    auto name = t.read_path(path);
    if (!name) return name.error();
    place p;
    if (name->empty() && (how & empty_path)) {
        if (directory == AT_FDCWD) {
            auto l = tree_of(t).at(context_of(t), t.view().working_directory);
            if (!l) return l.error();
            p.location = std::move(*l);
            p.attr = p.location.attr;
            return p;
        }
        auto o = find(t, directory, true);
        if (!o) return o.error();
        auto attr = vfs::attributes_of(context_of(t), tree_of(t), *o->description);
        if (!attr) return attr.error();
        p.is_open = true;
        p.open = *o;
        p.attr = *attr;
        return p;
    }
    auto base = base_of(t, directory, *name);
    if (!base) return base.error();
    auto l = tree_of(t).resolve(
        context_of(t), *base, *name,
        how & no_follow ? vfs::filesystem::last::no_follow : vfs::filesystem::last::follow);
    if (!l) return l.error();
    if (l->what == vfs::location::kind::open_file) {  // /proc/self/fd/N, followed
        p.is_open = true;
        p.open.id = l->open_file;
        p.open.description = state_of(t).find(l->open_file);
        if (!p.open.description) return os_error{ENOENT};
        auto attr = vfs::attributes_of(context_of(t), tree_of(t), *p.open.description);
        if (!attr) return attr.error();
        p.attr = *attr;
        return p;
    }
    p.attr = l->attr;
    p.location = std::move(*l);
    return p;
}

outcome<vfs::inode_id> changeable(task& t, const vfs::location& l) {
    if (l.what != vfs::location::kind::node) return os_error{EROFS};
    switch (tree_of(t).mount_of(l.node).what) {
        case vfs::mount::kind::tree:
            return os_error{EROFS};
        case vfs::mount::kind::proc:
        case vfs::mount::kind::sys:
        case vfs::mount::kind::cgroup:
            return os_error{EPERM};
        case vfs::mount::kind::tmpfs:
            break;
    }
    return l.node.inode;
}

outcome<vfs::inode_id> changeable(task& t, const vfs::description& d) {
    if (const auto* file = std::get_if<vfs::tmpfs_file>(&d.body)) return file->inode;
    if (const auto* end = std::get_if<vfs::pipe_end>(&d.body);
        end && end->fifo != vfs::inode_id::none)
        return end->fifo;
    const vfs::tree_node* node = nullptr;
    if (const auto* directory = std::get_if<vfs::open_directory>(&d.body)) node = &directory->node;
    if (const auto* place = std::get_if<vfs::path_only>(&d.body)) node = &place->node;
    if (node && node->inode != vfs::inode_id::none) return node->inode;
    if (node || std::holds_alternative<vfs::tree_file>(d.body) ||
        std::holds_alternative<vfs::device>(d.body))
        return os_error{EROFS};
    static_cast<void>(t);
    return os_error{EPERM};
}

outcome<vfs::inode_id> changeable(task& t, const place& p) {
    return p.is_open ? changeable(t, *p.open.description) : changeable(t, p.location);
}

outcome<entry> find_entry(task& t, int directory, guest_ptr<const char> path) {
    auto name = t.read_path(path);
    if (!name) return name.error();
    auto base = base_of(t, directory, *name);
    if (!base) return base.error();
    auto w = tree_of(t).walk(context_of(t), *base, *name, vfs::filesystem::last::no_follow);
    if (!w) return w.error();
    auto d = tree_of(t).at(context_of(t), w->directory);
    if (!d) return d.error();
    if (!d->attr.is_directory()) return os_error{ENOTDIR};
    return entry{std::move(*w), std::move(*d)};
}

outcome<vfs::inode_id> changeable_directory(task& t, const entry& e) {
    if (!tree_of(t).writable(e.directory)) {
        const bool made = e.directory.what == vfs::location::kind::node &&
                          tree_of(t).mount_of(e.directory.node).is_made();
        return os_error{made ? EPERM : EROFS};
    }
    return e.directory.node.inode;
}

outcome<std::optional<std::uint64_t>> read_offset(task& t, guest_ptr<std::int64_t> from) {
    if (!from) return std::optional<std::uint64_t>();
    const auto value = t.read(from);
    if (!value) return value.error();
    if (*value < 0) return os_error{EINVAL};
    return std::optional(static_cast<std::uint64_t>(*value));
}

outcome<std::vector<vfs::segment>> one_segment(std::uint64_t address, std::uint64_t length) {
    length = std::min(length, vfs::max_count);
    const std::uint64_t end = vmm::layout::system_area.value;
    // access_ok: the whole range, before anything happens.
    if (address > end || length > end - address) return os_error{EFAULT};
    return std::vector<vfs::segment>{{gva{address}, length}};
}

outcome<std::vector<vfs::segment>> read_segments(task& t,
                                                 guest_ptr<const abi::iovec> iov,
                                                 std::uint64_t count) {
    std::vector<vfs::segment> out;
    if (count > abi::iov_max) return os_error{EINVAL};
    if (count == 0) return out;
    std::vector<abi::iovec> raw(count);
    if (auto ok = t.memory().read(iov.address, std::as_writable_bytes(std::span(raw))); !ok)
        return ok.error();
    std::uint64_t left = vfs::max_count;
    for (const abi::iovec& v : raw) {
        if (v.length > static_cast<std::uint64_t>(INT64_MAX)) return os_error{EINVAL};
        const std::uint64_t n = std::min(v.length, left);
        auto one = one_segment(v.base, n);
        if (!one) return one.error();
        out.push_back(one->front());
        left -= n;
    }
    return out;
}

sysret would_block(task& t,
                   description_id id,
                   short events,
                   std::uint64_t progress,
                   std::optional<std::chrono::nanoseconds> timeout) {
    const vfs::description* d = state_of(t).find(id);
    if (!d || (d->flags & O_NONBLOCK))
        return progress ? sysret(static_cast<std::int64_t>(progress)) : sysret::error(EAGAIN);
    if (t.interrupted() && progress) return static_cast<std::int64_t>(progress);
    wait_state wait;
    wait.watches.push_back({id, events});
    wait.progress = progress;
    if (const wait_state* before = t.wait())
        wait.deadline = before->deadline;
    else if (timeout)
        wait.deadline = deadline_after(t.kernel().host().monotonic_now(), *timeout);
    if (wait.deadline && t.kernel().host().monotonic_now() >= *wait.deadline)
        return progress ? sysret(static_cast<std::int64_t>(progress)) : sysret::error(EAGAIN);
    return sysret::park(std::move(wait));
}

sysret wait_for(task&, description_id id, short events) {
    wait_state wait;
    wait.watches.push_back({id, events});
    return sysret::park(std::move(wait));
}

std::optional<std::chrono::nanoseconds> time_limit(const vfs::description& d, int option) {
    const auto it = d.socket_options.find({SOL_SOCKET, option});
    if (it == d.socket_options.end() || it->second == 0) return std::nullopt;
    return std::chrono::microseconds(it->second);
}

void broken_pipe(task& t) {
    signal_info info;
    info.number = abi::sigpipe;
    info.code = abi::si_kernel;
    info.sender_pid = t.process().id;
    t.kernel().post_signal(t.state(), info);
}

std::chrono::nanoseconds now_of(task& t) { return t.kernel().host().realtime_now(); }

}  // namespace hearth::guest::files
