#pragma once

/// What the control plane's operations take and give: AWS Lambda's shapes as C++ values.

#include <hearth/layer.hpp>
#include <hearth/units.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

enum class function_state { pending, active, failed };
enum class update_status { successful, failed, in_progress };
/// AWS's words: "Pending", "InProgress", …
std::string_view to_string(function_state) noexcept;
std::string_view to_string(update_status) noexcept;

struct vpc_settings {
    std::vector<std::string> subnet_ids{}, security_group_ids{};
    bool operator==(const vpc_settings&) const = default;
};

struct file_system_settings {
    std::string arn{}, local_mount_path{};
    bool operator==(const file_system_settings&) const = default;
};

struct logging_settings {
    std::string log_format = "Text";
    std::string application_log_level{}, system_log_level{};  ///< with JSON only; empty: not set
    std::string log_group{};                                  ///< empty: /aws/lambda/NAME
    bool operator==(const logging_settings&) const = default;
};

/// What a caller may set, by CreateFunction and UpdateFunctionConfiguration alike.
struct function_settings {
    std::string runtime = "provided.al2023";
    std::string role{};
    std::string handler{};
    std::string description{};
    std::chrono::milliseconds timeout = std::chrono::seconds(3);
    byte_count memory = byte_count(128ull << 20);
    byte_count ephemeral_storage = byte_count(512ull << 20);
    std::map<std::string, std::string> environment{};
    /// Of five layers at most, later over earlier; only their ARNs are the caller's to set.
    std::vector<layer_reference> layers{};
    logging_settings logging{};  ///< reaches the function; managed runtimes act on it
    /// Gets the events that were given up, in the form of an SQS message: as the destinations of
    /// event_invoke_config.
    std::string dead_letter_target_arn{};
    /// "PER_TENANT", by CreateFunction alone and for good: isolation::tenant. Empty: not asked for.
    std::string tenant_isolation{};
    // Accepted, kept and echoed; nothing here acts on them yet.
    vpc_settings vpc{};
    std::string kms_key_arn{};
    std::string tracing_mode = "PassThrough";
    std::vector<file_system_settings> file_systems{};
    std::string snap_start = "None";
    bool operator==(const function_settings&) const = default;
};

/// AWS's FunctionConfiguration.
struct function_configuration {
    std::string function_name{};
    std::string function_arn{};       ///< unqualified
    std::string version = "$LATEST";  ///< or a number
    function_settings settings{};
    std::uint64_t code_size = 0;
    std::string code_sha256{};    ///< base64
    std::string last_modified{};  ///< "2023-04-05T06:07:08.123+0000"
    std::string revision_id{};    ///< a UUID, new with every change
    function_state state = function_state::pending;
    std::string state_reason{}, state_reason_code{};
    update_status last_update = update_status::successful;
    std::string last_update_reason{}, last_update_reason_code{};
    bool operator==(const function_configuration&) const = default;
};

struct create_function_request {
    std::string function_name{};  ///< plain, partial ARN or full ARN, without a version
    std::string zip_file{};       ///< the bytes
    function_settings settings{};
    std::map<std::string, std::string> tags{};
    std::string code_signing_config_arn{};
    bool publish = false;  ///< version 1 at once; it is what is returned
};

struct update_function_code_request {
    std::string function_name{};
    std::string zip_file{};
    std::string revision_id{};  ///< empty: no precondition
    bool dry_run = false;       ///< check everything, change nothing
    bool publish = false;       ///< a version of the new code at once; it is what is returned
};

/// Fields without a value stay as they are.
struct update_function_configuration_request {
    std::string function_name{};
    std::string revision_id{};
    std::optional<std::string> runtime{}, role{}, handler{}, description{};
    std::optional<std::chrono::milliseconds> timeout{};
    std::optional<byte_count> memory{}, ephemeral_storage{};
    std::optional<std::map<std::string, std::string>> environment{};
    std::optional<vpc_settings> vpc{};
    std::optional<std::string> dead_letter_target_arn{}, kms_key_arn{}, tracing_mode{},
        snap_start{};
    std::optional<std::vector<file_system_settings>> file_systems{};
    std::optional<logging_settings> logging{};
    std::optional<std::vector<layer_reference>> layers{};
};

