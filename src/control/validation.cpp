#include "control/validation.hpp"

#include "base/try.hpp"
#include "control/ascii.hpp"
#include "control/run_policy.hpp"
#include "image/managed_runtime.hpp"
#include "logs/log_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace hearth::control {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::string_view, 3> supported_runtimes = {"provided.al2023", "provided.al2",
                                                                "provided"};
/// Keys and values with AWS's JSON punctuation counted, as its error message measures them.
constexpr std::size_t max_environment = 4096;

/// Set by Lambda itself in every environment (Lambda guide, "Defined runtime environment
/// variables").
constexpr std::array<std::string_view, 18> reserved_variables = {"_HANDLER",
                                                                 "_X_AMZN_TRACE_ID",
                                                                 "AWS_DEFAULT_REGION",
                                                                 "AWS_REGION",
                                                                 "AWS_EXECUTION_ENV",
                                                                 "AWS_LAMBDA_FUNCTION_NAME",
                                                                 "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                                                                 "AWS_LAMBDA_FUNCTION_VERSION",
                                                                 "AWS_LAMBDA_INITIALIZATION_TYPE",
                                                                 "AWS_LAMBDA_LOG_GROUP_NAME",
                                                                 "AWS_LAMBDA_LOG_STREAM_NAME",
                                                                 "AWS_ACCESS_KEY",
                                                                 "AWS_ACCESS_KEY_ID",
                                                                 "AWS_SECRET_ACCESS_KEY",
                                                                 "AWS_SESSION_TOKEN",
                                                                 "AWS_LAMBDA_RUNTIME_API",
                                                                 "LAMBDA_TASK_ROOT",
                                                                 "LAMBDA_RUNTIME_DIR"};

result<void> check_range(std::string_view member,
                         std::uint64_t value,
                         std::uint64_t low,
                         std::uint64_t high) {
    if (value < low)
        return violation(member, std::to_string(value),
                         fmt::format("Member must have value greater than or equal to {}", low));
    if (value > high)
        return violation(member, std::to_string(value),
                         fmt::format("Member must have value less than or equal to {}", high));
    return {};
}

result<void> check_length(std::string_view member, std::string_view value, std::size_t high) {
    if (value.size() <= high) return {};
    return violation(member, value,
                     fmt::format("Member must have length less than or equal to {}", high));
}

template <std::size_t N>
result<void> check_one_of(std::string_view member,
                          std::string_view value,
                          const std::array<std::string_view, N>& allowed) {
    if (std::ranges::find(allowed, value) != allowed.end()) return {};
    return violation(
        member, value,
        fmt::format("Member must satisfy enum value set: [{}]", fmt::join(allowed, ", ")));
}

/// "(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()", as far as it guards anything.
result<void> check_arn(std::string_view member, std::string_view value) {
    if (value.empty() || value.starts_with("arn:")) return {};
    return violation(member, value,
                     "Member must satisfy regular expression pattern: "
                     "(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()");
}

result<void> check_runtime(std::string_view runtime) {
    if (std::ranges::find(supported_runtimes, runtime) != supported_runtimes.end() ||
        image::is_managed(runtime))
        return {};
    return error(
        errc::invalid_argument,
        fmt::format("Value {} at 'runtime' failed to satisfy constraint: Member must satisfy enum "
                    "value set: [{}, python3.8 to python3.14, nodejs18.x to nodejs24.x]",
                    runtime, fmt::join(supported_runtimes, ", ")));
}

/// "[a-zA-Z]([a-zA-Z0-9_])+"
bool is_variable_name(std::string_view name) {
    return name.size() >= 2 && is_alpha(name.front()) &&
           std::ranges::all_of(name, [](char c) { return is_alnum(c) || c == '_'; });
}

result<void> check_environment(const std::map<std::string, std::string>& environment) {
    std::size_t size = 2;  // "{}"
    for (const auto& [name, value] : environment) {
        if (std::ranges::find(reserved_variables, name) != reserved_variables.end())
            return error(
                errc::invalid_argument,
                "Lambda was unable to configure your environment variables because the environment "
                "variables you have provided contains reserved keys that are currently not "
                "supported "
                "for modification. Reserved keys used in this request: " +
                    name);
        if (!is_variable_name(name))
            return violation(
                "environment.variables", name,
                "Map keys must satisfy constraint: [Member must satisfy regular expression "
                "pattern: [a-zA-Z]([a-zA-Z0-9_])+]");
        if (value.find('\0') != value.npos)
            return error(errc::invalid_argument,
                         "Environment variable " + name + " holds a NUL character");
        size += name.size() + value.size() + 6;  // quotes, colon, comma
    }
    if (size > max_environment)
        return error(
            errc::invalid_argument,
            fmt::format("Lambda was unable to configure your environment variables because the "
                        "environment variables you have provided exceeded the 4KB limit. Size: {} "
                        "bytes",
                        size));
    return {};
}

