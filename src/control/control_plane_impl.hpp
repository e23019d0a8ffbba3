#pragma once

/// The body of `control_plane`.
///
/// Locks, outermost first:
///   changes_                one change of the registry at a time; held over the storage's writes
///   version_entry::loading  one lazy load per version; held over disk reads
///   registry's mutex        leaf; guards every entry's and version's fields, and routing_
///
/// Its members stand in a file per concept: names.cpp, functions.cpp, versions.cpp, aliases.cpp,
/// activation.cpp, invocation.cpp, deploy.cpp; control_plane.cpp is the rest.
/// None is held while a guest runs.

#include "base/uuid.hpp"
#include "control/function_name.hpp"
#include "control/hosts.hpp"
#include "control/queue_client.hpp"
#include "control/registry.hpp"
#include "control/storage.hpp"
#include "image/managed_runtime.hpp"
#include "queue/service.hpp"
#include "sched/random.hpp"
#include "stream/service.hpp"

#include <hearth/control.hpp>

#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <mutex>
#include <optional>

namespace hearth {

namespace control {
class event_sources;
class events;
class rules;
class rule_sink;
}

struct control_plane::impl {
    impl(control_options o,
         worker::worker& w,
         std::unique_ptr<control::storage> s,
         std::shared_ptr<queue_service::impl> q,
         std::shared_ptr<stream_service::impl> streams);
    ~impl();

    struct activation_failure {
        std::string reason, code;
    };

    // Names.
    /// Parses, and refuses ARNs of another region or account. @errors errc::invalid_argument,
    /// not_found
    [[nodiscard]] result<control::function_name> parse(std::string_view text,
                                                       std::string_view qualifier) const;
    [[nodiscard]] std::string arn_of(std::string_view name, std::string_view qualifier = {}) const;
    [[nodiscard]] error not_found(const control::function_name& name) const;
    /// The function, whatever its qualifier. @errors as parse, and errc::not_found
    [[nodiscard]] result<control::entry_ptr> find(const control::function_name& name) const;
    /// For operations on the function itself, which `text` names without a qualifier or with
    /// $LATEST.
    [[nodiscard]] result<control::entry_ptr> find_unqualified(std::string_view text) const;
    struct target {
        control::entry_ptr function;
        control::version_ptr version;
    };
    /// The version that the name leads to; an alias to its FunctionVersion.
    [[nodiscard]] result<target> find_version(const control::function_name& name) const;

    // Invocations.
    struct admission {
        control::entry_ptr function;
        control::version_ptr entry;
        std::shared_ptr<worker::deployed_version> version;  ///< null: `load` it first
        std::string arn;                                    ///< as it was named
        bool allows_loops = false;
    };
    /// An alias is routed by its weights.
    [[nodiscard]] result<admission> admit(std::string_view name, std::string_view qualifier) const;
    /// After a restart: reads the package and deploys it. Blocks for the disk.
    result<std::shared_ptr<worker::deployed_version>> load(const target& t);
    void async_invoke(std::string_view name,
                      std::string payload,
                      invoke_options options,
                      std::string_view qualifier,
                      invoke_handler handler);
    [[nodiscard]] worker::invocation make_invocation(std::string payload,
                                                     invoke_options options,
                                                     std::string invoked_arn) const;
    /// Counts the invocation in its chain of requests (lineage.hpp), of which it may be the one too
    /// many. @errors errc::recursive_invocation
    [[nodiscard]] result<void> follow(const admission& admitted, std::string& trace_id) const;
    /// Whether it is one too many of that function. Then it is counted as stopped.
    [[nodiscard]] bool stops(std::string_view function, std::string_view trace_header) const;
    void count_stopped(const control::entry_ptr& e) const;

    // Activations (activation.cpp).
    void start_activation(target t, std::uint64_t generation);
    void activate(const target& t, std::uint64_t generation);
    void finish_activation(const target& t,
                           std::uint64_t generation,
                           std::shared_ptr<worker::deployed_version> version,
                           const std::optional<activation_failure>& failure);
    result<std::shared_ptr<const image::package_image>> read_image(const std::string& code_sha256);
    /// Checks that the code can be run: its bootstrap, or its managed runtime.
    /// @errors as image::check_entry_point and runtime_catalogue::find
    [[nodiscard]] result<worker::version_spec> make_spec(
        const function_configuration& c,
        std::shared_ptr<const image::package_image> code,
        std::shared_ptr<const image::package_image> layers,
        const control::run_policy& policy) const;

