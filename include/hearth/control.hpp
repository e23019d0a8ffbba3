#pragma once

/// The control plane: AWS Lambda's operations on functions as C++ values. Names, ranges and error
/// sentences are AWS's; the HTTP front puts them on the wire. Everything here is thread-safe.
///
/// A function is Pending until its package is checked and its init has run once in the background,
/// then Active or Failed. While an update is under way, and when it fails, the code before it keeps
/// serving. A published version goes through the same states by itself and never changes after. What
/// an operation returns has been made durable first, when a data directory is used.

#include <hearth/code_signing.hpp>
#include <hearth/control_types.hpp>
#include <hearth/data_stream.hpp>
#include <hearth/error.hpp>
#include <hearth/event_policy.hpp>
#include <hearth/event_rule.hpp>
#include <hearth/event_source_mapping.hpp>
#include <hearth/function.hpp>
#include <hearth/function_options.hpp>
#include <hearth/function_url.hpp>
#include <hearth/http_api.hpp>
#include <hearth/logs.hpp>
#include <hearth/metrics.hpp>
#include <hearth/permission.hpp>
#include <hearth/queue.hpp>
#include <hearth/queue_endpoint.hpp>
#include <hearth/recent_invocation.hpp>
#include <hearth/response.hpp>
#include <hearth/units.hpp>

#include <boost/asio/any_completion_handler.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

class observer;
namespace image {
struct managed_runtime;
}
namespace logs {
class store;
}
namespace worker {
class worker;
}

struct control_options {
    /// Created if absent. Empty: functions live in memory only.
    std::filesystem::path data_directory{};
    std::filesystem::path guest_root = "/";
    /// As in runtime_options.
    std::filesystem::path runtime_directory{};
    std::string region = "us-east-1";
    std::string account_id = "000000000000";
    /// Where mappings find queues of other regions.
    std::vector<queue_endpoint> queue_endpoints{};
    std::size_t account_concurrency = 1000;
    /// All packages together (AWS: 75 GB).
    byte_count code_storage_limit = byte_count(75ull << 30);
    /// Of asynchronous invocations.
    event_policy events{};
    /// Threads that load packages and run inits.
    std::size_t activation_threads = 2;
    std::shared_ptr<hearth::observer> observer{};
    /// What `runtime` asks of an interpreter before a function is made of it: what it prints when
    /// called with --version. Empty: the names of files are believed.
    std::function<result<std::string>(const image::managed_runtime&)> interpreter_version{};
    /// What `runtime` made of its own option, shared with the worker; null: no logs are kept.
    std::shared_ptr<const logs::store> logs{};
};

class control_plane {
  public:
    /// Reads what the data directory holds and takes up activations that a stop interrupted.
    /// `worker` outlives it.
    /// @errors errc::storage_failed: unwritable, damaged, of a newer Hearth, or in use by another
    /// process; invalid_argument: an endpoint of queues
    static result<std::unique_ptr<control_plane>> create(control_options options,
                                                         worker::worker& worker);
    ~control_plane();
    control_plane(const control_plane&) = delete;
    control_plane& operator=(const control_plane&) = delete;

    /// The ARN, without a qualifier, of the function named in any of AWS's ways; it need not exist.
    /// @errors errc::invalid_argument
    [[nodiscard]] result<std::string> function_arn(std::string_view name) const;
    [[nodiscard]] const std::string& account_id() const noexcept;
    [[nodiscard]] const std::string& region() const noexcept;
    /// A new one, random, as x-amzn-RequestId and a function's context object show it.
    [[nodiscard]] std::string new_request_id() const;
    /// What functions wrote; null where none is kept.
    [[nodiscard]] const function_logs* logs() const noexcept;

    // AWS's operations. A name is plain, a partial or a full ARN, and may end in ":QUALIFIER": a
    // version, an alias or $LATEST, which is the same as giving it apart. Each blocks for disk at
    // most, never for a guest.