result<void> check_logging(const logging_settings& logging) {
    HEARTH_CHECK(check_one_of<2>("loggingConfig.logFormat", logging.log_format, {"JSON", "Text"}));
    if (logging.log_format == "Text" &&
        !(logging.application_log_level.empty() && logging.system_log_level.empty()))
        return error(errc::invalid_argument,
                     "The log level settings are supported with the JSON log format only");
    if (!logging.application_log_level.empty())
        HEARTH_CHECK(check_one_of<6>("loggingConfig.applicationLogLevel",
                                     logging.application_log_level,
                                     {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}));
    if (!logging.system_log_level.empty())
        HEARTH_CHECK(check_one_of<3>("loggingConfig.systemLogLevel", logging.system_log_level,
                                     {"DEBUG", "INFO", "WARN"}));
    HEARTH_CHECK(check_length("loggingConfig.logGroup", logging.log_group, 512));
    if (!logging.log_group.empty() && !logs::is_group_name(logging.log_group))
        return violation("loggingConfig.logGroup", logging.log_group,
                         "Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+");
    return {};
}

result<void> check_vpc(const vpc_settings& vpc) {
    if (vpc.subnet_ids.size() > 16)
        return violation("vpcConfig.subnetIds", std::to_string(vpc.subnet_ids.size()),
                         "Member must have length less than or equal to 16");
    if (vpc.security_group_ids.size() > 5)
        return violation("vpcConfig.securityGroupIds",
                         std::to_string(vpc.security_group_ids.size()),
                         "Member must have length less than or equal to 5");
    return {};
}

/// Held against what the environment variables say.
result<void> check_tenancy(const function_settings& s) {
    run_policy asked;
    if (!s.tenant_isolation.empty()) asked.isolation = isolation::tenant;
    HEARTH_TRY(const auto policy, with_variables(asked, s.environment));
    if (s.tenant_isolation.empty()) return {};
    HEARTH_CHECK(
        check_one_of<1>("tenancyConfig.tenantIsolationMode", s.tenant_isolation, {"PER_TENANT"}));
    if (policy.isolation != isolation::tenant)
        return error(errc::invalid_argument,
                     "TenancyConfig is PER_TENANT: the environment variable HEARTH_ISOLATION must "
                     "not say otherwise");
    // Lambda Developer Guide, "Tenant isolation": not together.
    if (s.snap_start != "None")
        return error(errc::invalid_argument,
                     "SnapStart is not supported for functions with tenant isolation mode.");
    return {};
}

}  // namespace

error violation(std::string_view member, std::string_view value, std::string_view constraint) {
    return {errc::invalid_argument,
            fmt::format(
                "1 validation error detected: Value '{}' at '{}' failed to satisfy constraint: {}",
                value.substr(0, 256), member, constraint)};
}

result<void> check_role(const std::string& role) {
    // "arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"
    std::string_view rest = role;
    bool matches = rest.starts_with("arn:");
    if (matches) {
        rest.remove_prefix(4);
        const auto iam = rest.find(":iam::");
        matches = iam != rest.npos && (iam == 0 || rest.starts_with("aws"));
        if (matches) rest.remove_prefix(iam + 6);
    }
    matches =
        matches && rest.size() > 18 && std::ranges::all_of(rest.substr(0, 12), is_digit) &&
        rest.substr(12).starts_with(":role") && std::ranges::all_of(rest.substr(17), [](char c) {
            return is_alnum(c) || std::string_view("_+=,.@-/").find(c) != std::string_view::npos;
        });
    if (matches) return {};
    return violation("role", role,
                     "Member must satisfy regular expression pattern: "
                     "arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+");
}

result<void> check_tags(const std::map<std::string, std::string>& tags) {
    if (tags.size() > 50)
        return error(errc::invalid_argument, "A function may have at most 50 tags");
    for (const auto& [key, value] : tags) {
        if (key.empty() || key.size() > 128 * 4 || value.size() > 256 * 4)
            return error(errc::invalid_argument,
                         "A tag key has 1 to 128 characters and its value at most 256");
        if (key.starts_with("aws:"))
            return error(errc::invalid_argument, "Tag keys that begin with aws: are reserved");
    }
    return {};
}

