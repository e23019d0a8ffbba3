#pragma once

/// The body of `stream_service`: the thread that owns the store, in which a read may wait for a
/// record of its shard (base/commit_thread.hpp).

#include "base/commit_thread.hpp"
#include "stream/store.hpp"

#include <hearth/data_stream.hpp>

#include <filesystem>
#include <memory>
#include <utility>

namespace hearth {

struct stream_service::impl : commit_thread<streams::store> {
    impl(identity w, std::unique_ptr<streams::store> s, wall_clock now)
        : commit_thread(std::move(s), std::move(now), "records"), who(std::move(w)) {}

    const identity who;
};

namespace streams {

/// `file` as store::open. @errors errc::storage_failed
inline result<std::shared_ptr<stream_service::impl>> open_service(const std::filesystem::path& file,
                                                                  identity who,
                                                                  wall_clock now,
                                                                  room_listener told = {}) {
    HEARTH_TRY(auto opened, store::open(file, who, std::move(told)));
    return std::make_shared<stream_service::impl>(std::move(who), std::move(opened),
                                                  std::move(now));
}

}  // namespace streams

}  // namespace hearth
