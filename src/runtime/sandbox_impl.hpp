#pragma once

/// The body of the public sandbox: a guest in its shell, and what interrupts it. One owning thread
/// at a time; only the entries' `expire` and a stop request come from others, and those kick the
/// guest and wake a waiting owner.
///
/// Lock order: the deadline watch's mutex → mutex_, a leaf.

#include "base/deadline_watch.hpp"
#include "runtime/guest_program.hpp"
#include "runtime/snapshot_impl.hpp"
#include "sandbox/sandbox.hpp"

#include <hearth/sandbox.hpp>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace hearth {

/// What a configuration comes to, before there is a microVM.
struct configured_guest {
    guest_origin origin;
    detail::program what;
};
/// @errors as sandbox::create
result<configured_guest> configure(const std::shared_ptr<hypervisor::impl>& host,
                                   const sandbox_config& config);

struct sandbox::impl final : private detail::sandbox_streams, private detail::sandbox_services {
    impl(guest_origin o, sandbox_output out, bool record_randomness);
    impl(const impl&) = delete;
    impl& operator=(const impl&) = delete;
    ~impl() override;

    result<void> load(const detail::program& what);
    /// Becomes a clone of it, in the shell at hand if that will do.
    result<void> become(const std::shared_ptr<const snapshot::impl>& image);
    result<run_end> run(const run_limits& limits);
    result<reply> call(std::string event,
                       std::chrono::nanoseconds timeout,
                       const std::stop_token& stop);
    result<std::shared_ptr<const snapshot::impl>> take_snapshot();
    result<void> reset();
    [[nodiscard]] byte_count peak_memory() const noexcept {
        return box_ ? box_->peak_memory() : byte_count{};
    }

  private:
    class interruptions;

    struct limit final : deadline_watch::entry {
        explicit limit(impl& i) noexcept : self(i) {}
        void expire() noexcept override { self.interrupt(timed_out); }
        impl& self;
    };
    /// A timer of the guest (alarm, setitimer) is due while its code runs: only a kick gets in
    /// between.
    struct guest_timer final : deadline_watch::entry {
        explicit guest_timer(impl& i) noexcept : self(i) {}
        void expire() noexcept override { self.box_->kick(); }
        impl& self;
    };
    static constexpr unsigned timed_out = 1, stopped = 2;

    // sandbox_streams
    std::size_t write(guest::stream which, std::span<const std::byte> bytes) override;
    // sandbox_services
    bool listens(std::uint32_t, std::uint16_t) override { return false; }
    bool serve(guest::kernel&) override { return false; }
    void set_timer(std::optional<detail::monotonic_time> at) override;

    void interrupt(unsigned why) noexcept;
    result<void> emplace(std::optional<detail::shell> shell);
    [[nodiscard]] bool asks_for_event();
    result<run_end> drive(interruptions& limits, bool return_asleep);

    guest_origin origin_;
    sandbox_output output_;
    std::shared_ptr<const snapshot::impl> own_;  ///< where reset goes; may be null
    bool records_;
    detail::random_record randomness_;
    std::string poisoned_;  ///< why nothing runs any more; empty: it does
    bool shell_usable_ = true;
    std::uint64_t calls_ = 0;

    limit limit_{*this};
    guest_timer timer_{*this};
    std::atomic<unsigned> interrupts_{0};
    std::mutex mutex_;  // for woken_ alone; what it waits for is interrupts_
    std::condition_variable woken_;

    // Last: it calls what stands above until it is gone.
    std::optional<detail::sandbox> box_;
};

}  // namespace hearth
