#include "base/complete.hpp"
#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/validation.hpp"
#include "image/package_source.hpp"
#include "image/sha256.hpp"
#include "net/policy.hpp"

#include <hearth/control.hpp>
#include <hearth/observer.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>
#include <fmt/format.h>

#include <time.h>

#include <algorithm>
#include <fstream>
#include <iterator>

namespace hearth {

namespace asio = boost::asio;
using control::entry;
using control::entry_ptr;

namespace {

/// AWS returns at most so many functions in a page, whatever MaxItems says.
constexpr std::size_t max_page = 50;

/// What GetFunction shows: an update under way as it will be.
function_configuration shown(const entry& e) { return e.candidate(); }

error busy(const entry& e) {
    if (e.stored.update)
        return {errc::conflict,
                "The operation cannot be performed at this time. An update is in progress "
                "for resource: " +
                    e.stored.current.function_arn};
    return {errc::conflict,
            "The operation cannot be performed at this time. The function is currently in "
            "the following state: Pending"};
}

result<void> check_revision(const entry& e, const std::string& revision_id) {
    if (revision_id.empty() || revision_id == shown(e).revision_id) return {};
    return error(errc::precondition_failed,
                 "The RevisionId provided does not match the latest RevisionId. Call the "
                 "GetFunction/GetAlias "
                 "API to retrieve the latest RevisionId");
}

void apply(update_function_configuration_request& from, function_settings& to) {
    const auto set = [](auto& value, auto& into) {
        if (value) into = std::move(*value);
    };
    set(from.runtime, to.runtime), set(from.role, to.role), set(from.handler, to.handler);
    set(from.description, to.description), set(from.timeout, to.timeout),
        set(from.memory, to.memory);
    set(from.ephemeral_storage, to.ephemeral_storage), set(from.environment, to.environment);
    set(from.vpc, to.vpc), set(from.dead_letter_target_arn, to.dead_letter_target_arn);
    set(from.kms_key_arn, to.kms_key_arn), set(from.tracing_mode, to.tracing_mode);
    set(from.snap_start, to.snap_start), set(from.file_systems, to.file_systems);
    set(from.logging, to.logging);
}

result<std::shared_ptr<const image::package_image>> unzip(const std::string& zip_file) {
    if (zip_file.empty())
        return error(errc::invalid_argument, "Please provide a source for function code.");
    return image::package_image::from_zip(zip_file);
}

/// Calls an invocation's handler with an error: on its executor, and never inside the call that
/// brought it.
void complete_with(asio::thread_pool& pool, control_plane::invoke_handler handler, error e) {
    auto executor = tracked_executor(handler);
    asio::post(pool, [executor = std::move(executor), handler = std::move(handler),
                      e = std::move(e)]() mutable {
        complete(std::move(executor), std::move(handler), std::move(e), response{});
    });
}

/// Hands over to the worker, whose errors carry their sentence in the response (worker.hpp).
void run(std::shared_ptr<worker::deployed_version> version,
         worker::invocation input,
         control_plane::invoke_handler handler) {
    const auto executor = asio::get_associated_executor(handler);
    const auto slot = asio::get_associated_cancellation_slot(handler);
    worker::deployed_version& target = *version;
    target.async_invoke(
        std::move(input),
        asio::bind_cancellation_slot(
            slot, asio::bind_executor(executor,
                                      [version = std::move(version), handler = std::move(handler)](
                                          error_code ec, response r) mutable {
                                          version.reset();
                                          error e;
                                          if (ec) e = error(ec, std::exchange(r.payload, {}));
                                          std::move(handler)(std::move(e), std::move(r));
                                      })));
}

result<std::string> read_whole(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return error(errc::io_failed, "cannot read " + path.string());
    std::error_code ec;
    if (std::filesystem::file_size(path, ec) > image::max_zipped)
        return error(errc::package_too_large, path.string() + " is larger than 50 MB");
    return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

std::string_view to_string(function_state s) noexcept {
    switch (s) {
        case function_state::pending:
            return "Pending";
        case function_state::active:
            return "Active";
        case function_state::failed:
            return "Failed";
    }
    return "";
}

std::string_view to_string(update_status s) noexcept {
    switch (s) {
        case update_status::successful:
            return "Successful";
        case update_status::failed:
            return "Failed";
        case update_status::in_progress:
            return "InProgress";
    }
    return "";
}

namespace control {

std::string make_uuid() { return to_string(boost::uuids::random_generator()()); }

std::string timestamp_now() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    tm utc{};
    ::gmtime_r(&now.tv_sec, &utc);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}+0000", utc.tm_year + 1900,
                       utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                       now.tv_nsec / 1'000'000);
}

}  // namespace control

