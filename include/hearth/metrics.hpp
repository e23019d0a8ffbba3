#pragma once

#include <hearth/event_source_mapping.hpp>
#include <hearth/histogram.hpp>
#include <hearth/units.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace hearth {

/// Invocations refused, by Lambda's ThrottleReason.
struct throttle_metrics {
    std::uint64_t concurrent_invocation_limit = 0;  ///< the account's, or what is left of it
    std::uint64_t reserved_concurrent_invocation_limit = 0;  ///< the function's own
    std::uint64_t invocation_rate_limit = 0;                 ///< starts in a period
    std::uint64_t reserved_invocation_rate_limit = 0;  ///< the same, with reserved concurrency

    [[nodiscard]] std::uint64_t total() const noexcept {
        return concurrent_invocation_limit + reserved_concurrent_invocation_limit +
               invocation_rate_limit + reserved_invocation_rate_limit;
    }
    bool operator==(const throttle_metrics&) const = default;
};

/// The invocations of one start kind, of all functions. Each is in `duration`; in the others only
/// those for which that phase took place. "Why was it cold?", in the mass.
struct start_metrics {
    histogram duration;  ///< from the event to the response, as in the report
    histogram start;  ///< what an invocation waited for its environment: the phases below together
    histogram vm;     ///< getting a VM shell
    histogram boot;   ///< loading the program (cold); restoring memory and state (restored, and
                      ///< warm ones whose shell had been given back)
    histogram init;   ///< the function's init (cold), its restore hooks (restored)
    histogram snapshot;  ///< taking the version's snapshot after init (cold)
};

/// Environments at this moment. Each is in one of the first six.
struct environment_metrics {
    std::uint64_t starting = 0;        ///< for an invocation, init included
    std::uint64_t starting_ahead = 0;  ///< for min_idle or provisioned concurrency
    std::uint64_t running = 0;         ///< with an invocation
    std::uint64_t idle_attached = 0;   ///< with a VM shell
    std::uint64_t idle_detached = 0;   ///< without: snapshot and what was written since
    std::uint64_t ending = 0;          ///< being terminated
    std::uint64_t provisioned = 0;     ///< of all these, the provisioned ones

    [[nodiscard]] std::uint64_t idle() const noexcept { return idle_attached + idle_detached; }
    bool operator==(const environment_metrics&) const = default;
};

/// Asynchronous invocations of one function, as Lambda's metrics of these names count them.
struct async_metrics {
    std::uint64_t received = 0;  ///< AsyncEventsReceived: accepted
    std::uint64_t dropped = 0;   ///< AsyncEventsDropped: given up without success
    std::uint64_t dead_letter_errors = 0;             ///< not taken by the dead-letter target
    std::uint64_t destination_delivery_failures = 0;  ///< not taken by a destination
    histogram age{};  ///< AsyncEventAge: from the acceptance to each delivery
    bool operator==(const async_metrics&) const = default;
};

/// One function, all its versions. Counters grow from its deployment, and start again when it was
/// deleted meanwhile.
struct function_metrics {
    std::string name{};
    std::uint64_t invocations = 0;    ///< that ran, failed ones included: cold + restored + warm
    std::uint64_t errors = 0;         ///< of these: raised, timed out, ended, out of memory
    std::uint64_t init_failures = 0;  ///< invocations that found an environment, whose init failed
    throttle_metrics throttles{};
    std::uint64_t cold = 0, restored = 0, warm = 0;  ///< invocations by start kind
    std::uint64_t spillovers = 0;             ///< invocations beyond the provisioned concurrency
    /// RecursiveInvocationsDropped: not invoked, since they would have gone on with a loop.
    std::uint64_t recursive_dropped = 0;
    std::uint64_t concurrent_executions = 0;  ///< now; with an environment or not yet
    environment_metrics environments{};
    histogram duration{};          ///< from the event to the response
    byte_count max_memory_used{};  ///< true peak of guest memory of any invocation
    async_metrics async{};
};

