#include "vmm/floor.hpp"

#include "base/system_error.hpp"
#include "base/try.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/x86_64/arch.hpp"
#include "vmm/x86_64/bring_up.hpp"
#include "vmm/x86_64/syscall_stub.hpp"
#include "vmm/x86_64/system_area.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

namespace hearth::vmm {

result<floor_timing> measure_floor(const kvm& kvm, int n) {
    using namespace x86_64;
    using clock = std::chrono::steady_clock;

    HEARTH_TRY(auto memory, guest_memory::create(byte_count(layout::first_free.value)));
    HEARTH_CHECK(write_system_area(memory, kvm.flavour(), false));
    // L: mov eax, 0x1000 ; syscall ; jmp L   — in the vDSO's page, which is there and executable.
    constexpr unsigned char loop[] = {0xb8, 0x00, 0x10, 0x00, 0x00, 0x0f, 0x05, 0xeb, 0xf7};
    std::memcpy(memory.at(layout::vdso, sizeof loop), loop, sizeof loop);
    HEARTH_TRY(auto vm, create_vm(kvm));
    HEARTH_CHECK(set_memory_slot(vm, 0, 0, memory.size(), memory.base()));
    HEARTH_TRY(auto vcpu, bring_up(kvm, vm, 0));

    kvm_run& run = vcpu.run();
    kvm_regs& regs = run.s.regs.regs;
    run.kvm_valid_regs = KVM_SYNC_X86_REGS;
    regs = {};
    regs.rip = layout::va_of(layout::vdso).value;
    regs.rflags = user_rflags(0);
    run.kvm_dirty_regs = KVM_SYNC_X86_REGS;

    constexpr int warm_up = 50;
    n = std::max(n, 100);
    std::vector<clock::duration> trips;
    trips.reserve(static_cast<std::size_t>(n));
    auto last = clock::now();
    for (int i = 0; i < n + warm_up;) {
        const int rc = kvm_call(vcpu.fd, KVM_RUN);
        if (rc == -EINTR) continue;  // a signal of the embedder's
        if (rc < 0 || run.exit_reason != KVM_EXIT_IO || run.io.port != syscall_port)
            return system_failure(errc::kvm_failed, "KVM_RUN while measuring the floor",
                                  rc < 0 ? -rc : EIO);
        regs.rax = 0;
        if (kvm.flavour() == flavour::software) {
            regs.rip = regs.rcx;
            regs.rflags = regs.r11;
        }
        run.kvm_dirty_regs = KVM_SYNC_X86_REGS;
        const auto now = clock::now();
        if (i >= warm_up) trips.push_back(now - last);
        last = now;
        i++;
    }
    std::ranges::sort(trips);
    return floor_timing{trips[trips.size() / 2], trips[trips.size() * 99 / 100]};
}

}  // namespace hearth::vmm