control_plane::impl::impl(control_options o, worker::worker& w, std::unique_ptr<control::storage> s)
    : options_(std::move(o)),
      worker_(w),
      runtimes_(options_.guest_root, options_.runtime_directory),
      hosts_({&w}),
      storage_(std::move(s)),
      activations_(std::max<std::size_t>(options_.activation_threads, 1)) {}

control_plane::impl::~impl() {
    draining_ = true;
    loads_.join();
    activations_.join();
}

void control_plane::impl::tell(std::string_view message) const {
    if (options_.observer)
        options_.observer->on_log({log_record::severity::warning, "control", message});
}

std::string control_plane::impl::arn_of(std::string_view name) const {
    return control::make_function_arn(options_.region, options_.account_id, name);
}

error control_plane::impl::not_found(const control::function_name& name) const {
    return {errc::not_found, "Function not found: " + arn_of(name.name) +
                                 (name.qualifier.empty() ? "" : ":" + name.qualifier)};
}

result<control::function_name> control_plane::impl::parse(std::string_view text,
                                                          std::string_view qualifier) const {
    HEARTH_TRY(control::function_name name, control::parse_function_name(text));
    HEARTH_CHECK(control::check_qualifier(qualifier));
    if (!qualifier.empty()) {
        if (!name.qualifier.empty() && name.qualifier != qualifier)
            return error(errc::invalid_argument,
                         "The derived qualifier from the function name does not match the "
                         "specified qualifier.");
        name.qualifier = qualifier;
    }
    if ((!name.region.empty() && name.region != options_.region) ||
        (!name.account_id.empty() && name.account_id != options_.account_id))
        return error(
            errc::not_found,
            fmt::format("Function not found: {}: this server serves region {} and account {}", text,
                        options_.region, options_.account_id));
    return name;
}

result<entry_ptr> control_plane::impl::find(std::string_view text,
                                            std::string_view qualifier) const {
    // Most callers use the plain name; what is a key needs no parsing.
    if (qualifier.empty())
        if (entry_ptr e = registry_.find(text)) return e;
    HEARTH_TRY(const control::function_name name, parse(text, qualifier));
    entry_ptr e = registry_.find(name.name);
    // Versions and aliases come later; until then $LATEST is all there is.
    if (!e || (!name.qualifier.empty() && name.qualifier != "$LATEST")) return not_found(name);
    return e;
}

result<void> control_plane::impl::check_code_storage(std::uint64_t added) const {
    if (registry_.total_code_size() + added <= options_.code_storage_limit.bytes()) return {};
    return error(errc::code_storage_exceeded,
                 fmt::format("Code storage limit exceeded: {} bytes for all functions",
                             options_.code_storage_limit.bytes()));
}

result<void> control_plane::impl::store(const entry& e, const control::stored_function& next) {
    if (!e.durable) return {};
    return storage_->put(next);
}

void control_plane::impl::drop_package_if_unused(const std::string& code_sha256) {
    const std::string file = image::hex_of_base64_digest(code_sha256);
    if (file.empty() || registry_.uses_package(code_sha256)) return;
    // A file that stays costs space only, and the next start sweeps it.
    if (auto removed = storage_->remove_package(file); removed.has_error())
        tell(removed.error().message());
}

control_plane::control_plane(std::unique_ptr<impl> i) noexcept : impl_(std::move(i)) {}
control_plane::~control_plane() = default;

