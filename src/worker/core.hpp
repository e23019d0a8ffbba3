#pragma once

/// What a worker's versions and threads share: admission, idle environments, the memory budget,
/// spare shells, and the housekeeping that expires and tears down. Versions hold it, so a handle
/// that outlives its runtime still finds a closed door instead of nothing.
///
/// Lock order: core::mutex_ → environment's waker mutex → a waiting thread's or the async queue's
/// mutex. The deadline watch's mutex stands before the waker mutex too. Nothing is created,
/// destroyed, run, or told to an observer under core::mutex_.

#include "base/deadline_watch.hpp"
#include "pool/idle_list.hpp"
#include "vmm/kvm.hpp"
#include "worker/environment.hpp"
#include "worker/worker.hpp"

#include <hearth/metrics.hpp>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace hearth::worker {

/// The part of a version that core::mutex_ guards.
struct version_slots {
    pool::idle_list<std::unique_ptr<environment>> idle;
    std::size_t active = 0;  ///< admitted invocations
    bool retired = false;
};

class core {
  public:
    core(worker_options options, vmm::kvm kvm);
    core(const core&) = delete;
    core& operator=(const core&) = delete;
    ~core();

    /// Admits nothing more.
    void close();
    /// Waits until nothing admitted is left.
    void wait_quiet();
    /// close, interrupt all, wait, give up the idle ones, join. Idempotent.
    void shut_down();

    void add(version_slots& slots, const version_spec& spec);
    void remove(version_slots& slots);
    void retire(version_slots& slots);

    // -- one invocation, in this order
    // -------------------------------------------------------------------------
    /// @errors errc::throttled, shutting_down
    result<void> admit(version_slots& slots, const version_spec& spec);
    /// The newest idle environment (unless `fresh`), or nothing: then the memory for a new one is
    /// reserved. Idle environments of any version are given up for it, those idle longest first.
    /// @errors errc::no_room, shutting_down
    result<std::unique_ptr<environment>> acquire(version_slots& slots,
                                                 const version_spec& spec,
                                                 bool fresh);
    /// Builds and loads one on reserved memory; gives the reservation back on failure.
    result<std::unique_ptr<environment>> build(const std::shared_ptr<const version_data>& version);
    /// From now on shut_down interrupts it; returns false when that has begun.
    bool begin(environment& e);
    /// The reverse of acquire or build: kept when it can serve again, else given up.
    void give_back(std::unique_ptr<environment> e, version_slots& slots, const version_spec& spec);
    /// The reverse of admit.
    void leave(version_slots& slots) noexcept;
    void count(const response& r);

    [[nodiscard]] hearth::metrics metrics() const;
    [[nodiscard]] const worker_options& options() const noexcept { return options_; }
    [[nodiscard]] int kick_signal() const noexcept { return kick_signal_; }
    [[nodiscard]] std::size_t idle_count(const version_slots& slots) const;

  private:
    struct version_entry {
        version_slots* slots;
        const version_spec* spec;
    };

    result<vmm::vm> take_shell(byte_count memory);
    void housekeep();
    bool evict_oldest(std::vector<std::unique_ptr<environment>>& into);
    void discard(std::unique_ptr<environment> e, byte_count memory);
    void unregister(environment& e) noexcept;

    const worker_options options_;
    const int kick_signal_;
    vmm::kvm kvm_;
    deadline_watch watch_;

    mutable std::mutex mutex_;  // guards all below but the thread
    std::condition_variable quiet_;
    std::condition_variable chores_;
    std::vector<version_entry> versions_;
    std::vector<environment*> active_;
    std::size_t admitted_ = 0;
    bool closed_ = false;
    bool interrupting_ = false;
    bool stop_ = false;
    std::uint64_t reserved_ = 0;  ///< memory sizes of live environments, bytes
    hearth::metrics counters_;
    std::vector<std::unique_ptr<environment>> discarded_;
    std::chrono::steady_clock::time_point wakes_at_ = std::chrono::steady_clock::time_point::max();
    std::optional<vmm::vm> spare_;
    byte_count spare_size_, wanted_size_;

    std::mutex shut_down_mutex_;
    std::thread housekeeper_;
};

}  // namespace hearth::worker