    // Asynchronous invocations (async_invocation.cpp).
    /// Whether outcomes can be brought to that ARN; none: fine. @errors errc::invalid_argument
    [[nodiscard]] result<void> check_outcome_target(std::string_view arn,
                                                    std::string_view own_name) const;

    // Event source mappings (event_source_operations.cpp).
    /// The queue of that ARN: this server's own, or at the endpoint of its region.
    /// @errors queue_errc::queue_does_not_exist: of neither
    [[nodiscard]] result<std::unique_ptr<control::queue_client>> queue_at(
        std::string_view arn, const boost::asio::any_io_executor& executor) const;

    // Scheduled rules (rule_operations.cpp).
    /// Those stored; they do not fire yet. @errors errc::storage_failed
    result<void> open_rules();

    // Concurrency (concurrency.cpp).
    /// In the background: gives each version of the function what is provisioned for it, and loads
    /// those that have some. Once at a time for a function; without the registry's lock.
    void apply_provisioned(control::entry_ptr e);
    void apply_provisioned_now(const control::entry_ptr& e);
    /// What all functions but this have reserved, or provisioned without a reservation.
    [[nodiscard]] std::size_t carved_without(std::string_view name) const;
    [[nodiscard]] std::size_t min_unreserved() const;
    /// What no function has reserved.
    [[nodiscard]] std::size_t unreserved() const;
    result<void> set_reserved(std::string_view name, std::optional<std::uint64_t> reserved);
    /// The qualifier of a provisioned concurrency, checked.
    result<control::function_name> parse_provisioned(std::string_view name,
                                                     std::string_view qualifier) const;
    /// As it is now; without the registry's mutex.
    [[nodiscard]] provisioned_concurrency shown(const target& t,
                                                const std::string& qualifier,
                                                const control::provisioned_request& r) const;

    // Layers (layers.cpp).
    /// Of the layer, or with a version of that.
    [[nodiscard]] std::string layer_arn_of(std::string_view name, std::uint64_t version = 0) const;
    /// Null: none, or deleted. With the registry's lock held.
    [[nodiscard]] const control::stored_layer* find_layer_locked(std::string_view name,
                                                                 std::uint64_t version) const;
    /// Fills in what a function's layers are, and holds them against AWS's limits. `code` may be
    /// null: its size is not known then. @errors errc::invalid_argument, not_found
    result<void> resolve_layers(std::vector<layer_reference>& layers,
                                const image::package_image* code) const;
    /// What the version sees at /opt; null: nothing. @errors errc::storage_failed, bad_package,
    /// package_too_large
    result<std::shared_ptr<const image::package_image>> read_layers(
        const control::version_entry& v,
        const function_configuration& c,
        const image::package_image& code);
    [[nodiscard]] result<control::stored_layer> layer_for_policy(
        const std::string& name, std::uint64_t version, std::string_view revision_id) const;
    result<void> replace_layer(control::stored_layer next);
    /// Null: none of that ARN. With the registry's lock held.
    [[nodiscard]] const code_signing_config* find_code_signing_locked(std::string_view arn) const;
    /// Of all functions and layers, as AWS counts it.
    [[nodiscard]] std::uint64_t total_code_size() const;