result<std::unique_ptr<control_plane>> control_plane::create(control_options options,
                                                             worker::worker& worker) {
    std::unique_ptr<control::storage> storage;
    if (options.data_directory.empty()) {
        storage = control::open_memory_storage();
    } else {
        HEARTH_TRY(storage, control::open_sqlite_storage(options.data_directory));
    }
    HEARTH_TRY(auto functions, storage->load());
    auto self = std::make_unique<impl>(std::move(options), worker, std::move(storage));
    std::vector<std::string> names;
    for (const auto& function : functions) names.push_back(function.current.function_name);
    self->hosts_.keep_snapshots(names);
    for (auto& function : functions) {
        auto e = std::make_shared<entry>();
        e->stored = std::move(function);
        self->registry_.insert(e->stored.current.function_name, e);
        if (e->in_transition()) self->start_activation(e, e->generation);
    }
    return std::unique_ptr<control_plane>(new control_plane(std::move(self)));
}

result<function_configuration> control_plane::create_function(create_function_request request) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_TRY(const auto name, impl_->parse(request.function_name, {}));
    if (!name.qualifier.empty())
        return error(errc::invalid_argument,
                     "A function is created without a version or alias in its name");
    HEARTH_CHECK(control::check_role(request.settings.role));
    if (request.settings.handler.empty())
        return error(errc::invalid_argument,
                     "Runtime and Handler are mandatory parameters for functions "
                     "created with deployment packages.");
    HEARTH_CHECK(control::check_settings(request.settings));
    HEARTH_CHECK(impl_->runtimes_.find(request.settings.runtime));
    HEARTH_CHECK(control::check_tags(request.tags));
    const error exists(errc::already_exists, "Function already exist: " + name.name);
    if (impl_->registry_.find(name.name)) return exists;
    HEARTH_TRY(auto code, unzip(request.zip_file));

    auto e = std::make_shared<entry>();
    e->stored.current = {.function_name = name.name,
                         .function_arn = impl_->arn_of(name.name),
                         .settings = std::move(request.settings),
                         .code_size = code->code_size(),
                         .code_sha256 = code->code_sha256(),
                         .last_modified = control::timestamp_now(),
                         .revision_id = control::make_uuid(),
                         .state = function_state::pending,
                         .state_reason = "The function is being created.",
                         .state_reason_code = "Creating",
                         .last_update = update_status::in_progress};
    e->stored.tags = std::move(request.tags);
    e->candidate_image = std::move(code);
    const function_configuration created = e->stored.current;
    {
        const std::scoped_lock changes(impl_->changes_);
        if (impl_->registry_.find(name.name)) return exists;
        HEARTH_CHECK(impl_->check_code_storage(created.code_size));
        HEARTH_CHECK(impl_->storage_->put_package(image::hex_of_base64_digest(created.code_sha256),
                                                  request.zip_file));
        if (auto stored = impl_->store(*e, e->stored); stored.has_error()) {
            impl_->drop_package_if_unused(created.code_sha256);
            return stored.error();
        }
        impl_->registry_.insert(name.name, e);
    }
    impl_->start_activation(std::move(e), 0);
    return created;
}

result<function_description> control_plane::get_function(std::string_view name,
                                                         std::string_view qualifier) const {
    HEARTH_TRY(const entry_ptr e, impl_->find(name, qualifier));
    const auto guard = impl_->registry_.lock();
    return function_description{shown(*e), e->stored.tags, e->durable};
}

result<function_page> control_plane::list_functions(std::string_view marker,
                                                    std::size_t max_items) const {
    if (max_items == 0 || max_items > 10000)
        return control::violation("maxItems", std::to_string(max_items),
                                  "Member must have value between 1 and 10000");
    if (!marker.empty() && control::parse_function_name(marker).has_error())
        return error(errc::invalid_argument, "The Marker is not one that ListFunctions returned");
    max_items = std::min(max_items, max_page);
    function_page page;
    impl_->registry_.visit_after(marker, [&](const entry& e) {
        if (page.functions.size() == max_items) {
            page.next_marker = page.functions.back().function_name;
            return false;
        }
        page.functions.push_back(shown(e));
        return true;
    });
    return page;
}

