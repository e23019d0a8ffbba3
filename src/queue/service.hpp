#pragma once

/// The body of `queue_service`: the thread that owns the store, in which a receive may wait for a
/// message of its queue (base/commit_thread.hpp).

#include "base/commit_thread.hpp"
#include "queue/store.hpp"

#include <hearth/queue.hpp>

#include <filesystem>
#include <memory>
#include <utility>

namespace hearth {

struct queue_service::impl : commit_thread<queues::store> {
    impl(queues::identity w, std::unique_ptr<queues::store> s, wall_clock now)
        : commit_thread(std::move(s), std::move(now), "messages"), who(std::move(w)) {}

    const queues::identity who;
};

namespace queues {

/// `file` as store::open. @errors errc::storage_failed
inline result<std::shared_ptr<queue_service::impl>> open_service(const std::filesystem::path& file,
                                                                 identity who,
                                                                 wall_clock now,
                                                                 room_listener told = {}) {
    HEARTH_TRY(auto opened, store::open(file, who, std::move(told)));
    return std::make_shared<queue_service::impl>(std::move(who), std::move(opened), std::move(now));
}

}  // namespace queues

}  // namespace hearth
