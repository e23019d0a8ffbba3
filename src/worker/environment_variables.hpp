#pragma once

#include "worker/worker.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hearth::worker {

/// "NAME=value" for the function's process: Lambda's reserved variables, then the function's own,
/// which win over the unreserved ones (the control plane refuses the others).
/// Credentials stand there for functions without a snapshot; the others ask with `token`, as AWS's
/// do with SnapStart: a snapshot would hold them for ever.
/// @source Lambda guide, "Defined runtime environment variables"
std::vector<std::string> environment_variables(const version_spec& spec,
                                               const worker_options& options,
                                               std::string_view log_stream,
                                               std::string_view token);

/// Those of an external extension's process: without what Lambda keeps to the runtime.
/// @source Lambda guide, "Lambda Extensions API", Configuration: the variables it lists
std::vector<std::string> extension_variables(std::vector<std::string> of_the_runtime);

}  // namespace hearth::worker
