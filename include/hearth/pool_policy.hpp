#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

namespace hearth {

/// What invocations of a function may find of those before them.
enum class isolation {
    environment,  ///< Lambda's: globals and /tmp survive from one invocation to the next
    invocation,   ///< every invocation finds the environment as its snapshot has it
    tenant,       ///< an environment serves one tenant (invoke_options::tenant_id) in its life
};

/// How many execution environments of a function are kept. Idle ones are reused newest first.
struct pool_policy {
    /// So many environments are alive at least, initialised ahead of need, and do not expire. They may be
    /// given up when memory is short and reserve no concurrency, unlike `provisioned_concurrency`'s, which
    /// count among them.
    std::size_t min_idle = 0;
    /// Idle environments kept at most; one more that becomes idle is terminated.
    std::size_t max_idle = 1000;
    /// An environment idle for longer than this is terminated.
    std::chrono::milliseconds idle_ttl = std::chrono::minutes(15);
    /// Executions at once; more are `errc::throttled`. Reserves nothing.
    std::size_t max_concurrency = 1000;
    /// Lambda's reserved concurrency: as max_concurrency, and so many executions are kept free for this
    /// function of the account's. The others are left at least 100.
    std::optional<std::size_t> reserved_concurrency{};
    /// Lambda's provisioned concurrency: so many environments are initialised and kept, neither expired nor
    /// evicted. Further invocations start environments on demand. Not with isolation::tenant.
    std::size_t provisioned_concurrency = 0;
};

}  // namespace hearth
