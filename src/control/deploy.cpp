/// `runtime::deploy`: the embedder's way, which waits for no activation.

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/events.hpp"
#include "control/validation.hpp"
#include "image/package_source.hpp"
#include "image/sha256.hpp"
#include "net/policy.hpp"

#include <fstream>
#include <iterator>

namespace hearth {

using control::entry_ptr;
using control::version_entry;

namespace {

result<std::string> read_whole(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return error(errc::io_failed, "cannot read " + path.string());
    std::error_code ec;
    if (std::filesystem::file_size(path, ec) > image::max_zipped)
        return error(errc::package_too_large, path.string() + " is larger than 50 MB");
    return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

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
    HEARTH_CHECK(impl_->runtimes_.check(settings.runtime));
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

    auto latest = std::make_shared<version_entry>();
    HEARTH_TRY(latest->layers, image::package_image::load_layers(config.layers, *code));
    latest->policy = {config.pool, config.isolation, config.snapshot, config.network};
    latest->stored.current = {.function_name = name.name,
                              .function_arn = impl_->arn_of(name.name),
                              .settings = std::move(settings),
                              .code_size = code->code_size(),
                              .code_sha256 = code->code_sha256(),
                              .last_modified = control::timestamp_now(),
                              .revision_id = control::make_uuid(),
                              .state = function_state::active};
    const function_configuration deployed = latest->stored.current;
    HEARTH_TRY(auto spec,
               impl_->make_spec(deployed, std::move(code), latest->layers, latest->policy));
    HEARTH_TRY(latest->serving, impl_->hosts_.deploy(std::move(spec)));
    if (config.pool.min_idle + config.pool.provisioned_concurrency > 0)
        HEARTH_CHECK(latest->serving->initialize());

    const std::scoped_lock changes(impl_->changes_);
    const entry_ptr before = impl_->registry_.find(name.name);
    if (zip) {
        HEARTH_CHECK(impl_->check_code_storage(deployed.code_size));
        HEARTH_CHECK(
            impl_->storage_->put_package(image::hex_of_base64_digest(deployed.code_sha256), *zip));
    }
    const bool same_kind = before && before->durable == zip.has_value();
    if (zip) {
        HEARTH_CHECK(impl_->storage_->put(
            {latest->stored, same_kind ? before->attributes : control::function_attributes()}));
    } else if (before && before->durable) {
        HEARTH_CHECK(impl_->storage_->remove(name.name));
    }
    std::vector<std::string> old_code;
    if (before) {
        const auto guard = impl_->registry_.lock();
        const auto let_go = [&](control::version_entry& v) {
            ++v.generation;  // an activation under way is no longer wanted
            old_code.push_back(v.stored.current.code_sha256);
        };
        let_go(*before->latest);
        if (same_kind) {
            before->latest = std::move(latest);
        } else {
            for (const auto& [number, version] : before->published) let_go(*version);
        }
    }
    if (!same_kind) {
        auto e = std::make_shared<control::entry>(name.name);
        e->durable = zip.has_value();
        e->latest = std::move(latest);
        impl_->registry_.insert(name.name, std::move(e));
    }
    for (const std::string& each : old_code) impl_->drop_package_if_unused(each);
    if (same_kind && !before->attributes.scaling.empty()) impl_->apply_provisioned(before);
    impl_->events_->changed(deployed.function_name);
    return deployed;
}

}  // namespace hearth
