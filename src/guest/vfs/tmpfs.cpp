#include "guest/vfs/tmpfs.hpp"

#include "base/assert.hpp"

#include <fcntl.h>
#include <linux/fs.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace hearth::guest::vfs {
namespace {

outcome<void> check_name(std::string_view name) {
    if (name.empty()) return os_error{ENOENT};
    if (name == "." || name == "..") return os_error{EEXIST};
    if (name.size() > max_name_length) return os_error{ENAMETOOLONG};
    return {};
}

std::uint64_t cost_of_extended(const inode& node) {
    std::uint64_t cost = 0;
    for (const auto& [name, value] : node.extended)
        cost += extended_cost + name.size() + value.size();
    return cost;
}

/// What an inode costs of the room besides its content: a symlink's target is kept with it.
std::uint64_t cost_of(const inode& node) {
    const auto* link = std::get_if<symlink_body>(&node.body);
    return inode_cost + (link ? link->target.size() : 0) + cost_of_extended(node);
}

inode owned_by(owner who, std::uint32_t permissions) {
    inode node;
    node.permissions = permissions & 07777;
    node.uid = who.uid;
    node.gid = who.gid;
    return node;
}

constexpr std::uint32_t no_writing = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;

std::uint64_t pages_up(std::uint64_t n) { return (n + 4095) & ~std::uint64_t{4095}; }

}  // namespace

inode_id tmpfs::add_root(std::uint32_t permissions, time now) {
    inode node;
    node.permissions = permissions;
    node.links = 2;
    node.opens = 1;  // the mount's: a root never goes
    node.accessed = node.modified = node.changed = node.born = now;
    node.body = directory_body{};
    const auto id = static_cast<inode_id>(next_++);
    inodes_.emplace(id, std::move(node));
    return id;
}

const inode* tmpfs::find(inode_id id) const {
    const auto it = inodes_.find(id);
    return it == inodes_.end() ? nullptr : &it->second;
}
inode* tmpfs::find(inode_id id) {
    const auto it = inodes_.find(id);
    return it == inodes_.end() ? nullptr : &it->second;
}

attributes tmpfs::attributes_of(inode_id id) const {
    attributes a;
    const inode* node = find(id);
    if (!node) return a;
    a.inode = static_cast<std::uint64_t>(id);
    a.links = node->links;
    a.uid = node->uid;
    a.gid = node->gid;
    a.accessed = node->accessed;
    a.modified = node->modified;
    a.changed = node->changed;
    a.born = node->born;
    if (const auto* file = std::get_if<file_content>(&node->body)) {
        a.mode = S_IFREG | node->permissions;
        a.size = file->size();
        a.blocks = file->held() / 512;
    } else if (const auto* directory = std::get_if<directory_body>(&node->body)) {
        a.mode = S_IFDIR | node->permissions;
        a.size = 40 + 20 * directory->names.size();
    } else if (const auto* link = std::get_if<symlink_body>(&node->body)) {
        a.mode = S_IFLNK | 0777;
        a.size = link->target.size();
    } else if (std::holds_alternative<fifo_body>(node->body)) {
        a.mode = S_IFIFO | node->permissions;
    } else if (const auto* device = std::get_if<device_body>(&node->body)) {
        a.mode = (device->block ? S_IFBLK : S_IFCHR) | node->permissions;
        a.special = device->number;
    } else {
        a.mode = S_IFSOCK | node->permissions;
    }
    return a;
}

outcome<std::string> tmpfs::path_of(inode_id directory) const {
    std::string path;
    for (;;) {
        const inode* node = find(directory);
        if (!node) return os_error{ENOENT};
        const auto* body = std::get_if<directory_body>(&node->body);
        if (!body) return os_error{ENOTDIR};
        if (body->name.empty()) {
            // A root has no parent; a removed directory lost its name and has no links.
            if (node->links == 0) return os_error{ENOENT};
            return path;
        }
        path = "/" + body->name + path;
        if (path.size() >= 4096) return os_error{ENAMETOOLONG};
        directory = body->parent;
    }
}

