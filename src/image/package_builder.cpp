#include "image/package_builder.hpp"

#include "base/system_error.hpp"
#include "base/try.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <deque>
#include <utility>

namespace hearth::image {
namespace {

constexpr std::uint64_t page = 4096;
/// What is left of a mode: set-id and sticky bits are dropped.
constexpr std::uint32_t permission_bits = 0777;
/// Symlinks one path may pass through (Linux's own limit, path_resolution(7)).
constexpr int max_symlinks = 40;

error refused(std::string_view path, std::string_view why) {
    // A hostile name is shown only in part, and printable.
    std::string shown;
    for (char c : path.substr(0, 200)) shown += c >= ' ' && c != 127 ? c : '?';
    return {errc::bad_package, "the package is refused: entry '" + shown + "' " + std::string(why)};
}

/// The entry's path without a trailing slash and "./", or why not.
result<std::string> checked_path(std::string_view path) {
    if (path.find('\0') != path.npos) return refused(path, "has a NUL in its name");
    if (path.find('\\') != path.npos)
        return refused(path, "has a backslash in its name: zip it with '/' between directories");
    if (path.starts_with('/')) return refused(path, "is an absolute path");
    if (path.size() > max_path) return refused(path, "has a path that is too long");
    std::string clean;
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        const std::string_view part = path.substr(0, slash);
        path = slash == path.npos ? "" : path.substr(slash + 1);
        if (part.empty() || part == ".") continue;
        if (part == "..") return refused(clean + "/..", "leaves the package");
        if (part.size() > max_name) return refused(part, "has a name that is too long");
        if (!clean.empty()) clean += '/';
        clean += part;
    }
    return clean;
}

void push_parts_in_front(std::deque<std::string>& queue, std::string_view path) {
    std::vector<std::string> parts;
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        if (slash != 0) parts.emplace_back(path.substr(0, slash));
        path = slash == path.npos ? "" : path.substr(slash + 1);
    }
    queue.insert(queue.begin(), parts.begin(), parts.end());
}

std::string joined(const std::vector<std::string>& parts) {
    std::string path;
    for (const auto& part : parts) path += (path.empty() ? "" : "/") + part;
    return path;
}

}  // namespace