    /// @errors errc::already_exists, invalid_argument, unsupported, bad_package, package_too_large,
    ///         code_storage_exceeded, storage_failed, shutting_down
    result<function_configuration> create_function(create_function_request request);
    /// @errors errc::not_found, invalid_argument
    [[nodiscard]] result<function_description> get_function(std::string_view name,
                                                            std::string_view qualifier = {}) const;
    /// $LATEST of every function, or with `all_versions` all there is.
    /// @errors errc::invalid_argument for a marker that no listing gave
    [[nodiscard]] result<function_page> list_functions(std::string_view marker = {},
                                                       std::size_t max_items = 50,
                                                       bool all_versions = false) const;
    /// @errors as create_function, and errc::not_found, conflict, precondition_failed
    result<function_configuration> update_function_code(update_function_code_request request);
    result<function_configuration> update_function_configuration(
        update_function_configuration_request request);
    /// The function with all its versions and aliases, or one version that no alias names.
    /// Invocations under way finish.
    /// @errors errc::not_found, invalid_argument, conflict, storage_failed
    result<void> delete_function(std::string_view name, std::string_view qualifier = {});
    [[nodiscard]] account_settings get_account_settings() const;

    // Versions and aliases (versions.cpp, aliases.cpp).

    /// $LATEST as it is now becomes a version that never changes; the last one again if nothing has
    /// changed since.
    /// @errors errc::not_found, invalid_argument, precondition_failed, conflict, not_ready,
    ///         code_storage_exceeded, storage_failed, shutting_down
    result<function_configuration> publish_version(publish_version_request request);
    [[nodiscard]] result<function_page> list_versions(std::string_view name,
                                                      std::string_view marker = {},
                                                      std::size_t max_items = 50) const;
    /// @errors errc::not_found, already_exists, invalid_argument, storage_failed
    result<alias_configuration> create_alias(create_alias_request request);
    /// @errors as create_alias, and errc::precondition_failed
    result<alias_configuration> update_alias(update_alias_request request);
    [[nodiscard]] result<alias_configuration> get_alias(std::string_view function,
                                                        std::string_view alias) const;
    /// Deleting what is not there is success, as at AWS.
    result<void> delete_alias(std::string_view function, std::string_view alias);
    /// @param version  if not empty, only the aliases that lead there
    [[nodiscard]] result<alias_page> list_aliases(std::string_view function,
                                                  std::string_view version = {},
                                                  std::string_view marker = {},
                                                  std::size_t max_items = 50) const;

    // Concurrency (concurrency.cpp). What is stored is in force again after a restart.

    /// Executions kept free for the function, and all it gets; zero: none at all.
    /// @errors errc::not_found, invalid_argument (the account keeps 100 unreserved), storage_failed
    result<void> put_function_concurrency(std::string_view name, std::size_t reserved);
    [[nodiscard]] result<std::optional<std::size_t>> get_function_concurrency(
        std::string_view name) const;
    result<void> delete_function_concurrency(std::string_view name);
    /// Of a version or alias. @errors as above, and errc::conflict: the version has it already
    result<provisioned_concurrency> put_provisioned_concurrency(std::string_view name,
                                                                std::string_view qualifier,
                                                                std::size_t requested);
    [[nodiscard]] result<provisioned_concurrency> get_provisioned_concurrency(
        std::string_view name, std::string_view qualifier) const;
    /// Deleting what is not there is success.
    result<void> delete_provisioned_concurrency(std::string_view name, std::string_view qualifier);
    [[nodiscard]] result<provisioned_concurrency_page> list_provisioned_concurrency(
        std::string_view name, std::string_view marker = {}, std::size_t max_items = 50) const;

    // Tags and event-invoke configuration (tags.cpp, event_invoke.cpp).

