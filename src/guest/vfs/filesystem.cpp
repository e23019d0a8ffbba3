#include "guest/vfs/filesystem.hpp"

#include "guest/vfs/file_pages.hpp"
#include "guest/vfs/procfs.hpp"
#include "guest/vfs/sysfs.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>

namespace hearth::guest::vfs {
namespace {

constexpr std::size_t path_max = 4096;
constexpr int max_links = 40;  // MAXSYMLINKS

bool is_prefix(std::string_view point, std::string_view path) {
    if (point == "/") return true;
    return path.starts_with(point) && (path.size() == point.size() || path[point.size()] == '/');
}

/// What follows a mount point in a path it is a prefix of.
std::string_view below(std::string_view point, std::string_view path) {
    if (point != "/") path.remove_prefix(point.size());
    if (path.starts_with('/')) path.remove_prefix(1);
    return path;
}

attributes implied_directory() {
    attributes a;
    a.mode = S_IFDIR | 0755;
    a.links = 2;
    a.inode = 1;
    a.size = 4096;
    return a;
}

void push_components(std::deque<std::string>& pending, std::string_view path) {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < path.size();) {
        const std::size_t slash = std::min(path.find('/', i), path.size());
        if (slash > i) parts.emplace_back(path.substr(i, slash - i));
        i = slash + 1;
    }
    pending.insert(pending.begin(), std::make_move_iterator(parts.begin()),
                   std::make_move_iterator(parts.end()));
}

}  // namespace

std::string_view mount::type() const noexcept {
    switch (what) {
        case kind::tmpfs:
            return "tmpfs";
        case kind::proc:
            return "proc";
        case kind::sys:
            return "sysfs";
        case kind::cgroup:
            return "cgroup2";
        case kind::tree:
            break;
    }
    return "hearth";
}

std::uint64_t device_of_mount(std::uint32_t mount) { return 0x100 + mount; }

std::string join(std::string_view directory, std::string_view name) {
    std::string out(directory);
    if (out != "/") out += '/';
    out += name;
    return out;
}

std::string seen_from(std::string_view root, std::string_view canonical) {
    if (!is_prefix(root, canonical)) return "(unreachable)" + std::string(canonical);
    return "/" + std::string(below(root, canonical));
}

std::string shown_from(std::string_view root, std::string_view canonical) {
    return is_prefix(root, canonical) ? seen_from(root, canonical) : std::string(canonical);
}

std::string_view parent_path(std::string_view canonical) {
    const auto slash = canonical.rfind('/');
    return slash == 0 || slash == std::string_view::npos ? std::string_view("/")
                                                         : canonical.substr(0, slash);
}

result<std::shared_ptr<filesystem>> filesystem::create(filesystem_options options) {
    std::shared_ptr<filesystem> fs(new filesystem);
    fs->mounts_ = std::move(options.mounts);
    // Longest point first, so the first prefix found is the one.
    std::stable_sort(fs->mounts_.begin(), fs->mounts_.end(), [](const mount& a, const mount& b) {
        return a.point.size() > b.point.size();
    });
    std::uint32_t roots = 0;
    bool has_root = false;
    for (std::size_t i = 0; i < fs->mounts_.size(); ++i) {
        const mount& m = fs->mounts_[i];
        if (m.point.empty() || m.point.front() != '/' ||
            (m.point.size() > 1 && m.point.back() == '/'))
            return error{errc::invalid_argument, "not a canonical mount point: " + m.point};
        if (m.what == mount::kind::tree && !m.tree)
            return error{errc::invalid_argument, "nothing to mount at " + m.point};
        for (std::size_t j = 0; j < i; ++j)
            if (fs->mounts_[j].point == m.point)
                return error{errc::invalid_argument, "two mounts at " + m.point};
        has_root = has_root || m.point == "/";
        fs->root_number_.push_back(m.what == mount::kind::tmpfs ? roots++ : 0);
    }
    if (!has_root) return error{errc::invalid_argument, "nothing is mounted at /"};
    mount& memory = fs->mounts_.emplace_back();
    memory.what = mount::kind::tmpfs;
    options.mounts.clear();
    fs->options_ = std::move(options);
    return fs;
}

