#pragma once

/// GET /_hearth/status: what the page shows, as one JSON document. It is made when it is asked for,
/// from what is counted anyway, and may change with the page; programs have /metrics.
///
///     version, now (seconds since 1970), last (the number of the newest invocation)
///     totals        invocations, errors, init_failures, throttles, running, concurrency_limit,
///                   events_queued, cold, restored, warm
///     environments  starting, starting_ahead, running, idle_attached, idle_detached, ending,
///                   provisioned: how many are in each state
///     shells        in_use, free, making, destroying
///     memory        charged_bytes, budget_bytes (0: no limit)
///     bounds_ms     upper bounds of the histograms' buckets; one more bucket has what is longer
///     starts        cold, restored, warm: each `duration` and `start`, of all invocations: count,
///                   p50_ms, p99_ms, max_ms, buckets
///     functions     each name, runtime, memory_mb, timeout_s, state, state_reason, last_update,
///                   invocations, errors, throttles, cold, restored, warm, running, environments,
///                   p50_ms, p99_ms, max_memory_bytes
///     recent        the last invocations, oldest first, those after ?After=NUMBER only: number,
///                   function, version, ended (seconds since 1970), request_id, error, start,
///                   reattached, vm_ms, boot_ms, init_ms, snapshot_ms, duration_ms, billed_ms,
///                   memory_mb, max_memory_bytes, system_calls, report (the REPORT line), log
///
/// Quantiles that nothing was recorded for are null.

#include <hearth/control.hpp>

#include <cstdint>
#include <string>

namespace hearth::http {

std::string write_status(const control_plane& control, std::uint64_t after);

}  // namespace hearth::http