result<function_configuration> control_plane::impl::replace(
    const entry_ptr& e,
    function_configuration next,
    std::shared_ptr<const image::package_image> code) {
    next.last_modified = control::timestamp_now();
    next.revision_id = control::make_uuid();
    next.last_update = update_status::in_progress;
    next.last_update_reason = "The function is being updated.";
    next.last_update_reason_code.clear();
    control::stored_function stored;
    {
        const auto guard = registry_.lock();
        stored = e->stored;
    }
    const std::string old_code = stored.current.code_sha256;
    if (stored.current.state == function_state::active) {
        stored.update = next;  // the old code serves until this one is ready
    } else {
        next.state = function_state::pending;
        next.state_reason = "The function is being updated.";
        next.state_reason_code = "Creating";
        stored.current = next;
    }
    HEARTH_CHECK(store(*e, stored));
    std::uint64_t generation = 0;
    {
        const auto guard = registry_.lock();
        e->stored = std::move(stored);
        e->candidate_image = std::move(code);
        generation = ++e->generation;
    }
    if (old_code != next.code_sha256) drop_package_if_unused(old_code);
    start_activation(e, generation);
    return next;
}

result<function_configuration> control_plane::update_function_code(
    update_function_code_request request) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_TRY(auto code, unzip(request.zip_file));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const entry_ptr e, impl_->find(request.function_name));
    function_configuration next;
    {
        const auto guard = impl_->registry_.lock();
        HEARTH_CHECK(check_revision(*e, request.revision_id));
        if (e->in_transition()) return busy(*e);
        if (!e->durable)
            return error(errc::unsupported,
                         "This function was deployed by the program that embeds Hearth, from a "
                         "package that is "
                         "not a zip: deploy its new code there");
        next = e->stored.current;
    }
    next.code_size = code->code_size();
    next.code_sha256 = code->code_sha256();
    if (request.dry_run) return next;
    HEARTH_CHECK(impl_->check_code_storage(next.code_size));
    HEARTH_CHECK(impl_->storage_->put_package(image::hex_of_base64_digest(next.code_sha256),
                                              request.zip_file));
    const std::string new_code = next.code_sha256;
    auto replaced = impl_->replace(e, std::move(next), std::move(code));
    if (replaced.has_error()) impl_->drop_package_if_unused(new_code);
    return replaced;
}

result<function_configuration> control_plane::update_function_configuration(
    update_function_configuration_request request) {
    if (impl_->draining_) return error(errc::shutting_down);
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const entry_ptr e, impl_->find(request.function_name));
    function_configuration next;
    std::shared_ptr<const image::package_image> code;
    {
        const auto guard = impl_->registry_.lock();
        HEARTH_CHECK(check_revision(*e, request.revision_id));
        if (e->in_transition()) return busy(*e);
        next = e->stored.current;
        if (e->serving) code = e->serving->spec().code;
    }
    if (request.role) HEARTH_CHECK(control::check_role(*request.role));
    apply(request, next.settings);
    HEARTH_CHECK(control::check_settings(next.settings));
    HEARTH_CHECK(impl_->runtimes_.find(next.settings.runtime));
    return impl_->replace(e, std::move(next), std::move(code));
}

result<void> control_plane::delete_function(std::string_view name, std::string_view qualifier) {
    HEARTH_TRY(const auto parsed, impl_->parse(name, qualifier));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const entry_ptr e, impl_->find(name, qualifier));
    if (!parsed.qualifier.empty())
        return error(errc::invalid_argument,
                     "$LATEST version cannot be deleted without deleting the function.");
    std::string code, update_code;
    {
        const auto guard = impl_->registry_.lock();
        code = e->stored.current.code_sha256;
        if (e->stored.update) update_code = e->stored.update->code_sha256;
    }
    if (e->durable) HEARTH_CHECK(impl_->storage_->remove(parsed.name));
    std::shared_ptr<worker::deployed_version> last;  // let go of outside the lock
    {
        const auto guard = impl_->registry_.lock();
        ++e->generation;
        last = std::move(e->serving);
    }
    impl_->registry_.erase(parsed.name);
    impl_->hosts_.remove_snapshots(parsed.name);
    impl_->drop_package_if_unused(code);
    if (!update_code.empty()) impl_->drop_package_if_unused(update_code);
    return {};
}

