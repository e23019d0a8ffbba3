#pragma once

/// The random operations of mm_machine.hpp with a real vCPU: every load and store is guest code's.

#include "mm_machine.hpp"
#include "vmm/vm.hpp"

namespace mm_test {

inline constexpr gva code{0x40'0000};
inline constexpr std::uint64_t load_offset = 0, store_offset = 16, call_offset = 32;
// RAX carries the loaded byte into the system call, so the stub must not answer any number by
// itself. load: movzx eax, byte [rdi]; syscall      store: mov [rdi], sil; syscall      call: call
// rdi; syscall
inline constexpr std::string_view program_text{
    "\x0f\xb6\x07\x0f\x05\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90"
    "\x40\x88\x37\x0f\x05\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90"
    "\xff\xd7\x0f\x05",
    36};

struct vm_machine : machine {
    vm_machine(unsigned seed, vmm::vm& of, std::uint64_t limit)
        : machine(seed, of.memory(), limit), vm(of), scope(of.vcpu().kick_signal()) {
        w.map(4096, rw, code);
        REQUIRE(w.put(code, program_text));
        REQUIRE(w.space->protect(code, 4096, rx));
    }
    /// Runs until SYSCALL. @return false when the access was refused
    bool run_code(std::uint64_t offset, gva a, std::uint64_t value, std::uint64_t& result) {
        vmm::vcpu_state s;
        s.rip = code.value + offset;
        s.rdi = a.value;
        s.rsi = value;
        s.rsp = code.value + 2048;
        vm.vcpu().set_state(s);
        for (int i = 0; i < 20; ++i) {
            const vmm::vm_exit exit = vm.vcpu().run(scope);
            if (std::holds_alternative<vmm::syscall_exit>(exit)) {
                result = vm.vcpu().state().rax;
                return true;
            }
            if (std::holds_alternative<vmm::interrupted_exit>(exit)) continue;
            const auto* e = std::get_if<vmm::exception_exit>(&exit);
            REQUIRE(e != nullptr);
            REQUIRE(e->vector == 14);
            if (w.space->fault(e->fault_address, e->error_code) != fault_result::resolved)
                return false;
        }
        FAIL("the same fault again and again");
        return false;
    }
    bool cpu_load(gva a, char& value) override {
        std::uint64_t rax = 0;
        const bool done = run_code(load_offset, a, 0, rax);
        value = static_cast<char>(rax);
        return done;
    }
    bool cpu_store(gva a, char value) override {
        std::uint64_t rax = 0;
        const bool done = run_code(store_offset, a, static_cast<unsigned char>(value), rax);
        if (done) REQUIRE(w.entry(a.page())->has(page_entry::accessed | page_entry::dirty));
        return done;
    }

    vmm::vm& vm;
    vmm::run_scope scope;
};

}  // namespace mm_test
