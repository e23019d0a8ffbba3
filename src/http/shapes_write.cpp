#include "http/shapes.hpp"
#include "http/text.hpp"

#include <boost/json.hpp>

namespace hearth::http {
namespace {

namespace json = boost::json;

json::string_view text(std::string_view s) { return {s.data(), s.size()}; }

std::int64_t whole_seconds(std::chrono::milliseconds t) {
    return std::chrono::ceil<std::chrono::seconds>(t).count();  // AWS knows no parts of a second
}

json::object environment(const function_settings& s) {
    json::object variables;
    for (const auto& [name, value] : s.environment) variables[name] = value;
    return {{"Variables", std::move(variables)}};
}

json::object logging(const function_configuration& c) {
    const logging_settings& l = c.settings.logging;
    json::object o{
        {"LogFormat", l.log_format},
        {"LogGroup", l.log_group.empty() ? "/aws/lambda/" + c.function_name : l.log_group}};
    if (l.log_format == "JSON") {
        o["ApplicationLogLevel"] =
            l.application_log_level.empty() ? "INFO" : l.application_log_level;
        o["SystemLogLevel"] = l.system_log_level.empty() ? "INFO" : l.system_log_level;
    }
    return o;
}

void add_state(const function_configuration& c, json::object& o) {
    const auto add = [&](const char* name, const std::string& value) {
        if (!value.empty()) o[name] = printable(value);
    };
    o["State"] = text(to_string(c.state));
    add("StateReason", c.state_reason), add("StateReasonCode", c.state_reason_code);
    o["LastUpdateStatus"] = text(to_string(c.last_update));
    add("LastUpdateStatusReason", c.last_update_reason);
    add("LastUpdateStatusReasonCode", c.last_update_reason_code);
}

/// Every version has its snapshot; AWS calls it so where it was asked for.
const char* optimization(const function_configuration& c) {
    return c.version != "$LATEST" && c.settings.snap_start == "PublishedVersions" ? "On" : "Off";
}

/// The service model's FunctionConfiguration; as at AWS, what was never set is left out.
json::object configuration(const function_configuration& c,
                           std::string_view qualifier,
                           bool with_state) {
    const function_settings& s = c.settings;
    json::object o{
        {"FunctionName", c.function_name},
        {"FunctionArn", c.function_arn + (qualifier.empty() ? "" : ":" + std::string(qualifier))},
        {"Runtime", s.runtime},
        {"Role", s.role},
        {"Handler", s.handler},
        {"CodeSize", c.code_size},
        {"Description", s.description},
        {"Timeout", whole_seconds(s.timeout)},
        {"MemorySize", s.memory.mebibytes()},
        {"LastModified", c.last_modified},
        {"CodeSha256", c.code_sha256},
        {"Version", c.version},
        {"TracingConfig", {{"Mode", s.tracing_mode}}},
        {"RevisionId", c.revision_id},
        {"PackageType", "Zip"},
        {"Architectures", {"x86_64"}},
        {"EphemeralStorage", {{"Size", s.ephemeral_storage.mebibytes()}}},
        {"SnapStart", {{"ApplyOn", s.snap_start}, {"OptimizationStatus", optimization(c)}}},
        {"LoggingConfig", logging(c)}};
    if (s.vpc != vpc_settings{})
        o["VpcConfig"] = {{"SubnetIds", json::value_from(s.vpc.subnet_ids)},
                          {"SecurityGroupIds", json::value_from(s.vpc.security_group_ids)},
                          {"VpcId", ""}};
    if (!s.dead_letter_target_arn.empty())
        o["DeadLetterConfig"] = {{"TargetArn", s.dead_letter_target_arn}};
    if (!s.environment.empty()) o["Environment"] = environment(s);
    if (!s.tenant_isolation.empty())
        o["TenancyConfig"] = {{"TenantIsolationMode", s.tenant_isolation}};
    if (!s.kms_key_arn.empty()) o["KMSKeyArn"] = s.kms_key_arn;
    if (!s.layers.empty()) {
        json::array& list = o["Layers"].emplace_array();
        for (const auto& each : s.layers)
            list.push_back({{"Arn", each.arn}, {"CodeSize", each.code_size}});
    }
    if (!s.file_systems.empty()) {
        json::array& list = o["FileSystemConfigs"].emplace_array();
        for (const auto& each : s.file_systems)
            list.push_back({{"Arn", each.arn}, {"LocalMountPath", each.local_mount_path}});
    }
    if (with_state) add_state(c, o);
    return o;
}

}  // namespace

std::string write_configuration(const function_configuration& c, std::string_view qualifier) {
    return json::serialize(configuration(c, qualifier, true));
}

std::string write_description(const function_description& d, std::string_view code_location) {
    json::object o{{"Configuration", configuration(d.configuration, d.qualifier, true)}};
    // SDKs expect "S3" here; the location is this server's own.
    json::object code{{"RepositoryType", "S3"}};
    if (!code_location.empty()) code["Location"] = text(code_location);
    o["Code"] = std::move(code);
    if (d.reserved_concurrency)
        o["Concurrency"] = {{"ReservedConcurrentExecutions", *d.reserved_concurrency}};
    if (!d.tags.empty()) {
        json::object& tags = o["Tags"].emplace_object();
        for (const auto& [key, value] : d.tags) tags[key] = value;
    }
    return json::serialize(o);
}

std::string write_page(const function_page& page, std::string_view list, bool qualified) {
    json::array functions;
    for (const auto& each : page.functions)
        functions.push_back(configuration(
            each, qualified ? std::string_view(each.version) : std::string_view(), false));
    json::object o;
    o[text(list)] = std::move(functions);
    if (!page.next_marker.empty()) o["NextMarker"] = page.next_marker;
    return json::serialize(o);
}

std::string write_account_settings(const account_settings& s) {
    return json::serialize(json::object{
        {"AccountLimit",
         {{"TotalCodeSize", s.total_code_size_limit},
          {"CodeSizeUnzipped", s.code_size_unzipped_limit},
          {"CodeSizeZipped", s.code_size_zipped_limit},
          {"ConcurrentExecutions", s.concurrent_executions},
          {"UnreservedConcurrentExecutions", s.unreserved_concurrent_executions}}},
        {"AccountUsage",
         {{"TotalCodeSize", s.total_code_size}, {"FunctionCount", s.function_count}}}});
}

}  // namespace hearth::http
