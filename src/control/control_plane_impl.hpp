#pragma once

/// The body of `control_plane`.
///
/// Locks, outermost first:
///   changes_          one change of the registry at a time; held over the storage's writes
///   entry::loading    one lazy load per function; held over disk reads
///   registry's mutex  leaf; guards every entry's fields
/// None is held while a guest runs.

#include "control/function_name.hpp"
#include "control/hosts.hpp"
#include "control/registry.hpp"
#include "control/storage.hpp"
#include "image/managed_runtime.hpp"

#include <hearth/control.hpp>

#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <mutex>
#include <optional>

namespace hearth {

struct control_plane::impl {
    impl(control_options o, worker::worker& w, std::unique_ptr<control::storage> s);
    ~impl();

    struct activation_failure {
        std::string reason, code;
    };

    // Names.
    /// Parses, and refuses ARNs of another region or account. @errors errc::invalid_argument,
    /// not_found
    [[nodiscard]] result<control::function_name> parse(std::string_view text,
                                                       std::string_view qualifier) const;
    [[nodiscard]] std::string arn_of(std::string_view name) const;
    [[nodiscard]] error not_found(const control::function_name& name) const;
    [[nodiscard]] result<control::entry_ptr> find(std::string_view text,
                                                  std::string_view qualifier = {}) const;

    // Invocations.
    struct admission {
        control::entry_ptr entry;
        std::shared_ptr<worker::deployed_version> version;  ///< null: `load` it first
    };
    [[nodiscard]] result<admission> admit(std::string_view name, std::string_view qualifier) const;
    /// After a restart: reads the package and deploys it. Blocks for the disk. A failure makes the
    /// function Failed.
    result<std::shared_ptr<worker::deployed_version>> load(const control::entry_ptr& e);
    [[nodiscard]] worker::invocation make_invocation(std::string payload,
                                                     invoke_options options,
                                                     std::string invoked_arn) const;
    [[nodiscard]] std::string invoked_arn(std::string_view name, std::string_view qualifier) const;

    // Activations (activation.cpp).
    void start_activation(control::entry_ptr e, std::uint64_t generation);
    void activate(const control::entry_ptr& e, std::uint64_t generation);
    void finish_activation(const control::entry_ptr& e,
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

    // Changes; `changes_` is held by the caller.
    result<void> check_code_storage(std::uint64_t added) const;
    result<void> store(const control::entry& e, const control::stored_function& next);
    void drop_package_if_unused(const std::string& code_sha256);
    /// Puts `next` in the place of what the function is to run and starts its activation.
    result<function_configuration> replace(const control::entry_ptr& e,
                                           function_configuration next,
                                           std::shared_ptr<const image::package_image> code);

    void tell(std::string_view message) const;

    const control_options options_;
    worker::worker& worker_;  ///< this process
    const image::runtime_catalogue runtimes_;
    control::hosts hosts_;    ///< all, of which there is that one
    const std::unique_ptr<control::storage> storage_;
    control::registry registry_;
    std::mutex changes_;
    std::atomic<bool> draining_ = false;
    // Last, so that they are joined before anything their jobs use goes away. Loads have a thread
    // of their own: an invocation must not wait behind somebody else's ten-second init.
    boost::asio::thread_pool loads_{1};
    boost::asio::thread_pool activations_;
};

namespace control {

std::string make_uuid();
/// ISO 8601 as AWS writes LastModified: "2023-04-05T06:07:08.123+0000".
std::string timestamp_now();

}  // namespace control
}  // namespace hearth
