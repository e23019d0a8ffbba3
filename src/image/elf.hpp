#pragma once

/// Reads an ELF executable: bytes → plan. Pure; every offset and size is checked.

#include <hearth/error.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hearth::image {

struct elf_segment {
    std::uint64_t address = 0, memory_size = 0;  ///< as linked; add the load bias for a PIE
    std::uint64_t offset = 0, file_size = 0;
    bool read = false, write = false, execute = false;
    bool operator==(const elf_segment&) const = default;
};

struct elf_plan {
    bool position_independent = false;  ///< ET_DYN: needs a load bias
    std::uint64_t entry = 0;
    std::vector<elf_segment> segments;  ///< PT_LOAD, ascending
    std::uint64_t phdr_address = 0;     ///< AT_PHDR before the bias; zero if not loaded
    std::uint16_t phdr_count = 0;
    std::string interpreter;            ///< PT_INTERP; empty: static
    bool executable_stack = false;      ///< PT_GNU_STACK
    std::uint64_t alignment = 4096;     ///< the largest p_align
};

/// `head` is the start of the file (at least the headers: 64 KiB suffice), `file_size` its whole size.
/// @errors errc::bad_executable: not ELF, wrong class / machine / type, malformed; the detail says which
result<elf_plan> read_elf(std::span<const std::byte> head, std::uint64_t file_size);

/// The DT_NEEDED names and DT_RUNPATH/DT_RPATH of a dynamic executable; `file` is the whole file.
struct elf_dynamic {
    std::vector<std::string> needed;
    std::vector<std::string> run_path;
};
result<elf_dynamic> read_elf_dynamic(std::span<const std::byte> file);

}  // namespace hearth::image
