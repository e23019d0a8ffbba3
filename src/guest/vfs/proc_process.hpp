#pragma once

/// The files of /proc/[pid] and /proc/[pid]/task/[tid]: a table of texts (man 5 proc). What of it
/// counts what Hearth does not count (faults, switches, transferred bytes) is zero.

#include "guest/vfs/filesystem.hpp"

#include <span>
#include <string>
#include <string_view>

namespace hearth::guest::vfs::proc {

/// Whose directory it is: a process, by its first thread, or one of its threads.
struct subject {
    process_state& process;
    pid thread;  ///< which need not be there any more: a zombie has none
    bool whole;  ///< all of the process, not the thread alone
};

/// What the thread has open and where its names begin; null: it has ended.
[[nodiscard]] fd_table* files_of(const context& c, const subject& s);
[[nodiscard]] viewpoint* view_of(const context& c, const subject& s);

struct process_file {
    std::string_view path;
    std::string (*make)(const context&, const filesystem&, const subject&);
};
/// Sorted by path, which may lead through one directory ("net/dev").
[[nodiscard]] std::span<const process_file> process_files();

}  // namespace hearth::guest::vfs::proc