result<package_builder> package_builder::create(std::string_view root) {
    package_builder builder;
    builder.root_ = root;
    builder.image_ = std::shared_ptr<package_image>(new package_image);
    builder.memory_ = std::make_shared<unique_fd>(
        ::memfd_create("hearth-package", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!*builder.memory_) return system_failure(errc::io_failed, "memfd_create for a package");
    builder.image_->entries_.emplace(
        "", package_entry{.type = package_entry::kind::directory, .mode = 0755});
    return builder;
}

result<void> package_builder::insert(std::string_view raw, package_entry entry) {
    HEARTH_TRY(std::string path, checked_path(raw));
    auto& entries = image_->entries_;
    current_ = nullptr;
    if (path.empty()) {
        if (entry.type == package_entry::kind::directory) return {};  // "./"
        return refused(raw, "has an empty name");
    }
    for (std::size_t at = path.find('/'); at != path.npos; at = path.find('/', at + 1)) {
        const auto [parent, added] = entries.try_emplace(
            path.substr(0, at),
            package_entry{
                .type = package_entry::kind::directory, .mode = 0755, .mtime = entry.mtime});
        if (parent->second.type != package_entry::kind::directory)
            return refused(path, "stands below something that is not a directory");
    }
    const bool directory = entry.type == package_entry::kind::directory;
    const auto [at, added] = entries.try_emplace(path, entry);
    if (!added) {
        // Zips list directories after their files, and twice; anything else twice is ambiguous.
        if (!directory || at->second.type != package_entry::kind::directory)
            return refused(path, "is there twice");
        at->second.mode = entry.mode, at->second.mtime = entry.mtime;
    }
    if (entries.size() > max_entries)
        return error(errc::bad_package, "the package is refused: it has more than " +
                                            std::to_string(max_entries) + " entries");
    current_ = &at->second;  // a map's nodes stay where they are
    return {};
}

result<void> package_builder::add_directory(std::string_view path,
                                            std::uint32_t mode,
                                            std::int64_t mtime) {
    mode &= permission_bits;
    return insert(
        path,
        {.type = package_entry::kind::directory, .mode = mode ? mode : 0755u, .mtime = mtime});
}

result<void> package_builder::add_symlink(std::string_view path,
                                          std::string target,
                                          std::int64_t mtime) {
    if (target.empty()) return refused(path, "is a symlink to nothing");
    if (target.size() > max_path || target.find('\0') != target.npos)
        return refused(path, "is a symlink with a malformed target");
    return insert(path, {.type = package_entry::kind::symlink,
                         .mode = 0777,
                         .mtime = mtime,
                         .size = target.size(),
                         .target = std::move(target)});
}

result<void> package_builder::begin_file(std::string_view path,
                                         std::uint32_t mode,
                                         std::int64_t mtime) {
    mode &= permission_bits;
    // A zip made without Unix modes has no bits at all: readable, but not executable.
    HEARTH_CHECK(insert(path, {.mode = mode ? mode : 0644u, .mtime = mtime}));
    end_ = (end_ + page - 1) & ~(page - 1);
    current_->offset = end_;
    return {};
}

result<void> package_builder::append(std::string_view bytes) {
    if (unzipped_ + bytes.size() > max_unzipped)
        return error(errc::package_too_large, "Unzipped size must be smaller than " +
                                                  std::to_string(max_unzipped) + " bytes");
    unzipped_ += bytes.size();
    while (!bytes.empty()) {
        const ssize_t n =
            ::pwrite(memory_->get(), bytes.data(), bytes.size(), static_cast<off_t>(end_));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return system_failure(errc::io_failed, "keeping a package's content in memory");
        bytes.remove_prefix(static_cast<std::size_t>(n));
        end_ += static_cast<std::uint64_t>(n);
        current_->size += static_cast<std::uint64_t>(n);
    }
    return {};
}

void package_builder::describe(std::string code_sha256, std::uint64_t code_size) {
    image_->code_sha256_ = std::move(code_sha256);
    image_->code_size_ = code_size;
}

// Not by text alone: with `a/l -> ..` in the tree, `a/l/..` is above the root though its text is
// not. So each symlink is followed through the entries, as the guest's own lookup would.
result<void> package_builder::check_symlinks() const {
    for (const auto& [path, entry] : image_->entries_) {
        if (entry.type != package_entry::kind::symlink) continue;
        std::deque<std::string> ahead;
        push_parts_in_front(ahead, path);
        std::vector<std::string> at;
        for (int links = 0; !ahead.empty();) {
            const std::string part = std::move(ahead.front());
            ahead.pop_front();
            if (part == ".") continue;
            if (part == "..") {
                if (at.empty()) return refused(path, "is a symlink that leaves the package");
                at.pop_back();
                continue;
            }
            at.push_back(part);
            const package_entry* next = image_->find(joined(at));
            if (!next || next->type != package_entry::kind::symlink) continue;
            if (++links > max_symlinks) return refused(path, "is a symlink that never arrives");
            at.pop_back();
            std::string_view target = next->target;
            if (target.starts_with('/')) {
                if (!target.starts_with(root_) ||
                    (target.size() > root_.size() && target[root_.size()] != '/'))
                    return refused(path, "is a symlink that leaves the package");
                target.remove_prefix(root_.size());
                at.clear();
            }
            push_parts_in_front(ahead, target);
            if (ahead.size() > 4 * max_path)
                return refused(path, "is a symlink that never arrives");
        }
    }
    return {};
}

result<std::shared_ptr<const package_image>> package_builder::finish() {
    HEARTH_CHECK(check_symlinks());
    // Whole pages, so that a mapping of the last file ends with zeroes and not with a SIGBUS.
    end_ = (end_ + page - 1) & ~(page - 1);
    if (::ftruncate(memory_->get(), static_cast<off_t>(end_)) < 0 ||
        ::fcntl(memory_->get(), F_ADD_SEALS,
                F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return system_failure(errc::io_failed, "sealing a package");
    image_->contents_ = {std::move(memory_)};
    return std::shared_ptr<const package_image>(std::move(image_));
}

std::shared_ptr<const package_image> package_builder::of_callable(in_process_handler handler) {
    auto image = std::shared_ptr<package_image>(new package_image);
    image->in_process_ = std::move(handler);
    return image;
}

}  // namespace hearth::image
