#pragma once

/// A directory of this machine as a bucket: a function is told of the files that appear in it,
/// change and go, by events in Amazon S3's format (ObjectCreated:Put, ObjectRemoved:Delete).
///
/// A file counts when its writer has closed it, or when it is moved in; only where the directory
/// has to be looked through (at the start, below a new directory, after a burst that the kernel did
/// not keep) may one be told of while it is written, and then again. The event is an asynchronous
/// invocation, on disk before the file counts as told of, so that each change is told at least
/// once; a file that changes again meanwhile may be told of once for both. What changed while no
/// process watched is found at the start by comparing the directory with what was told, if that is
/// kept. What is in a directory when it is watched for the first time is not told of. Symbolic
/// links are not followed, nor are they files.

#include <hearth/error.hpp>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace hearth {

class control_plane;
class observer;

struct directory_watch {
    std::filesystem::path directory{};  ///< with all below it; must be there
    std::string function{};             ///< in any of AWS's ways
    /// Of the keys that count: paths below the directory, with slashes.
    std::string prefix{}, suffix{};
    std::string bucket{};  ///< its name in events; empty: the directory's own
};

/// Watches while it lives; over a control plane that outlives it, with a thread for each directory.
/// What a function cannot be told yet, as when it does not exist, is tried again and kept.
class directory_watches {
  public:
    static constexpr std::size_t max_watches = 64;

    /// @param kept  the database of what was told, beside the control plane's; created if absent.
    ///              Empty: in memory, so that what changes while nobody watches is not found.
    /// @param told  hears what goes wrong; may be null
    /// @errors errc::invalid_argument: no directory, or no function's name; storage_failed
    static result<directory_watches> start(control_plane& control,
                                           const std::vector<directory_watch>& what,
                                           const std::filesystem::path& kept = {},
                                           std::shared_ptr<observer> told = {});
    /// Waits for the files that are being looked at.
    ~directory_watches();
    directory_watches(directory_watches&&) noexcept;
    directory_watches& operator=(directory_watches&&) noexcept;

  private:
    struct impl;
    explicit directory_watches(std::unique_ptr<impl> i) noexcept;
    std::unique_ptr<impl> impl_;
};

}  // namespace hearth
