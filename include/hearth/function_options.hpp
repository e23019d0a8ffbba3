#pragma once

/// What a function says of its runtime's updates, of loops and of scaling: stored, checked and
/// shown. Nothing here acts on them: runtimes are the host's, and loops are not looked for.

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
    std::optional<function_scaling_config> requested{};
};

}  // namespace hearth
