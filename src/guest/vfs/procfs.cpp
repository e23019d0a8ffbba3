#include "guest/vfs/procfs.hpp"

#include "guest/vfs/proc_net.hpp"
#include "guest/vfs/proc_process.hpp"
#include "guest/vfs/proc_system.hpp"

#include <fmt/format.h>

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

namespace hearth::guest::vfs::proc {
namespace {

template <class Int>
bool parse_number(std::string_view s, Int& n) {
    if (s.empty() || (s.size() > 1 && s.front() == '0')) return false;
    const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), n);
    return ec == std::errc{} && end == s.data() + s.size() && n >= 0;
}

/// Cuts the first component off.
std::string_view take_component(std::string_view& path) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string_view first = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    return first;
}

/// A path below a process's directory, or a thread's, taken apart.
struct parsed {
    subject of;
    std::string_view rest;  ///< below it; empty: the directory itself
};

/// The number of a directory of /proc: a process's, or, unlisted, a thread's.
process_state* find_process(const context& c, pid id) {
    const auto it = c.state.processes.find(id);
    if (it != c.state.processes.end()) return &it->second;
    const auto thread = c.state.tasks.find(id);
    if (thread == c.state.tasks.end()) return nullptr;
    const auto of = c.state.processes.find(thread->second.process);
    return of == c.state.processes.end() ? nullptr : &of->second;
}

std::optional<parsed> of_process(const context& c, std::string_view path) {
    pid id = 0;
    if (!parse_number(take_component(path), id)) return std::nullopt;
    process_state* const process = find_process(c, id);
    if (!process) return std::nullopt;
    parsed p{{*process, id, true}, path};
    if (!path.starts_with("task/")) return p;
    take_component(path);
    pid thread = 0;
    if (!parse_number(take_component(path), thread)) return std::nullopt;
    const auto it = c.state.tasks.find(thread);
    if (it == c.state.tasks.end() || it->second.process != process->id) return std::nullopt;
    p.of.thread = thread;
    p.of.whole = false;
    p.rest = path;
    return p;
}

constexpr std::string_view process_links[] = {"cwd", "exe", "root"};
constexpr std::string_view process_directories[] = {"fd", "fdinfo", "net", "task"};

const process_file* find_file(std::string_view path) {
    const auto it = std::ranges::find(process_files(), path, &process_file::path);
    return it == process_files().end() ? nullptr : &*it;
}

/// The descriptor that "fd/3" or "fdinfo/3" names.
const descriptor* descriptor_of(const context& c, const parsed& p) {
    std::string_view rest = p.rest;
    const std::string_view directory = take_component(rest);
    int fd = 0;
    if ((directory != "fd" && directory != "fdinfo") || !parse_number(rest, fd)) return nullptr;
    const fd_table* files = files_of(c, p.of);
    return files ? files->find(fd) : nullptr;
}

/// Whose directory "self" and "thread-self" are links to.
std::string own_directory(const context& c, bool thread) {
    return thread ? fmt::format("{}/task/{}", c.process.id, c.state.running)
                  : fmt::format("{}", c.process.id);
}

constexpr std::string_view net_prefix = "net/";

}  // namespace

outcome<attributes> lookup(const context& c, std::string_view path) {
    if (path == "self" || path == "thread-self") return made_node(S_IFLNK | 0777, path);
    if (auto fixed = vfs::lookup(system_files(), path)) return fixed;
    const auto p = of_process(c, path);
    if (!p) return os_error{ENOENT};
    const auto owned = [&](std::uint32_t mode) {
        attributes a = made_node(mode, path);
        a.uid = p->of.process.ids.euid;
        a.gid = p->of.process.ids.egid;
        return a;
    };
    if (p->rest.empty()) return owned(S_IFDIR | 0555);
    if (p->rest.starts_with(net_prefix))
        return vfs::lookup(net_files(), p->rest.substr(net_prefix.size()));
    if (std::ranges::find(process_directories, p->rest) != std::end(process_directories))
        return p->rest == "task" && !p->of.whole ? outcome<attributes>(os_error{ENOENT})
                                                 : owned(S_IFDIR | 0555);
    if (std::ranges::find(process_links, p->rest) != std::end(process_links))
        return owned(S_IFLNK | 0777);
    if (find_file(p->rest)) return owned(S_IFREG | (p->rest == "comm" ? 0644 : 0444));
    if (descriptor_of(c, *p))
        return owned(p->rest.starts_with("fd/") ? S_IFLNK | 0700 : S_IFREG | 0444);
    return os_error{ENOENT};
}

std::optional<description_id> open_file(const context& c, std::string_view path) {
    const auto p = of_process(c, path);
    const descriptor* d = p && p->rest.starts_with("fd/") ? descriptor_of(c, *p) : nullptr;
    if (!d) return std::nullopt;
    return d->description;
}

