/// Layers: published, listed, deleted, and given to functions.

#include "base/try.hpp"
#include "control/ascii.hpp"
#include "control/control_plane_impl.hpp"
#include "control/paging.hpp"
#include "control/validation.hpp"
#include "image/package_image.hpp"
#include "image/sha256.hpp"

#include <algorithm>

namespace hearth {

using control::stored_layer;

namespace {

constexpr std::size_t max_layer_name = 140, max_license = 512;
constexpr std::size_t max_runtimes = 15, max_architectures = 2;

struct layer_name {
    std::string name;
    std::string version;  ///< empty: none was given
};

error bad_name(const char* member, std::string_view text) {
    return control::violation(member, text,
                              "Member must satisfy regular expression pattern: "
                              "(arn:[a-zA-Z0-9-]+:lambda:[a-zA-Z0-9-]+:\\d{12}:layer:"
                              "[a-zA-Z0-9-_]+)|[a-zA-Z0-9-_]+");
}

bool is_plain(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return control::is_alnum(c) || c == '-' || c == '_';
    });
}

/// "NAME", or the ARN of a layer or of a version of one.
/// @errors errc::invalid_argument, not_found: of another region or account
result<layer_name> parse_layer(const control_plane::impl& impl,
                               const char* member,
                               std::string_view text) {
    if (text.size() > max_layer_name)
        return control::violation(member, text,
                                  "Member must have length less than or equal to 140");
    if (is_plain(text)) return layer_name{std::string(text), {}};
    const std::string ours = impl.layer_arn_of("");
    if (!text.starts_with("arn:") || text.find(":layer:") == text.npos)
        return bad_name(member, text);
    if (!text.starts_with(ours))
        return error(errc::not_found, "Layer version " + std::string(text) +
                                          " does not exist: this server serves region " +
                                          impl.options_.region + " and account " +
                                          impl.options_.account_id);
    text.remove_prefix(ours.size());
    const auto colon = text.find(':');
    layer_name found{std::string(text.substr(0, colon)), {}};
    if (colon != text.npos) found.version = text.substr(colon + 1);
    if (!is_plain(found.name) || (colon != text.npos && !control::version_number(found.version)))
        return bad_name(member, text);
    return found;
}

/// For operations on the layer itself.
result<std::string> parse_unversioned(const control_plane::impl& impl, std::string_view text) {
    HEARTH_TRY(auto name, parse_layer(impl, "layerName", text));
    if (!name.version.empty()) return bad_name("layerName", text);
    return std::move(name.name);
}

error no_layer(const std::string& version_arn) {
    return {errc::not_found, "Layer version " + version_arn + " does not exist."};
}

bool matches(const stored_layer& l, const layer_filter& filter) {
    const auto has = [](const std::vector<std::string>& list, const std::string& wanted) {
        return wanted.empty() || list.empty() || std::ranges::find(list, wanted) != list.end();
    };
    return !l.deleted && has(l.layer.compatible_runtimes, filter.compatible_runtime) &&
           has(l.layer.compatible_architectures, filter.compatible_architecture);
}

result<void> check(const publish_layer_request& r) {
    HEARTH_CHECK(control::check_description(r.description));
    if (r.license_info.size() > max_license)
        return control::violation("licenseInfo", r.license_info,
                                  "Member must have length less than or equal to 512");
    if (r.compatible_runtimes.size() > max_runtimes)
        return control::violation("compatibleRuntimes",
                                  std::to_string(r.compatible_runtimes.size()),
                                  "Member must have length less than or equal to 15");
    for (const std::string& each : r.compatible_runtimes)
        if (each.empty() || each.size() > 64 ||
            !std::ranges::all_of(each, [](char c) { return control::is_alnum(c) || c == '.'; }))
            return control::violation("compatibleRuntimes", each,
                                      "Member must satisfy enum value set of runtimes");
    if (r.compatible_architectures.size() > max_architectures)
        return control::violation("compatibleArchitectures",
                                  std::to_string(r.compatible_architectures.size()),
                                  "Member must have length less than or equal to 2");
    for (const std::string& each : r.compatible_architectures)
        if (each != "x86_64" && each != "arm64")
            return control::violation("compatibleArchitectures", each,
                                      "Member must satisfy enum value set: [x86_64, arm64]");
    return {};
}

}  // namespace

