#pragma once

/// Every decision of the worker manager, as a machine without I/O: which environment serves an
/// arrival, who is throttled, what is kept warm, detached, evicted, expired or started ahead, and
/// which VM shell goes where. It is told what happened and when, and answers with values; others
/// perform them and report back.
///
/// No threads, no clock, no I/O: the caller serialises the calls and passes `now`; one that lies
/// before an earlier one counts as that. Every call is O(1) or O(log versions) for each environment
/// it moves, whatever the number of idle ones; `reuse` and its `released` allocate nothing. But one
/// that may have to be refused for want of memory looks at every version for a snapshot to drop.
///
/// An environment's life, by the calls that move it:
///
///   assign/prepare/due ─▶ starting ──started──▶ running ──released──▶ idle (attached)
///                             │ start_failed       ▲ │ not reusable      │ detach / stolen
///                             ▼                    │ ▼                   ▼
///                            gone          assign: │ ending          detaching
///                                           reuse, │ ▲ │ destroyed       │ detached
///                                         reattach │ │ ▼                 ▼
///                                                  └─┼─ gone ─── idle (detached)
///                                                    └── expired, evicted, surplus: `terminate`
///
/// One that runs may be without a shell while its guest sleeps (`suspended`, `resume`).
///
/// Invariants, checked by `inconsistency`:
/// - A running, starting or attached environment has exactly one shell, a detached or suspended one
///   none; a shell is free or belongs to one environment.
/// - Admission never brings concurrency above the account limit, a reservation, a ceiling, or into
///   what other functions have reserved or provisioned.
/// - No start, reattachment or snapshot brings the charged memory above the budget. Charged are:
///   the memory size of what is starting, running or attached and of every provisioned environment;
///   the diff of detached ones; the snapshots that are held in memory. What is to be terminated or
///   let go of is not charged any more: whoever is told to does so before the start that the room
///   was made for.
/// - An on-demand environment idle for idle_ttl is never used again and is in the next `due`;
///   neither is it kept longer for want of a `due` call: any call with a `now` decides it.
///
/// Choices:
/// - Reuse is newest first; provisioned environments before on-demand ones.
/// - Under memory pressure the least recently used idle on-demand environments go, across all
///   versions: first those that hold a shell, as each frees its memory size; then detached ones,
///   which free a diff; last the snapshots of versions that have no environment, as they cost a
///   read from disk or a cold start. Those that were without one for snapshot_ttl go first. Nothing
///   is evicted when that would not suffice.
/// - A snapshot that there is no room for is not held; a start without room for the environment and
///   its snapshot is cold.
/// - Provisioned environments are never evicted or expired. They may be detached, but stay charged.
/// - Starting ahead for min_idle evicts nothing; for provisioned concurrency it does.
/// - Reserved concurrency is a function's, provisioned concurrency a version's. What is provisioned
///   is carved out of the function's reservation, or of the account where there is none.
/// - An idle environment that cannot be detached keeps its shell even when shells are short: it
///   would cost a whole start, a surplus VM a few microseconds.
/// - A shell serves one version only, as nobody else can have it quicker than a fresh one; so when
///   shells are short a start gets a blank one all the same, and `due` retires another's.

#include "pool/decision.hpp"

#include <hearth/error.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::pool {

class pool_fsm {
  public:
    explicit pool_fsm(pool_options options);
    pool_fsm(pool_fsm&&) noexcept;
    pool_fsm& operator=(pool_fsm&&) noexcept;
    ~pool_fsm();

    // -- what is deployed

    function_id add_function();
    /// @errors errc::invalid_argument, in Lambda's words: less than the account's minimum would
    /// stay unreserved, or less is reserved than provisioned
    result<void> set_reserved_concurrency(function_id function,
                                          std::optional<std::size_t> reserved,
                                          time_point now);
    /// Gives up its reservation. Its versions are retired.
    void remove_function(function_id function, time_point now);

    /// @errors errc::invalid_argument: provisioned concurrency that there is no room for in the
    /// limits, or with isolation::tenant; memory 0; an unknown function
    result<version_id> add_version(function_id function,
                                   const version_policy& policy,
                                   time_point now);
    /// @errors as add_version; and for another memory, shell size or isolation
    result<void> set_policy(version_id version, const version_policy& policy, time_point now);
    /// Its snapshot appeared, so large. `stored`: it can be read from disk at any time, so when it
    /// is not held it comes back with a start that is `restored`, and is held from then on.
    /// @return whether it is held in memory: there is room for it beside what cannot be given up
    [[nodiscard]] bool hold_snapshot(version_id version,
                                     byte_count size,
                                     bool stored,
                                     time_point now);
    /// It is not on disk either: starts are cold. Environments that are there keep what they have.
    void lose_snapshot(version_id version, time_point now);
    /// Held, or stored.
    [[nodiscard]] bool has_snapshot(version_id version) const noexcept;
    /// Whether one is to be taken: it has none, and there is room for one as large as its last.
    [[nodiscard]] bool wants_snapshot(version_id version) const;
    /// Admits nothing more; idle environments are due for termination, running ones when they
    /// finish. The id is dead once its last environment is gone and its last
    /// execution has left.
    void retire(version_id version, time_point now);

    // -- invocations: admit, assign, released (or start_failed), leave. An execution that needs no
    // environment is only admitted. One that waits for a thread is best assigned when it gets it:
    // then the newest idle environment is as new as can be.

