#pragma once

#include "worker/worker.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hearth::worker {

/// "NAME=value" for the function's process: Lambda's reserved variables, then the function's own,
/// which win over the unreserved ones (the control plane refuses the others).
/// @source Lambda guide, "Defined runtime environment variables"
std::vector<std::string> environment_variables(const version_spec& spec,
                                               const worker_options& options,
                                               std::string_view log_stream);

}  // namespace hearth::worker
