#include "worker/environment_variables.hpp"

#include <fmt/format.h>

namespace hearth::worker {

std::vector<std::string> environment_variables(const version_spec& spec,
                                               const worker_options& options,
                                               std::string_view log_stream) {
    std::map<std::string, std::string> all{
        {"LANG", "en_US.UTF-8"},
        {"TZ", ":UTC"},
        {"PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin"},
        {"LD_LIBRARY_PATH",
         "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"},
    };
    if (spec.runtime)
        for (const auto& [name, value] : spec.runtime->environment)
            all.insert_or_assign(name, value);
    for (const auto& [name, value] : spec.environment) all.insert_or_assign(name, value);
    const std::pair<const char*, std::string> reserved[] = {
        {"_HANDLER", spec.handler},
        {"LAMBDA_TASK_ROOT", "/var/task"},
        {"LAMBDA_RUNTIME_DIR", "/var/runtime"},
        {"AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"},
        {"AWS_LAMBDA_FUNCTION_NAME", spec.function_name},
        {"AWS_LAMBDA_FUNCTION_VERSION", spec.version},
        {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", std::to_string(spec.memory.mebibytes())},
        {"AWS_LAMBDA_INITIALIZATION_TYPE", spec.snapshot ? "snap-start" : "on-demand"},
        {"AWS_LAMBDA_LOG_GROUP_NAME",
         spec.log_group.empty() ? "/aws/lambda/" + spec.function_name : spec.log_group},
        {"AWS_REGION", options.region},
        {"AWS_DEFAULT_REGION", options.region},
    };
    for (const auto& [name, value] : reserved) all.insert_or_assign(name, value);
    if (spec.runtime)
        all.insert_or_assign("AWS_EXECUTION_ENV", "AWS_Lambda_" + spec.runtime->identifier);
    // Clones of a snapshot write to the stream whose name they have (logs.hpp); AWS's have none.
    all.insert_or_assign("AWS_LAMBDA_LOG_STREAM_NAME", std::string(log_stream));
    std::vector<std::string> out;
    out.reserve(all.size());
    for (const auto& [name, value] : all) out.push_back(fmt::format("{}={}", name, value));
    return out;
}

}  // namespace hearth::worker
