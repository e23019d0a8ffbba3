#pragma once

#include <chrono>
#include <cstddef>

namespace hearth {

/// How many execution environments of a function are kept. Idle ones are reused newest first.
struct pool_policy {
    /// Environments initialised ahead of need and kept (Lambda's provisioned concurrency).
    std::size_t min_idle = 0;
    /// Idle environments kept at most; one more that becomes idle is terminated.
    std::size_t max_idle = 1000;
    /// An environment idle for longer than this is terminated.
    std::chrono::milliseconds idle_ttl = std::chrono::minutes(15);
    /// Executions at once (Lambda's reserved concurrency). More are `errc::throttled`.
    std::size_t max_concurrency = 1000;
};

}  // namespace hearth