    /// The tags of a function, by its full ARN without a qualifier, or of an event source mapping, by
    /// its ARN.
    /// @errors errc::not_found, invalid_argument, storage_failed
    result<void> tag_resource(std::string_view arn,
                              const std::map<std::string, std::string>& tags);
    result<void> untag_resource(std::string_view arn,
                                const std::vector<std::string>& keys);
    [[nodiscard]] result<std::map<std::string, std::string>> list_tags(
        std::string_view arn) const;

    /// @errors errc::not_found, invalid_argument, storage_failed
    result<event_invoke_config> put_event_invoke_config(const event_invoke_request& request);
    /// Changes what the request says; there must be one.
    result<event_invoke_config> update_event_invoke_config(const event_invoke_request& request);
    [[nodiscard]] result<event_invoke_config> get_event_invoke_config(
        std::string_view name, std::string_view qualifier) const;
    result<void> delete_event_invoke_config(std::string_view name, std::string_view qualifier);
    [[nodiscard]] result<event_invoke_page> list_event_invoke_configs(
        std::string_view name, std::string_view marker = {}, std::size_t max_items = 50) const;

    // Function URLs (function_urls.cpp), of a function or an alias.

    /// @errors errc::not_found, already_exists, invalid_argument, storage_failed
    result<function_url_config> create_function_url_config(const function_url_request& request);
    /// Changes what the request says. @errors errc::not_found, invalid_argument, storage_failed
    result<function_url_config> update_function_url_config(const function_url_request& request);
    [[nodiscard]] result<function_url_config> get_function_url_config(
        std::string_view name, std::string_view qualifier) const;
    result<void> delete_function_url_config(std::string_view name, std::string_view qualifier);
    [[nodiscard]] result<function_url_page> list_function_url_configs(
        std::string_view name, std::string_view marker = {}, std::size_t max_items = 50) const;
    /// Whose URL it is. @errors errc::not_found
    [[nodiscard]] result<function_url_config> find_function_url(std::string_view url_id) const;

    // Permissions (permissions.cpp), of a function, a version or an alias: stored and shown.

    /// The statement as it was added, and the policy's new revision.
    /// @errors errc::not_found, conflict (the id is there), invalid_argument (also: a policy over
    /// 20 KB), precondition_failed, storage_failed
    result<policy_description> add_permission(std::string_view name,
                                              std::string_view qualifier,
                                              const permission_request& request);
    result<void> remove_permission(std::string_view name,
                                   std::string_view qualifier,
                                   std::string_view statement_id,
                                   std::string_view revision_id = {});
    /// @errors errc::not_found also where nothing was permitted
    [[nodiscard]] result<policy_description> get_policy(std::string_view name,
                                                        std::string_view qualifier) const;

    // Runtime management, recursion and scaling (function_options.cpp, function_options.hpp). The
    // first and the last are of $LATEST or a version.

    /// @errors errc::not_found, invalid_argument, storage_failed
    result<runtime_management_config> put_runtime_management_config(
        std::string_view name, std::string_view qualifier, runtime_management_config config);
    [[nodiscard]] result<runtime_management_config> get_runtime_management_config(
        std::string_view name, std::string_view qualifier) const;
    /// "Allow" or "Terminate".
    result<void> put_function_recursion_config(std::string_view name,
                                               std::string_view recursive_loop);
    [[nodiscard]] result<std::string> get_function_recursion_config(std::string_view name) const;
    result<function_state> put_function_scaling_config(std::string_view name,
                                                       std::string_view qualifier,
                                                       const function_scaling_config& config);
    [[nodiscard]] result<function_scaling> get_function_scaling_config(
        std::string_view name, std::string_view qualifier) const;

    // Code signing configurations (code_signing.cpp): stored and shown, nothing is verified.

