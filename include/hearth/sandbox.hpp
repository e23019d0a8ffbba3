#pragma once

/// The lower floor: one guest at a time, without functions, scheduler or pool.
///
///     auto host = hearth::hypervisor::open().value();
///     auto box = hearth::sandbox::create(host, {.package =
///     hearth::package::elf("guest")}).value(); auto ready = box.snapshot_when_ready().value(); //
///     init runs once auto clone = ready.clone().value();                 // as often as you like
///     std::cout << clone.call("{}", 3s).value().payload;  // a guest function, called like one
///     clone.reset().value();                              // as if nothing had been

#include <hearth/error.hpp>
#include <hearth/hypervisor.hpp>
#include <hearth/package.hpp>
#include <hearth/snapshot.hpp>
#include <hearth/units.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

/// What runs in a sandbox, and what it sees.
struct sandbox_config {
    /// The guest's own code, found at /var/task; of `root` it sees only the parts programs need
    /// (/usr, /lib*, /bin, /sbin and a few files of /etc). Empty: the program is one of `root`,
    /// which it sees whole, as run_options says.
    hearth::package package{};
    /// The program, by a path in the guest, and its arguments. Empty: /var/task/bootstrap of the
    /// package. Without a package, a name without a slash is looked for in PATH.
    std::vector<std::string> arguments{};
    /// "NAME=value", all of it.
    std::vector<std::string> environment{};
    /// In the guest. Empty: /var/task; without a package, the caller's if `root` is "/", else "/".
    std::filesystem::path working_directory{};
    std::filesystem::path root = "/";
    byte_count memory = byte_count(128ull << 20);    ///< of the guest; 1 MiB to 1 TiB
    byte_count tmp_size = byte_count(512ull << 20);  ///< its /tmp, in the host's memory
    sandbox_output output{};
    /// Remembers the random bytes the guest is given, for snapshot::shared_randomness.
    bool record_randomness = false;
};

/// Why a run came back.
struct run_end {
    enum class reason {
        waiting,        ///< it asks for an event (<hearth/guest.h>): ready for `call`, `snapshot`
        asleep,         ///< it waits for a time, or for something that will not come
        exited,         ///< exit code or signal
        out_of_memory,  ///< it wanted more than `sandbox_config::memory`
        timed_out,      ///< the limit is reached; run again to go on
        stopped,        ///< the token's; run again to go on
    };
    reason why = reason::exited;
    /// asleep, waiting: when it has something to do by itself. None: never.
    std::optional<std::chrono::steady_clock::time_point> wakes_at{};
    int exit_code = 0;  ///< of exit_group
    int signal = 0;     ///< or the signal that ended it

    [[nodiscard]] bool ended() const noexcept {
        return why == reason::exited || why == reason::out_of_memory;
    }
};

struct run_limits {
    std::chrono::nanoseconds timeout = std::chrono::nanoseconds::max();  ///< max: none
    std::stop_token stop{};
    /// Comes back as soon as the guest sleeps, instead of waiting for `wakes_at` on this thread.
    bool return_asleep = false;
};

/// What came of a call.
struct reply {
    bool answered = false;  ///< else `end` says why not
    bool failed = false;    ///< the payload is the function's error document
    std::string payload{};
    run_end end{};  ///< waiting: it is ready for the next call

    [[nodiscard]] bool ok() const noexcept { return answered && !failed; }
};

/// A guest in a microVM of its own. It holds no thread: guest code runs inside `run` and `call`, on
/// the caller's. One owner at a time; it may move between threads in between. Standard input is
/// empty, and no network is there. A moved-from sandbox may be assigned to or destroyed, no more.
///
/// A guest that ended, or whose microVM stopped, poisons its sandbox: `run`, `call` and `snapshot`
/// refuse until `reset` or snapshot::clone_into.
class sandbox {
  public:
    /// Makes the microVM and loads the program; nothing of it runs yet.
    /// @errors errc::missing_entry_point, not_executable, bad_executable, missing_interpreter,
    ///         bad_package, package_too_large, invalid_argument, io_failed, no_room, kvm_failed
    [[nodiscard]] static result<sandbox> create(const hypervisor& host, sandbox_config config);

    sandbox(sandbox&&) noexcept;
    sandbox& operator=(sandbox&&) noexcept;
    ~sandbox();

