#pragma once

/// An execution environment of a function: its sandbox, the Runtime API inside it, and the state of
/// the one initialisation or invocation it is at. `advance` runs the guest on the calling thread
/// until that is over or the guest sleeps; nothing here blocks or waits, so a thread is never held
/// by a sleeping guest.
///
/// One owning thread at a time, except `interrupt`, which any thread may call during the
/// environment's life.
///
/// Extensions: their processes begin before the runtime's, and init and invocation last until they
/// wait for an event again. A caller does not wait for them: once the runtime has answered and asks
/// for its next event the response is there, and the environment `lingers` until they are done, or
/// the invocation's time is over (AWS's "early return" of 2021, and the guide: no independent
/// post-invoke phase).

#include "base/deadline_watch.hpp"
#include "base/response_writer.hpp"
#include "net/guest_network.hpp"
#include "pool/ids.hpp"
#include "sandbox/sandbox.hpp"
#include "worker/failure.hpp"
#include "worker/guest_files.hpp"
#include "worker/log_buffer.hpp"
#include "worker/runtime_api.hpp"
#include "worker/stored_log.hpp"
#include "worker/version_snapshot.hpp"
#include "worker/worker.hpp"

#include <hearth/observer.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::worker {

/// 127.0.0.1:9001, as the guest sees the Runtime API.
inline constexpr std::uint32_t runtime_api_address = 0x7f00'0001;
inline constexpr std::uint16_t runtime_api_port = 9001;

/// Who wants to know when a sleeping environment was interrupted.
class waker {
  public:
    virtual void wake() noexcept = 0;

  protected:
    ~waker() = default;
};

