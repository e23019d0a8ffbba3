#pragma once

#include "guest/vfs/filesystem.hpp"
#include "runtime/hypervisor_impl.hpp"
#include "sandbox/random_record.hpp"
#include "sandbox/snapshot_image.hpp"

#include <hearth/snapshot.hpp>

#include <memory>
#include <string>

namespace hearth {

/// What a guest was made from, beside its image.
struct guest_origin {
    std::shared_ptr<hypervisor::impl> host;
    std::shared_ptr<guest::vfs::filesystem> files;
    byte_count memory;
    std::string key;  ///< what a stored snapshot of it is known by
};

struct snapshot::impl {
    guest_origin origin;
    std::shared_ptr<const detail::snapshot_image> image;
    /// What the guest had been given until then; null: not recorded.
    std::shared_ptr<const detail::random_record> randomness;
};

}  // namespace hearth