std::string control_plane::impl::layer_arn_of(std::string_view name, std::uint64_t version) const {
    std::string arn = "arn:aws:lambda:" + options_.region + ":" + options_.account_id + ":layer:";
    arn += name;
    if (version != 0) arn += ":" + std::to_string(version);
    return arn;
}

std::uint64_t control_plane::impl::total_code_size() const {
    std::uint64_t total = registry_.total_code_size();
    const auto guard = registry_.lock();
    for (const auto& [name, versions] : layers_)
        for (const auto& [number, each] : versions) total += each.layer.code_size;
    return total;
}

const stored_layer* control_plane::impl::find_layer_locked(std::string_view name,
                                                           std::uint64_t version) const {
    const auto layer = layers_.find(name);
    if (layer == layers_.end()) return nullptr;
    const auto at = layer->second.find(version);
    return at == layer->second.end() || at->second.deleted ? nullptr : &at->second;
}

result<void> control_plane::impl::resolve_layers(std::vector<layer_reference>& layers,
                                                 const image::package_image* code) const {
    if (layers.size() > image::max_layers)
        return error(errc::invalid_argument, "You cannot reference more than " +
                                                 std::to_string(image::max_layers) + " layers");
    std::vector<std::string> names;
    for (layer_reference& each : layers) {
        HEARTH_TRY(const auto name, parse_layer(*this, "layers", each.arn));
        if (name.version.empty())
            return error(errc::invalid_argument,
                         "The layer " + each.arn + " must be named by the ARN of a version");
        if (std::ranges::find(names, name.name) != names.end())
            return error(errc::invalid_argument,
                         "Two different versions of the same layer are not allowed to be "
                         "referenced in the same function. " +
                             layer_arn_of(name.name));
        names.push_back(name.name);
        const auto guard = registry_.lock();
        const stored_layer* found =
            find_layer_locked(name.name, *control::version_number(name.version));
        if (!found && each.code_sha256.empty())
            return error(errc::invalid_argument, no_layer(each.arn).message());
        // One that is deleted stays with the functions that have it.
        if (found)
            each = {found->layer.version_arn, found->layer.code_sha256, found->layer.code_size,
                    found->layer.unzipped_size};
    }
    return control::check_unzipped_size(layers, code);
}

result<void> control::check_unzipped_size(const std::vector<layer_reference>& layers,
                                          const image::package_image* code) {
    std::uint64_t unzipped = code ? code->unzipped_size() : 0;
    for (const layer_reference& each : layers) unzipped += each.unzipped_size;
    if (unzipped <= image::max_unzipped) return {};
    return error(errc::invalid_argument,
                 "Function code combined with layers exceeds the maximum allowed size of " +
                     std::to_string(image::max_unzipped) + " bytes. The actual size is " +
                     std::to_string(unzipped) + " bytes.");
}

result<std::shared_ptr<const image::package_image>> control_plane::impl::read_layers(
    const control::version_entry& v,
    const function_configuration& c,
    const image::package_image& code) {
    if (c.settings.layers.empty()) return v.layers;
    std::vector<package> zips;
    for (const layer_reference& each : c.settings.layers) {
        HEARTH_TRY(std::string zip,
                   storage_->get_package(image::hex_of_base64_digest(each.code_sha256)));
        zips.push_back(package::zip_bytes(std::move(zip)));
    }
    return image::package_image::load_layers(zips, code);
}