class environment final : private detail::sandbox_streams,
                          private detail::sandbox_services,
                          private deadline_watch::entry,
                          private net::listener,
                          private response_writer::listener {
  public:
    enum class reason : unsigned { timeout = 1, cancelled = 2, shutdown = 4 };

    /// A shell, and how long getting it took.
    struct resources {
        detail::shell shell;
        std::chrono::nanoseconds vm_time{};
    };

    /// `options`, `watch` and `network` outlive the environment. It has no shell yet.
    environment(std::shared_ptr<const version_data> version,
                const worker_options& options,
                deadline_watch& watch,
                net::engine& network);
    ~environment();
    environment(const environment&) = delete;
    environment& operator=(const environment&) = delete;

    // -- how it comes to be, one of these

    /// Loads the program; its init is to come. @errors as sandbox::load
    result<void> load(resources r);
    /// A clone of the version's snapshot, which took so long to read from disk. Unless it is
    /// `initialised` then, its restore hooks are to come. @errors as sandbox::restore
    result<void> restore(resources r,
                         const version_snapshot& from,
                         std::chrono::nanoseconds read_time);

    // -- at rest

    /// Idle: from the initialised environment the version's snapshot. `go_on` comes next.
    /// @errors as sandbox::snapshot
    result<std::shared_ptr<const version_snapshot>> snapshot();
    /// After `snapshot`, with an identity of its own: as the first clone of what was taken, so it
    /// can be detached like the others; null: that is not kept.
    void go_on(const version_snapshot* as_clone_of);
    /// What it was given since it was loaded, if worker_options ask for it.
    [[nodiscard]] const detail::random_record& given_randomness() const noexcept { return given_; }
    /// Idle: becomes a fresh clone of the snapshot, in the shell it has. Unless it is `initialised`
    /// then, its next start is a restored one, whose hooks are to come.
    result<void> reset(const version_snapshot& to);
    /// Idle: gives its shell back and keeps what it wrote since the snapshot.
    /// @errors as sandbox::snapshot; it keeps the shell then
    result<detail::shell> detach();
    [[nodiscard]] bool detached() const noexcept { return at_rest_ != nullptr; }
    /// The snapshot that it stems from; null: it was loaded.
    [[nodiscard]] const detail::snapshot_image* root() const noexcept;
    /// Bytes it holds while detached.
    [[nodiscard]] byte_count held() const noexcept;
    /// Detached: goes on in another shell.
    result<void> attach(resources r);
    /// Running, and the guest sleeps: the same until `resume`; may be interrupted meanwhile.
    result<detail::shell> suspend();
    [[nodiscard]] bool suspended() const noexcept {
        return at_rest_ != nullptr && (phase_ == phase::running || phase_ == phase::lingering);
    }
    result<void> resume(resources r);
    /// The end of it. Its shell, when it had one that others may use.
    std::optional<detail::shell> give_up();

    /// It asks for an event.
    [[nodiscard]] bool initialised() const noexcept { return phase_ == phase::idle; }
    /// It waits in `restore/next`: the place for a snapshot. `begin_init` lets it run its hooks.
    [[nodiscard]] bool at_restore_point() const noexcept { return phase_ == phase::restore_point; }
    /// Starts the init phase, or that of the restore hooks; `advance` until finished, then
    /// `init_failure` tells how it went.
    void begin_init();
    [[nodiscard]] const std::optional<failure>& init_failure() const noexcept {
        return init_failure_;
    }

    /// Hands the event over; `advance` until finished, then `take_response`. Not warm: the
    /// environment was made for this invocation, whose log begins with what init wrote and whose
    /// bill includes it.
    void begin_invocation(invocation& input, start_kind start);
    response take_response();
    /// No invocation waits for it, but extensions are at work: `advance` on until finished.
    [[nodiscard]] bool lingers() const noexcept {
        return phase_ == phase::lingering || phase_ == phase::shutdown;
    }
    /// Idle, and it has served since it was made or reset; or its time was over, or its process or
    /// an extension failed it: extensions are to hear of its end.
    [[nodiscard]] bool wants_shutdown() const noexcept {
        return (phase_ == phase::idle ? served_ : timed_out_ || failed_) &&
               api_.participants().any_for(extensions::event::shutdown);
    }
    /// Has a shell and wants it: lingers then, for two seconds at most, and is to be given up.
    void begin_shutdown();
    /// It began to.
    [[nodiscard]] bool shuts_down() const noexcept { return shuts_down_; }
    /// The invocation was stopped by `interrupt(cancelled | shutdown)`.
    [[nodiscard]] bool stopped() const noexcept { return stopped_; }

    /// Why `advance` came back before the end.
    struct pause {
        std::optional<detail::monotonic_time> until;  ///< the guest sleeps, at most until then
        bool preempted = false;                       ///< it does not: `preempt` was set
    };
    /// Nothing: finished. Comes back when it finds `preempt` set, which it clears; who sets it
    /// while the guest runs calls `kick` after.
    std::optional<pause> advance(const vmm::run_scope& scope, std::atomic<bool>& preempt);
    /// Any thread.
    void kick() noexcept;

    /// The environment can take another invocation.
    [[nodiscard]] bool reusable() const noexcept {
        return phase_ == phase::idle || phase_ == phase::restore_point;
    }

    /// Ends what runs as soon as possible.
    void interrupt(reason r) noexcept;
    /// `advance` will end what runs.
    [[nodiscard]] bool interrupted() const noexcept {
        return interrupts_.load(std::memory_order_acquire) != 0;
    }
    /// Reusable, and out of reach of whoever interrupts: what came too late for the phase that is
    /// over must not meet the next.
    void forget_interrupts() noexcept;
    /// While set, `interrupt` and news of the guest's connections call it. @return false, and not
    /// set, when there is one already
    [[nodiscard]] bool set_waker(waker* w) noexcept;
    void clear_waker() noexcept;

    /// How it came to be: once it is initialised, before its first invocation.
    [[nodiscard]] start_report started_as() const noexcept;
    [[nodiscard]] byte_count peak_memory() const noexcept;
    [[nodiscard]] std::string_view log_tail() const noexcept { return log_.tail(); }

    [[nodiscard]] const version_spec& spec() const noexcept { return spec_; }
    [[nodiscard]] const std::shared_ptr<const version_data>& version() const noexcept {
        return version_;
    }
    [[nodiscard]] byte_count memory() const noexcept { return spec_.memory; }
    /// It stems from the version's snapshot, so it can be detached.
    [[nodiscard]] bool clone() const noexcept { return sandbox_ && sandbox_->origin(); }

    pool::environment_id id;       ///< the pool's
    bool in_pool = false;          ///< the pool knows that it has started
    bool ahead = false;            ///< started for no invocation
    start_reason why = start_reason::none;        ///< of its start, until that was reported
    cold_reason no_snapshot = cold_reason::none;  ///< so too
    static constexpr std::size_t at_rest = SIZE_MAX;
    std::size_t running_slot = at_rest;  ///< the core's

  private:
    enum class phase { fresh, init, restore_point, idle, running, lingering, shutdown, dead };

    // sandbox_streams
    std::size_t write(guest::stream which, std::span<const std::byte> bytes) override;
    // sandbox_services
    bool listens(std::uint32_t address, std::uint16_t port) override;
    bool serve(guest::kernel& kernel) override;
    void set_timer(std::optional<detail::monotonic_time> at) override;
    // deadline_watch::entry
    void expire() noexcept override { interrupt(reason::timeout); }
    // net::listener
    void network_ready() noexcept override;
    // response_writer::listener
    void room() noexcept override;

    /// A timer of the guest (alarm, setitimer) is due while its code runs: only a kick gets in
    /// between.
    struct guest_timer final : deadline_watch::entry {
        explicit guest_timer(environment& e) noexcept : self(e) {}
        void expire() noexcept override { self.kick(); }
        environment& self;
    };

    void open(detail::shell shell);
    result<detail::shell> put_away();
    result<void> bring_back(detail::shell shell);
    result<void> start_extensions(const std::vector<std::string>& variables);
    void end_registration();
    [[nodiscard]] bool asks_for_event();
    bool flush(guest::kernel& kernel);
    void collect_reply();
    void pump();
    void end_stream() noexcept;
    bool on_interrupt();
    bool phase_is_over();
    void on_end(failure f);
    bool on_exit(const detail::run_exited& exited);
    void finish(phase next);
    void report_init(std::chrono::nanoseconds duration);
    [[nodiscard]] std::uint64_t system_calls() const noexcept {
        return calls_before_ + (sandbox_ ? sandbox_->system_calls() : 0);
    }
    void settle_interrupts();
    void log_failure(const failure& f);

    std::shared_ptr<const version_data> version_;
    const version_spec& spec_;
    const worker_options& options_;
    deadline_watch& watch_;
    guest_timer timer_{*this};
    runtime_api api_;
    log_buffer log_;
    stored_log stored_log_;
    phase phase_ = phase::fresh;

    // The phase under way.
    detail::monotonic_time started_;
    std::string request_id_;
    bool answered_ = false;
    bool stopped_ = false;
    bool served_ = false;
    bool shuts_down_ = false;
    bool timed_out_ = false;  ///< and the guest stands where it was stopped
    bool failed_ = false;     ///< a process of it did, and the others stand where they are
    bool hooks_ = false;  ///< the init phase is that of the restore hooks
    start_kind start_ = start_kind::warm;
    runtime_api::reply reply_;
    std::shared_ptr<response_writer> stream_;  ///< null: nobody reads it meanwhile
    bool streaming_ = false;                   ///< something of it was written
    bool waits_for_room_ = false;              ///< it was full when the guest last wanted to run
    std::optional<failure> failure_;
    std::optional<failure> init_failure_;
    std::chrono::nanoseconds duration_{};
    std::uint64_t calls_at_begin_ = 0;  ///< system_calls() then

    std::chrono::nanoseconds vm_time_{};
    std::chrono::nanoseconds boot_time_{};
    std::chrono::nanoseconds init_time_{};
    std::chrono::nanoseconds snapshot_time_{};
    bool reattached_ = false;  ///< since the last invocation
    bool poisoned_ = false;    ///< the shell is no good

    std::atomic<unsigned> interrupts_{0};
    std::atomic<bool> network_news_{false};  ///< since the guest was last looked after
    std::mutex waker_mutex_;  // a leaf; guards waker_, and sandbox_'s coming and going
    waker* waker_ = nullptr;

    std::shared_ptr<const detail::snapshot_image> at_rest_;  ///< while detached or suspended
    std::uint64_t calls_before_ = 0;                         ///< of the sandboxes it had
    std::optional<net::guest_network> network_;  ///< moves with the guest from shell to shell
    // Last: it calls what stands above until it is gone.
    detail::random_record given_;             ///< if it is asked for
    std::optional<detail::sandbox> sandbox_;  ///< none while it has no shell
};

}  // namespace hearth::worker
