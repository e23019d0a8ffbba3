#include "control/hosts.hpp"

#include <chrono>
#include <cstdint>
#include <utility>

namespace hearth::control {

hosts::hosts(std::vector<worker::worker*> workers)
    : workers_(std::move(workers)),
      random_(
          static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count())) {
}

result<std::shared_ptr<worker::deployed_version>> hosts::deploy(worker::version_spec spec) {
    std::vector<sched::host_view> views;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
        sched::host_view v = workers_[i]->view(spec);
        v.id = static_cast<sched::host_id>(i);
        views.push_back(v);
    }
    const sched::placement_request request{.snapshot = {}, .memory = spec.memory};
    const auto decision = [&] {
        const std::lock_guard lock(mutex_);
        return sched::place(views, request, policy_, random_, std::chrono::steady_clock::now());
    }();
    if (const auto* none = std::get_if<sched::refused>(&decision)) return sched::to_error(*none);
    const auto host = static_cast<std::size_t>(std::get<sched::placed>(decision).host);
    return workers_[host]->deploy(std::move(spec));
}

result<void> hosts::set_reserved_concurrency(const std::string& function_arn,
                                             std::optional<std::size_t> reserved) {
    for (auto* w : workers_)
        if (auto set = w->set_reserved_concurrency(function_arn, reserved); set.has_error())
            return set;
    return {};
}

void hosts::keep_snapshots(const std::vector<std::string>& functions) {
    for (auto* w : workers_) w->keep_snapshots(functions);
}

void hosts::remove_snapshots(const std::string& function) {
    for (auto* w : workers_) w->remove_snapshots(function);
}

}  // namespace hearth::control
