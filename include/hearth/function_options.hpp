#pragma once

/// What a function says of its runtime's updates, of loops and of scaling. Nothing acts on the
/// first, as runtimes are the host's.
///
/// Loops are found as AWS finds them, by the trace header that a chain of requests hands on
/// (invoke_options::trace_id): events, their outcomes and queues' messages carry it here, and
/// functions do by their SDKs. What AWS does not say of it: an invocation counts for its function
/// whatever its version, and a batch of messages for the longest of their chains.
///
/// A scaling configuration is AWS's of functions that run on its Managed Instances; here every
/// version may have one. So many environments are kept initialised (pool_policy::min_idle: they may
/// be given up when memory is short, and reserve nothing), and as one serves one invocation at a
/// time, so many invocations run at once (pool_policy::max_concurrency): more are throttled, with a
/// maximum of zero all. It stands above what `deploy` was given.

#include <cstdint>
#include <optional>
#include <string>

namespace hearth {

/// Of a version, or of $LATEST.
struct runtime_management_config {
    std::string function_arn{};              ///< with the version
    std::string update_runtime_on = "Auto";  ///< or "FunctionUpdate", "Manual"
    std::string runtime_version_arn{};       ///< with "Manual"
    bool operator==(const runtime_management_config&) const = default;
};

/// How many environments a version is to have. Without a value: AWS's default.
struct function_scaling_config {
    std::optional<std::uint64_t> min_execution_environments{}, max_execution_environments{};
    bool operator==(const function_scaling_config&) const = default;
};

struct function_scaling {
    std::string function_arn{};  ///< with the version
    std::optional<function_scaling_config> requested{};  ///< while not so many are initialised
    std::optional<function_scaling_config> applied{};    ///< then
};

}  // namespace hearth