vfs_state filesystem::initial_state(std::chrono::nanoseconds now) const {
    vfs_state state;
    state.files = tmpfs(options_.tmp_size.bytes(), options_.tmp_inodes);
    for (const mount& m : mounts())
        if (m.what == mount::kind::tmpfs)
            state.roots.push_back(state.files.add_root(m.permissions, now));
    return state;
}

std::uint32_t filesystem::mount_at(std::string_view canonical) const {
    std::uint32_t i = 0;
    while (!is_prefix(mounts_[i].point, canonical)) ++i;  // "/" is there: ends
    return i;
}

bool filesystem::above_a_mount(std::string_view canonical) const {
    return std::ranges::any_of(mounts(), [&](const mount& m) {
        return m.point.size() > canonical.size() && is_prefix(canonical, m.point);
    });
}

outcome<location> filesystem::at(const context& c, std::string_view canonical) const {
    location l;
    l.path = std::string(canonical);
    l.node.mount = mount_at(canonical);
    const mount& m = mounts_[l.node.mount];
    const std::string_view inner = below(m.point, canonical);
    outcome<attributes> found = os_error{ENOENT};
    switch (m.what) {
        case mount::kind::tree:
            l.node.inner = std::string(inner);
            found = m.tree->lookup(inner);
            break;
        case mount::kind::proc:
            l.node.inner = std::string(inner);
            found = proc::lookup(c, inner);
            break;
        case mount::kind::sys:
        case mount::kind::cgroup:
            l.node.inner = std::string(inner);
            found = lookup(made_files_of(m.what), inner);
            break;
        case mount::kind::tmpfs: {
            inode_id inode = c.state.vfs.roots[root_number_[l.node.mount]];
            outcome<inode_id> next = inode;
            for (std::size_t i = 0; next && i < inner.size();) {
                const std::size_t slash = std::min(inner.find('/', i), inner.size());
                next = c.state.vfs.files.lookup(inode, inner.substr(i, slash - i));
                if (next) inode = *next;
                i = slash + 1;
            }
            l.node.inode = inode;
            if (next)
                found = c.state.vfs.files.attributes_of(inode);
            else
                found = next.error();
            break;
        }
    }
    // A directory that leads to a mount point stands even if its tree has something else there.
    if ((!found || !found->is_directory()) && above_a_mount(canonical)) {
        l.what = location::kind::implied;
        found = implied_directory();
    }
    if (!found) return found.error();
    l.attr = *found;
    if (l.attr.device == 0) l.attr.device = device_of_mount(l.node.mount);
    return l;
}

