#include "guest/exec/vdso_image.hpp"

#include "base/assert.hpp"

#include <algorithm>

// HEARTH_VDSO_FILE is the object that the build made of vdso/vdso.c (mm.cmake).
__asm__(
    ".pushsection .rodata.hearth_vdso, \"a\", @progbits\n"
    ".balign 16\n"
    ".hidden hearth_vdso_begin\n"
    ".hidden hearth_vdso_end\n"
    ".globl hearth_vdso_begin, hearth_vdso_end\n"
    "hearth_vdso_begin:\n"
    ".incbin \"" HEARTH_VDSO_FILE
    "\"\n"
    "hearth_vdso_end:\n"
    ".popsection\n");

extern "C" {
extern const std::byte hearth_vdso_begin[] __attribute__((visibility("hidden")));
extern const std::byte hearth_vdso_end[] __attribute__((visibility("hidden")));
}

namespace hearth::guest::exec {

namespace layout = vmm::layout;

std::span<const std::byte> vdso_image() noexcept { return {hearth_vdso_begin, hearth_vdso_end}; }

void install_vdso(vmm::guest_memory& memory) noexcept {
    const auto image = vdso_image();
    HEARTH_ASSERT(image.size() <= layout::vdso_pages * vmm::page_size);
    std::byte* const to = memory.at(layout::vdso, layout::vdso_pages * vmm::page_size);
    HEARTH_ASSERT(to != nullptr);
    std::ranges::copy(image, to);
}

void show_vdso(mm::mm_state& state) {
    mm::vma vvar{.end = vdso_address, .prot = {.read = true}, .file = {}, .name = "[vvar]"};
    mm::vma vdso{.end = vdso_address + layout::vdso_pages * vmm::page_size,
                 .prot = {.read = true, .execute = true},
                 .file = {},
                 .name = "[vdso]"};
    state.vmas.insert_or_assign(layout::va_of(layout::vvar), std::move(vvar));
    state.vmas.insert_or_assign(vdso_address, std::move(vdso));
}

}  // namespace hearth::guest::exec
