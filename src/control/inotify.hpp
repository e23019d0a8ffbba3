#pragma once

/// The kernel's inotify as a value: watches of directories, and what a read of it says. Pure but
/// for the calls. @source inotify(7)

#include "base/unique_fd.hpp"

#include <hearth/error.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace hearth::control {

struct directory_event {
    enum class kind {
        written,  ///< a file was closed by its writer, or moved in
        gone,     ///< a file was deleted, or moved out
        new_directory,
        lost_directory,  ///< one that was moved out, with what was below it
        unwatched,       ///< the kernel watches the directory no more
        root_gone,       ///< the watched directory itself was deleted, moved or unmounted
        overflow,        ///< some events are missing
    };
    kind what = kind::overflow;
    int watch = -1;      ///< of the directory
    std::string name{};  ///< in it
    bool operator==(const directory_event&) const = default;
};

/// What one read gave. What does not matter is left out.
std::vector<directory_event> read_directory_events(std::span<const std::byte> bytes);

result<unique_fd> open_inotify();
/// The directory itself, no symbolic link. @return the watch
/// @errors errc::io_failed; not_found: it is gone, or no directory
result<int> watch_directory(int inotify, const std::filesystem::path& directory);

}  // namespace hearth::control
