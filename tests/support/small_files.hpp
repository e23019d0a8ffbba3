#pragma once

#include <catch2/catch.hpp>

#include <sys/resource.h>

#include <csignal>

namespace hearth::test {

/// While it lives, this process writes no file beyond so many bytes.
class small_files {
  public:
    explicit small_files(rlim_t bytes) : signal_(std::signal(SIGXFSZ, SIG_IGN)) {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit now{bytes, before_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &now) == 0);
    }
    ~small_files() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, signal_);
    }
    small_files(const small_files&) = delete;
    small_files& operator=(const small_files&) = delete;

  private:
    void (*signal_)(int);
    rlimit before_{};
};

}  // namespace hearth::test
