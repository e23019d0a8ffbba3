#pragma once

/// From what an embedder names (a program of a host directory, a deployment package) to what a
/// sandbox is given: a file tree and a program in it.

#include "guest/vfs/filesystem.hpp"
#include "sandbox/sandbox.hpp"

#include <hearth/error.hpp>
#include <hearth/package.hpp>
#include <hearth/units.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace hearth::detail {

struct guest_program {
    program what;
    std::shared_ptr<guest::vfs::filesystem> files;
    /// Another when the program's file, or its package, has changed.
    std::string version;
};

struct guest_program_request {
    const std::vector<std::string>& arguments;
    const std::vector<std::string>& environment;
    const std::filesystem::path& working_directory;
    const std::filesystem::path& root;
    byte_count tmp_size;
    bool network = false;  ///< it has one: names are asked of the host
};

/// Of `root`, which the guest sees whole. @errors as run_program
result<guest_program> program_of_root(const guest_program_request& request);
/// Of a package at /var/task; the guest sees of `root` what functions see. @errors as
/// runtime::deploy
result<guest_program> program_of_package(const guest_program_request& request, const package& code);

}  // namespace hearth::detail
