/// A function's life: created, read, listed, changed, deleted.

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/events.hpp"
#include "control/validation.hpp"
#include "image/package_image.hpp"
#include "image/sha256.hpp"

#include <algorithm>

namespace hearth {

using control::entry;
using control::entry_ptr;
using control::version_entry;

namespace control {

error busy(const version_entry& v) {
    if (v.stored.update)
        return {errc::conflict,
                "The operation cannot be performed at this time. An update is in progress "
                "for resource: " +
                    v.stored.current.function_arn};
    return {errc::conflict,
            "The operation cannot be performed at this time. The function is currently in "
            "the following state: " +
                std::string(to_string(v.stored.current.state))};
}

error revision_mismatch() {
    return {errc::precondition_failed,
            "The RevisionId provided does not match the latest RevisionId. Call the "
            "GetFunction/GetAlias API to retrieve the latest RevisionId"};
}

}  // namespace control

namespace {

result<void> check_revision(const version_entry& v, const std::string& revision_id) {
    if (revision_id.empty() || revision_id == v.candidate().revision_id) return {};
    return control::revision_mismatch();
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
    set(from.logging, to.logging), set(from.layers, to.layers);
}

result<std::shared_ptr<const image::package_image>> unzip(const std::string& zip_file) {
    if (zip_file.empty())
        return error(errc::invalid_argument, "Please provide a source for function code.");
    return image::package_image::from_zip(zip_file);
}

/// A page of a listing that begins after a marker: "NAME", or with all versions "NAME:VERSION".
class page_filler {
  public:
    page_filler(std::size_t max_items, bool all_versions, control::function_name marker)
        : max_items_(max_items), all_versions_(all_versions), marker_(std::move(marker)) {}

    /// Of functions from the marker's on. False: the page is full.
    bool add(const entry& e) {
        const bool at_marker = e.name() == marker_.name;
        if (!all_versions_) return at_marker || add(e.latest->candidate(), e.name());
        const auto place = [](std::string_view version) {
            return control::version_number(version).value_or(0);  // $LATEST comes first
        };
        bool more = true;
        e.each_version([&](const version_entry& v) {
            const std::string& version = v.stored.current.version;
            if (at_marker && place(version) <= place(marker_.qualifier)) return;
            if (more) more = add(v.candidate(), e.name() + ":" + version);
        });
        return more;
    }
    [[nodiscard]] function_page take() { return std::move(page_); }

  private:
    bool add(const function_configuration& c, std::string marker) {
        if (page_.functions.size() == max_items_) {
            page_.next_marker = last_;
            return false;
        }
        page_.functions.push_back(c);
        last_ = std::move(marker);
        return true;
    }