result<void> check_qualifier(std::string_view qualifier) {
    // "(|[a-zA-Z0-9$_-]+)", at most 128 characters
    if (qualifier.size() <= 128 && std::ranges::all_of(qualifier, [](char c) {
            return is_alnum(c) || c == '$' || c == '_' || c == '-';
        }))
        return {};
    return violation("qualifier", qualifier,
                     "Member must satisfy regular expression pattern: (|[a-zA-Z0-9$_-]+)");
}

result<void> check_description(std::string_view description) {
    return check_length("description", description, 256);
}

result<void> check_alias_name(std::string_view name) {
    if (name.empty())
        return violation("name", name, "Member must have length greater than or equal to 1");
    HEARTH_CHECK(check_length("name", name, 128));
    const auto is_name_char = [](char c) { return is_alnum(c) || c == '_' || c == '-'; };
    if (std::ranges::all_of(name, is_name_char) && !std::ranges::all_of(name, is_digit)) return {};
    return violation("name", name,
                     "Member must satisfy regular expression pattern: "
                     "(?!^[0-9]+$)([a-zA-Z0-9-_]+)");
}

result<void> check_alias_version(std::string_view version) {
    if (version == "$LATEST" || (!version.empty() && version.size() <= 1024 &&
                                 std::ranges::all_of(version, is_digit)))
        return {};
    return violation("functionVersion", version,
                     "Member must satisfy regular expression pattern: (\\$LATEST|[0-9]+)");
}

result<void> check_weights(const std::map<std::string, double>& weights) {
    constexpr std::string_view member = "routingConfig.additionalVersionWeights";
    if (weights.size() > 1)
        return error(errc::invalid_argument,
                     "Number of items in AdditionalVersionWeights cannot be greater than 1");
    for (const auto& [version, weight] : weights) {
        if (version.empty() || version.size() > 1024 || !std::ranges::all_of(version, is_digit))
            return violation(member, "{" + version + "=" + fmt::format("{}", weight) + "}",
                             "Map keys must satisfy constraint: [Member must have length less than "
                             "or equal to 1024, Member must have length greater than or equal to "
                             "1, Member must satisfy regular expression pattern: [0-9]+, Member "
                             "must not be null]");
        if (!(weight >= 0 && weight <= 1))
            return violation(member, "{" + version + "=" + fmt::format("{}", weight) + "}",
                             "Map value must satisfy constraint: [Member must have value less than "
                             "or equal to 1.0, Member must have value greater than or equal to "
                             "0.0, Member must not be null]");
    }
    return {};
}

result<void> check_settings(const function_settings& s) {
    HEARTH_CHECK(check_runtime(s.runtime));
    HEARTH_CHECK(check_length("handler", s.handler, 128));
    if (std::ranges::any_of(
            s.handler, [](char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0'; }))
        return violation("handler", s.handler,
                         "Member must satisfy regular expression pattern: [^\\s]+");
    HEARTH_CHECK(check_description(s.description));
    if (s.timeout < 1ms || s.timeout > 900s) {
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(s.timeout).count();
        return violation("timeout", std::to_string(seconds),
                         s.timeout < 1ms ? "Member must have value greater than or equal to 1"
                                         : "Member must have value less than or equal to 900");
    }
    HEARTH_CHECK(check_range("memorySize", s.memory.mebibytes(), 128, 10240));
    HEARTH_CHECK(check_range("ephemeralStorage.size", s.ephemeral_storage.mebibytes(), 512, 10240));
    if (s.memory.bytes() % (1 << 20) != 0 || s.ephemeral_storage.bytes() % (1 << 20) != 0)
        return error(errc::invalid_argument, "MemorySize and EphemeralStorage are whole mebibytes");
    HEARTH_CHECK(check_environment(s.environment));
    HEARTH_CHECK(check_tenancy(s));
    HEARTH_CHECK(check_vpc(s.vpc));
    HEARTH_CHECK(check_arn("deadLetterConfig.targetArn", s.dead_letter_target_arn));
    HEARTH_CHECK(check_arn("kMSKeyArn", s.kms_key_arn));
    HEARTH_CHECK(check_one_of<2>("tracingConfig.mode", s.tracing_mode, {"Active", "PassThrough"}));
    HEARTH_CHECK(check_one_of<2>("snapStart.applyOn", s.snap_start, {"PublishedVersions", "None"}));
    if (s.file_systems.size() > 1)
        return violation("fileSystemConfigs", std::to_string(s.file_systems.size()),
                         "Member must have length less than or equal to 1");
    return check_logging(s.logging);
}

}  // namespace hearth::control
