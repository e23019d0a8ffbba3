#pragma once

/// One guest: a microVM, the Linux personality that answers it, and the loop between them. The
/// sandbox knows nothing of functions; what listens at the guest's loopback (`sandbox_services`)
/// and where its streams go
/// (`sandbox_streams`) are its owner's.
///
/// A sandbox has one owning thread at a time and may move between threads while it does not run.
/// `kick` alone may be called from any thread, during the sandbox's life.

#include "guest/kernel/host.hpp"
#include "guest/kernel/kernel.hpp"
#include "sandbox/memory_restore.hpp"
#include "sandbox/random_record.hpp"
#include "sandbox/shell.hpp"
#include "sandbox/snapshot_image.hpp"
#include "vmm/kvm.hpp"
#include "vmm/vm.hpp"
#include "vmm/x86_64/vvar.hpp"

#include <hearth/error.hpp>
#include <hearth/units.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hearth::detail {

using monotonic_time = std::chrono::steady_clock::time_point;  // CLOCK_MONOTONIC on Linux

/// The guest's stdin, stdout and stderr. Called on the owning thread, while the guest runs.
class sandbox_streams {
  public:
    virtual ~sandbox_streams() = default;
    virtual std::size_t write(guest::stream which, std::span<const std::byte> bytes) = 0;
    virtual guest::host::input_result read(std::span<std::byte>) { return {}; }  // end of file
    virtual bool input_ready() { return true; }
    virtual guest::host::terminal terminal_of(guest::stream) { return {}; }
    virtual void trace(std::string_view) {}
};

/// What listens at addresses inside the guest.
class sandbox_services {
  public:
    virtual ~sandbox_services() = default;
    virtual bool listens(std::uint32_t address, std::uint16_t port) = 0;
    /// Looks after connections with news. @return whether anything was sent to the guest
    virtual bool serve(guest::kernel& kernel) = 0;
    /// The guest has a timer that is due then: kick the sandbox. Replaces the one before.
    virtual void set_timer(std::optional<monotonic_time>) {}
};

struct sandbox_options {
    byte_count memory;  ///< frames the guest may have
    std::shared_ptr<guest::vfs::filesystem> filesystem;
    sandbox_streams* streams = nullptr;    ///< outlives the sandbox
    sandbox_services* services = nullptr;  ///< outlives the sandbox; may be null
    bool tracing = false;
    random_record* randomness = nullptr;  ///< gets what the guest gets; outlives it; may be null
    guest::outbound* network = nullptr;   ///< outlives the sandbox; may be null: no way out
};

/// What to start in a sandbox.
struct program {
    std::string path;  ///< as the guest sees it
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    std::string working_directory = "/";
};

// How a run ended.
struct run_parked {
    std::optional<monotonic_time> deadline;  ///< a task sleeps until then
    bool input = false;                      ///< a task waits for stdin
};
struct run_exited {
    guest::exit_status status;
    guest::pid process = 1;  ///< another than the first: it was added, and the guest may go on
};
struct run_out_of_memory {};
struct run_poisoned {
    std::string reason;
};
struct run_interrupted {};  ///< by `kick`; run again to go on
using run_outcome =
    std::variant<run_parked, run_exited, run_out_of_memory, run_poisoned, run_interrupted>;

enum class restore_as {
    clone,  ///< its ids and AT_RANDOM are renewed
    same,
};

class sandbox final : private guest::host {
  public:
    /// Guest-physical space beside the frames: the system area and windows of mapped files.
    static constexpr byte_count window_space{128ull << 20};
    /// The shell a sandbox of that memory limit needs.
    static vmm::vm_options shell_options(byte_count memory, int kick_signal, bool tracing);

    /// Whatever ran in the shell before, nothing of it is seen.
    sandbox(detail::shell shell, sandbox_options options);
    sandbox(const sandbox&) = delete;
    sandbox& operator=(const sandbox&) = delete;
    ~sandbox() override;

    /// @errors errc::bad_executable, not_executable, missing_interpreter, missing_entry_point,
    /// no_room
    result<void> load(const program& what);
    /// Loaded, and not run yet: one more program as a process of its own, known by the id that is
    /// returned. The first one then waits until `kernel().start_first()`. @errors as load
    result<guest::pid> add(const program& what);

    /// It is parked, was interrupted or a process of it has ended: the first one and what stems
    /// from it run no more, those that were added go on.
    void hold_first();

    /// Takes an immutable image of the guest, which is parked or was interrupted; it may run on
    /// after. That of a clone shares its root and grows with the pages written since.
    /// @errors errc::not_snapshotable: it ended; no_room, io_failed
    result<std::shared_ptr<const snapshot_image>> snapshot();