account_settings control_plane::get_account_settings() const {
    return {.total_code_size_limit = impl_->options_.code_storage_limit.bytes(),
            .code_size_unzipped_limit = image::max_unzipped,
            .code_size_zipped_limit = image::max_zipped,
            .concurrent_executions = impl_->options_.account_concurrency,
            .unreserved_concurrent_executions = impl_->options_.account_concurrency,
            .total_code_size = impl_->registry_.total_code_size(),
            .function_count = impl_->registry_.size()};
}

result<std::string> control_plane::read_package(std::string_view name) const {
    HEARTH_TRY(const entry_ptr e, impl_->find(name));
    std::string code;
    {
        const auto guard = impl_->registry_.lock();
        if (!e->durable) return error(errc::not_found, "This function has no zip package");
        code = shown(*e).code_sha256;
    }
    return impl_->storage_->get_package(image::hex_of_base64_digest(code));
}

std::size_t control_plane::size() const { return impl_->registry_.size(); }

hearth::metrics control_plane::metrics() const {
    hearth::metrics m = impl_->worker_.metrics();
    // The worker does not know those that nobody has called since a restart.
    std::vector<function_metrics> others;
    m.functions = 0;
    impl_->registry_.visit_after({}, [&, known = m.by_function.cbegin()](const entry& e) mutable {
        const std::string& name = e.stored.current.function_name;
        while (known != m.by_function.cend() && known->name < name) ++known;
        if (known == m.by_function.cend() || known->name != name) others.push_back({.name = name});
        ++m.functions;
        return true;
    });
    if (others.empty()) return m;
    m.by_function.insert(m.by_function.end(), std::move_iterator(others.begin()),
                         std::move_iterator(others.end()));
    std::ranges::sort(m.by_function, {}, &function_metrics::name);
    return m;
}

result<control_plane::impl::admission> control_plane::impl::admit(
    std::string_view name, std::string_view qualifier) const {
    if (draining_) return error(errc::shutting_down);
    HEARTH_TRY(entry_ptr e, find(name, qualifier));
    const auto guard = registry_.lock();
    const function_configuration& current = e->stored.current;
    if (current.state != function_state::active)
        return error(
            errc::not_ready,
            fmt::format(
                "The operation cannot be performed at this time. The function is currently in "
                "the following state: {}{}{}",
                to_string(current.state), current.state == function_state::failed ? ": " : "",
                current.state == function_state::failed ? current.state_reason : ""));
    auto version = e->serving;
    return admission{std::move(e), std::move(version)};
}

std::string control_plane::impl::invoked_arn(std::string_view name,
                                             std::string_view qualifier) const {
    if (qualifier.empty() && name.find(':') == name.npos) return arn_of(name);
    auto parsed = parse(name, qualifier);
    if (parsed.has_error()) return {};
    return arn_of(parsed->name) + (parsed->qualifier.empty() ? "" : ":" + parsed->qualifier);
}

worker::invocation control_plane::impl::make_invocation(std::string payload,
                                                        invoke_options options,
                                                        std::string arn) const {
    return {.request_id =
                options.request_id.empty() ? control::make_uuid() : std::move(options.request_id),
            .payload = std::move(payload),
            .client_context = std::move(options.client_context),
            .trace_id = std::move(options.trace_id),
            .invoked_arn = std::move(arn),
            .tenant_id = std::move(options.tenant_id)};
}

result<void> control_plane::check_invoke(std::string_view name, std::string_view qualifier) const {
    HEARTH_CHECK(impl_->admit(name, qualifier));
    return {};
}

result<response> control_plane::invoke(std::string_view name,
                                       std::string payload,
                                       invoke_options options,
                                       std::string_view qualifier) {
    HEARTH_TRY(auto admitted, impl_->admit(name, qualifier));
    if (!admitted.version) {
        HEARTH_TRY(admitted.version, impl_->load(admitted.entry));
    }
    return admitted.version->invoke(impl_->make_invocation(std::move(payload), std::move(options),
                                                           impl_->invoked_arn(name, qualifier)));
}

