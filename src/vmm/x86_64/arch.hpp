#pragma once

/// Constants of the x86-64 architecture that the rest of vmm names (SDM vol. 3, "Control
/// Registers", "Paging", vol. 4 for the MSRs), and the few choices of ours they depend on. No
/// ioctl.

#include <cstdint>

namespace hearth::vmm::x86_64 {

// Page-table entries.
inline constexpr std::uint64_t pte_present = 1;
inline constexpr std::uint64_t pte_write = 1u << 1;
inline constexpr std::uint64_t pte_user = 1u << 2;
inline constexpr std::uint64_t pte_accessed = 1u << 5;
inline constexpr std::uint64_t pte_dirty = 1u << 6;
inline constexpr std::uint64_t pte_no_execute = 1ull << 63;

// Control registers. CR0 as Linux sets it; AM, so that a program's EFLAGS.AC works.
inline constexpr std::uint64_t cr0 = 0x8005'0033;  // PG AM WP NE ET MP PE
inline constexpr std::uint64_t cr4_pae = 1u << 5;
inline constexpr std::uint64_t cr4_osfxsr = 1u << 9;
inline constexpr std::uint64_t cr4_osxmmexcpt = 1u << 10;
inline constexpr std::uint64_t cr4_fsgsbase = 1u << 16;
inline constexpr std::uint64_t cr4_osxsave = 1u << 18;
/// What any CPU of this architecture takes. SMEP and SMAP stay off: the stub is a user page run at
/// CPL0.
inline constexpr std::uint64_t cr4_required = cr4_pae | cr4_osfxsr | cr4_osxmmexcpt;
inline constexpr std::uint64_t efer = 0xd01;  // NXE LMA LME SCE

// Model-specific registers.
inline constexpr std::uint32_t msr_tsc = 0x10;
inline constexpr std::uint32_t msr_star = 0xc000'0081;
inline constexpr std::uint32_t msr_lstar = 0xc000'0082;
inline constexpr std::uint32_t msr_sfmask = 0xc000'0084;

// Selectors of the GDT in the system area. SYSRET takes CS = STAR[63:48]+16 and SS = +8, so user
// data stands below user code. The slot under both, a 32-bit code segment elsewhere, is left empty.
inline constexpr std::uint16_t kernel_code = 0x08;
inline constexpr std::uint16_t kernel_data = 0x10;
inline constexpr std::uint16_t user_data = 0x23;
inline constexpr std::uint16_t user_code = 0x2b;
inline constexpr std::uint16_t task_state = 0x30;
inline constexpr std::uint64_t star = 0x1bull << 48 | std::uint64_t{kernel_code} << 32;

// RFLAGS.
inline constexpr std::uint64_t flag_fixed = 1u << 1;
inline constexpr std::uint64_t flag_trap = 1u << 8;
inline constexpr std::uint64_t flag_interrupt = 1u << 9;
inline constexpr std::uint64_t flag_direction = 1u << 10;
/// Cleared by SYSCALL: with TF a single-stepping program would trap inside the stub.
inline constexpr std::uint64_t sfmask = flag_trap | flag_interrupt | flag_direction;
/// What POPF at CPL3 can change: CF PF AF ZF SF TF DF OF NT AC ID.
inline constexpr std::uint64_t user_flags = 0x24'4dd5;

/// RFLAGS as user code may have them: interrupts on, IOPL 0, no VM, VIF, VIP, RF.
constexpr std::uint64_t user_rflags(std::uint64_t flags) noexcept {
    return (flags & user_flags) | flag_fixed | flag_interrupt;
}

/// Bits 63..47 all alike (four-level paging).
constexpr bool is_canonical(std::uint64_t address) noexcept {
    const std::uint64_t high = address >> 47;
    return high == 0 || high == 0x1'ffff;
}
/// The nearest thing to `address` that a base register takes.
constexpr std::uint64_t to_canonical(std::uint64_t address) noexcept {
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(address << 16) >> 16);
}
inline constexpr std::uint64_t user_half_end = 1ull << 47;

inline constexpr std::uint8_t vector_general_protection = 13;
inline constexpr std::uint8_t vector_page_fault = 14;

// Page-fault error codes.
inline constexpr std::uint32_t fault_protection = 1u << 0;
inline constexpr std::uint32_t fault_write = 1u << 1;
inline constexpr std::uint32_t fault_user = 1u << 2;
inline constexpr std::uint32_t fault_fetch = 1u << 4;

/// The error code as a program may see it. Above the user half it tells what stands in the host kernel's
/// tables on software KVM: there every fault is one of protection, as in Linux (sanitize_error_code).
constexpr std::uint32_t user_fault(std::uint32_t error, std::uint64_t address) noexcept {
    if (address < user_half_end) return error;
    return (error & (fault_write | fault_user | fault_fetch)) | fault_protection;
}

/// Raised by INT3 and INTO: the frame's RIP is past the instruction.
constexpr bool is_software_exception(unsigned vector) noexcept { return vector == 3 || vector == 4; }

/// Whether the CPU pushes an error code (SDM, "Exception and Interrupt Reference").
constexpr bool has_error_code(unsigned vector) noexcept {
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21;
}

}  // namespace hearth::vmm::x86_64
