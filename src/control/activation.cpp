/// What happens in the background between Pending and Active: read and check the package, run init
/// once.

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/events.hpp"
#include "image/sha256.hpp"

#include <boost/asio/post.hpp>

namespace hearth {
namespace {

using failure = control_plane::impl::activation_failure;

/// AWS's StateReasonCode for our errors (botocore 2026, shape StateReasonCode).
failure explain(const error& e) {
    const std::string text = e.message();
    if (e == errc::missing_entry_point || e == errc::bad_executable ||
        e == errc::missing_interpreter)
        return {text, "FunctionError.InvalidEntryPoint"};
    if (e == errc::not_executable) return {text, "FunctionError.PermissionDenied"};
    if (e == errc::bad_package || e == errc::package_too_large)
        return {text, "InvalidZipFileException"};
    if (e == errc::init_failed && text.starts_with("Extension."))
        return {text, text.find("at most") != text.npos ? "FunctionError.TooManyExtensions"
                                                        : "FunctionError.ExtensionInitError"};
    if (e == errc::init_failed)
        return {text, text.find("timed out") != text.npos || text.find("Timeout") != text.npos
                          ? "FunctionError.InitTimeout"
                          : "FunctionError.RuntimeInitError"};
    if (e == errc::no_room) return {text, "InsufficientCapacity"};
    return {text, "InternalError"};
}

}  // namespace

result<worker::version_spec> control_plane::impl::make_spec(
    const function_configuration& c,
    std::shared_ptr<const image::package_image> code,
    std::shared_ptr<const image::package_image> layers,
    const control::run_policy& policy) const {
    // Checked when the settings were made.
    const auto checked = control::with_variables(policy, c.settings.environment);
    const control::run_policy& run = checked.has_value() ? *checked : policy;
    HEARTH_TRY(auto runtime, runtimes_.find(c.settings.runtime));
    const bool is_tenants = !c.settings.tenant_isolation.empty();
    auto environment = c.settings.environment;
    if (const logging_settings& logging = c.settings.logging; logging.log_format == "JSON") {
        environment["AWS_LAMBDA_LOG_FORMAT"] = "JSON";
        environment["AWS_LAMBDA_LOG_LEVEL"] =
            logging.application_log_level.empty() ? "INFO" : logging.application_log_level;
    }
    if (!runtime) HEARTH_CHECK(image::check_entry_point(*code, options_.guest_root, layers.get()));
    return worker::version_spec{.function_name = c.function_name,
                                .version = c.version,
                                .function_arn = c.function_arn,
                                .code = std::move(code),
                                .layers = std::move(layers),
                                .runtime = std::move(runtime),
                                .handler = c.settings.handler,
                                .memory = c.settings.memory,
                                .timeout = c.settings.timeout,
                                .ephemeral_storage = c.settings.ephemeral_storage,
                                .pool = run.pool,
                                .isolation = is_tenants ? isolation::tenant : run.isolation,
                                .snapshot = run.snapshot,
                                .network = run.network,
                                .log_group = c.settings.logging.log_group,
                                .json_logs = c.settings.logging.log_format == "JSON",
                                .application_log_level = c.settings.logging.application_log_level,
                                .system_log_level = c.settings.logging.system_log_level,
                                .environment = std::move(environment)};
}

result<std::shared_ptr<const image::package_image>> control_plane::impl::read_image(
    const std::string& code_sha256) {
    HEARTH_TRY(const std::string zip,
               storage_->get_package(image::hex_of_base64_digest(code_sha256)));
    return image::package_image::from_zip(zip);
}

void control_plane::impl::start_activation(target t, std::uint64_t generation) {
    boost::asio::post(activations_, [this, t = std::move(t), generation] {
        // A stop leaves the rest Pending in the storage; the next start takes it up.
        if (!draining_) activate(t, generation);
    });
}

void control_plane::impl::activate(const target& t, std::uint64_t generation) {
    function_configuration candidate;
    std::shared_ptr<const image::package_image> code;
    control::run_policy policy;
    {
        const auto guard = registry_.lock();
        if (t.version->generation != generation) return;
        candidate = t.version->candidate();
        code = t.version->candidate_image;
        policy = t.version->policy;
        policy.pool = control::scaled_pool(*t.function, *t.version);
        policy.pool.reserved_concurrency = t.function->reserved();
    }
    auto ready = [&]() -> result<std::shared_ptr<worker::deployed_version>> {
        if (!code) {
            HEARTH_TRY(code, read_image(candidate.code_sha256));
        }
        HEARTH_TRY(auto layers, read_layers(*t.version, candidate, *code));
        HEARTH_TRY(auto spec, make_spec(candidate, code, std::move(layers), policy));
        HEARTH_TRY(auto version, hosts_.deploy(std::move(spec)));
        HEARTH_CHECK(version->initialize());
        return version;
    }();
    if (ready.has_error() && ready.error() == errc::shutting_down)
        return;  // as in start_activation
    if (ready.has_error())
        finish_activation(t, generation, nullptr, explain(ready.error()));
    else
        finish_activation(t, generation, std::move(*ready), std::nullopt);
}

void control_plane::impl::finish_activation(const target& t,
                                            std::uint64_t generation,
                                            std::shared_ptr<worker::deployed_version> version,
                                            const std::optional<activation_failure>& failed) {
    const std::scoped_lock changes(changes_);
    control::stored_version next;
    {
        const auto guard = registry_.lock();
        // Updated again or deleted meanwhile.
        if (t.version->generation != generation) return;
        next = t.version->stored;
    }
    const std::string old_code = next.current.code_sha256;
    const std::string new_code = next.update ? next.update->code_sha256 : old_code;
    if (!failed) {
        if (next.update) next.current = std::move(*next.update);
        next.current.state = function_state::active;
        next.current.state_reason.clear(), next.current.state_reason_code.clear();
        next.current.last_update = update_status::successful;
        next.current.last_update_reason.clear(), next.current.last_update_reason_code.clear();
    } else {
        if (!next.update) {  // nothing served before: the function itself has failed
            next.current.state = function_state::failed;
            next.current.state_reason = failed->reason;
            next.current.state_reason_code = failed->code;
        }
        next.current.last_update = update_status::failed;
        next.current.last_update_reason = failed->reason;
        next.current.last_update_reason_code = failed->code;
    }
    next.update.reset();
    next.current.revision_id = control::make_uuid();
    // If the disk fails us here, the stored state stays Pending and the next start activates again.
    if (auto stored = store(*t.function, *t.version, next); stored.has_error())
        tell(stored.error().message());
    std::shared_ptr<worker::deployed_version> replaced;  // let go of outside the lock
    {
        const auto guard = registry_.lock();
        t.version->stored = next;
        t.version->candidate_image.reset();
        if (version) {
            replaced = std::exchange(t.version->serving, std::move(version));
        }
    }
    if (!failed) events_->changed(next.current.function_name);
    const control::function_attributes& attributes = t.function->attributes;
    if (!failed && (!attributes.provisioned.empty() || !attributes.scaling.empty()))
        apply_provisioned(t.function);
    if (new_code != old_code) drop_package_if_unused(failed ? new_code : old_code);
    if (failed)
        tell("version " + next.current.version + " of function " + next.current.function_name +
             " could not be made ready: " + failed->reason);
}

result<std::shared_ptr<worker::deployed_version>> control_plane::impl::load(
    const target& t) {
    const control::version_ptr& v = t.version;
    const std::scoped_lock one_at_a_time(v->loading);
    function_configuration current;
    control::run_policy policy;
    std::uint64_t generation = 0;
    {
        const auto guard = registry_.lock();
        if (v->serving) return v->serving;
        current = v->stored.current;
        policy = v->policy;
        policy.pool = control::scaled_pool(*t.function, *v);
        policy.pool.reserved_concurrency = t.function->reserved();
        generation = v->generation;
    }
    if (draining_) return error(errc::shutting_down);
    auto version = [&]() -> result<std::shared_ptr<worker::deployed_version>> {
        HEARTH_TRY(auto code, read_image(current.code_sha256));
        HEARTH_TRY(auto layers, read_layers(*v, current, *code));
        HEARTH_TRY(auto spec, make_spec(current, std::move(code), std::move(layers), policy));
        return hosts_.deploy(std::move(spec));
    }();
    if (version.has_error() && version.error() == errc::no_room) return version.error();
    if (version.has_error()) {
        tell("version " + current.version + " of function " + current.function_name +
             " cannot be loaded: " + version.error().message());
        return error(errc::not_ready,
                     "The function's stored package cannot be used: " + version.error().message());
    }
    const auto guard = registry_.lock();
    // An update that finished meanwhile has put its own there.
    if (v->serving) return v->serving;
    if (v->stored.current.revision_id == current.revision_id || v->generation == generation)
        v->serving = *version;
    return version;
}

}  // namespace hearth