    const std::size_t max_items_;
    const bool all_versions_;
    const control::function_name marker_;
    function_page page_;
    std::string last_;
};

}  // namespace

result<void> control_plane::impl::check_code_storage(std::uint64_t added) const {
    if (total_code_size() + added <= options_.code_storage_limit.bytes()) return {};
    return error(
        errc::code_storage_exceeded,
        "Code storage limit exceeded: " + std::to_string(options_.code_storage_limit.bytes()) +
            " bytes for all functions");
}

void control_plane::impl::drop_package_if_unused(const std::string& code_sha256) {
    const std::string file = image::hex_of_base64_digest(code_sha256);
    if (file.empty() || registry_.uses_package(code_sha256)) return;
    {
        const auto guard = registry_.lock();
        for (const auto& [name, versions] : layers_)
            for (const auto& [number, layer] : versions)
                if (layer.layer.code_sha256 == code_sha256) return;
    }
    // A file that stays costs space only, and the next start sweeps it.
    if (auto removed = storage_->remove_package(file); removed.has_error())
        tell(removed.error().message());
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
    HEARTH_CHECK(
        impl_->check_outcome_target(request.settings.dead_letter_target_arn, name.name));
    HEARTH_CHECK(impl_->runtimes_.check(request.settings.runtime));
    HEARTH_CHECK(control::check_tags(request.tags));
    const error exists(errc::already_exists, "Function already exist: " + name.name);
    if (impl_->registry_.find(name.name)) return exists;
    HEARTH_TRY(auto code, unzip(request.zip_file));
    const std::scoped_lock changes(impl_->changes_);
    if (impl_->registry_.find(name.name)) return exists;
    if (!request.code_signing_config_arn.empty())
        HEARTH_CHECK(get_code_signing_config(request.code_signing_config_arn));
    // With the lock held: a layer that is deleted takes its package along unless a function has it.
    HEARTH_CHECK(impl_->resolve_layers(request.settings.layers, code.get()));
    HEARTH_CHECK(impl_->check_code_storage(code->code_size() * (request.publish ? 2 : 1)));

    auto e = std::make_shared<entry>(name.name);
    version_entry& latest = *e->latest;
    latest.stored.current = {.function_name = name.name,
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
    e->attributes.tags = std::move(request.tags);
    e->attributes.code_signing_config_arn = request.code_signing_config_arn;
    latest.candidate_image = code;
    const function_configuration created = latest.stored.current;
    HEARTH_CHECK(impl_->storage_->put_package(image::hex_of_base64_digest(created.code_sha256),
                                              request.zip_file));
    impl::publication publication;
    if (request.publish) {
        publication = impl_->prepare_version(*e, created, code, std::nullopt);
        e->attributes = publication.attributes;
        e->published.emplace(e->attributes.last_version, publication.version);
    }
    const control::stored_function record{latest.stored, e->attributes};
    const auto stored = request.publish
                            ? impl_->storage_->put_both(record, publication.version->stored.current)
                            : impl_->storage_->put(record);
    if (stored.has_error()) {
        impl_->drop_package_if_unused(created.code_sha256);
        return stored.error();
    }
    impl_->registry_.insert(name.name, e);
    impl_->start_activation({e, e->latest}, 0);
    if (!request.publish) return created;
    function_configuration published = publication.version->stored.current;
    impl_->start_activation({std::move(e), std::move(publication.version)}, 0);
    return published;
}

result<function_description> control_plane::get_function(std::string_view name,
                                                         std::string_view qualifier) const {
    HEARTH_TRY(auto parsed, impl_->parse(name, qualifier));
    HEARTH_TRY(const auto found, impl_->find_version(parsed));
    const auto guard = impl_->registry_.lock();
    return function_description{found.version->candidate(), found.function->attributes.tags,
                                found.function->durable, std::move(parsed.qualifier),
                                found.function->reserved()};
}

result<function_page> control_plane::list_functions(std::string_view marker,
                                                    std::size_t max_items,
                                                    bool all_versions) const {
    HEARTH_TRY(max_items, control::page_size(max_items));
    control::function_name from;
    if (!marker.empty()) {
        const auto parsed = control::parse_function_name(marker);
        if (parsed.has_error())
            return error(errc::invalid_argument,
                         "The Marker is not one that ListFunctions returned");
        from = *parsed;
    }
    page_filler page(max_items, all_versions, from);
    impl_->registry_.visit_from(from.name, [&](const entry& e) { return page.add(e); });
    return page.take();
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
    control::stored_version stored;
    {
        const auto guard = registry_.lock();
        stored = e->latest->stored;
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
    HEARTH_CHECK(store(*e, *e->latest, stored));
    std::uint64_t generation = 0;
    {
        const auto guard = registry_.lock();
        e->latest->stored = std::move(stored);
        e->latest->candidate_image = std::move(code);
        generation = ++e->latest->generation;
    }
    if (old_code != next.code_sha256) drop_package_if_unused(old_code);
    start_activation({e, e->latest}, generation);
    return next;
}

result<function_configuration> control_plane::update_function_code(
    update_function_code_request request) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_TRY(auto code, unzip(request.zip_file));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(request.function_name));
    function_configuration next;
    {
        const auto guard = impl_->registry_.lock();
        HEARTH_CHECK(check_revision(*e->latest, request.revision_id));
        if (e->latest->in_transition()) return control::busy(*e->latest);
        if (!e->durable)
            return error(errc::unsupported,
                         "This function was deployed by the program that embeds Hearth, from a "
                         "package that is "
                         "not a zip: deploy its new code there");
        next = e->latest->stored.current;
    }
    HEARTH_CHECK(control::check_unzipped_size(next.settings.layers, code.get()));
    next.code_size = code->code_size();
    next.code_sha256 = code->code_sha256();
    if (request.dry_run) return next;
    HEARTH_CHECK(impl_->check_code_storage(next.code_size * (request.publish ? 2 : 1)));
    HEARTH_CHECK(impl_->storage_->put_package(image::hex_of_base64_digest(next.code_sha256),
                                              request.zip_file));
    const std::string new_code = next.code_sha256;
    auto replaced = impl_->replace(e, std::move(next), code);
    if (replaced.has_error()) impl_->drop_package_if_unused(new_code);
    if (replaced.has_error() || !request.publish) return replaced;
    return impl_->publish(e, impl_->prepare_version(*e, *replaced, std::move(code), std::nullopt));
}

result<function_configuration> control_plane::update_function_configuration(
    update_function_configuration_request request) {
    if (impl_->draining_) return error(errc::shutting_down);
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(request.function_name));
    function_configuration next;
    std::shared_ptr<const image::package_image> code;
    {
        const auto guard = impl_->registry_.lock();
        HEARTH_CHECK(check_revision(*e->latest, request.revision_id));
        if (e->latest->in_transition()) return control::busy(*e->latest);
        next = e->latest->stored.current;
        if (e->latest->serving) code = e->latest->serving->spec().code;
    }
    if (request.role) HEARTH_CHECK(control::check_role(*request.role));
    const bool is_redirected = request.dead_letter_target_arn.has_value();
    // Not loaded since the last start, or never run: its size counts with the layers' all the same.
    if (!code && e->durable && request.layers && !request.layers->empty()) {
        HEARTH_TRY(code, impl_->read_image(next.code_sha256));
    }
    apply(request, next.settings);
    HEARTH_CHECK(control::check_settings(next.settings));
    if (is_redirected)
        HEARTH_CHECK(
            impl_->check_outcome_target(next.settings.dead_letter_target_arn, e->name()));
    HEARTH_CHECK(impl_->runtimes_.check(next.settings.runtime));
    HEARTH_CHECK(impl_->resolve_layers(next.settings.layers, code.get()));
    return impl_->replace(e, std::move(next), std::move(code));
}

