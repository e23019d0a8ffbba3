#pragma once

/// What a worker's versions and threads share: the pool's decisions and what performs them. It
/// holds the idle environments, the free shells and the versions' snapshots, each under the pool's
/// id, and the housekeeping thread that expires, detaches, starts ahead and tears down. A version
/// holds it, so a handle that outlives its runtime still finds a closed door instead of nothing.
///
/// Lock order: core::mutex_ → environment's waker mutex → a waiting thread's or the async queue's
/// mutex. The deadline watch's mutex and the network engine's stand before the waker mutex too.
/// Nothing is created, destroyed, restored, run, or told to an observer under core::mutex_.

#include "base/deadline_watch.hpp"
#include "net/engine.hpp"
#include "pool/pool_fsm.hpp"
#include "vmm/kvm.hpp"
#include "worker/environment.hpp"
#include "worker/recent_invocations.hpp"
#include "worker/snapshot_store.hpp"
#include "worker/version_snapshot.hpp"
#include "worker/worker.hpp"

#include <hearth/metrics.hpp>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace hearth::worker {

class core {
  public:
    /// Runs the init of an environment that was started ahead, then calls `initialised` or
    /// `init_failed`, and `give_back`. Or carries one that lingers on to its end.
    using init_runner =
        std::function<void(std::unique_ptr<environment>, std::shared_ptr<const version_data>)>;

    core(worker_options options, vmm::kvm kvm, std::unique_ptr<snapshot_store> store);
    core(const core&) = delete;
    core& operator=(const core&) = delete;
    ~core();

    /// Once, before anything is deployed.
    void set_init_runner(init_runner runner) { run_init_ = std::move(runner); }

    /// Admits nothing more.
    void close();
    /// Waits until nothing admitted is left.
    void wait_quiet();
    /// close, interrupt all, wait, give up the idle ones, join. Idempotent.
    void shut_down();

    /// @errors errc::invalid_argument: its concurrency settings
    result<pool::version_id> add(std::shared_ptr<const version_data> version);
    /// @errors as pool_fsm's; a function without versions here is no error
    result<void> set_reserved_concurrency(const std::string& function_arn,
                                          std::optional<std::size_t> reserved);
    result<void> set_provisioned_concurrency(pool::version_id version, std::size_t provisioned);
    result<void> set_scaling(pool::version_id version,
                             std::size_t min_idle,
                             std::size_t max_concurrency);
    /// Its environments that have initialised.
    [[nodiscard]] std::size_t ready_environments(pool::version_id version) const;
    /// The same version, with files this time. What starts from now on has them.
    void replace(pool::version_id version, std::shared_ptr<const version_data> data);
    void retire(pool::version_id version);
    /// The last handle is gone: retires it and forgets its snapshot.
    void remove(pool::version_id version);

    // -- one invocation: admit, assign, begin, give_back, leave

    /// @errors errc::throttled, shutting_down
    result<void> admit(pool::version_id version);
    /// The reverse.
    void leave(pool::version_id version) noexcept;

    struct assigned {
        std::unique_ptr<environment> env;
        start_kind start = start_kind::warm;
        bool begun = false;  ///< as by `begin`
    };
    /// An environment: idle and with a shell, or `cold` and to be initialised.
    /// @errors errc::throttled, no_room, shutting_down; those of environment::load
    result<assigned> assign(pool::version_id version, const std::string& tenant);
    /// One for no invocation, to be initialised if it is cold. @errors as assign
    result<assigned> prepare(pool::version_id version);
    /// One that was loaded is at its restore point, or idle without having had one: takes the
    /// version's snapshot if there is none yet, and keeps it if the memory budget has room.
    void take_snapshot(environment& e);
    /// Its init is over and it is idle.
    void initialised(environment& e);

    /// The guest of a running environment sleeps: its shell goes to others if they are short.
    void suspend(environment& e);
    /// The guest of a suspended one goes on. @errors as assign; it is of no use then
    result<void> resume(environment& e);

    /// From now on shut_down interrupts it; returns false when that has begun.
    bool begin(environment& e);
    /// It lingers: another thread takes it over, until it gives it back.
    void carry_on(std::unique_ptr<environment> e, std::shared_ptr<const version_data> data) {
        run_init_(std::move(e), std::move(data));
    }
    /// The reverse of assign or prepare.
    void give_back(std::unique_ptr<environment> e);
    /// An invocation has ended, in an environment or (null) without one: that is given back, the
    /// invocation is counted, counts for no limit any more (as `leave`), is remembered and told.
    void ended(pool::version_id version,
               const std::string& function_name,
               std::unique_ptr<environment> e,
               const response& r);
    /// An invocation's environment could not initialise.
    void count_init_failure(pool::version_id version);

    /// Waits until the environments that the policy wants ahead are idle.
    /// @errors errc::init_failed: they were not for so long as an init may take; shutting_down
    result<void> wait_for_ahead(pool::version_id version);
    [[nodiscard]] bool has_snapshot(pool::version_id version) const;

    [[nodiscard]] hearth::metrics metrics() const;
    [[nodiscard]] const recent_invocations& recent() const noexcept { return recent_; }
    /// As worker::view.
    [[nodiscard]] sched::host_view view(const version_spec& spec) const;
    [[nodiscard]] snapshot_store& snapshots() noexcept { return *store_; }
    [[nodiscard]] const worker_options& options() const noexcept { return options_; }
    [[nodiscard]] int kick_signal() const noexcept { return kick_signal_; }

