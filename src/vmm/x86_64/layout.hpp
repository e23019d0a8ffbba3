#pragma once

/// Where Hearth's own pages stand in every guest: the system area, the last 2 MiB of the user half less
/// its last page (never mapped: FACTS 2.1, `sysretq` to a non-canonical RIP). One leaf table of its own,
/// which user mappings never share. Constants only; no ioctl.

#include "vmm/address.hpp"

namespace hearth::vmm::layout {

// Guest-physical: the fixed frames below `first_free`. Everything from there on is the frame allocator's.
inline constexpr gpa pml4{0x1000};        ///< the root; entry 255 leads to the system area
inline constexpr gpa system_pdpt{0x2000}; ///< PML4[255]: also the tables of user mappings above 0x7f80'0000'0000
inline constexpr gpa system_pd{0x3000};   ///< PDPT[511]: also the tables of user mappings in the last GiB
inline constexpr gpa system_pt{0x4000};   ///< PD[511]: the system area's own leaf table
inline constexpr gpa gdt_tss{0x5000};     ///< GDT at +0, TSS with its I/O bitmap at +0x100
inline constexpr gpa idt{0x6000};
inline constexpr gpa exception_stubs{0x7000};
inline constexpr gpa exception_stack{0x8000};
inline constexpr gpa syscall_stub{0x9000};
inline constexpr gpa vvar{0xa000};        ///< read by vDSO and stub: vvar.hpp
inline constexpr gpa vdso{0xb000};        ///< up to vdso_pages
inline constexpr std::uint64_t vdso_pages = 4;
inline constexpr gpa fpu_loader{0xf000};  ///< fpu_loader.hpp
inline constexpr gpa first_free{0x10000};

// Guest-virtual.
inline constexpr gva system_area{0x7fff'ffe0'0000};  ///< user mappings end here
inline constexpr gva system_area_end{0x7fff'ffff'f000};
/// The VA of a fixed frame: system_area + (gpa - gdt_tss).
constexpr gva va_of(gpa frame) noexcept { return system_area + (frame.value - gdt_tss.value); }

}  // namespace hearth::vmm::layout
