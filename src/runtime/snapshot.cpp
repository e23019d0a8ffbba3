#include "base/try.hpp"
#include "runtime/sandbox_impl.hpp"
#include "runtime/snapshot_impl.hpp"
#include "sandbox/shared_randomness.hpp"
#include "sandbox/snapshot_format.hpp"

#include <utility>

namespace hearth {

result<sandbox> snapshot::clone(sandbox_output output) const {
    auto made = std::make_unique<sandbox::impl>(impl_->origin, std::move(output),
                                                impl_->randomness != nullptr);
    HEARTH_CHECK(made->become(impl_));
    return sandbox(std::move(made));
}

result<void> snapshot::clone_into(sandbox& used) const { return used.impl_->become(impl_); }

result<void> snapshot::save(const std::filesystem::path& file) const {
    if (impl_->image->root)
        return error(errc::unsupported,
                     "the snapshot of a clone cannot be stored: it is the difference to the "
                     "snapshot it stems from; store that one");
    return detail::save_snapshot(file, impl_->origin.key, *impl_->image, {},
                                 detail::guest_files(*impl_->origin.files));
}

result<snapshot> snapshot::load(const hypervisor& host,
                                const std::filesystem::path& file,
                                const sandbox_config& config) {
    HEARTH_TRY(auto guest, configure(host.impl_, config));
    HEARTH_TRY(auto stored, detail::load_snapshot(file, guest.origin.key,
                                                  detail::guest_files(*guest.origin.files)));
    auto loaded = std::make_shared<impl>();
    loaded->origin = std::move(guest.origin);
    loaded->image = std::make_shared<const detail::snapshot_image>(std::move(stored.image));
    return snapshot(std::move(loaded));
}

result<randomness_report> snapshot::shared_randomness() const {
    if (!impl_->randomness)
        return error(errc::invalid_argument,
                     "the guest's randomness was not recorded: set record_randomness in the "
                     "configuration it is created with");
    const detail::random_record& given = *impl_->randomness;
    auto found = detail::find_shared_randomness(*impl_->image, given);
    randomness_report report;
    report.recorded = given.bytes().size();
    report.complete = found.complete && given.complete();
    for (auto& place : found.places)
        report.places.push_back({place.from == detail::random_record::source::drawn
                                     ? shared_bytes::source::drawn
                                     : shared_bytes::source::at_random,
                                 place.address.value, place.length, std::move(place.mapping)});
    return report;
}

byte_count snapshot::size() const noexcept {
    const detail::snapshot_image& image = *impl_->image;
    return byte_count(image.root ? image.written.bytes.size()
                                 : image.base->pages() * vmm::page_size);
}

}  // namespace hearth