    /// @errors errc::invalid_argument, storage_failed
    result<code_signing_config> create_code_signing_config(const code_signing_request& request);
    /// Changes what the request says. @errors and errc::not_found
    result<code_signing_config> update_code_signing_config(std::string_view arn,
                                                           const code_signing_request& request);
    [[nodiscard]] result<code_signing_config> get_code_signing_config(std::string_view arn) const;
    /// @errors errc::not_found, storage_failed; errc::conflict while a function has it
    result<void> delete_code_signing_config(std::string_view arn);
    [[nodiscard]] result<code_signing_page> list_code_signing_configs(
        std::string_view marker = {}, std::size_t max_items = 50) const;
    [[nodiscard]] result<function_arn_page> list_functions_by_code_signing_config(
        std::string_view arn, std::string_view marker = {}, std::size_t max_items = 50) const;
    /// Gives it to the function; empty: takes away what it had.
    result<void> put_function_code_signing_config(std::string_view name, std::string_view arn);
    /// Empty: none.
    [[nodiscard]] result<std::string> get_function_code_signing_config(std::string_view name) const;

    // Layers (layers.cpp). A name is plain or the layer's ARN.

    /// The layer's next version; numbers are never used again.
    /// @errors errc::invalid_argument, bad_package, package_too_large, code_storage_exceeded,
    ///         storage_failed, shutting_down
    result<layer_version> publish_layer_version(publish_layer_request request);
    /// @errors errc::not_found, invalid_argument
    [[nodiscard]] result<layer_version> get_layer_version(std::string_view layer,
                                                          std::uint64_t version) const;
    [[nodiscard]] result<layer_version> get_layer_version_by_arn(std::string_view arn) const;
    [[nodiscard]] result<layer_page> list_layers(const layer_filter& filter = {},
                                                 std::string_view marker = {},
                                                 std::size_t max_items = 50) const;
    [[nodiscard]] result<layer_page> list_layer_versions(std::string_view layer,
                                                         const layer_filter& filter = {},
                                                         std::string_view marker = {},
                                                         std::size_t max_items = 50) const;
    /// Functions that use it keep it. Deleting what is not there is success.
    result<void> delete_layer_version(std::string_view layer, std::uint64_t version);
    /// The zip as it was uploaded. @errors errc::not_found, storage_failed
    [[nodiscard]] result<std::string> read_layer(std::string_view layer,
                                                 std::uint64_t version) const;
    /// As for functions.
    result<policy_description> add_layer_permission(std::string_view layer,
                                                    std::uint64_t version,
                                                    const permission_request& request);
    result<void> remove_layer_permission(std::string_view layer,
                                         std::uint64_t version,
                                         std::string_view statement_id,
                                         std::string_view revision_id = {});
    [[nodiscard]] result<policy_description> get_layer_policy(std::string_view layer,
                                                              std::uint64_t version) const;

    // Scheduled rules (rule_operations.cpp): EventBridge's, on the default event bus.

    /// Creates or changes one. @errors errc::invalid_argument (also: 300 rules), storage_failed
    result<event_rule> put_rule(const put_rule_request& request);
    /// Deleting what is not there is success. @errors errc::invalid_argument: it has targets
    result<void> delete_rule(std::string_view name);
    [[nodiscard]] result<event_rule> get_rule(std::string_view name) const;
    [[nodiscard]] rule_page list_rules(std::string_view prefix = {},
                                       std::string_view marker = {},
                                       std::size_t max_items = 100) const;
    /// A rule that is enabled again counts its rate from now.
    result<void> enable_rule(std::string_view name, bool enabled = true);
    /// All or none; a target replaces the rule's one of the same id.
    /// @errors errc::not_found (the rule), invalid_argument (also: no such function), storage_failed
    result<void> put_targets(std::string_view rule, const std::vector<rule_target>& targets);
    result<void> remove_targets(std::string_view rule, const std::vector<std::string>& ids);
    result<void> tag_rule(std::string_view rule, const std::map<std::string, std::string>& tags);
    result<void> untag_rule(std::string_view rule, const std::vector<std::string>& keys);
    [[nodiscard]] rule_name_page list_rule_names_by_target(std::string_view arn,
                                                           std::string_view marker = {},
                                                           std::size_t max_items = 100) const;