inode_id tmpfs::root_of(inode_id directory) const {
    for (;;) {
        const inode* node = find(directory);
        const auto* body = node ? std::get_if<directory_body>(&node->body) : nullptr;
        if (!body || body->parent == inode_id::none) return directory;
        directory = body->parent;
    }
}

outcome<inode_id> tmpfs::lookup(inode_id directory, std::string_view name) const {
    const inode* node = find(directory);
    if (!node) return os_error{ENOENT};
    const auto* body = std::get_if<directory_body>(&node->body);
    if (!body) return os_error{ENOTDIR};
    if (name.size() > max_name_length) return os_error{ENAMETOOLONG};
    const auto it = body->names.find(name);
    if (it == body->names.end()) return os_error{ENOENT};
    return it->second.inode;
}

outcome<directory_body*> tmpfs::open_directory(inode_id id) {
    inode* node = find(id);
    if (!node) return os_error{ENOENT};
    auto* body = std::get_if<directory_body>(&node->body);
    if (!body) return os_error{ENOTDIR};
    if (node->links == 0) return os_error{ENOENT};  // removed while open: nothing new in it
    return body;
}

outcome<inode_id> tmpfs::add(inode node) {
    if (inodes_.size() >= inode_limit_) return os_error{ENOSPC};
    if (byte_limit_ - bytes_used_ < cost_of(node)) return os_error{ENOSPC};
    bytes_used_ += cost_of(node);
    const auto id = static_cast<inode_id>(next_++);
    inodes_.emplace(id, std::move(node));
    return id;
}

void tmpfs::attach(inode_id directory, std::string_view name, inode_id child) {
    inode& parent = *find(directory);
    auto& body = std::get<directory_body>(parent.body);
    const std::uint64_t cookie = body.next_cookie++;
    body.names.emplace(std::string(name), directory_body::entry{child, cookie});
    body.order.emplace(cookie, std::string(name));
    if (auto* sub = std::get_if<directory_body>(&find(child)->body)) {
        sub->parent = directory;
        sub->name = std::string(name);
        ++parent.links;
    }
}

void tmpfs::detach(inode_id directory, std::string_view name) {
    inode& parent = *find(directory);
    auto& body = std::get<directory_body>(parent.body);
    const auto it = body.names.find(name);
    if (std::holds_alternative<directory_body>(find(it->second.inode)->body)) --parent.links;
    body.order.erase(it->second.cookie);
    body.names.erase(it);
}

void tmpfs::forget_if_unused(inode_id id) {
    const auto it = inodes_.find(id);
    if (it == inodes_.end() || it->second.links != 0 || it->second.opens != 0) return;
    if (const auto* file = std::get_if<file_content>(&it->second.body)) bytes_used_ -= file->held();
    bytes_used_ -= cost_of(it->second);
    inodes_.erase(it);
}

outcome<inode_id> tmpfs::create(inode_id directory, std::string_view name, inode node, time now) {
    auto parent = open_directory(directory);
    if (!parent) return parent.error();
    if (auto ok = check_name(name); !ok) return ok.error();
    if ((*parent)->names.find(name) != (*parent)->names.end()) return os_error{EEXIST};
    node.accessed = node.modified = node.changed = node.born = now;
    auto id = add(std::move(node));
    if (!id) return id.error();
    attach(directory, name, *id);
    inode& d = *find(directory);
    d.modified = d.changed = now;
    return *id;
}

outcome<inode_id> tmpfs::create_file(
    inode_id directory, std::string_view name, std::uint32_t permissions, owner who, time now) {
    inode node = owned_by(who, permissions);
    node.links = 1;
    node.seals = F_SEAL_SEAL;
    return create(directory, name, std::move(node), now);
}

outcome<inode_id> tmpfs::create_directory(
    inode_id directory, std::string_view name, std::uint32_t permissions, owner who, time now) {
    inode node = owned_by(who, permissions);
    node.links = 2;
    node.body = directory_body{};
    return create(directory, name, std::move(node), now);
}

