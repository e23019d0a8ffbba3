#pragma once

/// # The stored snapshot
///
/// One file holds one snapshot: a guest's memory, registers and kernel state, and what the caller
/// keeps of it. It belongs to the machine's processor, to this build of Hearth, and to what the
/// caller's key names (function, version, code, configuration). A file that does not fit is
/// refused with a sentence that says why; nothing in it is believed before its checksum is right.
/// It can always be made anew, so there is no migration: anything else than exactly ours is
/// refused.
///
/// ## Layout
///
/// A snapshot of a clone is stored with its root, whose memory is the base.
///
/// Little-endian. Every part begins at a page (4096 bytes); gaps are zero.
///
///     header          1 page, snapshot_header.hpp
///     state           `state_size` bytes, snapshot_codec.hpp
///     runs            `runs` × {guest-physical address, pages}: which pages the base holds
///     written         `written_pages` × page number: which pages the guest has written since
///     base pages      `base_pages` pages, run after run
///     written pages   `written_pages` pages
///
/// The base's zero pages are left out. Addresses ascend in both tables.
///
/// The header has SHA-256 digests of itself and of everything after it: integrity, not
/// authenticity. The file may be written by its owner alone (mode 0600); who can forge it can
/// do with the functions' data what he likes anyway. Even so, decoding is safe with any bytes.
///
/// The state says by path which files of the guest's trees the snapshot stands on, and by what
/// they are known again (stored_files.hpp). Files in memory (/tmp, memfd) are in it.
///
/// ## Versioning
///
/// Three things guard against bytes that mean something else than the reader thinks:
///
/// 1. `snapshot_header::current_version`, raised by hand: when this layout changes, and when the
///    *meaning* of stored state does though no declaration did (a wait that resumes otherwise, a
///    field that is counted in another unit).
/// 2. The build digest, made by itself: the types of the state down to their numbers and sizes
///    (codec::schema), and the text of the headers that declare the state and guest memory's
///    layout (stored_layout.cmake). Changing any of them makes old files foreign. A header that is
///    new in the state goes into that list.
/// 3. The tripwires, in snapshot_tripwires.cpp: each stored type's size, pinned. When one fires,
/// ask:
///    does the new member belong to the snapshot at all (nothing of the host may)? Is it renewed in
///    clones if two must not share it (renew_identity)? If its class has a `fields`, is it named
///    there? Is a new enumeration's range given? Then change the number.
///
/// ## Saving
///
/// Into a temporary file beside the target, flushed, then renamed over it, and the directory
/// flushed. Whatever happens, the target is what it was or the whole new snapshot. A crash may
/// leave a temporary file: `remove_unfinished` at the next start.

#include "sandbox/cpu_fingerprint.hpp"
#include "sandbox/snapshot_image.hpp"
#include "sandbox/stored_files.hpp"

#include <hearth/error.hpp>

#include <filesystem>
#include <string>
#include <string_view>

namespace hearth::detail {

/// key: what the snapshot was made for, e.g. the version's ARN, code hash and a hash of the
/// configuration; at most 3,152 bytes. attachment: the caller's own state.
/// @errors errc::storage_failed: no space, no permission, … ; nothing is left behind
///         errc::not_snapshotable: a file the guest has mapped is no longer what its name stands
///         for errc::invalid_argument: the key is too long, or the image has no base
result<void> save_snapshot(const std::filesystem::path& path,
                           std::string_view key,
                           const snapshot_image& image,
                           std::string_view attachment,
                           const guest_files& files,
                           const std::string& cpu = cpu_fingerprint());

struct stored_snapshot {
    snapshot_image image;
    std::string attachment;
};

/// @errors errc::not_found: there is no file
///         errc::snapshot_unusable: it is damaged, stale, or not for us; the message says which
///         errc::io_failed, no_room: the host could not; the file may be good
result<stored_snapshot> load_snapshot(const std::filesystem::path& path,
                                      std::string_view key,
                                      const guest_files& files,
                                      const std::string& cpu = cpu_fingerprint());

/// Removes what interrupted saves left in a directory (*.tmp), which holds snapshots only. No save
/// may be going on there.
void remove_unfinished(const std::filesystem::path& directory);

}  // namespace hearth::detail
