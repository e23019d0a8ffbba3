#pragma once

/// What the pool is told (options, policies, outcomes) and what it answers (decisions, actions), as
/// values.

#include "pool/ids.hpp"

#include <hearth/pool_policy.hpp>
#include <hearth/response.hpp>
#include <hearth/units.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <variant>
#include <vector>

namespace hearth::pool {

using time_point = std::chrono::steady_clock::time_point;
inline constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

struct pool_options {
    /// Executions at once, all functions together (Lambda's account limit).
    std::size_t account_concurrency = 1000;
    /// Reserved and provisioned concurrency leave at least so much of it to the others. Lambda:
    /// 100.
    std::size_t min_unreserved = 100;
    /// Memory sizes of running and attached environments, the diffs of detached ones and the
    /// snapshots held. 0: no limit.
    byte_count memory_budget;
    /// Under memory pressure a snapshot that was without an environment for this time goes before
    /// idle environments do.
    std::chrono::nanoseconds snapshot_ttl = std::chrono::minutes(15);
    /// Environments a function may start within a period because of arrivals; a token bucket as
    /// large as one period's starts. Lambda: 1,000 in 10 s. 0: no limit.
    std::size_t scale_up_starts = 0;
    std::chrono::nanoseconds scale_up_period = std::chrono::seconds(10);

    /// Shells that are or were used, at most, unless all of them are needed to run; then
    /// `spare_shells` more. What is above is retired behind the starts that brought it: free ones
    /// first, then those of idle environments. Blank ones come on top.
    std::size_t max_shells = 64;
    /// Blank shells kept ahead of need, of each size in demand: for whoever has none of its own.
    std::size_t spare_shells = 1;
    /// A blank shell beyond the spare ones, and a used one but the last of a size in demand, is
    /// destroyed when it was free for this time. A size that nothing used for so long is no longer
    /// in demand; the size used last always is.
    std::chrono::nanoseconds free_shell_ttl = std::chrono::seconds(10);
    /// An environment idle for so long gives its shell back.
    std::chrono::nanoseconds detach_after = std::chrono::seconds(1);
    /// Idle environments that hold a shell; above, those idle longest are detached at once.
    std::size_t max_attached_idle = 32;

    /// Detaches under way at the same time: what is being detached serves nobody meanwhile.
    std::size_t max_detaching = 8;

