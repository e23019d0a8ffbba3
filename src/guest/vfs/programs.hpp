#pragma once

/// Programs out of the guest's own file namespace.

#include "guest/exec/program_source.hpp"
#include "guest/vfs/filesystem.hpp"

namespace hearth::guest::vfs {

class programs final : public exec::program_source {
  public:
    programs(const filesystem& files, context c) noexcept : files_(files), context_(c) {}
    outcome<mm::file_backing> open(std::string_view path) override {
        return files_.open_program(context_, path);
    }

  private:
    const filesystem& files_;
    context context_;
};

}  // namespace hearth::guest::vfs
