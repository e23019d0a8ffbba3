#pragma once

/// The page LSTAR points to: user-readable and -executable, never writable. SYSCALL arrives here at
/// CPL0 (hardware KVM) or still at CPL3 (software KVM) with RIP in RCX and RFLAGS in R11.
///
///     entry    the trivial calls branch to their answer; anything else falls to the OUT
///     out      out syscall_port, al ; sysretq        one exit to the host
///     answers  a slot per trivial call: RAX from the vvar page, and back to RCX; no exit
///
/// An answer keeps every register but RAX, RCX and R11, as Linux does, and the arithmetic flags. On
/// software KVM there is no instruction that restores TF and DF without a stack, so a program that
/// has one of them set takes the OUT instead.
///
/// The offsets are fixed, so the vcpu can tell from RIP alone where in the stub a kick stopped it.

#include "vmm/address.hpp"
#include "vmm/kvm.hpp"
#include "vmm/x86_64/layout.hpp"
#include "vmm/x86_64/vvar.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace hearth::vmm::x86_64 {

inline constexpr std::uint8_t syscall_port = 0xf0;

inline constexpr gva stub_entry = layout::va_of(layout::syscall_stub);
inline constexpr gva stub_out = stub_entry + 0x80;
inline constexpr gva stub_after_out = stub_out + 2;
inline constexpr gva stub_answers = stub_entry + 0x100;
inline constexpr gva stub_end = stub_entry + page_size;
inline constexpr std::uint64_t stub_answer_size = 64;

/// A call answered in the page: its number and the offset of its answer in vvar.
struct trivial_call {
    std::uint32_t number;
    std::uint32_t answer;
};
inline constexpr std::array<trivial_call, 7> trivial_calls{{
    {39, offsetof(vvar, pid)},    // getpid
    {186, offsetof(vvar, tid)},   // gettid
    {110, offsetof(vvar, ppid)},  // getppid
    {102, offsetof(vvar, uid)},   // getuid
    {107, offsetof(vvar, euid)},  // geteuid
    {104, offsetof(vvar, gid)},   // getgid
    {108, offsetof(vvar, egid)},  // getegid
}};

constexpr bool in_stub(std::uint64_t rip) noexcept {
    return rip >= stub_entry.value && rip < stub_end.value;
}

/// The trivial call whose answer slot holds `rip`. RAX may be lost there already; this is its
/// number.
constexpr std::optional<std::uint32_t> trivial_call_at(std::uint64_t rip) noexcept {
    if (rip < stub_answers.value) return std::nullopt;
    const std::uint64_t slot = (rip - stub_answers.value) / stub_answer_size;
    if (slot >= trivial_calls.size()) return std::nullopt;
    return trivial_calls[slot].number;
}

/// Writes the page for one flavour. Without `fast`, every call takes the OUT.
void write_syscall_stub(std::span<std::byte, page_size> page, flavour flavour, bool fast) noexcept;

}  // namespace hearth::vmm::x86_64