    /// Environments started ahead of need at the same time.
    std::size_t max_starting_ahead = 4;
    /// After a start ahead (or a spare shell) failed, the next attempt waits so long, doubling up
    /// to the maximum.
    std::chrono::nanoseconds retry_after = std::chrono::seconds(1);
    std::chrono::nanoseconds max_retry_after = std::chrono::seconds(60);
};

/// A deployed version. Memory, shell size and isolation are fixed for its life.
struct version_policy {
    byte_count memory;
    byte_count shell_size;  ///< environments share shells of equal size; 0: as memory
    /// invocation: whoever releases an environment has brought it back to its snapshot first.
    hearth::isolation isolation = isolation::environment;
    /// Live environments started ahead so that there are so many, and idle ones that do not expire.
    /// Unlike provisioned ones they are evicted under memory pressure and reserve no concurrency.
    std::size_t min_idle = 0;
    /// Idle on-demand environments kept at most; one more that becomes idle is terminated.
    std::size_t max_idle = unlimited;
    std::chrono::nanoseconds idle_ttl = std::chrono::minutes(15);
    /// A ceiling on this version's executions that reserves nothing for it.
    std::size_t max_concurrency = unlimited;
    /// Lambda's provisioned concurrency: so many environments are initialised and kept. Never
    /// expired, never evicted, charged their whole memory size even when detached, so an arrival
    /// that finds one idle always has room. Not for isolation::tenant (nor in Lambda).
    std::size_t provisioned = 0;
    /// There is one, at first: starts are restored, not cold. Then what hold_snapshot says.
    bool snapshot = false;
};

/// Lambda's ThrottleReason (service model 2015-03-31), as far as the pool has a reason to give.
enum class throttle_reason : std::uint8_t {
    concurrent_invocation_limit,           ///< account, or what others' reservations leave of it
    reserved_concurrent_invocation_limit,  ///< the function's own
    invocation_rate_limit,                 ///< scale-up
    reserved_invocation_rate_limit,        ///< scale-up, of a function with reserved concurrency
};
inline constexpr std::size_t throttle_reasons = 4;
/// "ConcurrentInvocationLimitExceeded", …
std::string_view to_string(throttle_reason) noexcept;

/// Where a shell comes from: same_version before evicted before, at max_shells, stolen, which are
/// quicker than blank, and that than made. Never from another version: wiping what that left makes
/// KVM wait for a grace period, so a fresh shell is quicker.
enum class shell_source : std::uint8_t {
    same_version,  ///< free, last used by this version: reset by copying pages back
    blank,         ///< free, never used
    evicted,       ///< of this version's environment in the decision's `evict`: terminate it first
    made,          ///< to be made by whoever performs the decision
    stolen,        ///< of this version's idle environment `from`: detach that first
};
inline constexpr std::size_t shell_sources = 5;

/// The shell an environment gets. It belongs to that environment from now on.
struct shell_grant {
    shell_id shell;
    shell_source source = shell_source::made;
    /// stolen: detach it from the shell, then report detached or detach_failed. made: the same, if
    /// there is one, though its shell serves nobody: too many are used. evicted: it stands in
    /// `evict` too.
    environment_id from;
};

// -- decisions on an arrival; those that name nothing to evict allocate nothing

/// The version is retired or unknown, or the pool is draining or shut down.
struct refused {};
struct throttled {
    throttle_reason reason{};
    std::size_t running = 0;  ///< what counted against the limit
    std::size_t limit = 0;    ///< executions; for a rate, starts per period
};
struct no_room {
    byte_count needed;
    byte_count free;  ///< and nothing that may be evicted would make it enough
};
/// Warm: this environment holds a shell. Then `released`.
struct reuse {
    environment_id environment;
};
/// Warm too: a detached environment, and a shell for it. Evict first. Then `released`.
struct reattach {
    environment_id environment;
    shell_grant shell;
    std::vector<environment_id> evict;  ///< terminate, report destroyed
    std::vector<version_id> drop;       ///< let go of their snapshots
};
/// A new environment. Evict first. Then `started` or `start_failed`.
struct start {
    environment_id environment;
    version_id version;
    start_kind kind = start_kind::cold;
    start_reason reason = start_reason::none;     ///< of one for an invocation
    cold_reason no_snapshot = cold_reason::none;  ///< of a cold one
    shell_grant shell;
    std::vector<environment_id> evict;  ///< terminate, report destroyed
    std::vector<version_id> drop;       ///< let go of their snapshots
    bool ahead = false;                 ///< for no invocation: idle once started
};
using decision = std::variant<refused, throttled, no_room, reuse, reattach, start>;
/// Nothing: admitted.
using denial = std::variant<std::monostate, refused, throttled>;

// -- actions that are due

/// Then `destroyed`.
struct terminate {
    environment_id environment;
};
/// Move to snapshot + diff. Then `detached` or `detach_failed`.
struct detach {
    environment_id environment;
};
/// Let go of its snapshot; nothing is to be reported.
struct drop_snapshot {
    version_id version;
};
/// Then `shell_made`.
struct make_shell {
    shell_id shell;
    byte_count size;
};
/// Then `shell_destroyed`.
struct destroy_shell {
    shell_id shell;
};
using action = std::variant<terminate, detach, start, drop_snapshot, make_shell, destroy_shell>;

/// What became of the shell that an environment gave back. Reusable: by its version, as it stands.
enum class shell_fate : bool { reusable, gone };

// -- what the pool holds and has done

struct pool_counters {
    std::uint64_t admitted = 0;
    std::uint64_t refused = 0;
    std::uint64_t throttles[throttle_reasons] = {};
    std::uint64_t no_room = 0;
    std::uint64_t warm_starts = 0;  ///< attached or reattached
    std::uint64_t cold_starts = 0;
    std::uint64_t restored_starts = 0;
    std::uint64_t starts_ahead = 0;  ///< of either kind, not in the two above
    std::uint64_t failed_starts = 0;
    std::uint64_t spillovers = 0;  ///< on-demand while the version has provisioned concurrency
    std::uint64_t expired = 0;
    std::uint64_t evicted = 0;
    std::uint64_t surplus =
        0;  ///< terminated: over max_idle, provisioning lowered, retired, shut down
    std::uint64_t destroyed = 0;  ///< could not serve again
    std::uint64_t snapshots_dropped = 0;  ///< for want of memory
    std::uint64_t detached = 0;
    std::uint64_t detach_failures = 0;
    std::uint64_t reattached = 0;
    std::uint64_t suspended = 0;
    std::uint64_t resumed = 0;
    std::uint64_t shells_granted[shell_sources] = {};  ///< by shell_source
    std::uint64_t shells_made_ahead = 0;
    std::uint64_t shells_destroyed = 0;  ///< or given back of no use
    bool operator==(const pool_counters&) const = default;
};

/// Of one version, or of all.
struct environment_counts {
    std::size_t admitted = 0;  ///< the concurrency: executions, with an environment or not yet
    std::size_t starting = 0;  ///< for an invocation
    std::size_t starting_ahead = 0;
    std::size_t running = 0;        ///< with an invocation, started
    std::size_t idle_attached = 0;  ///< those being detached included
    std::size_t idle_detached = 0;
    std::size_t provisioned = 0;  ///< of all of these
    std::size_t ending = 0;       ///< to be terminated, `destroyed` not yet reported

    [[nodiscard]] std::size_t idle() const noexcept { return idle_attached + idle_detached; }
    /// Can serve, now or soon.
    [[nodiscard]] std::size_t live() const noexcept {
        return starting + starting_ahead + running + idle();
    }
    bool operator==(const environment_counts&) const = default;
};
struct shell_counts {
    std::size_t in_use = 0;  ///< of an environment, idle or not, or of one that ends
    std::size_t free_used = 0;
    std::size_t blank = 0;
    std::size_t making = 0;
    std::size_t destroying = 0;

    [[nodiscard]] std::size_t alive() const noexcept {
        return in_use + free_used + blank + making + destroying;
    }
    bool operator==(const shell_counts&) const = default;
};

}  // namespace hearth::pool