result<layer_version> control_plane::publish_layer_version(publish_layer_request request) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_TRY(const std::string name, parse_unversioned(*impl_, request.layer_name));
    HEARTH_CHECK(check(request));
    if (request.zip_file.empty())
        return error(errc::invalid_argument, "Please provide a source for layer content.");
    HEARTH_TRY(const auto image, image::package_image::from_zip(request.zip_file));
    const std::scoped_lock changes(impl_->changes_);
    stored_layer l;
    std::uint64_t last = 0;
    bool last_is_gone = false;
    {
        const auto guard = impl_->registry_.lock();
        if (const auto at = impl_->layers_.find(name);
            at != impl_->layers_.end() && !at->second.empty()) {
            last = at->second.rbegin()->first;
            last_is_gone = at->second.rbegin()->second.deleted;
        }
    }
    l.layer = {.name = name,
               .version = last + 1,
               .layer_arn = impl_->layer_arn_of(name),
               .version_arn = impl_->layer_arn_of(name, last + 1),
               .description = std::move(request.description),
               .license_info = std::move(request.license_info),
               .compatible_runtimes = std::move(request.compatible_runtimes),
               .compatible_architectures = std::move(request.compatible_architectures),
               .created_date = control::timestamp_now(),
               .code_sha256 = image->code_sha256(),
               .code_size = image->code_size(),
               .unzipped_size = image->unzipped_size()};
    HEARTH_CHECK(impl_->check_code_storage(l.layer.code_size));
    HEARTH_CHECK(impl_->storage_->put_package(image::hex_of_base64_digest(l.layer.code_sha256),
                                              request.zip_file));
    if (auto stored = impl_->storage_->put_layer(l); stored.has_error()) {
        impl_->drop_package_if_unused(l.layer.code_sha256);
        return stored.error();
    }
    // This one keeps the numbers' count from now on. A mark that stays does no harm.
    if (last_is_gone)
        if (auto removed = impl_->storage_->remove_layer(name, last); removed.has_error())
            impl_->tell(removed.error().message());
    const auto guard = impl_->registry_.lock();
    auto& versions = impl_->layers_[name];
    if (last_is_gone) versions.erase(last);
    return versions.emplace(last + 1, std::move(l)).first->second.layer;
}

result<layer_version> control_plane::get_layer_version(std::string_view layer,
                                                       std::uint64_t version) const {
    HEARTH_TRY(const std::string name, parse_unversioned(*impl_, layer));
    const auto guard = impl_->registry_.lock();
    if (const stored_layer* l = impl_->find_layer_locked(name, version)) return l->layer;
    return error(errc::not_found, "The resource you requested does not exist.");
}

result<layer_version> control_plane::get_layer_version_by_arn(std::string_view arn) const {
    HEARTH_TRY(const auto name, parse_layer(*impl_, "arn", arn));
    if (name.version.empty()) return bad_name("arn", arn);
    return get_layer_version(name.name, *control::version_number(name.version));
}

result<layer_page> control_plane::list_layers(const layer_filter& filter,
                                              std::string_view marker,
                                              std::size_t max_items) const {
    HEARTH_TRY(max_items, control::page_size(max_items, 50));
    layer_page page;
    const auto guard = impl_->registry_.lock();
    page.next_marker =
        control::fill_page(impl_->layers_, marker, max_items, page.layers,
                           [&](const auto& versions) -> const layer_version* {
                               const auto newest = std::find_if(
                                   versions.rbegin(), versions.rend(),
                                   [&](const auto& each) { return matches(each.second, filter); });
                               return newest == versions.rend() ? nullptr : &newest->second.layer;
                           });
    return page;
}

result<layer_page> control_plane::list_layer_versions(std::string_view layer,
                                                      const layer_filter& filter,
                                                      std::string_view marker,
                                                      std::size_t max_items) const {
    HEARTH_TRY(max_items, control::page_size(max_items, 50));
    HEARTH_TRY(const std::string name, parse_unversioned(*impl_, layer));
    const auto before = control::version_number(marker);
    if (!marker.empty() && !before)
        return error(errc::invalid_argument,
                     "The Marker is not one that ListLayerVersions returned");
    layer_page page;
    const auto guard = impl_->registry_.lock();
    const auto found = impl_->layers_.find(name);
    if (found == impl_->layers_.end()) return page;
    for (auto at = found->second.rbegin(); at != found->second.rend(); ++at) {
        if ((before && at->first >= *before) || !matches(at->second, filter)) continue;
        if (page.layers.size() == max_items) {
            page.next_marker = std::to_string(page.layers.back().version);
            break;
        }
        page.layers.push_back(at->second.layer);
    }
    return page;
}