outcome<walked> filesystem::walk(const context& c,
                                 std::string_view base,
                                 std::string_view path,
                                 last l) const {
    if (path.empty()) return os_error{ENOENT};
    if (path.size() >= path_max) return os_error{ENAMETOOLONG};
    walked w;
    std::string current(path.front() == '/' ? std::string_view(c.view.root) : base);
    w.must_be_directory = path.back() == '/';
    std::deque<std::string> pending;
    push_components(pending, path);
    if (pending.empty()) {  // "/", "///"
        auto root = at(c, current);
        if (!root) return root.error();
        w.directory = current;
        w.found = true;
        w.child = std::move(*root);
        return w;
    }
    int links = 0;
    for (;;) {
        const std::string name = std::move(pending.front());
        pending.pop_front();
        const bool is_last = pending.empty();
        if (name.size() > max_name_length) return os_error{ENAMETOOLONG};
        if (name == "." || name == "..") {
            if (name == ".." && current != c.view.root) current = std::string(parent_path(current));
            if (!is_last) continue;
            auto here = at(c, current);
            if (!here) return here.error();
            w.directory = current;
            w.name = name;
            w.found = true;
            w.child = std::move(*here);
            return w;
        }
        std::string next = join(current, name);
        if (next.size() >= path_max) return os_error{ENAMETOOLONG};
        auto here = at(c, next);
        if (!here) {
            if (here.error().number != ENOENT || !is_last) return here.error();
            w.directory = current;
            w.name = name;
            return w;
        }
        if (here->attr.is_symlink() && (!is_last || l == last::follow || w.must_be_directory)) {
            if (++links > max_links) return os_error{ELOOP};
            const bool in_proc = mounts_[here->node.mount].what == mount::kind::proc;
            if (in_proc) {
                if (const auto open = proc::open_file(c, here->node.inner)) {
                    const description* d = c.state.vfs.find(*open);
                    if (!d) return os_error{ENOENT};
                    if (auto directory = path_of(c, *d); directory && !is_last) {
                        current = *directory;
                        continue;
                    } else if (directory) {
                        auto there = at(c, *directory);
                        if (!there) return there.error();
                        // A place known by path only is opened anew by it.
                        if (std::holds_alternative<open_directory>(d->body)) {
                            w.directory = std::string(parent_path(*directory));
                            w.found = true;
                            w.child = std::move(*there);
                            return w;
                        }
                    }
                    if (!is_last) return os_error{ENOTDIR};
                    w.directory = current;
                    w.name = name;
                    w.found = true;
                    w.child = std::move(*here);
                    w.child.what = location::kind::open_file;
                    w.child.open_file = *open;
                    return w;
                }
            }
            auto target = read_link(c, *here);
            if (!target) return target.error();
            if (target->empty()) return os_error{ENOENT};
            if (is_last && target->back() == '/') w.must_be_directory = true;
            // Those of /proc lead to where they lead, whatever its root is.
            if (target->front() == '/') current = in_proc ? "/" : c.view.root;
            push_components(pending, *target);
            // A chain of links may grow what is pending; the sum is bounded like a path.
            if (pending.size() > path_max) return os_error{ENAMETOOLONG};
            if (pending.empty()) pending.emplace_back(".");
            continue;
        }
        if (is_last) {
            if (w.must_be_directory && !here->attr.is_directory()) return os_error{ENOTDIR};
            w.directory = current;
            w.name = name;
            w.found = true;
            w.child = std::move(*here);
            return w;
        }
        if (!here->attr.is_directory()) return os_error{ENOTDIR};
        current = std::move(next);
    }
}

outcome<location> filesystem::resolve(const context& c,
                                      std::string_view base,
                                      std::string_view path,
                                      last l) const {
    // The common case costs one lookup: a canonical path without symlinks on a tree that can tell
    // so.
    if (!path.empty() && path.size() < path_max && path.back() != '/' &&
        path.find("//") == std::string_view::npos && path.find("/.") == std::string_view::npos &&
        path.front() != '.') {
        const std::string& root = c.view.root;
        const std::string full = path.front() != '/' ? join(base, path)
                                 : root == "/"       ? std::string(path)
                                                     : root + std::string(path);
        const mount& m = mounts_[mount_at(full)];
        const bool long_name = full.size() >= path_max;
        if (m.what == mount::kind::tree && m.tree->walks_whole_paths() && !long_name) {
            auto there = at(c, full);
            if (!there && there.error().number != ELOOP) return there.error();
            if (there && (l == last::no_follow || !there->attr.is_symlink())) return there;
        }
    }
    auto w = walk(c, base, path, l);
    if (!w) return w.error();
    if (!w->found) return os_error{ENOENT};
    return std::move(w->child);
}

bool filesystem::writable(const location& l) const {
    return l.what == location::kind::node && mounts_[l.node.mount].what == mount::kind::tmpfs;
}

outcome<attributes> filesystem::attributes_of(const context& c, const tree_node& node) const {
    const mount& m = mounts_[node.mount];
    outcome<attributes> a = os_error{ENOENT};
    switch (m.what) {
        case mount::kind::tree:
            a = m.tree->lookup(node.inner);
            break;
        case mount::kind::proc:
            a = proc::lookup(c, node.inner);
            break;
        case mount::kind::sys:
        case mount::kind::cgroup:
            a = lookup(made_files_of(m.what), node.inner);
            break;
        case mount::kind::tmpfs:
            if (c.state.vfs.files.find(node.inode)) a = c.state.vfs.files.attributes_of(node.inode);
            break;
    }
    if (!a) {
        // An implied directory has no node of its own.
        if (m.what == mount::kind::tree && above_a_mount(join(m.point, node.inner)))
            a = implied_directory();
        else
            return a.error();
    }
    if (a->device == 0) a->device = device_of_mount(node.mount);
    return a;
}

