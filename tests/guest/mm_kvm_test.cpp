/// The model test with a real vCPU: every load and store is guest code's, so an entry or a
/// translation that is wrong or stale shows (FACTS 3: on software KVM edits of the tables are not
/// seen by themselves).

#include "mm_vm_machine.hpp"

#include <cstdlib>

using namespace mm_test;
using namespace std::string_view_literals;

namespace {

/// Exit status 77: ctest reports the program as skipped.
vmm::kvm open_or_skip() {
    auto kvm = vmm::kvm::open();
    if (kvm.has_error()) {
        WARN("skipped: " << kvm.error().message());
        std::exit(77);
    }
    return std::move(*kvm);
}

}  // namespace

TEST_CASE("guest code sees every change of its mappings at once") {
    const vmm::kvm kvm = open_or_skip();
    for (unsigned seed = 1; seed <= 4; ++seed) {
        auto vm = vmm::vm::create(kvm, {.memory = 16_MiB, .fast_syscalls = false});
        REQUIRE(vm.has_value());
        vm_machine m(seed, *vm, 2048);
        m.processor_accesses = 12;
        m.run(400);
        REQUIRE(!m.w.frames.exhausted());
    }
}

TEST_CASE("guest code short of memory ends in exhaustion, not in another page's data") {
    const vmm::kvm kvm = open_or_skip();
    auto vm = vmm::vm::create(kvm, {.memory = 2_MiB, .fast_syscalls = false});
    REQUIRE(vm.has_value());
    vm_machine m(5, *vm, 150);
    m.processor_accesses = 12;
    m.run(400);
}

TEST_CASE("data is not executable and code is not writable") {
    const vmm::kvm kvm = open_or_skip();
    auto vm = vmm::vm::create(kvm, {.memory = 16_MiB, .fast_syscalls = false});
    REQUIRE(vm.has_value());
    vm_machine m(1, *vm, 2048);
    std::uint64_t rax = 0;
    char value = 0;
    REQUIRE(!m.cpu_store(code, 'x'));
    REQUIRE(m.cpu_load(code, value));
    // A function that returns, in memory that is written, then made executable, then not again.
    const gva page = m.w.map(4096, rw);
    REQUIRE(m.w.put(page, "\xb8\x2a\0\0\0\x0f\x05"sv));
    REQUIRE(
        m.w.space->protect(code, 4096, {true, true, true}));  // `call` pushes onto the code page
    REQUIRE(!m.run_code(call_offset, page, 0, rax));
    REQUIRE(m.w.space->protect(page, 4096, rx));
    REQUIRE(m.run_code(call_offset, page, 0, rax));
    REQUIRE(rax == 42);
    REQUIRE(m.w.space->protect(page, 4096, r));
    REQUIRE(!m.run_code(call_offset, page, 0, rax));
}
