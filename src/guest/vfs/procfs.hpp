#pragma once

/// The parts of /proc that programs read. Texts are made when a file is opened.

#include "guest/vfs/filesystem.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hearth::guest::vfs::proc {

/// `path` below /proc, without a leading slash.
outcome<attributes> lookup(const context& c, std::string_view path);
outcome<std::string> read_link(const context& c, const filesystem& fs, std::string_view path);
outcome<std::vector<directory_entry>> list(const context& c, std::string_view path);
outcome<std::string> text(const context& c, const filesystem& fs, std::string_view path);

/// What a write to the file at `path` does, of those that can be written: a thread's name (comm).
/// EACCES: it cannot; EINVAL
[[nodiscard]] bool writable(const context& c, std::string_view path);
outcome<void> write(const context& c, std::string_view path, std::string_view text);

/// A magic link to an open description ("1/fd/3"): the walker goes to the description, not by its
/// text.
std::optional<description_id> open_file(const context& c, std::string_view path);

/// Makes absolute what /proc/self/fd/N shows for a description: a path, or "pipe:[7]".
std::string shown_path(const context& c, const filesystem& fs, const description& d);

}  // namespace hearth::guest::vfs::proc