outcome<inode_id> tmpfs::create_symlink(
    inode_id directory, std::string_view name, std::string_view target, owner who, time now) {
    if (target.empty()) return os_error{ENOENT};
    inode node = owned_by(who, 0777);
    node.links = 1;
    node.body = symlink_body{std::string(target)};
    return create(directory, name, std::move(node), now);
}

outcome<inode_id> tmpfs::create_socket(
    inode_id directory, std::string_view name, std::uint32_t permissions, owner who, time now) {
    inode node = owned_by(who, permissions);
    node.links = 1;
    node.body = socket_body{};
    return create(directory, name, std::move(node), now);
}

outcome<inode_id> tmpfs::create_fifo(
    inode_id directory, std::string_view name, std::uint32_t permissions, owner who, time now) {
    inode node = owned_by(who, permissions);
    node.links = 1;
    node.body = fifo_body{};
    return create(directory, name, std::move(node), now);
}

outcome<inode_id> tmpfs::create_device(inode_id directory,
                                       std::string_view name,
                                       std::uint32_t permissions,
                                       const device_body& what,
                                       owner who,
                                       time now) {
    inode node = owned_by(who, permissions);
    node.links = 1;
    node.body = what;
    return create(directory, name, std::move(node), now);
}

outcome<inode_id> tmpfs::create_anonymous(std::uint32_t permissions,
                                          std::uint32_t seals,
                                          owner who,
                                          time now) {
    inode node = owned_by(who, permissions);
    node.seals = seals;
    node.accessed = node.modified = node.changed = node.born = now;
    return add(std::move(node));
}

outcome<void> tmpfs::link(inode_id file, inode_id directory, std::string_view name, time now) {
    inode* node = find(file);
    if (!node) return os_error{ENOENT};
    if (std::holds_alternative<directory_body>(node->body)) return os_error{EPERM};
    if (node->links == 0) return os_error{ENOENT};
    auto parent = open_directory(directory);
    if (!parent) return parent.error();
    if (auto ok = check_name(name); !ok) return ok.error();
    if ((*parent)->names.find(name) != (*parent)->names.end()) return os_error{EEXIST};
    // A name costs room like an inode: a million links to one file must not be free.
    if (node->links >= 1000) return os_error{EMLINK};
    if (byte_limit_ - bytes_used_ < inode_cost) return os_error{ENOSPC};
    bytes_used_ += inode_cost;
    ++node->links;
    node->changed = now;
    attach(directory, name, file);
    inode& d = *find(directory);
    d.modified = d.changed = now;
    return {};
}

outcome<void> tmpfs::unlink(inode_id directory, std::string_view name, time now) {
    auto id = lookup(directory, name);
    if (!id) return id.error();
    inode& node = *find(*id);
    if (std::holds_alternative<directory_body>(node.body)) return os_error{EISDIR};
    detach(directory, name);
    if (node.links > 1) bytes_used_ -= inode_cost;  // the name's; the last one's is the inode's
    --node.links;
    node.changed = now;
    inode& d = *find(directory);
    d.modified = d.changed = now;
    forget_if_unused(*id);
    return {};
}

outcome<void> tmpfs::remove_directory(inode_id directory, std::string_view name, time now) {
    auto id = lookup(directory, name);
    if (!id) return id.error();
    inode& node = *find(*id);
    auto* body = std::get_if<directory_body>(&node.body);
    if (!body) return os_error{ENOTDIR};
    if (!body->names.empty()) return os_error{ENOTEMPTY};
    detach(directory, name);
    body->name.clear();
    body->parent = inode_id::none;
    node.links = 0;
    inode& d = *find(directory);
    d.modified = d.changed = now;
    forget_if_unused(*id);
    return {};
}

