#pragma once

/// What the tests of faults share: what leaks, and limits of the process that are lowered for a
/// while.

#include "functions.hpp"

#include <catch2/catch.hpp>

#include <sys/resource.h>

#include <filesystem>
#include <iterator>
#include <mutex>
#include <string>

namespace faults {

inline std::size_t open_files() {
    namespace fs = std::filesystem;
    return static_cast<std::size_t>(std::distance(fs::directory_iterator("/proc/self/fd"), {}));
}

/// After shut_down.
inline void check_nothing_left(const hearth::metrics& m) {
    CHECK(m.pool.environments.starting == 0);
    CHECK(m.pool.environments.starting_ahead == 0);
    CHECK(m.pool.environments.running == 0);
    CHECK(m.pool.environments.idle() == 0);
    CHECK(m.pool.environments.ending == 0);
    CHECK(m.pool.shells == 0);
    CHECK(m.guest_memory.bytes() == 0);
    CHECK(m.concurrent_executions == 0);
}

/// A soft limit, until the end of the scope.
class lowered_limit {
  public:
    lowered_limit(decltype(RLIMIT_NOFILE) which, rlim_t to) : which_(which) {
        REQUIRE(::getrlimit(which_, &before_) == 0);
        rlimit lower = before_;
        lower.rlim_cur = to;
        REQUIRE(::setrlimit(which_, &lower) == 0);
    }
    lowered_limit(const lowered_limit&) = delete;
    lowered_limit& operator=(const lowered_limit&) = delete;
    ~lowered_limit() { ::setrlimit(which_, &before_); }

  private:
    decltype(RLIMIT_NOFILE) which_;
    rlimit before_{};
};

/// Keeps what the observer is told.
struct listener final : hearth::observer {
    void on_log(const hearth::log_record& r) override {
        const std::lock_guard lock(mutex);
        text += std::string(r.message) + '\n';
    }
    std::string heard() {
        const std::lock_guard lock(mutex);
        return text;
    }
    std::mutex mutex;
    std::string text;
};

}  // namespace faults