void control_plane::async_invoke(std::string_view name,
                                 std::string payload,
                                 invoke_options options,
                                 std::string_view qualifier,
                                 invoke_handler handler) {
    auto admitted = impl_->admit(name, qualifier);
    if (admitted.has_error()) {
        complete_with(impl_->loads_, std::move(handler), admitted.error());
        return;
    }
    auto input = impl_->make_invocation(std::move(payload), std::move(options),
                                        impl_->invoked_arn(name, qualifier));
    if (admitted->version) {
        run(std::move(admitted->version), std::move(input), std::move(handler));
        return;
    }
    auto work = tracked_executor(handler);
    asio::post(impl_->loads_, [this, work = std::move(work), e = std::move(admitted->entry),
                               input = std::move(input), handler = std::move(handler)]() mutable {
        auto version = impl_->load(e);
        if (version.has_error())
            complete_with(impl_->loads_, std::move(handler), version.error());
        else
            run(std::move(*version), std::move(input), std::move(handler));
    });
}

result<function_configuration> control_plane::deploy(const function_config& config) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_TRY(const auto name, impl_->parse(config.name, {}));
    if (name.name != config.name)
        return error(errc::invalid_argument,
                     "a function is deployed by its plain name, not an ARN");
    function_settings settings{
        .runtime = config.runtime,
        .role = "arn:aws:iam::" + impl_->options_.account_id + ":role/hearth",
        .handler = config.handler,
        .timeout = config.timeout,
        .memory = config.memory,
        .ephemeral_storage = config.ephemeral_storage,
        .environment = config.environment};
    HEARTH_CHECK(control::check_settings(settings));
    HEARTH_CHECK(net::policy::parse(config.network));

    // A zip that is to be stored is read once, so that what is checked is what is kept.
    std::optional<std::string> zip;
    if (!impl_->options_.data_directory.empty() && !config.package.empty() &&
        config.layers.empty()) {
        const auto& from = config.package.source()->from;
        if (const auto* file = std::get_if<detail::zip_file>(&from)) {
            HEARTH_TRY(zip, read_whole(file->path));
        } else if (const auto* memory = std::get_if<detail::zip_memory>(&from)) {
            zip = memory->bytes;
        }
    }
    HEARTH_TRY(auto code, zip ? image::package_image::from_zip(*zip)
                              : image::package_image::load(config.package));

    auto e = std::make_shared<entry>();
    e->durable = zip.has_value();
    HEARTH_TRY(e->layers, image::package_image::load_layers(config.layers, *code));
    e->policy = {config.pool, config.isolation, config.snapshot, config.network};
    e->stored.current = {.function_name = name.name,
                         .function_arn = impl_->arn_of(name.name),
                         .settings = std::move(settings),
                         .code_size = code->code_size(),
                         .code_sha256 = code->code_sha256(),
                         .last_modified = control::timestamp_now(),
                         .revision_id = control::make_uuid(),
                         .state = function_state::active};
    const function_configuration deployed = e->stored.current;
    HEARTH_TRY(auto spec, impl_->make_spec(deployed, std::move(code), e->layers, e->policy));
    HEARTH_TRY(e->serving, impl_->hosts_.deploy(std::move(spec)));
    if (config.pool.min_idle + config.pool.provisioned_concurrency > 0)
        HEARTH_CHECK(e->serving->initialize());

    const std::scoped_lock changes(impl_->changes_);
    const entry_ptr before = impl_->registry_.find(name.name);
    if (zip) {
        HEARTH_CHECK(impl_->check_code_storage(deployed.code_size));
        HEARTH_CHECK(
            impl_->storage_->put_package(image::hex_of_base64_digest(deployed.code_sha256), *zip));
        HEARTH_CHECK(impl_->store(*e, e->stored));
    } else if (before && before->durable) {
        HEARTH_CHECK(impl_->storage_->remove(name.name));
    }
    impl_->registry_.insert(name.name, e);
    if (before) {
        std::string old_code;
        {
            const auto guard = impl_->registry_.lock();
            ++before->generation;  // an activation under way is no longer wanted
            old_code = before->stored.current.code_sha256;
        }
        impl_->drop_package_if_unused(old_code);
    }
    return deployed;
}

void control_plane::drain() {
    impl_->draining_ = true;
    // Not loads_: it still completes what is refused from now on.
    impl_->activations_.join();
}

}  // namespace hearth
