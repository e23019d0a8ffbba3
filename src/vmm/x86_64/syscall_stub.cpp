#include "vmm/x86_64/syscall_stub.hpp"

#include "vmm/x86_64/arch.hpp"
#include "vmm/x86_64/assembler.hpp"

#include <algorithm>

namespace hearth::vmm::x86_64 {
void write_syscall_stub(std::span<std::byte, page_size> page, flavour flavour, bool fast) noexcept {
    const bool software = flavour == flavour::software;
    // Where nothing is written, a wild jump traps (INT3).
    std::ranges::fill(page, std::byte{0xcc});
    assembler code(page, stub_entry);

    code.seek(stub_entry);
    if (fast) {
        for (std::size_t i = 0; i < trivial_calls.size(); i++) {
            code.emit({0x3d});  // cmp eax, number
            code.emit32(trivial_calls[i].number);
            code.emit({0x0f, 0x84});  // je answer
            code.relative_to(stub_answers + i * stub_answer_size);
        }
    }
    code.emit({0xe9});  // jmp out
    code.relative_to(stub_out);

    code.seek(stub_out);
    code.emit({0xe6, syscall_port, 0x48, 0x0f, 0x07});  // out port, al ; sysretq

    if (!fast) return;
    for (std::size_t i = 0; i < trivial_calls.size(); i++) {
        const gva slot = stub_answers + i * stub_answer_size;
        const gva answer = layout::va_of(layout::vvar) + trivial_calls[i].answer;
        code.seek(slot);
        if (software) {
            // KVM emulates a SYSCALL made with a non-canonical RSP, and then it is at CPL0: not the
            // way back.
            code.emit({0x8c, 0xc8});  // mov eax, cs
            code.emit({0xa8, 0x03});  // test al, 3
            code.emit({0xb8});        // mov eax, number
            code.emit32(trivial_calls[i].number);
            code.emit({0x0f, 0x84});  // jz out
            code.relative_to(stub_out);
            code.emit({0x41, 0xf7, 0xc3});  // test r11d, TF | DF
            code.emit32(flag_trap | flag_direction);
            code.emit({0x0f, 0x85});  // jnz out
            code.relative_to(stub_out);
            code.emit({0x41, 0x0f, 0xba, 0xe3, 0x0b});  // bt r11d, 11: CF = OF
            code.emit({0x0f, 0x92, 0xc0});              // setc al
            code.emit({0x04, 0x7f});                    // add al, 0x7f: OF = CF
            code.emit({0x44, 0x89, 0xd8});              // mov eax, r11d
            code.emit({0x86, 0xc4});                    // xchg ah, al
            code.emit({0x9e});                          // sahf: SF ZF AF PF CF
            code.emit({0x8b, 0x05});                    // mov eax, [answer]
            code.relative_to(answer);
            code.emit({0xff, 0xe1});  // jmp rcx
        } else {
            code.emit({0x8b, 0x05});  // mov eax, [answer]
            code.relative_to(answer);
            code.emit({0x48, 0x0f, 0x07});  // sysretq: RIP = RCX, RFLAGS = R11
        }
    }
}

}  // namespace hearth::vmm::x86_64
