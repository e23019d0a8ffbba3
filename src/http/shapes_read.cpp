#include "http/json_reader.hpp"
#include "http/text.hpp"

#include <algorithm>

namespace hearth::http {
namespace {

byte_count mebibytes(std::int64_t n) {
    // What is negative or absurd becomes zero or the most there is: the range check then refuses
    // it.
    if (n < 0) return byte_count(0);
    return byte_count(static_cast<std::uint64_t>(std::min<std::int64_t>(n, 1 << 30)) << 20);
}

std::chrono::milliseconds seconds(std::int64_t n) {
    return std::chrono::seconds(std::clamp<std::int64_t>(n, 0, 1 << 30));
}

/// What AWS has and this server does not: silence would be a lie.
void refuse_unsupported(const reader& r) {
    static constexpr std::pair<const char*, const char*> absent[] = {
        {"ImageConfig", "Container images (ImageConfig) are not supported by this server yet"},
        {"CapacityProviderConfig", "Capacity providers are not supported by this server yet"},
        {"DurableConfig", "Durable functions are not supported by this server yet"},
        {"PublishTo", "PublishTo is not supported by this server yet"},
    };
    for (const auto& [name, why] : absent)
        if (r.says_something(name)) refuse(errc::unsupported, why);
}

/// botocore 2026: a member of CreateFunction alone.
void refuse_tenancy(const reader& r) {
    if (r.says_something("TenancyConfig"))
        refuse(errc::invalid_argument,
               "TenancyConfig cannot be changed: it is given when a function is created");
}

std::string tenant_isolation(const reader& r) {
    const auto config = r.object("TenancyConfig");
    if (!config) return {};
    const auto mode = config->text("TenantIsolationMode");
    if (!mode) must_not_be_null("tenancyConfig.tenantIsolationMode");
    if (mode->empty())  // which would be as if nothing had been asked for
        refuse(
            errc::invalid_argument,
            "1 validation error detected: Value '' at 'tenancyConfig.tenantIsolationMode' failed "
            "to satisfy constraint: Member must satisfy enum value set: [PER_TENANT]");
    return *mode;
}

void check_package_type(const reader& r) {
    const auto type = r.text("PackageType");
    if (type && *type == "Image")
        refuse(errc::unsupported,
               "PackageType Image is not supported by this server yet: only Zip");
    if (type && *type != "Zip")
        refuse(errc::invalid_argument,
               "1 validation error detected: Value '" + *type +
                   "' at 'packageType' failed to satisfy constraint: Member must satisfy "
                   "enum value set: [Zip, Image]");
}

void check_architectures(const reader& r) {
    const auto list = r.texts("Architectures");
    if (!list || (list->size() == 1 && list->front() == "x86_64")) return;
    if (list->size() == 1 && list->front() == "arm64")
        refuse(errc::unsupported, "Architecture arm64 is not supported: this server runs x86_64");
    refuse(errc::invalid_argument,
           "1 validation error detected: Value at 'architectures' failed to satisfy constraint: "
           "Member must be one "
           "of: [x86_64, arm64]");
}

std::optional<vpc_settings> vpc(const reader& r) {
    const auto config = r.object("VpcConfig");
    if (!config) return std::nullopt;
    return vpc_settings{config->texts("SubnetIds").value_or(std::vector<std::string>()),
                        config->texts("SecurityGroupIds").value_or(std::vector<std::string>())};
}

std::optional<logging_settings> logging(const reader& r) {
    const auto config = r.object("LoggingConfig");
    if (!config) return std::nullopt;
    return logging_settings{config->text("LogFormat").value_or("Text"),
                            config->text("ApplicationLogLevel").value_or(""),
                            config->text("SystemLogLevel").value_or(""),
                            config->text("LogGroup").value_or("")};
}

std::optional<std::vector<file_system_settings>> file_systems(const reader& r) {
    const json::value* list = r.find("FileSystemConfigs");
    if (!list) return std::nullopt;
    if (!list->is_array()) wrong_type("FileSystemConfigs", "a list");
    std::vector<file_system_settings> found;
    for (const json::value& each : list->get_array()) {
        if (!each.is_object()) wrong_type("FileSystemConfigs", "a list of objects");
        const reader item(each.get_object());
        found.push_back({item.text("Arn").value_or(""), item.text("LocalMountPath").value_or("")});
    }
    return found;
}

/// A member of an object that may be absent: "Environment"."Variables".
template <class Get>
auto inside(const reader& r, std::string_view object, Get get) -> decltype(get(r)) {
    const auto members = r.object(object);
    if (!members) return std::nullopt;
    return get(*members);
}

update_function_configuration_request settings(const reader& r) {
    refuse_unsupported(r);
    update_function_configuration_request s;
    s.runtime = r.text("Runtime"), s.role = r.text("Role"), s.handler = r.text("Handler");
    s.description = r.text("Description");
    if (const auto n = r.number("Timeout")) s.timeout = seconds(*n);
    if (const auto n = r.number("MemorySize")) s.memory = mebibytes(*n);
    if (const auto storage = r.object("EphemeralStorage")) {
        const auto size = storage->number("Size");
        if (!size) must_not_be_null("ephemeralStorage.size");
        s.ephemeral_storage = mebibytes(*size);
    }
    if (const auto environment = r.object("Environment"))
        s.environment =
            environment->text_map("Variables").value_or(std::map<std::string, std::string>());
    s.vpc = vpc(r), s.logging = logging(r), s.file_systems = file_systems(r);
    s.dead_letter_target_arn =
        inside(r, "DeadLetterConfig", [](const reader& c) { return c.text("TargetArn"); });
    s.tracing_mode = inside(r, "TracingConfig", [](const reader& c) { return c.text("Mode"); });
    s.snap_start = inside(r, "SnapStart", [](const reader& c) { return c.text("ApplyOn"); });
    s.kms_key_arn = r.text("KMSKeyArn");
    if (const auto arns = r.texts("Layers")) {
        s.layers.emplace();
        for (const std::string& each : *arns) s.layers->push_back({.arn = each});
    }
    return s;
}

template <class T>
void take(std::optional<T>& from, T& to) {
    if (from) to = std::move(*from);
}

}  // namespace

std::string zip_file(const reader& code) {
    if (code.says_something("S3Bucket") || code.says_something("S3Key"))
        refuse(errc::unsupported, "Code from S3 is not supported by this server yet: send ZipFile");
    if (code.says_something("ImageUri"))
        refuse(errc::unsupported,
               "Container images (ImageUri) are not supported by this server yet: send ZipFile");
    const json::value* zip = code.find("ZipFile");
    if (!zip) refuse(errc::invalid_argument, "Please provide a source for function code.");
    if (!zip->is_string()) wrong_type("ZipFile", "a base64 string");
    auto bytes = from_base64({zip->get_string().data(), zip->get_string().size()});
    if (!bytes)
        throw fault_thrown{
            {shape_fault::kind::not_json,
             error(errc::invalid_argument, "ZipFile: Failed to decode VALUE_STRING as base64")}};
    return std::move(*bytes);
}

shaped<create_function_request> read_create_function(std::string_view body) {
    return read_document(body, [](const reader& r) {
        create_function_request request;
        const auto name = r.text("FunctionName");
        if (!name) must_not_be_null("functionName");
        const auto code = r.object("Code");
        if (!code) must_not_be_null("code");
        check_package_type(r);
        check_architectures(r);
        auto given = settings(r);
        if (!given.role) must_not_be_null("role");
        if (!given.runtime || !given.handler)
            refuse(errc::invalid_argument,
                   "Runtime and Handler are mandatory parameters for functions created with "
                   "deployment packages.");
        function_settings& s = request.settings;
        take(given.runtime, s.runtime), take(given.role, s.role), take(given.handler, s.handler);
        take(given.description, s.description), take(given.timeout, s.timeout),
            take(given.memory, s.memory);
        take(given.ephemeral_storage, s.ephemeral_storage), take(given.environment, s.environment);
        take(given.vpc, s.vpc), take(given.dead_letter_target_arn, s.dead_letter_target_arn);
        take(given.kms_key_arn, s.kms_key_arn), take(given.tracing_mode, s.tracing_mode);
        take(given.snap_start, s.snap_start), take(given.file_systems, s.file_systems);
        take(given.logging, s.logging), take(given.layers, s.layers);
        s.tenant_isolation = tenant_isolation(r);
        request.tags = r.text_map("Tags").value_or(std::map<std::string, std::string>());
        request.code_signing_config_arn = r.text("CodeSigningConfigArn").value_or("");
        request.publish = r.flag("Publish");
        request.function_name = *name;
        request.zip_file = zip_file(*code);
        return request;
    });
}

shaped<update_function_code_request> read_update_function_code(std::string_view body) {
    return read_document(body, [](const reader& r) {
        refuse_unsupported(r), refuse_tenancy(r);
        check_architectures(r);
        update_function_code_request request;
        request.revision_id = r.text("RevisionId").value_or("");
        request.dry_run = r.flag("DryRun");
        request.publish = r.flag("Publish");
        request.zip_file = zip_file(r);
        return request;
    });
}

shaped<update_function_configuration_request> read_update_function_configuration(
    std::string_view body) {
    return read_document(body, [](const reader& r) {
        refuse_tenancy(r);
        auto request = settings(r);
        request.revision_id = r.text("RevisionId").value_or("");
        return request;
    });
}

void throw_exception_from_error(const shape_fault& f, const boost::source_location&) {
    throw boost::system::system_error(f.why.code(), f.why.message());
}

}  // namespace hearth::http
