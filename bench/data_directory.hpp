#pragma once

#include "bench.hpp"

#include <unistd.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace hearth::bench {

/// A workload's own, beside the binary, not in /tmp: that may be no disk.
class data_directory {
  public:
    explicit data_directory(const context& ctx)
        : path_(ctx.binary("bench_data." + std::to_string(::getpid()))) {
        std::filesystem::create_directories(path_);
    }
    ~data_directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    data_directory(const data_directory&) = delete;
    data_directory& operator=(const data_directory&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

}  // namespace hearth::bench
