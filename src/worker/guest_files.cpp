#include "worker/guest_files.hpp"

#include "base/try.hpp"
#include "guest/vfs/filesystem.hpp"
#include "net/rules.hpp"
#include "worker/stored_log.hpp"

#include <utility>

namespace hearth::worker {
namespace {

result<std::shared_ptr<guest::vfs::filesystem>> guest_files(const version_spec& spec,
                                                            const worker_options& options) {
    if (spec.code && spec.code->in_process()) return std::shared_ptr<guest::vfs::filesystem>();
    HEARTH_TRY(auto layout,
               guest::vfs::lambda_root(spec.code.get(), options.guest_root, spec.ephemeral_storage,
                                       spec.runtime.get(), spec.layers.get()));
    return guest::vfs::filesystem::create(std::move(layout));
}

}  // namespace

std::shared_ptr<const version_data> make_version_data(version_spec spec,
                                                      const worker_options& options) {
    auto files = guest_files(spec, options);
    std::shared_ptr<net::rules> network;
    if (auto policy = net::policy::parse(spec.network); policy && !policy->none())
        network = std::make_shared<net::rules>(std::move(*policy));
    std::string stream;
    if (spec.code && spec.code->in_process()) stream = make_log_stream_name(spec.version);
    return std::make_shared<const version_data>(
        version_data{std::move(spec), std::move(files), std::move(network), std::move(stream)});
}

}  // namespace hearth::worker
