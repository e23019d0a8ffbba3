#pragma once

/// Hearth's own pages in a guest (layout.hpp): the tables that map them, GDT, TSS, IDT, exception
/// stubs and the syscall stub. Written once per microVM, before its vCPU first runs; no ioctl.
///
/// Every gate leads to a 16-byte stub `out vector, al` on a supervisor page: the host sees the
/// vector as the port and finds the CPU's frame at RSP, on a page user code cannot reach.

#include "vmm/guest_memory.hpp"
#include "vmm/kvm.hpp"
#include "vmm/x86_64/layout.hpp"

#include <hearth/error.hpp>

#include <cstdint>
#include <optional>

namespace hearth::vmm::x86_64 {

inline constexpr std::uint64_t exception_stub_size = 16;
inline constexpr gva exception_stack_top = layout::va_of(layout::exception_stack) + page_size;

inline constexpr gva gdt = layout::va_of(layout::gdt_tss);
inline constexpr std::uint16_t gdt_limit = 8 * 8 - 1;
inline constexpr gva tss = gdt + 0x100;
/// 0x68 bytes of TSS, a bit for each of the ports 0..255, and the 0xff that must end the map (SDM
/// vol. 1, "I/O Permission Bit Map"). The limit is the last byte's offset.
inline constexpr std::uint32_t io_bitmap_offset = 0x68;
inline constexpr std::uint32_t tss_limit = io_bitmap_offset + 256 / 8;
inline constexpr gva idt = layout::va_of(layout::idt);
inline constexpr std::uint16_t idt_limit = 256 * 16 - 1;

/// The vector whose stub holds `rip`, which may stand past the stub's OUT.
constexpr std::optional<std::uint8_t> exception_vector_at(std::uint64_t rip) noexcept {
    constexpr gva stubs = layout::va_of(layout::exception_stubs);
    if (rip < stubs.value || rip - stubs.value >= 256 * exception_stub_size) return std::nullopt;
    return static_cast<std::uint8_t>((rip - stubs.value) / exception_stub_size);
}

/// @errors errc::invalid_argument: the memory ends before layout::first_free
result<void> write_system_area(guest_memory& memory, flavour flavour, bool fast_syscalls);

}  // namespace hearth::vmm::x86_64
