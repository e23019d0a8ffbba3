#pragma once

/// What a `hearth::package` remembers until it is read.

#include <hearth/package.hpp>

#include <filesystem>
#include <string>
#include <variant>

namespace hearth::detail {

struct zip_file {
    std::filesystem::path path;
};
struct zip_memory {
    std::string bytes;
};
struct elf_file {
    std::filesystem::path path;
};
struct elf_memory {
    std::string bytes;
};
struct directory_tree {
    std::filesystem::path path;
};

struct package_source {
    std::variant<zip_file, zip_memory, elf_file, elf_memory, directory_tree, in_process_handler>
        from;
};

}  // namespace hearth::detail
