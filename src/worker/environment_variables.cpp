#include "worker/environment_variables.hpp"

#include "worker/credentials.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace hearth::worker {

std::vector<std::string> environment_variables(const version_spec& spec,
                                               const worker_options& options,
                                               std::string_view log_stream,
                                               std::string_view token) {
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
    if (spec.snapshot) {
        all.insert_or_assign("AWS_CONTAINER_CREDENTIALS_FULL_URI",
                             fmt::format("http://127.0.0.1:9001{}", credentials_path));
        all.insert_or_assign("AWS_CONTAINER_AUTHORIZATION_TOKEN", std::string(token));
    } else {
        const auto c = credentials_of(options.credentials, spec.function_name);
        all.insert_or_assign("AWS_ACCESS_KEY_ID", c.access_key_id);
        all.insert_or_assign("AWS_SECRET_ACCESS_KEY", c.secret_access_key);
        if (!c.session_token.empty()) all.insert_or_assign("AWS_SESSION_TOKEN", c.session_token);
    }
    if (spec.runtime)
        all.insert_or_assign("AWS_EXECUTION_ENV", "AWS_Lambda_" + spec.runtime->identifier);
    // Clones of a snapshot write to the stream whose name they have (logs.hpp); AWS's have none.
    all.insert_or_assign("AWS_LAMBDA_LOG_STREAM_NAME", std::string(log_stream));
    std::vector<std::string> out;
    out.reserve(all.size());
    for (const auto& [name, value] : all) out.push_back(fmt::format("{}={}", name, value));
    return out;
}

std::vector<std::string> extension_variables(std::vector<std::string> of_the_runtime) {
    std::erase_if(of_the_runtime, [](std::string_view variable) {
        constexpr std::string_view runtimes_own[] = {
            "AWS_EXECUTION_ENV=",  "AWS_LAMBDA_LOG_GROUP_NAME=", "AWS_LAMBDA_LOG_STREAM_NAME=",
            "LAMBDA_RUNTIME_DIR=", "LAMBDA_TASK_ROOT=",          "_HANDLER="};
        return std::ranges::any_of(
            runtimes_own, [&](std::string_view name) { return variable.starts_with(name); });
    });
    return of_the_runtime;
}

}  // namespace hearth::worker