std::string shown_path(const context& c, const filesystem& fs, const description& d) {
    if (auto directory = fs.path_of(c, d)) return *directory;
    if (const auto* file = std::get_if<tmpfs_file>(&d.body)) {
        const inode* node = c.state.vfs.files.find(file->inode);
        if (node && node->links == 0 && !d.path.ends_with(" (deleted)"))
            return d.path + " (deleted)";
    }
    return d.path;
}

outcome<std::string> read_link(const context& c, const filesystem& fs, std::string_view path) {
    if (path == "self" || path == "thread-self") return own_directory(c, path != "self");
    if (vfs::lookup(system_files(), path)) return vfs::read_link(system_files(), path);
    const auto p = of_process(c, path);
    if (!p) return os_error{ENOENT};
    if (p->rest == "exe") {
        if (p->of.process.executable.empty()) return os_error{ENOENT};
        return p->of.process.executable;
    }
    if (p->rest == "cwd" || p->rest == "root") {
        const viewpoint* view = view_of(c, p->of);
        if (!view) return os_error{ENOENT};
        return p->rest == "cwd" ? view->working_directory : view->root;
    }
    if (const auto id = open_file(c, path)) {
        const description* d = c.state.vfs.find(*id);
        if (d) return shown_path(c, fs, *d);
    }
    return os_error{lookup(c, path) ? EINVAL : ENOENT};
}

outcome<std::vector<directory_entry>> list(const context& c, std::string_view path) {
    std::vector<directory_entry> out;
    const std::string prefix = path.empty() ? std::string() : std::string(path) + "/";
    // What comes and goes has cookies that follow its number: a program may close what it finds
    // while it reads.
    const auto add = [&](std::string name, std::uint8_t type, std::uint64_t cookie = 0) {
        const std::uint64_t inode = made_node(0, prefix + name).inode;
        out.push_back({std::move(name), inode, type, cookie ? cookie : out.size() + 3});
    };
    if (vfs::lookup(system_files(), path)) {
        auto fixed = vfs::list(system_files(), path);
        if (!fixed || !path.empty()) return fixed;
        out = std::move(*fixed);
        add("self", DT_LNK);
        add("thread-self", DT_LNK);
        for (const auto& [id, p] : c.state.processes)
            add(fmt::format("{}", id), DT_DIR, 1000 + static_cast<std::uint64_t>(id));
        return out;
    }
    const auto p = of_process(c, path);
    if (!p) return os_error{lookup(c, path) ? ENOTDIR : ENOENT};
    if (p->rest == "net") return vfs::list(net_files(), {});
    if (p->rest == "fd" || p->rest == "fdinfo") {
        const fd_table* files = files_of(c, p->of);
        if (!files) return out;
        for (const auto& [fd, d] : files->all())
            add(fmt::format("{}", fd), p->rest == "fd" ? DT_LNK : DT_REG,
                static_cast<std::uint64_t>(fd) + 3);
        return out;
    }
    if (p->rest == "task" && p->of.whole) {
        for (const auto& [tid, ts] : c.state.tasks)
            if (ts.process == p->of.process.id)
                add(fmt::format("{}", tid), DT_DIR, static_cast<std::uint64_t>(tid) + 3);
        return out;
    }
    if (!p->rest.empty()) return os_error{lookup(c, path) ? ENOTDIR : ENOENT};
    for (const process_file& f : process_files()) add(std::string(f.path), DT_REG);
    for (std::string_view link : process_links) add(std::string(link), DT_LNK);
    for (std::string_view directory : process_directories)
        if (directory != "task" || p->of.whole) add(std::string(directory), DT_DIR);
    return out;
}

outcome<std::string> text(const context& c, const filesystem& fs, std::string_view path) {
    if (vfs::lookup(system_files(), path)) return vfs::text(system_files(), c, path);
    const auto p = of_process(c, path);
    if (!p) return os_error{ENOENT};
    if (p->rest.starts_with(net_prefix))
        return vfs::text(net_files(), c, p->rest.substr(net_prefix.size()));
    if (const process_file* f = find_file(p->rest)) return f->make(c, fs, p->of);
    if (const descriptor* d = descriptor_of(c, *p)) {
        if (const description* open = c.state.vfs.find(d->description))
            return fmt::format("pos:\t{}\nflags:\t0{:o}\nmnt_id:\t1\n", open->offset,
                               open->flags | (d->close_on_exec ? O_CLOEXEC : 0u));
    }
    return os_error{ENOENT};
}

bool writable(const context& c, std::string_view path) {
    const auto p = of_process(c, path);
    return p && p->rest == "comm";
}

outcome<void> write(const context& c, std::string_view path, std::string_view text) {
    const auto p = of_process(c, path);
    if (!p || p->rest != "comm") return os_error{EACCES};
    const auto thread = c.state.tasks.find(p->of.thread);
    // As Linux: a process names its own threads.
    if (thread == c.state.tasks.end() || thread->second.process != c.process.id)
        return os_error{EINVAL};
    constexpr std::size_t longest = 15;
    text = text.substr(0, longest);
    thread->second.name = text.substr(0, text.find('\0'));
    return {};
}

}  // namespace hearth::guest::vfs::proc
