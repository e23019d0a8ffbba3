#include "vmm/vm.hpp"

#include "base/try.hpp"
#include "vmm/x86_64/bring_up.hpp"
#include "vmm/x86_64/system_area.hpp"

#include <algorithm>
#include <string>

namespace hearth::vmm {

vm::vm(guest_memory memory, kvm_fd fd, vmm::vcpu vcpu) noexcept
    : memory_(std::move(memory)), fd_(std::move(fd)), vcpu_(std::move(vcpu)) {}

vm& vm::operator=(vm&& other) noexcept {
    // In teardown order, not in that of the members.
    vcpu_ = std::move(other.vcpu_);
    fd_ = std::move(other.fd_);
    memory_ = std::move(other.memory_);
    return *this;
}

result<vm> vm::create(const kvm& kvm, const vm_options& options) {
    constexpr std::uint64_t granule = 2u << 20;
    if (options.memory.bytes() == 0 || options.memory.bytes() % granule)
        return error(errc::invalid_argument, "microVM memory of " +
                                                 std::to_string(options.memory.bytes()) +
                                                 " bytes: it must be a positive multiple of 2 MiB");
    HEARTH_TRY(auto memory, guest_memory::create(options.memory));
    // Every program has these, and the first of its page tables. All of the system area, so that
    // KVM brings it with one fault: its prefetch stops at a page that is not there.
    constexpr std::uint64_t first_tables = 8 * page_size;
    memory.populate(gpa{0}, std::min(memory.size(), layout::first_free.value + first_tables));
    HEARTH_CHECK(x86_64::write_system_area(memory, kvm.flavour(), options.fast_syscalls));
    HEARTH_TRY(auto fd, x86_64::create_vm(kvm));
    HEARTH_CHECK(x86_64::set_memory_slot(fd, 0, 0, memory.size(), memory.base()));
    HEARTH_TRY(auto vcpu, vcpu::create(kvm, fd, memory, 0, options.kick_signal));
    return vm(std::move(memory), std::move(fd), std::move(vcpu));
}

result<void> vm::drop_all_translations() {
    // Deleting any slot zaps everything (KVM_X86_QUIRK_SLOT_ZAP_ALL, KVM's default). This one
    // stands just past the region and never holds anything: the vCPU does not run meanwhile.
    constexpr std::uint32_t slot = 1;
    HEARTH_CHECK(x86_64::set_memory_slot(fd_, slot, memory_.size(), page_size, memory_.base()));
    return x86_64::set_memory_slot(fd_, slot, memory_.size(), 0, memory_.base());
}

}  // namespace hearth::vmm