outcome<std::string> filesystem::read_link(const context& c, const location& l) const {
    if (l.what == location::kind::implied) return os_error{EINVAL};
    const mount& m = mounts_[l.node.mount];
    switch (m.what) {
        case mount::kind::tree:
            return m.tree->read_link(l.node.inner);
        case mount::kind::proc:
            return proc::read_link(c, *this, l.node.inner);
        case mount::kind::sys:
        case mount::kind::cgroup:
            return vfs::read_link(made_files_of(m.what), l.node.inner);
        case mount::kind::tmpfs:
            break;
    }
    const inode* node = c.state.vfs.files.find(l.node.inode);
    const auto* body = node ? std::get_if<symlink_body>(&node->body) : nullptr;
    if (!body) return os_error{EINVAL};
    return body->target;
}

outcome<void> filesystem::list(const context& c,
                               const std::string& canonical,
                               std::uint64_t cookie,
                               const std::function<bool(const directory_entry&)>& give) const {
    auto here = at(c, canonical);
    if (!here) return here.error();
    if (!here->attr.is_directory()) return os_error{ENOTDIR};
    if (cookie < 1 && !give({".", here->attr.inode, DT_DIR, 1})) return {};
    if (cookie < 2) {
        auto up = at(c, parent_path(canonical));
        if (!give({"..", up ? up->attr.inode : here->attr.inode, DT_DIR, 2})) return {};
    }
    // Mount points in this directory that its tree does not know, with cookies above all others.
    constexpr std::uint64_t mount_cookies = std::uint64_t{1} << 40;
    std::vector<std::string> extra;
    for (const mount& m : mounts()) {
        if (m.point.size() <= canonical.size() || !is_prefix(canonical, m.point)) continue;
        const std::string_view rest = below(canonical, m.point);
        std::string name(rest.substr(0, rest.find('/')));
        if (std::find(extra.begin(), extra.end(), name) == extra.end())
            extra.push_back(std::move(name));
    }
    const auto is_extra = [&](std::string_view name) {
        return std::find(extra.begin(), extra.end(), name) != extra.end();
    };
    const mount& m = mounts_[here->node.mount];
    bool more = true;
    if (here->what == location::kind::node && cookie < mount_cookies) {
        if (m.what == mount::kind::tmpfs) {
            const inode* node = c.state.vfs.files.find(here->node.inode);
            const auto& body = std::get<directory_body>(node->body);
            for (auto it = body.order.upper_bound(cookie); more && it != body.order.end(); ++it) {
                if (is_extra(it->second)) continue;
                const inode_id id = body.names.find(it->second)->second.inode;
                const attributes a = c.state.vfs.files.attributes_of(id);
                more = give(
                    {it->second, a.inode, static_cast<std::uint8_t>(IFTODT(a.mode)), it->first});
            }
        } else {
            const auto each = [&](const std::vector<directory_entry>& entries) {
                for (const directory_entry& e : entries) {
                    if (e.cookie <= cookie || is_extra(e.name)) continue;
                    if (!(more = give(e))) return;
                }
            };
            if (m.is_made()) {
                auto entries = m.what == mount::kind::proc
                                   ? proc::list(c, here->node.inner)
                                   : vfs::list(made_files_of(m.what), here->node.inner);
                if (!entries) return entries.error();
                each(*entries);
            } else {
                auto entries = m.tree->list(here->node.inner, cookie > 0);
                if (!entries) return entries.error();
                each(**entries);
            }
        }
    }
    for (std::size_t i = 0; more && i < extra.size(); ++i) {
        if (mount_cookies + i <= cookie) continue;
        auto there = at(c, join(canonical, extra[i]));
        more = give({extra[i], there ? there->attr.inode : 1, DT_DIR, mount_cookies + i});
    }
    return {};
}

