#pragma once

/// A snapshot's state as bytes: all of snapshot_image but its memory, and the caller's attachment.
/// Shared contents of mapped files are stored once. No checksum and no version: those are of the
/// file (snapshot_format.hpp).

#include "sandbox/snapshot_image.hpp"
#include "sandbox/stored_files.hpp"

#include <hearth/error.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::detail {

/// Where bytes go. It keeps its own failures.
class byte_sink {
  public:
    virtual ~byte_sink() = default;
    virtual void write(std::span<const std::byte> bytes) = 0;
};

/// @errors errc::not_snapshotable: a file the guest has mapped is no longer what its name stands
/// for
result<void> encode_state(byte_sink& to,
                          const snapshot_image& image,
                          std::string_view attachment,
                          const guest_files& files);

/// Safe with any bytes. The memory of `image` stays as it is; a root shares its base.
/// @errors errc::snapshot_unusable: not such bytes, other mounts, or a file that has changed
result<void> decode_state(std::span<const std::byte> from,
                          const guest_files& files,
                          snapshot_image& image,
                          std::string& attachment);

/// Everything that decides what the bytes mean: layouts, constants of guest memory, this version
/// of Hearth. Two builds that differ in it refuse each other's snapshots.
const std::string& state_schema();

}  // namespace hearth::detail
