#include "vmm/x86_64/bring_up.hpp"

#include "base/system_error.hpp"
#include "base/try.hpp"
#include "vmm/cpuid_table.hpp"
#include "vmm/x86_64/arch.hpp"
#include "vmm/x86_64/syscall_stub.hpp"
#include "vmm/x86_64/system_area.hpp"

#include <sys/mman.h>

#include <iterator>
#include <string>

namespace hearth::vmm::x86_64 {
namespace {

error failed(const char* request, int negative_errno) {
    const int number = -negative_errno;
    const bool room = number == ENOMEM || number == EMFILE || number == ENFILE || number == ENOSPC;
    return system_failure(room ? errc::no_room : errc::kvm_failed, request, number);
}

kvm_segment segment(std::uint16_t selector, std::uint8_t type, bool code) {
    kvm_segment s{};
    s.limit = 0xffff'ffff;
    s.selector = selector;
    s.type = type;
    s.present = 1;
    s.dpl = 3;
    s.s = 1;
    s.l = code;
    s.db = !code;
    s.g = 1;
    return s;
}

/// CPL3 code with Hearth's tables. The rest (APIC base) is as KVM_GET_SREGS gave it.
kvm_sregs user_sregs(kvm_sregs s, std::uint64_t cr4) {
    s.cs = segment(user_code, 11, true);                              // execute, read, accessed
    s.ds = s.es = s.fs = s.gs = s.ss = segment(user_data, 3, false);  // read, write, accessed
    s.tr = {};
    s.tr.base = tss.value;
    s.tr.limit = tss_limit;
    s.tr.selector = task_state;
    s.tr.type = 11;  // busy 64-bit TSS: what VM entry demands
    s.tr.present = 1;
    s.ldt = {};
    s.ldt.unusable = 1;
    s.ldt.type = 2;
    s.gdt.base = gdt.value;
    s.gdt.limit = gdt_limit;
    s.idt.base = idt.value;
    s.idt.limit = idt_limit;
    s.cr0 = cr0;
    s.cr2 = 0;
    s.cr3 = layout::pml4.value;
    s.cr4 = cr4;
    s.cr8 = 0;
    s.efer = efer;
    return s;
}

int set_xcr0(const kvm_fd& vcpu_fd, std::uint64_t value) {
    kvm_xcrs xcrs{};
    xcrs.nr_xcrs = 1;
    xcrs.xcrs[0].xcr = 0;
    xcrs.xcrs[0].value = value;
    return kvm_call(vcpu_fd, KVM_SET_XCRS, &xcrs);
}

/// The best this KVM accepts, tried in order.
result<control_registers> negotiate(const kvm& kvm, const kvm_fd& vcpu_fd) {
    kvm_sregs initial{};
    if (int rc = kvm_call(vcpu_fd, KVM_GET_SREGS, &initial); rc < 0)
        return failed("KVM_GET_SREGS", rc);
    control_registers accepted;
    // Software KVM may refuse what its CPUID hides, though user code has it anyway (FACTS 7).
    for (std::uint64_t extra :
         {cr4_osxsave | cr4_fsgsbase, cr4_osxsave, cr4_fsgsbase, std::uint64_t{0}}) {
        kvm_sregs s = user_sregs(initial, cr4_required | extra);
        if (int rc = kvm_call(vcpu_fd, KVM_SET_SREGS, &s); rc == 0) {
            accepted.cr4 = s.cr4;
            break;
        } else if (rc != -EINVAL || extra == 0) {  // EINVAL: not this one
            return failed("KVM_SET_SREGS", rc);
        }
    }
    constexpr std::uint64_t x87_sse_avx = 7, x87_sse = 3;
    for (std::uint64_t value : {kvm.host_xcr0(), x87_sse_avx, x87_sse}) {
        if (!value) continue;
        if (int rc = set_xcr0(vcpu_fd, value); rc == 0) {
            accepted.xcr0 = value;
            break;
        } else if (rc != -EINVAL) {
            return failed("KVM_SET_XCRS", rc);
        }
    }
    return accepted;
}

}  // namespace

result<kvm_fd> create_vm(const kvm& kvm) {
    const int fd = kvm_call(kvm.fd(), KVM_CREATE_VM);
    if (fd < 0) return failed("KVM_CREATE_VM", fd);
    return kvm_fd(unique_fd(fd), kvm.fd().filter());
}

result<void> set_memory_slot(
    const kvm_fd& vm, std::uint32_t slot, std::uint64_t gpa, std::uint64_t length, void* host) {
    kvm_userspace_memory_region region{};
    region.slot = slot;
    region.guest_phys_addr = gpa;
    region.memory_size = length;
    region.userspace_addr = reinterpret_cast<std::uintptr_t>(host);
    if (int rc = kvm_call(vm, KVM_SET_USER_MEMORY_REGION, &region); rc < 0)
        return failed("KVM_SET_USER_MEMORY_REGION", rc);
    return {};
}

result<bare_vcpu> bring_up(const kvm& kvm, const kvm_fd& vm, int id) {
    bare_vcpu vcpu;
    const int made = kvm_call(vm, KVM_CREATE_VCPU, static_cast<unsigned long>(id));
    if (made < 0) return failed("KVM_CREATE_VCPU", made);
    vcpu.fd = kvm_fd(unique_fd(made), vm.filter());
    const kvm_fd& fd = vcpu.fd;
    void* page = ::mmap(nullptr, kvm.run_page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, made, 0);
    if (page == MAP_FAILED) return system_failure(errc::no_room, "mapping the kvm_run page");
    vcpu.page = mapping(page, kvm.run_page_size());

    // Order: KVM checks CR4 and XCR0 against CPUID.
    if (int rc = kvm_call(fd, KVM_SET_CPUID2, &kvm.cpuid()); rc < 0)
        return failed("KVM_SET_CPUID2", rc);

    vcpu.control = {kvm.guest_cr4(), kvm.guest_xcr0()};
    if (vcpu.control.cr4 == 0) {
        HEARTH_TRY(vcpu.control, negotiate(kvm, fd));
    } else if (vcpu.control.xcr0) {
        if (int rc = set_xcr0(fd, vcpu.control.xcr0); rc < 0) return failed("KVM_SET_XCRS", rc);
    }
    if (int rc = kvm_call(fd, KVM_GET_SREGS, &vcpu.user_sregs); rc < 0)
        return failed("KVM_GET_SREGS", rc);
    vcpu.user_sregs = user_sregs(vcpu.user_sregs, vcpu.control.cr4);
    if (int rc = kvm_call(fd, KVM_SET_SREGS, &vcpu.user_sregs); rc < 0)
        return failed("KVM_SET_SREGS", rc);

    struct {
        kvm_msrs header;
        kvm_msr_entry entries[3];
    } msrs{};
    msrs.header.nmsrs = 3;
    msrs.entries[0] = {msr_star, 0, star};
    msrs.entries[1] = {msr_lstar, 0, stub_entry.value};
    msrs.entries[2] = {msr_sfmask, 0, sfmask};
    if (int rc = kvm_call(fd, KVM_SET_MSRS, &msrs); rc != 3)
        return failed("KVM_SET_MSRS (STAR, LSTAR, SFMASK)", rc < 0 ? rc : -EINVAL);
    return vcpu;
}

}  // namespace hearth::vmm::x86_64
