#pragma once

/// A microVM for machine-code guests: pages mapped by hand at chosen addresses.

#include "vmm/vm.hpp"
#include "vmm/x86_64/arch.hpp"
#include "vmm/x86_64/layout.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <initializer_list>
#include <optional>
#include <variant>

namespace hearth::vmm::test {

inline constexpr gva code_at{0x40'0000};
inline constexpr gva data_at{0x50'0000};
inline constexpr gva stack_top{0x60'1000};

inline constexpr std::uint64_t rx = x86_64::pte_present | x86_64::pte_user;
inline constexpr std::uint64_t r = rx | x86_64::pte_no_execute;
inline constexpr std::uint64_t rw = r | x86_64::pte_write;

/// The KVM under test, opened once per test program.
inline const kvm& the_kvm() {
    static const kvm opened = kvm::open().value();
    return opened;
}

class machine {
  public:
    explicit machine(bool fast_syscalls = true)
        : vm(vm::create(the_kvm(), {.memory = byte_count(4u << 20), .fast_syscalls = fast_syscalls})
                 .value()),
          scope(vm.vcpu().kick_signal()) {
        map(code_at, rx);
        map(data_at, rw);
        map(stack_top - page_size, rw);
        state.rip = code_at.value;
        state.rsp = stack_top.value;
    }

    /// A new zero frame at `at`; its leaf entry is returned.
    std::uint64_t& map(gva at, std::uint64_t flags) {
        gpa table = root;
        for (int shift = 39; shift > 12; shift -= 9) {
            std::uint64_t& entry = memory().word(table + (at.value >> shift & 511) * 8);
            if (!entry) entry = frame().value | rx | x86_64::pte_write;
            table = {entry & ~0xfffull & ~x86_64::pte_no_execute};
        }
        std::uint64_t& leaf = memory().word(table + (at.value >> 12 & 511) * 8);
        leaf = frame().value | flags;
        return leaf;
    }
    std::byte* host(gva at) {
        gpa table = root;
        for (int shift = 39; shift >= 12; shift -= 9)
            table = {memory().word(table + (at.value >> shift & 511) * 8) & 0x000f'ffff'ffff'f000};
        return memory().at(table + at.offset_in_page(), 1);
    }
    std::uint64_t& word(gva at) { return *reinterpret_cast<std::uint64_t*>(host(at)); }

    void code(std::initializer_list<int> bytes, gva at = code_at) {
        std::byte* to = host(at);
        for (int b : bytes) *to++ = static_cast<std::byte>(b);
    }

    guest_memory& memory() { return vm.memory(); }
    vcpu& cpu() { return vm.vcpu(); }

    /// Runs from `state` (or on from where it stands).
    vm_exit start() {
        cpu().set_state(state);
        return run();
    }
    vm_exit run() { return cpu().run(scope); }

    /// Another root with the system area in it; `map` and `host` go by it, the vCPU when told.
    gpa another_root() {
        const gpa made = frame();
        memory().word(made + 255 * 8) = memory().word(layout::pml4 + 255 * 8);
        return root = made;
    }

    vmm::vm vm;
    run_scope scope;
    vcpu_state state;
    gpa root = layout::pml4;

  private:
    gpa frame() {
        const gpa f = next_;
        next_ += page_size;
        return f;
    }
    gpa next_ = layout::first_free;
};

template <class T>
bool is(const vm_exit& e) {
    return std::holds_alternative<T>(e);
}

/// Compares everything, and says what came instead.
inline std::string describe(const vm_exit& e) {
    struct {
        std::string operator()(const syscall_exit&) { return "syscall"; }
        std::string operator()(const exception_exit& x) {
            return "exception " + std::to_string(x.vector) + " error " +
                   std::to_string(x.error_code) + " at " + std::to_string(x.fault_address.value);
        }
        std::string operator()(const interrupted_exit&) { return "interrupted"; }
        std::string operator()(const memory_exit&) { return "memory"; }
        std::string operator()(const unusable_exit& x) {
            return "unusable: reason " + std::to_string(x.reason) + " detail " +
                   std::to_string(x.detail) + " rip " + std::to_string(x.rip);
        }
    } visitor;
    return std::visit(visitor, e);
}
inline std::string exception(unsigned vector, unsigned error = 0, std::uint64_t address = 0) {
    return describe(exception_exit{static_cast<std::uint8_t>(vector), error, gva{address}});
}

}  // namespace hearth::vmm::test