    /// Admitted executions are what the limits count; each must `leave`.
    [[nodiscard]] denial admit(version_id version, time_point now);
    /// An environment for an admitted execution. May be called again after no_room, a throttled
    /// scale-up, start_failed, or `released`. Refused only after shut_down. `tenant` matters in
    /// isolation::tenant only.
    [[nodiscard]] decision assign(version_id version, std::string_view tenant, time_point now);
    void leave(version_id version, time_point now);
    /// admit and assign in one: with reuse, reattach or start, `leave` is still the caller's; else
    /// nothing stays admitted.
    [[nodiscard]] decision arrive(version_id version, std::string_view tenant, time_point now);
    /// An environment started for no invocation, on demand (the init at deployment, from which the
    /// snapshot is made): refused, no_room or start. Counts against no concurrency limit.
    [[nodiscard]] decision prepare(version_id version, time_point now);

    /// It has initialised. `detachable`: it can become snapshot + diff. An environment started
    /// ahead is now idle.
    /// @return false: nobody wants it any more; terminate it, then `destroyed`
    [[nodiscard]] bool started(environment_id environment, bool detachable, time_point now);
    /// Running, and its guest sleeps for long: whether to move it to snapshot + diff meanwhile,
    /// because shells are getting short. What sleeps keeps three quarters of them at most.
    [[nodiscard]] bool wants_shell_of(environment_id environment) const noexcept;
    /// That was done: it runs on without a shell. It stays charged.
    void suspended(environment_id environment,
                   time_point now,
                   shell_fate shell = shell_fate::reusable);
    /// Its guest goes on: a shell for it. Nothing is to be evicted.
    [[nodiscard]] shell_grant resume(environment_id environment, time_point now);
    /// It is gone already.
    void start_failed(environment_id environment, shell_fate shell, time_point now);
    /// Its invocation is over; that of a suspended one only if not `reusable`. `reusable`: it waits
    /// for the next (in isolation::invocation: it has been reset).
    /// @return false: terminate it, at leisure, then `destroyed`
    [[nodiscard]] bool released(environment_id environment, bool reusable, time_point now);
    /// Nobody needs this idle environment: terminate it, at leisure, then `destroyed`.
    void give_up(environment_id environment, time_point now);
    /// It became detachable, or no longer is (a snapshot was made from a cold one).
    void set_detachable(environment_id environment, bool detachable, time_point now);

    // -- reports of what was performed

    /// @param diff  what it costs now; if that brings the charges above the budget, those idle
    /// longest are due for termination
    /// @return false: nobody wants it any more; terminate it, then `destroyed`
    [[nodiscard]] bool detached(environment_id environment,
                                byte_count diff,
                                time_point now,
                                shell_fate shell = shell_fate::reusable);
    /// It still holds its shell, unless that was stolen: then the environment is lost.
    /// @return false: terminate it (its shell is its successor's), then `destroyed`
    [[nodiscard]] bool detach_failed(environment_id environment, time_point now);
    /// It has been terminated. `shell` is ignored when it held none.
    void destroyed(environment_id environment, shell_fate shell, time_point now);
    void shell_made(shell_id shell, bool ok, time_point now);
    void shell_destroyed(shell_id shell, time_point now);

    // -- time

    /// When `due` will have something: never later than needed; in the past (time_point::min())
    /// for at once. Nothing: only an event changes anything.
    [[nodiscard]] std::optional<time_point> next_due();
    /// Appends what is to be done now. The caller performs each and reports it; a `start`'s shell
    /// and memory are there once what it evicts or detaches has been reported.
    void due(time_point now, std::vector<action>& into);

    // -- the end

    /// Admits and prepares nothing more; the rest finishes. Idle environments stay until they
    /// expire or `shut_down`.
    void drain();
    /// Drains, and gives up everything that does not run; what runs is given up when it ends.
    void shut_down(time_point now);
    /// Nothing is admitted, nothing is starting ahead.
    [[nodiscard]] bool quiet() const noexcept;
    /// Nothing is left: no environment, no shell.
    [[nodiscard]] bool empty() const noexcept;

    // -- looking

    [[nodiscard]] const pool_options& options() const noexcept;
    [[nodiscard]] const pool_counters& counters() const noexcept;
    [[nodiscard]] environment_counts environments() const noexcept;
    /// All zero for a dead id.
    [[nodiscard]] environment_counts environments(version_id version) const noexcept;
    [[nodiscard]] std::size_t versions() const noexcept;
    [[nodiscard]] shell_counts shells() const noexcept;
    [[nodiscard]] byte_count charged_memory() const noexcept;
    /// Of it, the snapshots held.
    [[nodiscard]] byte_count snapshot_memory() const noexcept;
    /// Of it, what would be given up for a start.
    [[nodiscard]] byte_count evictable_memory() const noexcept;
    /// Of the account limit, what functions without a reservation share.
    [[nodiscard]] std::size_t unreserved_concurrency() const noexcept;
    [[nodiscard]] version_id version_of(environment_id environment) const noexcept;
    /// The shell it holds; none for a detached one or a dead id.
    [[nodiscard]] shell_id shell_of(environment_id environment) const noexcept;

    /// For tests: what is wrong inside, as a sentence; empty when nothing is. Looks at everything.
    [[nodiscard]] std::string inconsistency() const;

  private:
    struct state;
    std::unique_ptr<state> s_;
};

}  // namespace hearth::pool