result<void> control_plane::delete_layer_version(std::string_view layer, std::uint64_t version) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_TRY(const std::string name, parse_unversioned(*impl_, layer));
    const std::scoped_lock changes(impl_->changes_);
    stored_layer gone;
    bool is_last = false;
    {
        const auto guard = impl_->registry_.lock();
        const stored_layer* l = impl_->find_layer_locked(name, version);
        if (!l) return {};  // as at AWS
        gone.layer.name = name, gone.layer.version = version;
        gone.layer.code_sha256 = l->layer.code_sha256;
        is_last = impl_->layers_.find(name)->second.rbegin()->first == version;
    }
    const std::string code = std::exchange(gone.layer.code_sha256, {});
    gone.deleted = true;
    // The highest number leaves its mark, for it is never given again.
    if (is_last)
        HEARTH_CHECK(impl_->storage_->put_layer(gone));
    else
        HEARTH_CHECK(impl_->storage_->remove_layer(name, version));
    {
        const auto guard = impl_->registry_.lock();
        auto& versions = impl_->layers_.find(name)->second;
        if (is_last)
            versions[version] = std::move(gone);
        else
            versions.erase(version);
    }
    impl_->drop_package_if_unused(code);
    return {};
}

result<std::string> control_plane::read_layer(std::string_view layer, std::uint64_t version) const {
    HEARTH_TRY(const auto found, get_layer_version(layer, version));
    return impl_->storage_->get_package(image::hex_of_base64_digest(found.code_sha256));
}

result<policy_description> control_plane::add_layer_permission(std::string_view layer,
                                                               std::uint64_t version,
                                                               const permission_request& request) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_TRY(const std::string name, parse_unversioned(*impl_, layer));
    if (request.action != "lambda:GetLayerVersion")
        return control::violation("action", request.action,
                                  "Member must satisfy regular expression pattern: "
                                  "lambda:GetLayerVersion");
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(auto next, impl_->layer_for_policy(name, version, request.revision_id));
    HEARTH_TRY(auto statement,
               control::add_statement(next.policy, request, next.layer.version_arn));
    policy_description added{std::move(statement), next.policy.revision_id};
    HEARTH_CHECK(impl_->replace_layer(std::move(next)));
    return added;
}

result<void> control_plane::remove_layer_permission(std::string_view layer,
                                                    std::uint64_t version,
                                                    std::string_view statement_id,
                                                    std::string_view revision_id) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_TRY(const std::string name, parse_unversioned(*impl_, layer));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(auto next, impl_->layer_for_policy(name, version, revision_id));
    HEARTH_CHECK(control::remove_statement(next.policy, statement_id));
    return impl_->replace_layer(std::move(next));
}

result<policy_description> control_plane::get_layer_policy(std::string_view layer,
                                                           std::uint64_t version) const {
    HEARTH_TRY(const std::string name, parse_unversioned(*impl_, layer));
    const auto guard = impl_->registry_.lock();
    const stored_layer* l = impl_->find_layer_locked(name, version);
    if (!l) return no_layer(impl_->layer_arn_of(name, version));
    if (l->policy.statements.empty())
        return error(errc::not_found, "No policy is associated with the given resource.");
    return policy_description{control::write_policy(l->policy), l->policy.revision_id};
}

/// With `changes_` held, as the next.
result<stored_layer> control_plane::impl::layer_for_policy(const std::string& name,
                                                           std::uint64_t version,
                                                           std::string_view revision_id) const {
    const auto guard = registry_.lock();
    const stored_layer* l = find_layer_locked(name, version);
    if (!l) return no_layer(layer_arn_of(name, version));
    if (!revision_id.empty() && revision_id != l->policy.revision_id)
        return control::revision_mismatch();
    return *l;
}

result<void> control_plane::impl::replace_layer(stored_layer next) {
    HEARTH_CHECK(storage_->put_layer(next));
    const auto guard = registry_.lock();
    auto& place = layers_.find(next.layer.name)->second[next.layer.version];
    place = std::move(next);
    return {};
}

}  // namespace hearth
