/// Code signing configurations: what functions refer to; nothing is verified.

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/paging.hpp"
#include "control/validation.hpp"

#include <algorithm>

namespace hearth {

using control::entry_ptr;

namespace {

constexpr std::size_t max_publishers = 20, max_arn = 200;

error no_config(std::string_view arn) {
    return {errc::not_found, "The CodeSigningConfig cannot be found: " + std::string(arn)};
}

/// What the request says, over what there was.
result<void> change(const code_signing_request& r, code_signing_config& c) {
    if (r.description) c.description = *r.description;
    if (r.allowed_publishers) c.allowed_publishers = *r.allowed_publishers;
    if (r.untrusted_artifact_on_deployment)
        c.untrusted_artifact_on_deployment = *r.untrusted_artifact_on_deployment;
    HEARTH_CHECK(control::check_description(c.description));
    if (c.allowed_publishers.empty() || c.allowed_publishers.size() > max_publishers)
        return control::violation("allowedPublishers.signingProfileVersionArns",
                                  std::to_string(c.allowed_publishers.size()),
                                  "Member must have length between 1 and 20");
    for (const std::string& each : c.allowed_publishers)
        if (!each.starts_with("arn:") || each.size() > max_arn)
            return control::violation("allowedPublishers.signingProfileVersionArns", each,
                                      "Member must be an ARN of at most 200 characters");
    const std::string& policy = c.untrusted_artifact_on_deployment;
    if (policy != "Warn" && policy != "Enforce")
        return control::violation("codeSigningPolicies.untrustedArtifactOnDeployment", policy,
                                  "Member must satisfy enum value set: [Warn, Enforce]");
    c.last_modified = control::timestamp_now();
    return {};
}

}  // namespace

/// With the registry's lock held.
const code_signing_config* control_plane::impl::find_code_signing_locked(
    std::string_view arn) const {
    const auto at = code_signing_.find(arn);
    return at == code_signing_.end() ? nullptr : &at->second;
}

result<code_signing_config> control_plane::create_code_signing_config(
    const code_signing_request& request) {
    if (impl_->draining_) return error(errc::shutting_down);
    code_signing_config c;
    HEARTH_CHECK(change(request, c));
    std::string digits = control::make_uuid();
    std::erase(digits, '-');
    c.id = "csc-" + digits.substr(0, 17);
    c.arn = "arn:aws:lambda:" + impl_->options_.region + ":" + impl_->options_.account_id +
            ":code-signing-config:" + c.id;
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_CHECK(impl_->storage_->put_code_signing(c));
    const auto guard = impl_->registry_.lock();
    return impl_->code_signing_.emplace(c.arn, c).first->second;
}

result<code_signing_config> control_plane::update_code_signing_config(
    std::string_view arn, const code_signing_request& request) {
    if (impl_->draining_) return error(errc::shutting_down);
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(code_signing_config c, get_code_signing_config(arn));
    HEARTH_CHECK(change(request, c));
    HEARTH_CHECK(impl_->storage_->put_code_signing(c));
    const auto guard = impl_->registry_.lock();
    return impl_->code_signing_.insert_or_assign(c.arn, c).first->second;
}

result<code_signing_config> control_plane::get_code_signing_config(std::string_view arn) const {
    const auto guard = impl_->registry_.lock();
    if (const auto* c = impl_->find_code_signing_locked(arn)) return *c;
    return no_config(arn);
}

result<void> control_plane::delete_code_signing_config(std::string_view arn) {
    if (impl_->draining_) return error(errc::shutting_down);
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const auto c, get_code_signing_config(arn));
    HEARTH_TRY(const auto users, list_functions_by_code_signing_config(arn, {}, 1));
    if (!users.function_arns.empty())
        return error(errc::conflict, "The CodeSigningConfig is used by functions, such as " +
                                         users.function_arns.front() + ", and cannot be deleted");
    HEARTH_CHECK(impl_->storage_->remove_code_signing(c.id));
    const auto guard = impl_->registry_.lock();
    impl_->code_signing_.erase(c.arn);
    return {};
}

result<code_signing_page> control_plane::list_code_signing_configs(std::string_view marker,
                                                                   std::size_t max_items) const {
    HEARTH_TRY(max_items, control::page_size(max_items));
    code_signing_page page;
    const auto guard = impl_->registry_.lock();
    page.next_marker = control::fill_page(impl_->code_signing_, marker, max_items, page.configs);
    return page;
}

result<function_arn_page> control_plane::list_functions_by_code_signing_config(
    std::string_view arn, std::string_view marker, std::size_t max_items) const {
    HEARTH_TRY(max_items, control::page_size(max_items));
    HEARTH_CHECK(get_code_signing_config(arn));
    function_arn_page page;
    std::string last;
    impl_->registry_.visit_after(marker, [&](const control::entry& e) {
        if (e.attributes.code_signing_config_arn != arn) return true;
        if (page.function_arns.size() == max_items) {
            page.next_marker = last;
            return false;
        }
        page.function_arns.push_back(e.latest->stored.current.function_arn);
        last = e.name();
        return true;
    });
    return page;
}

result<void> control_plane::put_function_code_signing_config(std::string_view name,
                                                             std::string_view arn) {
    if (impl_->draining_) return error(errc::shutting_down);
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(name));
    if (!arn.empty() && get_code_signing_config(arn).has_error())
        return error(errc::not_found,
                     "The code signing configuration cannot be found. Check that the provided "
                     "configuration is not deleted: " +
                         std::string(arn));
    control::function_attributes next = e->attributes;
    next.code_signing_config_arn = arn;
    return impl_->change_attributes(e, std::move(next));
}

result<std::string> control_plane::get_function_code_signing_config(std::string_view name) const {
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(name));
    const auto guard = impl_->registry_.lock();
    return e->attributes.code_signing_config_arn;
}

}  // namespace hearth
