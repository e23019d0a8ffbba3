#pragma once

/// The control plane: AWS Lambda's operations on functions as C++ values. Names, ranges and error
/// sentences are AWS's; the HTTP front puts them on the wire. Everything here is thread-safe.
///
/// A function is Pending until its package is checked and its init has run once in the background,
/// then Active or Failed. While an update is under way, and when it fails, the code before it keeps
/// serving. What an operation returns has been made durable first, when a data directory is used.

#include <hearth/error.hpp>
#include <hearth/function.hpp>
#include <hearth/metrics.hpp>
#include <hearth/response.hpp>
#include <hearth/units.hpp>

#include <boost/asio/any_completion_handler.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

class observer;
namespace worker {
class worker;
}

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
    logging_settings logging{};  ///< reaches the function; managed runtimes act on it
    // Accepted, kept and echoed; nothing here acts on them yet.
    vpc_settings vpc{};
    std::string dead_letter_target_arn{};
    std::string kms_key_arn{};
    std::string tracing_mode = "PassThrough";
    std::vector<file_system_settings> file_systems{};
    std::string snap_start = "None";
    bool operator==(const function_settings&) const = default;
};

/// AWS's FunctionConfiguration.
struct function_configuration {
    std::string function_name{};
    std::string function_arn{};
    std::string version = "$LATEST";
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
};

struct update_function_code_request {
    std::string function_name{};
    std::string zip_file{};
    std::string revision_id{};  ///< empty: no precondition
    bool dry_run = false;       ///< check everything, change nothing
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
};

struct function_description {
    function_configuration configuration{};
    std::map<std::string, std::string> tags{};
    /// False for a function of `runtime::deploy` whose package is not a zip.
    bool has_zip = false;
};

struct function_page {
    std::vector<function_configuration> functions{};  ///< by name
    std::string next_marker{};                        ///< empty: the last page
};

struct account_settings {
    std::uint64_t total_code_size_limit = 0, code_size_unzipped_limit = 0,
                  code_size_zipped_limit = 0;
    std::uint64_t concurrent_executions = 0, unreserved_concurrent_executions = 0;
    std::uint64_t total_code_size = 0, function_count = 0;
};

struct control_options {
    /// Created if absent. Empty: functions live in memory only.
    std::filesystem::path data_directory{};
    std::filesystem::path guest_root = "/";
    /// As in runtime_options.
    std::filesystem::path runtime_directory{};
    std::string region = "us-east-1";
    std::string account_id = "000000000000";
    std::size_t account_concurrency = 1000;
    /// All packages together (AWS: 75 GB).
    byte_count code_storage_limit = byte_count(75ull << 30);
    /// Threads that load packages and run inits.
    std::size_t activation_threads = 2;
    std::shared_ptr<hearth::observer> observer{};
};

class control_plane {
  public:
    /// Reads what the data directory holds and takes up activations that a stop interrupted.
    /// `worker` outlives it.
    /// @errors errc::storage_failed: unwritable, damaged, of a newer Hearth, or in use by another
    /// process
    static result<std::unique_ptr<control_plane>> create(control_options options,
                                                         worker::worker& worker);
    ~control_plane();
    control_plane(const control_plane&) = delete;
    control_plane& operator=(const control_plane&) = delete;

    // AWS's operations. A name is plain, a partial or a full ARN. Each blocks for disk at most,
    // never for a guest.

    /// @errors errc::already_exists, invalid_argument, unsupported, bad_package, package_too_large,
    ///         code_storage_exceeded, storage_failed, shutting_down
    result<function_configuration> create_function(create_function_request request);
    /// @errors errc::not_found, invalid_argument
    [[nodiscard]] result<function_description> get_function(std::string_view name,
                                                            std::string_view qualifier = {}) const;
    /// @errors errc::invalid_argument for a marker that no listing gave
    [[nodiscard]] result<function_page> list_functions(std::string_view marker = {},
                                                       std::size_t max_items = 50) const;
    /// @errors as create_function, and errc::not_found, conflict, precondition_failed
    result<function_configuration> update_function_code(update_function_code_request request);
    result<function_configuration> update_function_configuration(
        update_function_configuration_request request);
    /// Invocations under way finish. @errors errc::not_found, invalid_argument, storage_failed
    result<void> delete_function(std::string_view name, std::string_view qualifier = {});
    [[nodiscard]] account_settings get_account_settings() const;
    /// The zip as it was uploaded. @errors errc::not_found, storage_failed
    [[nodiscard]] result<std::string> read_package(std::string_view name) const;

    /// Whether an invocation would be admitted (DryRun). @errors errc::not_found, not_ready,
    /// invalid_argument
    [[nodiscard]] result<void> check_invoke(std::string_view name,
                                            std::string_view qualifier = {}) const;

    /// Runs the function on the caller's own thread.
    /// @errors errc::not_found, not_ready, throttled, no_room, payload_too_large, init_failed,
    /// shutting_down
    result<response> invoke(std::string_view name,
                            std::string payload,
                            invoke_options options = {},
                            std::string_view qualifier = {});

    /// The same on a vCPU thread. The handler is called on its associated executor, never inside
    /// this call; its cancellation slot stops the guest.
    using invoke_handler = boost::asio::any_completion_handler<void(error, response)>;
    void async_invoke(std::string_view name,
                      std::string payload,
                      invoke_options options,
                      std::string_view qualifier,
                      invoke_handler handler);

    /// `runtime::deploy`: creates or replaces, at once Active, init left to the first invocation
    /// unless `pool.min_idle` asks. Durable only if the package is a zip; the pool policy is never
    /// stored.
    result<function_configuration> deploy(const function_config& config);

    /// Functions registered at this moment.
    [[nodiscard]] std::size_t size() const;

    /// What `runtime::metrics` gives.
    [[nodiscard]] hearth::metrics metrics() const;

    /// Refuses new work and waits for activations under way. Does not wait for invocations: the
    /// worker does.
    void drain();

    struct impl;

  private:
    explicit control_plane(std::unique_ptr<impl> i) noexcept;
    std::unique_ptr<impl> impl_;
};

}  // namespace hearth