outcome<void> tmpfs::rename(inode_id from,
                            std::string_view from_name,
                            inode_id to,
                            std::string_view to_name,
                            unsigned flags,
                            time now) {
    auto source = lookup(from, from_name);
    if (!source) return source.error();
    if (auto parent = open_directory(to); !parent) return parent.error();
    if (to_name.size() > max_name_length) return os_error{ENAMETOOLONG};
    auto target = lookup(to, to_name);
    const bool source_is_directory = std::holds_alternative<directory_body>(find(*source)->body);

    // A directory must not be moved below itself.
    const auto below = [&](inode_id top, inode_id d) {
        for (;;) {
            if (d == top) return true;
            const auto* body = std::get_if<directory_body>(&find(d)->body);
            if (!body || body->parent == inode_id::none) return false;
            d = body->parent;
        }
    };
    if (source_is_directory && below(*source, to)) return os_error{EINVAL};

    if (flags & RENAME_EXCHANGE) {
        if (!target) return target.error();
        if (std::holds_alternative<directory_body>(find(*target)->body) && below(*target, from))
            return os_error{EINVAL};
        if (*source == *target) return {};
        detach(from, from_name);
        detach(to, to_name);
        attach(to, to_name, *source);
        attach(from, from_name, *target);
        find(*source)->changed = find(*target)->changed = now;
    } else {
        if (target) {
            if (flags & RENAME_NOREPLACE) return os_error{EEXIST};
            if (*source == *target)
                return {};  // two names of one file: nothing happens (man 2 rename)
            const auto* body = std::get_if<directory_body>(&find(*target)->body);
            if (source_is_directory && !body) return os_error{ENOTDIR};
            if (!source_is_directory && body) return os_error{EISDIR};
            if (body && !body->names.empty()) return os_error{ENOTEMPTY};
            auto gone = body ? remove_directory(to, to_name, now) : unlink(to, to_name, now);
            if (!gone) return gone.error();
        }
        detach(from, from_name);
        attach(to, to_name, *source);
        find(*source)->changed = now;
    }
    for (inode_id d : {from, to}) find(d)->modified = find(d)->changed = now;
    return {};
}

std::size_t tmpfs::read(inode_id file, std::uint64_t offset, std::span<std::byte> out) const {
    const inode* node = find(file);
    const auto* content = node ? std::get_if<file_content>(&node->body) : nullptr;
    return content ? content->read(offset, out) : 0;
}

outcome<std::size_t> tmpfs::write(inode_id file,
                                  std::uint64_t offset,
                                  std::span<const std::byte> in,
                                  time now) {
    inode* node = find(file);
    auto* content = node ? std::get_if<file_content>(&node->body) : nullptr;
    if (!content) return os_error{EINVAL};
    if (in.empty()) return std::size_t{0};
    if (node->seals & no_writing) return os_error{EPERM};
    if (offset >= file_content::max_size) return os_error{EFBIG};
    in = in.first(std::min<std::uint64_t>(in.size(), file_content::max_size - offset));
    if ((node->seals & F_SEAL_GROW) && offset + in.size() > content->size()) {
        if (offset >= content->size()) return os_error{EPERM};
        in = in.first(content->size() - offset);
    }
    const std::uint64_t room = byte_limit_ - bytes_used_;
    if (content->growth(offset, in.size()) > room) {
        // As many whole pages as there is room for, from the front.
        std::uint64_t fits = 0;
        while (fits < in.size()) {
            const std::uint64_t piece =
                std::min<std::uint64_t>(in.size() - fits, 4096 - (offset + fits) % 4096);
            if (content->growth(offset, fits + piece) > room) break;
            fits += piece;
        }
        if (fits == 0) return os_error{ENOSPC};
        in = in.first(fits);
    }
    const std::uint64_t before = content->held();
    content->write(offset, in);
    bytes_used_ += content->held() - before;
    node->modified = node->changed = now;
    node->permissions &= ~06000u;  // a write drops set-id bits
    return in.size();
}