outcome<mm::file_backing> filesystem::content(const tree_node& node,
                                              const file_identity* expected) const {
    const mount& m = mounts_[node.mount];
    if (m.what != mount::kind::tree) return os_error{EINVAL};
    return m.tree->content(node.inner, expected);
}

outcome<void> filesystem::access(const context& c, const location& l, int mode) const {
    if (mode & ~(R_OK | W_OK | X_OK)) return os_error{EINVAL};
    if (l.what != location::kind::node) {
        // An open description: by its mode bits; an implied directory: anything but writing.
        if ((mode & W_OK) && l.what == location::kind::implied) return os_error{EROFS};
        return {};
    }
    const mount& m = mounts_[l.node.mount];
    const bool plain = l.attr.is_regular() || l.attr.is_directory() || l.attr.is_symlink();
    if ((mode & W_OK) && m.what == mount::kind::tree && plain) return os_error{EROFS};
    if (m.what == mount::kind::tree)
        return mode ? m.tree->access(l.node.inner, mode) : outcome<void>();
    if ((mode & X_OK) && l.attr.is_regular() && !(l.attr.mode & 0111)) return os_error{EACCES};
    if ((mode & W_OK) && m.is_made() && !(l.attr.mode & 0222)) return os_error{EACCES};
    static_cast<void>(c);
    return {};
}

outcome<std::string> filesystem::path_of(const context& c, const description& d) const {
    const tree_node* node = nullptr;
    if (const auto* directory = std::get_if<open_directory>(&d.body)) node = &directory->node;
    if (const auto* place = std::get_if<path_only>(&d.body)) node = &place->node;
    if (!node) return os_error{ENOTDIR};
    if (node->inode == inode_id::none) return d.path;
    const inode* in = c.state.vfs.files.find(node->inode);
    if (!in) return os_error{ENOENT};
    if (!std::holds_alternative<directory_body>(in->body)) return d.path;
    auto inner = c.state.vfs.files.path_of(node->inode);
    if (!inner) return inner.error();
    const std::string& point = mounts_[node->mount].point;
    if (inner->empty()) return point;
    return point == "/" ? *inner : point + *inner;
}

outcome<mm::file_backing> filesystem::open_program(const context& c, std::string_view path) const {
    auto l = resolve(c, c.view.working_directory, path);
    if (!l) return l.error();
    if (l->what == location::kind::open_file) {
        // /proc/self/fd/N: fexecve, by what the descriptor stands for and not by its name.
        const description* d = c.state.vfs.find(l->open_file);
        if (!d) return os_error{EACCES};
        if (const auto* file = std::get_if<tmpfs_file>(&d->body))
            l->node = {file->mount, {}, file->inode};
        else if (const auto* in_tree = std::get_if<tree_file>(&d->body))
            l->node = in_tree->node;
        else if (const auto* place = std::get_if<path_only>(&d->body))
            l->node = place->node;
        else
            return os_error{EACCES};
        auto attr = attributes_of(c, l->node);
        if (!attr) return attr.error();
        l->path = d->path;
        l->attr = *attr;
        l->what = location::kind::node;
    }
    if (l->what != location::kind::node || !l->attr.is_regular()) return os_error{EACCES};
    if (auto ok = access(c, *l, X_OK); !ok) return ok.error();
    const mount& m = mounts_[l->node.mount];
    if (m.is_made()) return os_error{EACCES};
    if (m.what == mount::kind::tmpfs) {
        mm::file_backing backing;
        backing.bytes = std::make_shared<const std::vector<std::byte>>(
            file_pages(c.state, c.memory).contents(l->node.inode));
        backing.size = backing.bytes->size();
        backing.path = l->path;
        return backing;
    }
    auto backing = m.tree->content(l->node.inner, nullptr);
    if (!backing) return backing.error();
    backing->path = l->path;
    return backing;
}

}  // namespace hearth::guest::vfs