result<void> control_plane::delete_function(std::string_view name, std::string_view qualifier) {
    HEARTH_TRY(const auto parsed, impl_->parse(name, qualifier));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const entry_ptr e, impl_->find(parsed));
    if (parsed.qualifier == "$LATEST")
        return error(errc::invalid_argument,
                     "$LATEST version cannot be deleted without deleting the function.");
    if (!parsed.qualifier.empty()) return impl_->delete_version(e, parsed);
    if (e->durable) HEARTH_CHECK(impl_->storage_->remove(parsed.name));
    std::vector<std::string> code;
    std::vector<std::shared_ptr<worker::deployed_version>> last;  // let go of outside the lock
    {
        const auto guard = impl_->registry_.lock();
        const auto let_go = [&](version_entry& v) {
            ++v.generation;
            last.push_back(std::move(v.serving));
            const auto keep = [&](const std::string& sha256) { code.push_back(sha256); };
            control::each_package(v.stored.current, keep);
            if (v.stored.update) control::each_package(*v.stored.update, keep);
        };
        let_go(*e->latest);
        for (const auto& [number, version] : e->published) let_go(*version);
    }
    impl_->registry_.erase(parsed.name);
    impl_->events_->deleted(parsed.name);
    impl_->hosts_.remove_snapshots(parsed.name);
    std::ranges::sort(code);
    code.erase(std::unique(code.begin(), code.end()), code.end());
    for (const std::string& each : code) impl_->drop_package_if_unused(each);
    return {};
}

result<std::string> control_plane::read_package(std::string_view name) const {
    HEARTH_TRY(const auto parsed, impl_->parse(name, {}));
    HEARTH_TRY(const auto found, impl_->find_version(parsed));
    std::string code;
    {
        const auto guard = impl_->registry_.lock();
        if (!found.function->durable)
            return error(errc::not_found, "This function has no zip package");
        code = found.version->candidate().code_sha256;
    }
    return impl_->storage_->get_package(image::hex_of_base64_digest(code));
}

}  // namespace hearth