    /// Instead of load, or at any later time: becomes what the image shows, made for the same
    /// memory limit and filesystem: a clone with an identity of its own, or the very guest, moved
    /// here. After a failure the shell is no good.
    /// @errors errc::no_room, io_failed, kvm_failed
    result<memory_restored> restore(std::shared_ptr<const snapshot_image> image,
                                    restore_as identity = restore_as::clone);
    /// `image` was just taken of this guest, a root: it goes on as if it were a clone of that, with
    /// an identity of its own, where it stands. What is snapshotted of it later shares the root.
    /// Null: the image is not kept here; only the identity is its own.
    void become_clone_of(std::shared_ptr<const snapshot_image> image);
    /// A new identity for a guest that its snapshot's clones must not meet again.
    void renew_identity();
    /// System calls that went to the host, since it was made.
    [[nodiscard]] std::uint64_t system_calls() const noexcept { return system_calls_; }
    /// What it was last restored from, or became a clone of; may be null.
    [[nodiscard]] const std::shared_ptr<const snapshot_image>& origin() const noexcept {
        return origin_;
    }

    /// Runs until nothing can go on, the guest ends, or a kick. The caller is inside a run_scope of
    /// the shell's kick signal.
    run_outcome run(const vmm::run_scope& scope);

    /// Some task may have news: it has its turn before one that computes.
    void wake() noexcept;

    /// Ends a run under way, or the next, with `run_interrupted`. Any thread.
    void kick() noexcept { shell_.vm.vcpu().kick(); }
    void clear_kick() noexcept { shell_.vm.vcpu().clear_kick(); }

    [[nodiscard]] guest::kernel& kernel() noexcept { return *kernel_; }
    [[nodiscard]] byte_count peak_memory() const noexcept;
    /// Host memory that this guest holds for itself, which `take_shell` and `make_blank`, or a
    /// restore that maps anew, give back; a reset does not. Walks the page tables.
    [[nodiscard]] byte_count private_memory() const noexcept;
    /// Gives the shell up, for another guest or for teardown elsewhere. A poisoned sandbox's shell
    /// must not be used again.
    detail::shell take_shell() &&;

  private:
    // guest::host
    std::chrono::nanoseconds monotonic_now() override;
    std::chrono::nanoseconds realtime_now() override;
    std::chrono::nanoseconds cpu_time() override;
    void random(std::span<std::byte> out) override;
    std::size_t write_stream(guest::stream which, std::span<const std::byte> bytes) override;
    input_result read_input(std::span<std::byte> into) override;
    bool input_ready() override;
    terminal terminal_of(guest::stream which) override;
    bool service_listens(std::uint32_t address, std::uint16_t port) override;
    guest::outbound* network() override { return options_.network; }
    vmm::fpu_state read_fpu() override;
    bool write_fpu(const vmm::fpu_state& state) override;
    bool tracing() const override { return options_.tracing; }
    void trace(std::string_view line) override;

    result<void> load_into(guest::process_state& process,
                           guest::task_state& task,
                           const program& what);
    void give_random(random_record::source source, std::span<std::byte> out);
    vmm::vvar& vvar_page() noexcept;
    /// @return what the guest's monotonic clock says
    std::chrono::nanoseconds refresh_clock();
    void watch_timer();
    [[nodiscard]] bool waits_for_service() const noexcept;
    void close_gone_sockets();
    std::optional<run_outcome> apply(guest::step step);
    run_outcome park();
    run_outcome exited();

    [[nodiscard]] vmm::guest_memory& memory() noexcept { return shell_.vm.memory(); }
    [[nodiscard]] const vmm::guest_memory& memory() const noexcept { return shell_.vm.memory(); }
    [[nodiscard]] vmm::vcpu& vcpu() noexcept { return shell_.vm.vcpu(); }
    void show_ids() noexcept;
    void enter_running_task() noexcept;
    void keep_layout();

    detail::shell shell_;
    sandbox_options options_;
    std::shared_ptr<const snapshot_image> origin_;
    std::chrono::nanoseconds clock_offset_{};
    std::optional<guest::kernel> kernel_;
    vmm::vcpu_state registers_;
    bool parked_ = false;
    std::optional<error> broken_;  ///< the host failed while it answered a call
    bool ended_ = false;           ///< exited, out of memory, poisoned, or half restored
    std::optional<std::chrono::nanoseconds> timer_;  // as last told to the services
    std::uint64_t system_calls_ = 0;
    unsigned calls_since_service_ = 0;
    std::chrono::nanoseconds cpu_time_{};
    std::chrono::nanoseconds run_started_{};
    bool running_ = false;
};

}  // namespace hearth::detail
