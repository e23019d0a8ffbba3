#pragma once

/// Trees of files whose texts are made when they are opened: the fixed part of /proc, and /sys. A
/// table, sorted by path; directories are those above some row. Pure but for what `make` asks.

#include "guest/vfs/filesystem.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::guest::vfs {

struct made_file {
    std::string_view path;                          ///< without a leading slash
    std::string (*make)(const context&) = nullptr;  ///< null: see `target`
    std::string_view target = {};                   ///< of a symlink; empty: an empty directory
};
using made_files = std::span<const made_file>;

/// Rows of one directory stand together.
constexpr bool well_formed(made_files files) {
    for (std::size_t i = 1; i < files.size(); ++i)
        if (files[i - 1].path >= files[i].path) return false;
    return true;
}

/// What a node looks like: owned by root, its number always the same for the same path.
attributes made_node(std::uint32_t mode, std::string_view path);

outcome<attributes> lookup(made_files files, std::string_view path);
outcome<std::string> read_link(made_files files, std::string_view path);
outcome<std::vector<directory_entry>> list(made_files files, std::string_view path);
outcome<std::string> text(made_files files, const context& c, std::string_view path);

}  // namespace hearth::guest::vfs
