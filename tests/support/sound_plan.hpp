#pragma once

#include "image/elf.hpp"
#include "vmm/x86_64/layout.hpp"

#include <cstdint>
#include <string>

namespace hearth::test {

/// Which of an accepted plan's promises to the loader is broken; empty: none.
inline std::string broken_promise(const image::elf_plan& plan, std::uint64_t file_size) {
    constexpr std::uint64_t end = vmm::layout::system_area.value;
    if (plan.segments.empty()) return "no segments";
    if ((plan.alignment & (plan.alignment - 1)) != 0 || plan.alignment > 1ULL << 30)
        return "alignment";
    std::uint64_t last = 0;
    for (const auto& s : plan.segments) {
        if (s.address < last) return "segments overlap";
        if (s.memory_size == 0 || s.file_size > s.memory_size) return "sizes";
        if (s.memory_size > end || s.address > end - s.memory_size) return "beyond user memory";
        if (s.offset > file_size || s.file_size > file_size - s.offset) return "beyond the file";
        if (s.address % 4096 != s.offset % 4096) return "pages";
        if (!plan.position_independent && s.address < 0x10000) return "below vm.mmap_min_addr";
        last = s.address + s.memory_size;
    }
    return {};
}

}  // namespace hearth::test