    /// Runs the guest until it waits for an event, ends, or a limit; also when it sleeps with
    /// nothing to wake it. The guest's own failure is a value.
    /// @errors errc::sandbox_poisoned: it had ended before, or its microVM stopped
    [[nodiscard]] result<run_end> run(run_limits limits = {});

    /// Hands the guest an event and takes its reply: a guest with <hearth/guest.h> (the private
    /// system call; the Runtime API over HTTP is the runtime's). One exit when the guest is ready;
    /// else it runs until it asks for an event first, within the time. At most 6 MB.
    ///
    /// A call that timed out or was stopped is still under way in the guest: the next `run` or
    /// `call` lets it end and drops its reply, `reset` forgets it.
    /// @errors errc::payload_too_large; sandbox_poisoned as run
    [[nodiscard]] result<reply> call(std::string event,
                                     std::chrono::nanoseconds timeout = std::chrono::seconds(3),
                                     std::stop_token stop = {});

    /// An immutable image of the guest as it stands. The sandbox may go on; it gets a new identity,
    /// as clones do, since the image has its old one. Time grows with the memory in use; in a
    /// clone, with the pages it wrote, and the rest is shared.
    /// @errors errc::not_snapshotable: the guest ended or is in the middle of a call; no_room,
    ///         io_failed
    [[nodiscard]] result<hearth::snapshot> snapshot();

    /// `run`, and `snapshot` when the guest asks for its first event.
    /// @errors errc::init_failed: it did not; the message says what it did. As run and snapshot
    [[nodiscard]] result<hearth::snapshot> snapshot_when_ready(run_limits limits = {});

    /// Back to its own snapshot, the last one taken of it or that it is a clone of: everything the
    /// guest did since is gone, from memory, registers, files and timers. Time grows with the pages
    /// written, except the first time after `snapshot`.
    /// @errors errc::invalid_argument: there is none. As snapshot::clone; it is poisoned then
    [[nodiscard]] result<void> reset();

    /// Of the guest; a clone's begins with its snapshot's.
    [[nodiscard]] byte_count peak_memory() const noexcept;

    struct impl;

  private:
    friend class hearth::snapshot;
    explicit sandbox(std::unique_ptr<impl>) noexcept;
    std::unique_ptr<impl> impl_;
};

/// Any Linux program in a microVM of its own: no function, no scheduler. What `hearth run` is made
/// of.
struct run_options {
    /// The program and its arguments. Without a slash the program is looked for in the
    /// environment's PATH, as a shell does (without PATH: /usr/local/bin:/usr/bin:/bin).
    std::vector<std::string> arguments;
    /// "NAME=value", all of it: nothing comes from the caller's own environment.
    std::vector<std::string> environment;
    /// The host directory the guest sees, read-only, as its root; /tmp, /proc and /dev are its own.
    /// Of the host's /tmp it sees the working directory and the program's directory, read-only.
    std::filesystem::path root = "/";
    /// Inside that root. Empty: the caller's current directory if the root is "/", else "/".
    std::filesystem::path working_directory;
    byte_count memory = byte_count(1024ull << 20);
    byte_count tmp_size = byte_count(512ull << 20);
    /// Descriptors that are the guest's stdin, stdout and stderr; borrowed. Negative: end of file,
    /// discarded.
    int input = 0, output = 1, error_output = 2;
    /// Called instead of writing to a descriptor, when set.
    std::function<void(std::string_view)> on_output, on_error_output;
    /// Called with one line per system call, as strace prints it, when set.
    std::function<void(std::string_view)> trace;
    /// A stop request ends the guest: errc of the result is `asio::error::operation_aborted`.
    std::stop_token stop;
    /// As function_config::network.
    std::string network = "none";
    /// As in runtime_options.
    int kick_signal_offset = 7;
};

/// How the program ended.
struct run_status {
    int exit_code = 0;           ///< of exit_group
    int signal = 0;              ///< or the signal that ended it
    bool out_of_memory = false;  ///< or the memory size was reached
    byte_count peak_memory;
    std::chrono::nanoseconds vm{}, load{}, run{};
};

/// Runs it on the calling thread until it ends.
///
/// @errors errc::missing_entry_point no such program; not_executable, bad_executable,
/// missing_interpreter;
///         invalid_argument, io_failed, no_room, kvm_missing, kvm_forbidden, kvm_unsupported,
///         kvm_failed; sandbox_poisoned the microVM stopped, the detail says why
[[nodiscard]] result<run_status> run_program(const run_options& options);

}  // namespace hearth