  private:
    using environment_ptr = std::unique_ptr<environment>;

    struct function_entry {
        pool::function_id id;
        std::size_t versions = 0;
        function_metrics counted;     ///< without what is so at the moment
        mutable std::size_t row = 0;  ///< scratch of metrics()
    };
    struct version_entry {
        std::uint32_t generation = 0;
        std::shared_ptr<const version_data> data;
        std::shared_ptr<const version_snapshot> snapshot;
        bool snapshot_wanted = false;
        function_entry* function = nullptr;  ///< in functions_
        // As they are now; the spec says what they were at first.
        std::size_t provisioned = 0, min_idle = 0, max_concurrency = 0;
    };
    /// What a decision to start or reattach needs, taken out under the lock.
    struct work_order {
        pool::environment_id id;
        pool::shell_grant grant;
        std::vector<environment_ptr> evicted;
        std::vector<std::shared_ptr<const version_snapshot>> dropped;
        environment_ptr detached_for_it;
        std::optional<detail::shell> shell;  ///< a free one
        start_reason reason = start_reason::none;
        cold_reason no_snapshot = cold_reason::none;
    };

    // With mutex_ held:
    void enlist(environment& e);
    void count(pool::version_id version, const response& r);
    void leave_locked(pool::version_id version, pool::time_point now) noexcept;
    version_entry* find(pool::version_id id);
    /// With the lock held.
    result<void> change_policy(pool::version_id version,
                               version_entry& v,
                               std::size_t provisioned,
                               std::size_t min_idle,
                               std::size_t max_concurrency);
    [[nodiscard]] const version_entry* find(pool::version_id id) const;
    environment_ptr take(pool::environment_id id);
    void store(environment_ptr e);
    std::optional<detail::shell> take_shell(pool::shell_id id);
    void store_shell(pool::shell_id id, detail::shell shell);
    pool::shell_fate keep_shell(pool::environment_id id, std::optional<detail::shell> shell);
    void retire_shell(detail::shell shell);
    work_order order(pool::environment_id id,
                     const pool::shell_grant& grant,
                     const std::vector<pool::environment_id>& evict,
                     const std::vector<pool::version_id>& drop);
    std::shared_ptr<const version_snapshot> take_snapshot_of(pool::version_id version);
    void settle(work_order& w);
    result<vmm::vm> make_vm(byte_count size);
    result<environment::resources> fetch(work_order& w,
                                         byte_count memory,
                                         const detail::snapshot_image* root);
    void start_failed(work_order w, std::optional<detail::shell> shell);
    void warn_of_no_room_for_snapshot(const version_spec& spec, byte_count size) const;
    std::shared_ptr<const version_snapshot> fetch_snapshot(pool::environment_id id,
                                                           const version_data& data);
    template <class Ask>  // a pool::decision of a pool::time_point
    result<assigned> decide(pool::version_id version, Ask ask);
    result<environment_ptr> reattach(environment_ptr e, work_order w);
    result<assigned> start(work_order w, start_kind kind, const version_entry& version);
    void end(environment_ptr e);
    void spin_down(environment_ptr e);
    std::optional<detail::shell> detach(environment_ptr e);
    void tell_started(const environment& e) const;
    void warn_of_shared_draws(const environment& e, const version_snapshot& s) const;
    void start_ahead(work_order w, start_kind kind, const version_entry& version);
    [[nodiscard]] bool wanted_ahead(const environment& e) const;
    void housekeep();
    void wake_if_due();
    void unregister(environment& e) noexcept;
    /// `counted`: what is to be done in the same breath, under the lock.
    template <class Counted>
    void give_back(environment_ptr e, Counted counted);
    /// Counts it, and says so.
    error denied(const pool::throttled& t, const version_entry& v) const;
    static std::uint64_t& throttles_of(throttle_metrics& t, pool::throttle_reason reason);

    const worker_options options_;
    const int kick_signal_;
    vmm::kvm kvm_;
    deadline_watch watch_;
    net::engine network_;
    init_runner run_init_;
    const std::unique_ptr<snapshot_store> store_;
    recent_invocations recent_;

    mutable std::mutex mutex_;  // guards all below but the thread
    std::condition_variable quiet_;
    std::condition_variable chores_;
    pool::pool_fsm pool_;
    std::vector<version_entry> versions_;                    // by pool index
    std::vector<environment_ptr> environments_;              // by pool index; those at rest
    std::vector<std::optional<detail::shell>> free_shells_;  // by pool index
    std::map<std::string, function_entry> functions_;        // by ARN
    std::vector<environment*> active_;
    std::vector<environment_ptr> ending_;
    std::size_t spinning_down_ = 0;    ///< environments whose extensions have their last moments
    bool closed_ = false;              ///< admits nothing more
    std::vector<detail::shell> worn_;  ///< of no use to anyone: to be destroyed at leisure
    bool interrupting_ = false;
    bool stop_ = false;
    hearth::metrics counters_;
    pool::time_point wakes_at_ = pool::time_point::max();

    std::mutex shut_down_mutex_;
    std::thread housekeeper_;
};

}  // namespace hearth::worker
