#pragma once

/// The hosts that run versions, and which of them gets a new one: what sched::place decides over
/// their views. There is one host today, this process; the control plane already asks as if there
/// were more.
///
/// Thread-safe. Workers outlive it.

#include "sched/placement.hpp"
#include "worker/worker.hpp"

#include <hearth/error.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace hearth::control {

class hosts {
  public:
    /// The first is host 0.
    explicit hosts(std::vector<worker::worker*> workers);

    /// Deploys the version on the host that placement chooses: one that holds its snapshot first.
    /// @errors errc::no_room: on none is there, or can there be made, room for one environment;
    /// those of worker::deploy
    result<std::shared_ptr<worker::deployed_version>> deploy(worker::version_spec spec);

    /// On every host. @errors as worker::set_reserved_concurrency
    result<void> set_reserved_concurrency(const std::string& function_arn,
                                          std::optional<std::size_t> reserved);

    void keep_snapshots(const std::vector<std::string>& functions);
    void remove_snapshots(const std::string& function);

  private:
    const std::vector<worker::worker*> workers_;
    const sched::placement_policy policy_;
    std::mutex mutex_;  // a leaf; guards random_
    sched::random_source random_;
};

}  // namespace hearth::control