/// What the pools hold and have done. Counters grow from the runtime's creation.
struct pool_metrics {
    std::uint64_t idle = 0;     ///< environments waiting for an event
    std::uint64_t running = 0;  ///< environments with one
    std::uint64_t cold_starts = 0;
    std::uint64_t restored_starts = 0;
    std::uint64_t warm_starts = 0;
    std::uint64_t detached = 0;    ///< of the idle ones: without a VM shell
    std::uint64_t shells = 0;      ///< VM shells alive
    std::uint64_t spillovers = 0;  ///< invocations beyond the provisioned concurrency
    std::uint64_t expired = 0;     ///< terminated after idle_ttl
    std::uint64_t evicted = 0;     ///< terminated for want of memory
    std::uint64_t destroyed = 0;   ///< terminated for a timeout, an exit or a fault
    std::uint64_t surplus = 0;     ///< terminated: over max_idle, no longer wanted, retired

    environment_metrics environments{};  ///< of all functions
    std::uint64_t admitted = 0;          ///< invocations within the limits
    std::uint64_t refused = 0;           ///< while draining or shutting down
    std::uint64_t no_room = 0;           ///< the memory budget was used up
    std::uint64_t starts_ahead = 0;   ///< cold or restored, for no invocation; not in those above
    std::uint64_t failed_starts = 0;  ///< of any kind
    std::uint64_t detaches = 0;       ///< idle environments that gave their shell back
    std::uint64_t suspends = 0;        ///< executions that slept and gave their shell to others
    std::uint64_t detach_failures = 0;
    std::uint64_t reattaches = 0;  ///< of warm_starts: in another shell
    std::uint64_t snapshots_dropped = 0;  ///< for want of memory
};

/// VM shells: now, and where those that environments got came from.
struct shell_metrics {
    std::uint64_t in_use = 0;      ///< by an environment, idle or not
    std::uint64_t free_used = 0;   ///< ready for the version that used it
    std::uint64_t free_blank = 0;  ///< ready, never used
    std::uint64_t making = 0;
    std::uint64_t destroying = 0;

    std::uint64_t from_same_version = 0;  ///< free, last used by the same version
    std::uint64_t from_blank = 0;         ///< made ahead
    std::uint64_t from_evicted = 0;       ///< of the version's environment evicted for it
    std::uint64_t from_made = 0;          ///< made while the start waited
    std::uint64_t from_stolen = 0;        ///< of the version's idle environment detached for it
    std::uint64_t made_ahead = 0;
    std::uint64_t destroyed = 0;
};

/// The functions' logs (logs.hpp).
struct log_metrics {
    std::uint64_t events = 0;  ///< kept
    std::uint64_t bytes = 0;   ///< of the files, for these
    std::uint64_t lost = 0;  ///< lines, or pieces of output, that found the queue or the disk full
    bool operator==(const log_metrics&) const = default;
};

/// A value, taken at one instant by `runtime::metrics()`. What functions deleted since have done is
/// in the totals only.
struct metrics {
    pool_metrics pool{};
    shell_metrics shells{};
    start_metrics cold{}, restored{}, warm{};  ///< warm: in-process functions too
    std::uint64_t functions = 0;               ///< deployed
    std::uint64_t invocations = 0;
    std::uint64_t function_errors = 0;
    std::uint64_t init_failures = 0;
    std::uint64_t throttles = 0;
    throttle_metrics throttles_by_reason{};
    std::uint64_t concurrent_executions = 0;   ///< admitted, now
    std::uint64_t concurrency_limit = 0;       ///< the account's
    std::uint64_t unreserved_concurrency = 0;  ///< of it, what is not reserved for a function
    std::uint64_t rules_fired = 0;            ///< times of scheduled rules that came
    std::uint64_t rule_events_delivered = 0;  ///< taken by their targets
    std::uint64_t rule_events_failed = 0;     ///< given up
    std::uint64_t async_events_queued = 0;  ///< events accepted and not yet ended
    /// Charged: memory sizes of live environments, and what detached ones hold.
    byte_count guest_memory{};
    /// `guest_memory` and `snapshot_memory` together stay below; zero: no limit.
    byte_count memory_budget{};
    /// What versions' snapshots hold, memory and files: shared by their clones, charged once.
    byte_count snapshot_memory{};
    log_metrics logs{};
    std::vector<event_source_metrics> event_sources{};  ///< by UUID
    /// By name; functions that nobody has called are there too.
    std::vector<function_metrics> by_function{};
};

}  // namespace hearth