    // Changes; `changes_` is held by the caller.
    result<void> check_code_storage(std::uint64_t added) const;
    /// Writes what one of the entry's versions, or what the attributes are to be.
    result<void> store(const control::entry& e,
                       const control::version_entry& v,
                       const control::stored_version& next);
    result<void> store(const control::entry& e, const control::function_attributes& next);
    /// Writes it, then makes it so.
    result<void> change_attributes(const control::entry_ptr& e, control::function_attributes next);
    void drop_package_if_unused(const std::string& code_sha256);
    /// Puts `next` in the place of what the function is to run and starts its activation.
    result<function_configuration> replace(const control::entry_ptr& e,
                                           function_configuration next,
                                           std::shared_ptr<const image::package_image> code);
    /// A version that is what $LATEST is or is to be, and the attributes that go with it.
    struct publication {
        control::function_attributes attributes;
        control::version_ptr version;
        bool is_new = true;  ///< false: nothing has changed since the last one, which `version` is
    };
    [[nodiscard]] publication prepare_version(const control::entry& e,
                                              const function_configuration& latest,
                                              std::shared_ptr<const image::package_image> code,
                                              const std::optional<std::string>& description) const;
    /// Refused while an alias leads there.
    result<void> delete_version(const control::entry_ptr& e, const control::function_name& name);
    /// Stores the version, adds it to the function and starts its activation.
    result<function_configuration> publish(const control::entry_ptr& e, publication what);

    void tell(std::string_view message) const;

    const control_options options_;
    worker::worker& worker_;  ///< this process
    const image::runtime_catalogue runtimes_;
    control::hosts hosts_;    ///< all, of which there is that one
    const std::unique_ptr<control::storage> storage_;
    control::registry registry_;
    /// By name and number; under the registry's mutex.
    std::map<std::string, std::map<std::uint64_t, control::stored_layer>, std::less<>> layers_;
    /// By ARN; under the registry's mutex.
    std::map<std::string, code_signing_config, std::less<>> code_signing_;
    std::mutex changes_;
    mutable sched::random_source routing_;  ///< under the registry's mutex
    mutable uuid_source request_ids_;
    std::atomic<bool> draining_ = false;
    const std::shared_ptr<queue_service::impl> queue_thread_;
    queue_service queues_;
    const std::shared_ptr<stream_service::impl> stream_thread_;
    stream_service streams_;
    std::unique_ptr<http_apis> apis_;
    std::unique_ptr<control::events> events_;
    std::unique_ptr<control::rule_sink> rule_sink_;
    std::unique_ptr<control::rules> rules_;
    std::unique_ptr<control::event_sources> event_sources_;
    // Last, so that they are joined before anything their jobs use goes away. Loads have a thread
    // of their own: an invocation must not wait behind somebody else's ten-second init.
    boost::asio::thread_pool loads_{1};
    boost::asio::thread_pool activations_;
};

namespace control {

/// AWS returns at most so many items in a page, whatever MaxItems says.
inline constexpr std::size_t max_page = 50;
/// How many a page is to have. @errors errc::invalid_argument, in AWS's words: over `limit`, or zero
result<std::size_t> page_size(std::size_t max_items, std::size_t limit = 10000);

/// The qualifier of a scaling configuration of whatever version was published last.
inline constexpr std::string_view latest_published = "$LATEST.PUBLISHED";
/// The version's pool with its scaling configuration. With the registry's lock held.
pool_policy scaled_pool(const entry& e, const version_entry& v);

error revision_mismatch();
/// What keeps a version from being changed or published now.
error busy(const version_entry& v);

/// TenancyConfig PER_TENANT: an invocation must say whose it is, which URLs and event sources do
/// not.
bool isolates_tenants(const control_plane::impl& impl, const control_plane::impl::target& t);

/// "7"; nothing for what is no version number as AWS writes them.
std::optional<std::uint64_t> version_number(std::string_view text) noexcept;
/// Null when the function has no such version or alias. An alias leads to its FunctionVersion.
version_ptr find_version(const entry& e, std::string_view qualifier);
/// The key of what the attributes hold by qualifier: "$LATEST" where the name has none.
std::string key_of(const function_name& name);

using hearth::make_uuid;
/// Whether the version has nothing provisioned but by that qualifier, which leads to it.
/// @errors errc::conflict
result<void> check_provisioned_once(const function_attributes& a,
                                    std::string_view qualifier,
                                    std::string_view version);

/// @param code  null: its size is not known @errors errc::invalid_argument
result<void> check_unzipped_size(const std::vector<layer_reference>& layers,
                                 const image::package_image* code);

/// ISO 8601 as AWS writes LastModified: "2023-04-05T06:07:08.123+0000".
std::string timestamp_now();

/// Tells the observer, in the log.
room_listener tell_of_room(std::shared_ptr<observer> told);

}  // namespace control
}  // namespace hearth
