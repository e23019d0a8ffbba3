#pragma once

/// What tasks share or have to themselves: descriptors and viewpoints of threads, and what signals
/// do to processes (man 2 clone: CLONE_FILES, CLONE_FS, CLONE_SIGHAND).

#include "guest/kernel/kernel_state.hpp"

namespace hearth::guest::parts {

/// A new one with one holder.
part_id add(kernel_state& state, vfs::fd_table files);
part_id add(kernel_state& state, viewpoint view);
part_id add(kernel_state& state, const signal_actions& actions);

/// One more holder. @return the same
part_id share_files(kernel_state& state, part_id id);
part_id share_view(kernel_state& state, part_id id);
part_id share_actions(kernel_state& state, part_id id);

/// A copy with one holder: the same open files under the same numbers.
part_id copy_files(kernel_state& state, part_id id);
part_id copy_view(kernel_state& state, part_id id);
part_id copy_actions(kernel_state& state, part_id id);

/// From now on nobody else has them (unshare, execve); nothing happens if nobody does.
void own_files(kernel_state& state, task_state& ts);
void own_view(kernel_state& state, task_state& ts);
void own_actions(kernel_state& state, process_state& p);

/// The task has none any more; with the last holder of descriptors they are closed. A second time
/// nothing happens.
void leave(kernel_state& state, task_state& ts);
void leave(kernel_state& state, process_state& p);

}  // namespace hearth::guest::parts
