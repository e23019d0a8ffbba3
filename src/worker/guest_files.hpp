#pragma once

#include "worker/worker.hpp"

#include <hearth/error.hpp>

#include <memory>
#include <string>

namespace hearth::guest::vfs {
class filesystem;
}
namespace hearth::net {
class rules;
}

namespace hearth::worker {

/// What the environments of a version share. Immutable, but for what `network` learns.
struct version_data {
    version_spec spec;
    /// What a function sees: its package, /tmp, and the runtime's read-only root. errc::io_failed:
    /// no environment can be made.
    result<std::shared_ptr<guest::vfs::filesystem>> files;
    std::shared_ptr<net::rules> network;  ///< null: nothing outside is reached
    std::string in_process_log_stream;    ///< of a function that has no environments
};

std::shared_ptr<const version_data> make_version_data(version_spec spec,
                                                      const worker_options& options);

}  // namespace hearth::worker
