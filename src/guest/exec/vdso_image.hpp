#pragma once

/// The vDSO that every guest sees: an ELF shared object of guest code, built from vdso/vdso.c and
/// part of this library, one segment at 0, to stand at `layout::vdso` right above the vvar page it
/// reads.

#include "guest/mm/address_space.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/x86_64/layout.hpp"

#include <cstddef>
#include <span>

namespace hearth::guest::exec {

/// The whole ELF file; at most layout::vdso_pages pages.
std::span<const std::byte> vdso_image() noexcept;

/// Copies it to its frames. Once, when the guest's memory is made; a snapshot carries it.
void install_vdso(vmm::guest_memory& memory) noexcept;

/// AT_SYSINFO_EHDR.
inline constexpr gva vdso_address = vmm::layout::va_of(vmm::layout::vdso);
static_assert(vdso_address - vmm::layout::va_of(vmm::layout::vvar) == vmm::page_size);

/// Adds [vvar] and [vdso] to a process's mappings, for /proc/self/maps. They lie beyond
/// `mm::user_end`: no call of the guest can change them.
void show_vdso(mm::mm_state& state);

}  // namespace hearth::guest::exec