outcome<void> tmpfs::truncate(inode_id file, std::uint64_t size, time now) {
    inode* node = find(file);
    auto* content = node ? std::get_if<file_content>(&node->body) : nullptr;
    if (!content) return os_error{EINVAL};
    if (size > file_content::max_size) return os_error{EFBIG};
    if ((node->seals & F_SEAL_SHRINK) && size < content->size()) return os_error{EPERM};
    if ((node->seals & F_SEAL_GROW) && size > content->size()) return os_error{EPERM};
    const std::uint64_t before = content->held();
    content->resize(size);
    bytes_used_ -= before - content->held();
    node->modified = node->changed = now;
    return {};
}

outcome<void> tmpfs::allocate(
    inode_id file, std::uint64_t offset, std::uint64_t length, bool keep_size, time now) {
    inode* node = find(file);
    auto* content = node ? std::get_if<file_content>(&node->body) : nullptr;
    if (!content) return os_error{ENODEV};
    if (offset > file_content::max_size || length > file_content::max_size - offset)
        return os_error{EFBIG};
    if ((node->seals & F_SEAL_GROW) && !keep_size && offset + length > content->size())
        return os_error{EPERM};
    if (auto filled = fill_hole(file, offset, length); !filled) return filled;
    if (!keep_size && offset + length > content->size()) content->resize(offset + length);
    node->changed = now;
    return {};
}

outcome<void> tmpfs::fill_hole(inode_id file, std::uint64_t offset, std::uint64_t length) {
    auto& content = std::get<file_content>(find(file)->body);
    // More than the whole room can never fit: answered before counting chunk by chunk.
    if (pages_up(length) > byte_limit_) return os_error{ENOSPC};
    if (content.growth(offset, length) > byte_limit_ - bytes_used_) return os_error{ENOSPC};
    const std::uint64_t before = content.held();
    content.allocate(offset, length);
    bytes_used_ += content.held() - before;
    return {};
}

outcome<void> tmpfs::punch(inode_id file, std::uint64_t offset, std::uint64_t length, time now) {
    inode* node = find(file);
    auto* content = node ? std::get_if<file_content>(&node->body) : nullptr;
    if (!content) return os_error{ENODEV};
    if (node->seals & no_writing) return os_error{EPERM};
    if (offset > file_content::max_size || length > file_content::max_size - offset)
        return os_error{EFBIG};
    const std::uint64_t before = content->held();
    content->punch(offset, length);
    bytes_used_ -= before - content->held();
    node->modified = node->changed = now;
    return {};
}

outcome<void> tmpfs::set_extended(inode_id id,
                                  std::string_view name,
                                  std::string value,
                                  time now) {
    inode* const node = find(id);
    if (!node) return os_error{ENOENT};
    const auto old = node->extended.find(name);
    const std::uint64_t before =
        old == node->extended.end() ? 0 : extended_cost + name.size() + old->second.size();
    const std::uint64_t after = extended_cost + name.size() + value.size();
    if (cost_of_extended(*node) - before + after > max_extended) return os_error{ENOSPC};
    if (after > before && after - before > byte_limit_ - bytes_used_) return os_error{ENOSPC};
    bytes_used_ += after - before;
    node->extended.insert_or_assign(std::string(name), std::move(value));
    node->changed = now;
    return {};
}

outcome<void> tmpfs::remove_extended(inode_id id, std::string_view name, time now) {
    inode* const node = find(id);
    if (!node) return os_error{ENOENT};
    const auto it = node->extended.find(name);
    if (it == node->extended.end()) return os_error{ENODATA};
    bytes_used_ -= extended_cost + it->first.size() + it->second.size();
    node->extended.erase(it);
    node->changed = now;
    return {};
}

void tmpfs::opened(inode_id id) {
    if (inode* node = find(id)) ++node->opens;
}

void tmpfs::closed(inode_id id) {
    inode* node = find(id);
    if (!node) return;
    HEARTH_ASSERT(node->opens > 0);
    --node->opens;
    forget_if_unused(id);
}

}  // namespace hearth::guest::vfs
