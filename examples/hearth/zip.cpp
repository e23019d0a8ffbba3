#include "zip.hpp"

#include <hearth/package.hpp>

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <vector>

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;

/// Lambda's limits: of what is unzipped, and of a zip sent with the request.
constexpr std::uintmax_t max_unzipped = 250u << 20, max_zipped = 50u << 20;

error failed(const fs::path& file, const std::string& what) {
    return {errc::io_failed, file.string() + ": " + what};
}

result<std::string> read_file(const fs::path& file) {
    errno = 0;
    std::ifstream in(file, std::ios::binary);
    std::ostringstream bytes;
    if (in && fs::file_size(file) > 0) bytes << in.rdbuf();
    if (!in || !bytes) return failed(file, std::string("cannot be read: ") + std::strerror(errno));
    return std::move(bytes).str();
}

class zip_writer {
  public:
    zip_writer() : archive_(::archive_write_new(), &::archive_write_free) {
        ::archive_write_set_format_zip(archive_.get());
        ::archive_write_open(
            archive_.get(), &bytes_, nullptr,
            [](::archive*, void* to, const void* data, std::size_t size) -> la_ssize_t {
                static_cast<std::string*>(to)->append(static_cast<const char*>(data), size);
                return static_cast<la_ssize_t>(size);
            },
            nullptr);
    }

    result<void> add(const std::string& name, const std::string& content, fs::perms mode) {
        return put(name, content, {}, AE_IFREG, mode);
    }
    result<void> add_link(const std::string& name, const std::string& target) {
        return put(name, {}, target, AE_IFLNK, fs::perms::all);
    }
    result<std::string> finish() {
        if (::archive_write_close(archive_.get()) != ARCHIVE_OK)
            return error(errc::io_failed, ::archive_error_string(archive_.get()));
        return std::move(bytes_);
    }

  private:
    result<void> put(const std::string& name,
                     const std::string& content,
                     const std::string& target,
                     unsigned type,
                     fs::perms mode) {
        const std::unique_ptr<::archive_entry, void (*)(::archive_entry*)> entry(
            ::archive_entry_new(), &::archive_entry_free);
        ::archive_entry_set_pathname_utf8(entry.get(), name.c_str());
        ::archive_entry_set_filetype(entry.get(), type);
        ::archive_entry_set_perm(entry.get(), static_cast<unsigned>(mode & fs::perms::all));
        ::archive_entry_set_mtime(entry.get(), 315532800, 0);  // 1980, where a zip's time begins
        ::archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
        if (!target.empty()) ::archive_entry_set_symlink(entry.get(), target.c_str());
        if (::archive_write_header(archive_.get(), entry.get()) != ARCHIVE_OK ||
            ::archive_write_data(archive_.get(), content.data(), content.size()) !=
                static_cast<la_ssize_t>(content.size()))
            return error(errc::io_failed, name + ": " + ::archive_error_string(archive_.get()));
        return {};
    }
    std::string bytes_;
    std::unique_ptr<::archive, int (*)(::archive*)> archive_;
};

result<std::string> zip_of(const fs::path& directory) {
    std::error_code ec;
    std::vector<fs::path> files;
    std::uintmax_t total = 0;
    for (fs::recursive_directory_iterator at(directory, ec), end; !ec && at != end;
         at.increment(ec)) {
        const auto status = at->symlink_status(ec);
        if (ec) break;
        if (fs::is_directory(status)) continue;
        if (!fs::is_regular_file(status) && !fs::is_symlink(status))
            return error(errc::bad_package, at->path().string() +
                                                " is neither a file, a directory nor a symbolic "
                                                "link: a package cannot hold it");
        if (fs::is_regular_file(status)) total += at->file_size(ec);
        files.push_back(at->path());
    }
    if (ec) return failed(directory, "cannot be read: " + ec.message());
    if (files.empty()) return error(errc::bad_package, directory.string() + " is empty");
    if (total > max_unzipped)
        return error(errc::package_too_large, directory.string() + " holds " +
                                                  std::to_string(total >> 20) +
                                                  " MB; a package is at most 250 MB unzipped");
    std::ranges::sort(files);
    zip_writer zip;
    for (const fs::path& file : files) {
        const std::string name = file.lexically_relative(directory).generic_string();
        result<void> added;
        if (fs::is_symlink(fs::symlink_status(file))) {
            added = zip.add_link(name, fs::read_symlink(file).string());
        } else {
            auto content = read_file(file);
            if (!content) return content.error();
            added = zip.add(name, *content, fs::status(file).permissions());
        }
        if (!added) return added.error();
    }
    return zip.finish();
}

}  // namespace

result<std::string> make_zip(const fs::path& from) {
    std::error_code ec;
    const auto status = fs::status(from, ec);
    if (!fs::exists(status))
        return error(errc::bad_package, from.string() + ": no such file or directory");
    result<std::string> zip = error(errc::bad_package, "");
    if (fs::is_directory(status)) {
        zip = zip_of(from);
    } else {
        zip = read_file(from);
        if (zip && zip->starts_with("\x7f"
                                    "ELF")) {
            zip_writer one;
            if (auto added = one.add("bootstrap", *zip, fs::perms(0755)); !added)
                return added.error();
            zip = one.finish();
        }
        if (zip && !zip->starts_with("PK"))
            return error(errc::bad_package,
                         from.string() + ": neither a zip, nor an ELF program, nor a directory");
    }
    if (zip && zip->size() > max_zipped)
        return error(errc::package_too_large, from.string() + " is " +
                                                  std::to_string(zip->size() >> 20) +
                                                  " MB zipped; a request carries at most 50 MB");
    return zip;
}

}  // namespace hearth::cli