    // Event source mappings (event_source_operations.cpp). A mapping outlives its function and its
    // queue, and goes on when there are others of the name.

    /// @errors errc::invalid_argument (also: no such function or queue), unsupported (a source that
    ///         is no queue), already_exists, storage_failed, shutting_down
    result<event_source_mapping> create_event_source_mapping(
        const create_event_source_mapping_request& request);
    /// Takes effect from the next batch on.
    /// @errors the same, and errc::not_found; errc::conflict: it is being deleted
    result<event_source_mapping> update_event_source_mapping(
        const update_event_source_mapping_request& request);
    [[nodiscard]] result<event_source_mapping> get_event_source_mapping(
        std::string_view uuid) const;
    /// It is gone when the batches that are with the function have been answered.
    result<event_source_mapping> delete_event_source_mapping(std::string_view uuid);
    /// Of that source and of that function, where they are given.
    [[nodiscard]] result<event_source_mapping_page> list_event_source_mappings(
        std::string_view event_source_arn = {},
        std::string_view function_name = {},
        std::string_view marker = {},
        std::size_t max_items = 50) const;

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

    // Asynchronous invocations (Lambda's Event). The event is kept until the function has had it:
    // delivered at least once, retried as `event_policy` and the function's event-invoke
    // configuration say, also by the next process that opens the data directory. Without a data
    // directory events are in this process's memory only (256 MiB of payloads at most) and are lost
    // with it.

    /// Returns when the event is on disk; the request id. Events of many callers share an fsync.
    /// @errors errc::not_found, not_ready, invalid_argument, payload_too_large (over 1 MB), throttled
    ///         (the disk does not keep up), no_room, storage_failed, shutting_down
    result<std::string> enqueue(std::string_view name,
                                std::string payload,
                                invoke_options options = {},
                                std::string_view qualifier = {});

    /// The same without waiting for the disk. The handler is called on its associated executor,
    /// never inside this call; after an error the id is empty.
    using enqueue_handler = boost::asio::any_completion_handler<void(error, std::string)>;
    void async_enqueue(std::string_view name,
                       std::string payload,
                       invoke_options options,
                       std::string_view qualifier,
                       enqueue_handler handler);

    /// `runtime::deploy`: creates or replaces, at once Active, init left to the first invocation
    /// unless `pool.min_idle` asks. Durable only if the package is a zip; the pool policy is never
    /// stored. Versions and aliases stay, unless what is durable takes the place of what is not, or
    /// the reverse: then they go.
    result<function_configuration> deploy(const function_config& config);

    /// The queues (queue.hpp), kept in the data directory too. They live as long as the control
    /// plane; what copies of it and of their handles are asked after that fails.
    [[nodiscard]] queue_service& queues() const noexcept;
    /// The streams (data_stream.hpp): the same of them.
    [[nodiscard]] stream_service& streams() const noexcept;
    /// HTTP APIs, which lead to functions (http_api.hpp).
    [[nodiscard]] http_apis& apis() const noexcept;

    /// Functions registered at this moment.
    [[nodiscard]] std::size_t size() const;

    /// What `runtime::metrics` gives.
    [[nodiscard]] hearth::metrics metrics() const;

    /// The invocations that ended last, `max_recent_invocations` at most, in order, without those
    /// up to the number `after`. A number that was not reached yet stands for none.
    [[nodiscard]] std::vector<recent_invocation> recent_invocations(std::uint64_t after = 0) const;

    /// Refuses new work and waits for activations under way. Does not wait for invocations: the
    /// worker does.
    void drain();

    struct impl;

  private:
    explicit control_plane(std::unique_ptr<impl> i) noexcept;
    std::unique_ptr<impl> impl_;
};

}  // namespace hearth