struct function_description {
    function_configuration configuration{};
    std::map<std::string, std::string> tags{};
    /// False for a function of `runtime::deploy` whose package is not a zip.
    bool has_zip = false;
    /// The version or alias that was asked for, wherever it was named; empty: none.
    std::string qualifier{};
    std::optional<std::size_t> reserved_concurrency{};
};

enum class provisioned_status { in_progress, ready, failed };
/// AWS's words: "IN_PROGRESS", …
std::string_view to_string(provisioned_status) noexcept;

struct provisioned_concurrency {
    std::string function_arn{};  ///< with the version or alias it was given to
    std::size_t requested = 0;
    std::size_t available = 0;  ///< environments that have initialised
    provisioned_status status = provisioned_status::in_progress;
    std::string status_reason{};
    std::string last_modified{};
};

struct provisioned_concurrency_page {
    std::vector<provisioned_concurrency> configs{};  ///< by qualifier
    std::string next_marker{};
};

/// Of ListFunctions or ListVersionsByFunction.
struct function_page {
    std::vector<function_configuration> functions{};  ///< by name, of a name $LATEST first
    std::string next_marker{};                        ///< empty: the last page
};

/// What becomes of asynchronous invocations. A destination is a function's ARN, which gets AWS's
/// record of the invocation as an event; a standard queue's, which gets it as a message;
/// "arn:aws:s3:::BUCKET", a file below DATA/destinations/BUCKET for each record; or
/// "arn:aws:http:::HOST:PORT/PATH", which the record is posted to, three times at most. Others are
/// refused. Success and failure both may have any.
struct event_invoke_config {
    std::string function_arn{};  ///< with its qualifier
    std::optional<std::uint64_t> maximum_retry_attempts{};
    std::optional<std::uint64_t> maximum_event_age{};  ///< seconds
    std::string on_success{}, on_failure{};            ///< ARNs; empty: none
    std::int64_t last_modified = 0;                    ///< seconds since 1970
    bool operator==(const event_invoke_config&) const = default;
};

/// Fields without a value: not given.
struct event_invoke_request {
    std::string function_name{}, qualifier{};
    std::optional<std::uint64_t> maximum_retry_attempts{}, maximum_event_age{};
    std::optional<std::string> on_success{}, on_failure{};
    bool has_destinations = false;  ///< DestinationConfig itself was given
};

struct event_invoke_page {
    std::vector<event_invoke_config> configs{};
    std::string next_marker{};
};

struct publish_version_request {
    std::string function_name{};
    std::string code_sha256{};                 ///< empty: no precondition
    std::string revision_id{};                 ///< empty: no precondition
    std::optional<std::string> description{};  ///< else $LATEST's
};

/// AWS's AliasConfiguration.
struct alias_configuration {
    std::string alias_arn{};
    std::string name{};
    std::string function_version{};
    std::string description{};
    /// RoutingConfig: the versions that take a share of the invocations from `function_version`.
    std::map<std::string, double> additional_version_weights{};
    std::string revision_id{};
    bool operator==(const alias_configuration&) const = default;
};

struct create_alias_request {
    std::string function_name{};
    std::string name{}, function_version{}, description{};
    std::map<std::string, double> additional_version_weights{};
};

/// Fields without a value stay as they are.
struct update_alias_request {
    std::string function_name{};
    std::string name{};
    std::string revision_id{};  ///< empty: no precondition
    std::optional<std::string> function_version{}, description{};
    std::optional<std::map<std::string, double>> additional_version_weights{};
};

struct alias_page {
    std::vector<alias_configuration> aliases{};  ///< by name
    std::string next_marker{};
};

struct account_settings {
    std::uint64_t total_code_size_limit = 0, code_size_unzipped_limit = 0,
                  code_size_zipped_limit = 0;
    std::uint64_t concurrent_executions = 0, unreserved_concurrent_executions = 0;
    std::uint64_t total_code_size = 0, function_count = 0;
};

}  // namespace hearth
