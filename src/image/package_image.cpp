#include "image/package_image.hpp"

#include "base/mapping.hpp"
#include "base/system_error.hpp"
#include "base/try.hpp"
#include "image/package_builder.hpp"
#include "image/package_source.hpp"
#include "image/sha256.hpp"
#include "image/zip_directory.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

namespace hearth::image {
namespace {

namespace fs = std::filesystem;

struct close_archive {
    void operator()(archive* a) const noexcept { archive_read_free(a); }
};
using archive_ptr = std::unique_ptr<archive, close_archive>;

error bad_zip(std::string why) {
    return {errc::bad_package, "the zip is refused: " + std::move(why)};
}

error bad_zip(archive* a) {
    const char* why = archive_error_string(a);
    return bad_zip(why ? why : "it is damaged");
}

/// A file, mapped for reading. An empty file has no mapping.
result<mapping> map_file(const fs::path& path, std::uint64_t limit, const char* limit_text) {
    // O_NONBLOCK: a pipe must be refused below, not waited for.
    unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return system_failure(errc::io_failed, "cannot read " + path.string());
    struct stat st {};
    if (::fstat(fd.get(), &st) < 0)
        return system_failure(errc::io_failed, "cannot read " + path.string());
    if (!S_ISREG(st.st_mode)) return error(errc::bad_package, path.string() + " is not a file");
    if (static_cast<std::uint64_t>(st.st_size) > limit)
        return error(errc::package_too_large, path.string() + " is larger than " + limit_text);
    if (st.st_size == 0) return mapping();
    void* at =
        ::mmap(nullptr, static_cast<std::size_t>(st.st_size), PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (at == MAP_FAILED) return system_failure(errc::io_failed, "cannot map " + path.string());
    return mapping(at, static_cast<std::size_t>(st.st_size));
}

std::string_view view(const mapping& m) {
    return {reinterpret_cast<const char*>(m.data()), m.size()};
}

/// By what the directory tells, before anything is unpacked.
result<std::vector<zip_directory_entry>> checked_directory(std::string_view zip) {
    HEARTH_TRY(auto listed, read_zip_directory(zip, max_entries));
    for (const auto& entry : listed) {
        if (entry.encrypted) return bad_zip("it is encrypted");
        if (entry.name.empty()) return bad_zip("an entry has an empty name");
        if (entry.file_type != 0 && entry.file_type != S_IFREG && entry.file_type != S_IFDIR &&
            entry.file_type != S_IFLNK)
            return bad_zip("entry '" + std::string(entry.name.substr(0, 200)) +
                           "' is not a file, a directory or a symlink");
    }
    return listed;
}

result<void> copy_file(archive* from, package_builder& to) {
    std::array<char, 65536> buffer;
    for (;;) {
        const la_ssize_t n = archive_read_data(from, buffer.data(), buffer.size());
        if (n < 0) return bad_zip(from);
        if (n == 0) return {};
        HEARTH_CHECK(to.append({buffer.data(), static_cast<std::size_t>(n)}));
    }
}

result<void> copy_entry(archive* from,
                        archive_entry* entry,
                        std::string_view name,
                        package_builder& to) {
    const auto mode = static_cast<std::uint32_t>(archive_entry_perm(entry));
    const std::int64_t mtime = archive_entry_mtime(entry);
    switch (archive_entry_filetype(entry)) {
        case AE_IFREG:
            HEARTH_CHECK(to.begin_file(name, mode, mtime));
            return copy_file(from, to);
        case AE_IFDIR:
            return to.add_directory(name, mode, mtime);
        case AE_IFLNK: {
            // The UTF-8 form does not depend on the process's locale, which is the embedder's.
            const char* target = archive_entry_symlink_utf8(entry);
            if (!target) target = archive_entry_symlink(entry);
            return to.add_symlink(name, target ? target : "", mtime);
        }
        default:
            return bad_zip("entry '" + std::string(name) + "' is of no known type");
    }
}

result<std::shared_ptr<const package_image>> from_elf(std::string_view bytes,
                                                      std::uint32_t mode,
                                                      std::int64_t mtime) {
    HEARTH_TRY(auto builder, package_builder::create());
    HEARTH_CHECK(builder.begin_file("bootstrap", mode, mtime));
    HEARTH_CHECK(builder.append(bytes));
    builder.describe(to_base64(sha256_of(bytes)), bytes.size());
    return builder.finish();
}

result<std::shared_ptr<const package_image>> from_elf_file(const fs::path& path) {
    HEARTH_TRY(mapping file, map_file(path, max_unzipped, "250 MB"));
    struct stat st {};
    if (::stat(path.c_str(), &st) < 0)
        return system_failure(errc::io_failed, "cannot read " + path.string());
    return from_elf(view(file), st.st_mode, st.st_mtime);
}

result<void> add_from_disk(const fs::path& path,
                           const std::string& name,
                           package_builder& builder,
                           sha256& hash,
                           std::uint64_t& size) {
    struct stat st {};
    if (::lstat(path.c_str(), &st) < 0)
        return system_failure(errc::io_failed, "cannot read " + path.string());
    // Names and modes are hashed too; the separators cannot occur in them.
    hash.update(name + '\0' + std::to_string(st.st_mode & 0777) + '\0');
    if (S_ISDIR(st.st_mode)) return builder.add_directory(name, st.st_mode, st.st_mtime);
    if (S_ISLNK(st.st_mode)) {
        std::error_code ec;
        std::string target = fs::read_symlink(path, ec).string();
        if (ec) return error(errc::io_failed, "cannot read " + path.string() + ": " + ec.message());
        hash.update(target + '\0');
        return builder.add_symlink(name, std::move(target), st.st_mtime);
    }
    if (!S_ISREG(st.st_mode))  // not even opened: opening a device may act on it
        return error(errc::bad_package, path.string() + " is not a file, a directory or a symlink");
    HEARTH_TRY(mapping file, map_file(path, max_unzipped, "250 MB"));
    HEARTH_CHECK(builder.begin_file(name, st.st_mode, st.st_mtime));
    HEARTH_CHECK(builder.append(view(file)));
    hash.update(view(file));
    size += file.size();
    return {};
}

result<std::shared_ptr<const package_image>> from_directory(const fs::path& root,
                                                            std::string_view guest_root) {
    std::error_code ec;
    std::vector<std::string> names;
    for (fs::recursive_directory_iterator it(root, ec), end; !ec && it != end; it.increment(ec)) {
        names.push_back(it->path().lexically_relative(root).string());
        if (names.size() > max_entries)
            return error(errc::bad_package, root.string() + " has more than " +
                                                std::to_string(max_entries) + " entries");
    }
    if (ec) return error(errc::io_failed, "cannot read " + root.string() + ": " + ec.message());
    std::sort(names.begin(), names.end());  // the hash must not depend on the disk's order
    HEARTH_TRY(auto builder, package_builder::create(guest_root));
    sha256 hash;
    std::uint64_t size = 0;
    for (const auto& name : names)
        HEARTH_CHECK(add_from_disk(root / name, name, builder, hash, size));
    builder.describe(to_base64(hash.finish()), size);
    return builder.finish();
}

struct loader {
    result<std::shared_ptr<const package_image>> operator()(const detail::zip_file& source) const {
        HEARTH_TRY(mapping file, map_file(source.path, max_zipped, "50 MB"));
        return package_image::from_zip(view(file));
    }
    result<std::shared_ptr<const package_image>> operator()(
        const detail::zip_memory& source) const {
        return package_image::from_zip(source.bytes);
    }
    result<std::shared_ptr<const package_image>> operator()(const detail::elf_file& source) const {
        return from_elf_file(source.path);
    }
    result<std::shared_ptr<const package_image>> operator()(
        const detail::elf_memory& source) const {
        return from_elf(source.bytes, 0755, 0);
    }
    result<std::shared_ptr<const package_image>> operator()(const detail::directory_tree& s) const {
        return from_directory(s.path, task_directory);
    }
    result<std::shared_ptr<const package_image>> operator()(const in_process_handler& f) const {
        if (!f) return error(errc::bad_package, "an in-process package needs a callable");
        return package_builder::of_callable(f);
    }
};

}  // namespace

result<std::shared_ptr<const package_image>> package_image::load(const package& source) {
    if (source.empty()) return error(errc::bad_package, "no package was given");
    return std::visit(loader{}, source.source()->from);
}

namespace {

result<std::shared_ptr<const package_image>> unzip(std::string_view zip,
                                                   std::string_view guest_root);

/// A layer has no program of its own, so it is a zip or a directory.
struct layer_loader {
    result<std::shared_ptr<const package_image>> operator()(const detail::zip_file& source) const {
        HEARTH_TRY(mapping file, map_file(source.path, max_zipped, "50 MB"));
        return unzip(view(file), layer_directory);
    }
    result<std::shared_ptr<const package_image>> operator()(
        const detail::zip_memory& source) const {
        return unzip(source.bytes, layer_directory);
    }
    result<std::shared_ptr<const package_image>> operator()(const detail::directory_tree& s) const {
        return from_directory(s.path, layer_directory);
    }
    template <class Other>
    result<std::shared_ptr<const package_image>> operator()(const Other&) const {
        return error(errc::bad_package, "a layer is a zip or a directory");
    }
};

}  // namespace

result<std::shared_ptr<const package_image>> package_image::load_layers(
    std::span<const package> layers, const package_image& code) {
    if (layers.empty()) return std::shared_ptr<const package_image>();
    if (layers.size() > max_layers)
        return error(errc::invalid_argument,
                     "You cannot reference more than " + std::to_string(max_layers) + " layers");
    auto merged = std::shared_ptr<package_image>(new package_image);
    auto& entries = merged->entries_;
    sha256 hash;
    std::uint64_t unzipped = code.unzipped_size();
    for (const package& source : layers) {
        if (source.empty()) return error(errc::bad_package, "an empty package is no layer");
        HEARTH_TRY(const auto layer, std::visit(layer_loader{}, source.source()->from));
        unzipped += layer->unzipped_size();
        if (unzipped > max_unzipped)
            return error(errc::package_too_large,
                         "Function code combined with layers exceeds the maximum allowed size of " +
                             std::to_string(max_unzipped) + " bytes");
        const auto number = static_cast<std::uint32_t>(merged->contents_.size());
        merged->contents_.push_back(layer->contents_.front());
        for (auto [path, entry] : layer->entries_) {
            entry.memory = number;
            const bool directory = entry.type == package_entry::kind::directory;
            const auto [at, added] = entries.try_emplace(path, entry);
            if (added) continue;
            if (!directory && at->second.type == package_entry::kind::directory) {
                // What stood in it is gone with it.
                const std::string below = path + '/';
                for (auto it = entries.lower_bound(below);
                     it != entries.end() && it->first.starts_with(below);)
                    it = entries.erase(it);
            }
            at->second = entry;
        }
        hash.update(layer->code_sha256_);
        merged->code_size_ += layer->code_size_;
    }
    merged->code_sha256_ = to_base64(hash.finish());
    return std::shared_ptr<const package_image>(std::move(merged));
}

std::uint64_t package_image::unzipped_size() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& [path, entry] : entries_)
        if (entry.type == package_entry::kind::file) sum += entry.size;
    return sum;
}

