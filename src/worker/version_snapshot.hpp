#pragma once

#include "sandbox/snapshot_image.hpp"
#include "worker/runtime_api.hpp"

#include <memory>
#include <string>

namespace hearth::worker {

/// What init left, once for a version: all its environments start as clones of it. Immutable.
struct version_snapshot {
    std::shared_ptr<const detail::snapshot_image> image;
    runtime_api api;  ///< its connections, as the guest's sockets have them
    std::string log_stream;  ///< whose name the guest has

    /// Memory of the host that it holds: pages and files.
    [[nodiscard]] byte_count size() const noexcept {
        return byte_count(image->base->pages() * vmm::page_size +
                          image->kernel.vfs.files.bytes_used());
    }
};

}  // namespace hearth::worker
