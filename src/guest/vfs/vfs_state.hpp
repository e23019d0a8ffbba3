#pragma once

/// The value side of files: open file descriptions, pipes, sockets, and the writable trees (/tmp).

#include "guest/kernel/wait_state.hpp"

#include <cstdint>
#include <map>

namespace hearth::guest::vfs {

struct vfs_state {
    // Filled in by the vfs room: std::map<description_id, description> descriptions; pipes; sockets; tmpfs.
    bool operator==(const vfs_state&) const = default;
};

}  // namespace hearth::guest::vfs
