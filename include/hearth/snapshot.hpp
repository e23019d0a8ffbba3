#pragma once

#include <hearth/error.hpp>
#include <hearth/fwd.hpp>
#include <hearth/hypervisor.hpp>
#include <hearth/units.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

/// Where a guest's stdout and stderr go. Called on the thread that runs the guest, while it runs;
/// they must not throw, nor touch the sandbox. Unset: discarded.
struct sandbox_output {
    std::function<void(std::string_view)> on_output{}, on_error_output{};
};

/// A place in a snapshot that holds random bytes the guest had been given: they are the same in
/// every clone. A generator seeded from them gives all clones the same numbers.
struct shared_bytes {
    enum class source {
        drawn,      ///< getrandom(2), /dev/urandom, /dev/random
        at_random,  ///< AT_RANDOM's 16 bytes; glibc's stack canary and pointer guard come from them
    };
    source from = source::drawn;
    std::uint64_t address = 0;  ///< in the guest
    std::size_t length = 0;     ///< bytes; at least 8
    std::string mapping{};      ///< as in /proc/self/maps: "[heap]", a file's path; "": anonymous
};

struct randomness_report {
    std::vector<shared_bytes> places{};  ///< by address
    std::size_t recorded = 0;            ///< bytes that were looked for
    /// False: the guest drew more than is recorded (256 KiB), or there are more places than are
    /// reported (1,024).
    bool complete = true;
};

/// An immutable image of a guest: memory, registers and what its kernel knows. A cheap handle;
/// copies share the image. Thread-safe: any number of clones, on any threads.
class snapshot {
  public:
    /// A new sandbox that goes on where the image stands, in a microVM of its own (which costs more
    /// than the rest of it: a sandbox kept for the purpose and `clone_into` are the fast way). It
    /// has AT_RANDOM, boot id and clock of its own, and its first event tells the function so
    /// (HEARTH_EXCHANGE_RESTORED of <hearth/guest.h>). Memory is shared until it is written.
    /// @errors errc::no_room, kvm_failed, io_failed
    [[nodiscard]] result<sandbox> clone(sandbox_output output = {}) const;

    /// The same in a microVM that is there already: whatever `used` was, it is a clone of this
    /// afterwards, and nothing of the guest before is left. Fast where that was a clone of the same
    /// snapshot, or of another one with the same root (time grows with the pages it wrote); else
    /// its memory is mapped anew, or, where its size is another or it was poisoned, a microVM made.
    /// Its output stays.
    /// @errors as clone; `used` is poisoned then
    /// @threads the one that owns `used`
    [[nodiscard]] result<void> clone_into(sandbox& used) const;

    /// Into one file, 0600, taking the place of what is there, durably and whole or not at all.
    /// @errors errc::storage_failed: no space, no permission
    ///         errc::not_snapshotable: a file the guest has mapped is no longer what its name
    ///         stands for
    ///         errc::unsupported: the snapshot of a clone, or of a sandbox that was reset
    [[nodiscard]] result<void> save(const std::filesystem::path& file) const;

    /// A saved one: of this processor and this build of Hearth, made by the same configuration
    /// (`output` and `record_randomness` aside) from the same program.
    /// @errors errc::not_found: there is no such file
    ///         errc::snapshot_unusable: damaged, stale, or not for us; the message says which
    ///         errc::io_failed, no_room: the file may be good; and as sandbox::create for the
    ///         configuration
    [[nodiscard]] static result<snapshot> load(const hypervisor& host,
                                               const std::filesystem::path& file,
                                               const sandbox_config& config);

    /// Looks for what the guest drew before the snapshot, 8 bytes in a row or more, in the
    /// snapshot's memory. For tests of a function: takes about 5 ms for each MiB. Not seen: what
    /// the guest derived from its draws, wrote to files in /tmp or got from RDRAND.
    /// @errors errc::invalid_argument: nothing was recorded (sandbox_config::record_randomness; a
    ///         loaded snapshot has no record)
    [[nodiscard]] result<randomness_report> shared_randomness() const;

    /// Bytes of guest memory the image holds; those of a clone are the pages it wrote, its
    /// snapshot's being shared.
    [[nodiscard]] byte_count size() const noexcept;

    struct impl;

  private:
    friend class sandbox;
    explicit snapshot(std::shared_ptr<const impl> i) noexcept : impl_(std::move(i)) {}
    std::shared_ptr<const impl> impl_;
};

}  // namespace hearth
