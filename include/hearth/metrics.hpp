#pragma once

#include <hearth/units.hpp>

#include <cstdint>

namespace hearth {

/// What the pools hold and have done. Counters grow from the runtime's creation.
struct pool_metrics {
    std::uint64_t idle = 0;     ///< environments waiting for an event
    std::uint64_t running = 0;  ///< environments with one
    std::uint64_t cold_starts = 0;
    std::uint64_t restored_starts = 0;
    std::uint64_t warm_starts = 0;
    std::uint64_t detached = 0;  ///< of the idle ones: without a VM shell
    std::uint64_t shells = 0;    ///< VM shells alive
    std::uint64_t spillovers = 0; ///< invocations beyond the provisioned concurrency
    std::uint64_t expired = 0;   ///< terminated after idle_ttl
    std::uint64_t evicted = 0;   ///< terminated for want of memory
    std::uint64_t destroyed = 0; ///< terminated for a timeout, an exit or a fault
};

/// A value, taken at one instant by `runtime::metrics()`.
struct metrics {
    pool_metrics pool;
    std::uint64_t functions = 0;
    std::uint64_t invocations = 0;
    std::uint64_t function_errors = 0;
    std::uint64_t throttles = 0;
    byte_count guest_memory;  ///< memory size of all live environments
};

}  // namespace hearth
