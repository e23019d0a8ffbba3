#pragma once

/// What happens to the locks of a guest's files.

#include "guest/outcome.hpp"
#include "guest/vfs/vfs_state.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace hearth::guest::vfs {

/// Of all files together; ENOLCK beyond.
inline constexpr std::size_t max_locks = 4096;

/// Nothing for what cannot be told apart from another file: pipes, sockets and the like.
std::optional<lock_place> place_of(const description& d);

/// A lock of somebody else that is in the way of this one. The first of them.
const file_lock* conflict(const vfs_state& state, const lock_place& place, const file_lock& lock);
/// The owner has this lock on these bytes now, whatever he had on them before. ENOLCK
outcome<void> set_lock(vfs_state& state, const lock_place& place, const file_lock& lock);
/// The owner has none on these bytes. ENOLCK: one would become two.
outcome<void> clear_lock(vfs_state& state, const lock_place& place, const file_lock& lock);

/// Some descriptor of the file in this table is closed: it has no record there any more.
void forget_records(vfs_state& state, std::uint64_t files, const description& d);
/// The table is gone.
void forget_records(vfs_state& state, std::uint64_t files);
/// The last descriptor of a description is closed.
void forget_locks(vfs_state& state, description_id id);

}  // namespace hearth::guest::vfs
