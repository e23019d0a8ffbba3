#pragma once

/// open(2) below the system-call layer: a path and flags to an open file description.

#include "guest/vfs/filesystem.hpp"

namespace hearth::guest::vfs {

/// `base`: where a relative path starts; canonical. flags as open(2)'s; unknown bits are ignored as
/// Linux does. The description is held once by the caller, who gives it to a descriptor or releases
/// it.
outcome<description_id> open(const context& c,
                             const filesystem& fs,
                             std::string_view base,
                             std::string_view path,
                             int flags,
                             std::uint32_t mode);

/// A FIFO that was opened to wait for the other side, and that has nobody yet.
[[nodiscard]] bool waits_for_partner(const vfs_state& state, description_id id);

/// pipe2(2): the reading end and the writing end.
std::pair<description_id, description_id> make_pipe(vfs_state& state, int flags);
/// memfd_create(2).
outcome<description_id> make_memory_file(
    const context& c, const filesystem& fs, std::string_view name, bool sealable, bool executable);

/// Bounds on what descriptors can make the host hold, besides their number.
inline constexpr std::size_t max_text_bytes = 32u << 20;  ///< of /proc texts that are open
inline constexpr std::size_t max_pipe_bytes = 64u << 20;  ///< pipe-user-pages-soft (man 7 pipe)
inline constexpr std::size_t max_epoll_items =
    8192;  ///< of all sets (man 7 epoll, max_user_watches)

/// exec: closes what asked for it. With its last holder: closes all. `id`: of the table.
void close_on_exec(vfs_state& state, part_id id, fd_table& files);
void close_all(vfs_state& state, part_id id, fd_table& files);

/// Descriptors 0, 1 and 2 as the host's streams. The table must be empty there.
void open_standard_streams(vfs_state& state, fd_table& files);

}  // namespace hearth::guest::vfs