result<std::shared_ptr<const package_image>> package_image::from_zip(std::string_view zip) {
    return unzip(zip, task_directory);
}

namespace {

result<std::shared_ptr<const package_image>> unzip(std::string_view zip,
                                                   std::string_view guest_root) {
    if (zip.size() > max_zipped)
        return error(errc::package_too_large, "the zip file is larger than 50 MB");
    HEARTH_TRY(const auto listed, checked_directory(zip));
    archive_ptr reader(archive_read_new());
    if (!reader) return error(errc::io_failed, "libarchive has no memory");
    // The seekable reader goes by the central directory, as unzip tools do, so what runs is what
    // they show.
    if (archive_read_support_format_zip_seekable(reader.get()) != ARCHIVE_OK ||
        archive_read_open_memory(reader.get(), zip.data(), zip.size()) != ARCHIVE_OK)
        return bad_zip(reader.get());
    HEARTH_TRY(auto builder, package_builder::create(guest_root));
    for (const auto& each : listed) {
        archive_entry* entry = nullptr;
        const int status = archive_read_next_header(reader.get(), &entry);
        // A warning is about the name's charset: the names are taken from the directory as they
        // stand there.
        if (status == ARCHIVE_EOF) return bad_zip("its entries are not where its directory says");
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return bad_zip(reader.get());
        HEARTH_CHECK(copy_entry(reader.get(), entry, each.name, builder));
    }
    archive_entry* surplus = nullptr;
    if (archive_read_next_header(reader.get(), &surplus) != ARCHIVE_EOF)
        return bad_zip("its entries are not where its directory says");
    builder.describe(to_base64(sha256_of(zip)), zip.size());
    return builder.finish();
}

}  // namespace

const package_entry* package_image::find(std::string_view path) const {
    const auto at = entries_.find(path);
    return at == entries_.end() ? nullptr : &at->second;
}

}  // namespace hearth::image
