#include "vmm/kvm.hpp"

#include "base/system_error.hpp"
#include "base/try.hpp"
#include "vmm/cpuid_table.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/kvm_api.hpp"
#include "vmm/x86_64/arch.hpp"
#include "vmm/x86_64/bring_up.hpp"
#include "vmm/x86_64/cache_descriptors.hpp"
#include "vmm/x86_64/fpu_loader.hpp"
#include "vmm/x86_64/syscall_stub.hpp"
#include "vmm/x86_64/system_area.hpp"

#include <cpuid.h>
#include <fcntl.h>

#include <cstring>

namespace hearth::vmm {
namespace {

struct processor {
    bool intel = false, amd = false;
    bool virtualisation = false;
    bool xsave = false;
};

processor this_processor() {
    processor p;
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid(0, &a, &b, &c, &d)) return p;
    p.intel = b == signature_INTEL_ebx;
    p.amd = b == signature_AMD_ebx;
    if (__get_cpuid(1, &a, &b, &c, &d)) {
        p.xsave = c & bit_OSXSAVE;
        p.virtualisation = c & 1u << 5;  // VMX
    }
    if (__get_cpuid(0x8000'0001, &a, &b, &c, &d) && (c & 1u << 2)) p.virtualisation = true;  // SVM
    return p;
}

std::uint64_t read_xcr0() {
    std::uint32_t low = 0, high = 0;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return std::uint64_t{high} << 32 | low;
}

error cannot_open(const std::string& device, int number) {
    switch (number) {
        case ENOENT:
        case ENODEV:
        case ENXIO: {
            const processor cpu = this_processor();
            std::string cure =
                cpu.virtualisation
                    ? std::string("load the module: modprobe ") +
                          (cpu.amd ? "kvm_amd" : "kvm_intel")
                    : "this CPU shows no VT-x or AMD-V: enable virtualisation in the "
                      "firmware, or nested virtualisation where this is itself a "
                      "virtual machine, then modprobe kvm_intel or kvm_amd";
            return {errc::kvm_missing, device + " does not exist; " + cure};
        }
        case EACCES:
        case EPERM:
            return {
                errc::kvm_forbidden,
                device +
                    " may not be opened by this user; add it to the group kvm (sudo usermod -aG "
                    "kvm $USER, then log in again), or run as root; in a container, pass the "
                    "device in (docker run --device /dev/kvm)"};
        default:
            return system_failure(errc::kvm_failed, "opening " + device, number);
    }
}

/// RIP, CPL and port after one SYSCALL at CPL3 decide (FACTS 2.1). Module names do not.
result<flavour> flavour_by_behaviour(const kvm_run& run) {
    const auto& regs = run.s.regs.regs;
    const unsigned cpl = run.s.regs.sregs.cs.dpl;
    if (run.exit_reason == KVM_EXIT_IO && run.io.port == x86_64::syscall_port) {
        if (cpl == 0 && regs.rip == x86_64::stub_out.value) return flavour::hardware;
        if (cpl == 3 && regs.rip == x86_64::stub_after_out.value) return flavour::software;
    }
    return error(errc::kvm_unsupported,
                 "this KVM treats a system call in a way Hearth does not know (exit " +
                     std::to_string(run.exit_reason) + ", CPL " + std::to_string(cpl) +
                     "); please report it with the kernel's version");
}

}  // namespace

kvm::kvm() = default;
kvm::kvm(kvm&&) noexcept = default;
kvm& kvm::operator=(kvm&&) noexcept = default;
kvm::~kvm() = default;

result<kvm> kvm::open(const char* device, ioctl_filter* filter) {
    kvm opened;
    opened.fd_ = kvm_fd(unique_fd(::open(device, O_RDWR | O_CLOEXEC)), filter);
    if (!opened.fd_) return cannot_open(device, errno);

    const int version = kvm_call(opened.fd(), KVM_GET_API_VERSION);
    if (version < 0)
        return error(errc::kvm_unsupported, std::string(device) + " is not a KVM device");
    if (version != KVM_API_VERSION)
        return error(errc::kvm_unsupported, std::string(device) + " speaks KVM API version " +
                                                std::to_string(version) + ", not " +
                                                std::to_string(KVM_API_VERSION));
    HEARTH_CHECK(opened.check_capabilities());
    HEARTH_CHECK(opened.probe());
    return opened;
}

result<void> kvm::check_capabilities() {
    std::string missing;
    const auto need = [&](unsigned long capability, int bits, const char* name) {
        const int has = kvm_call(fd(), KVM_CHECK_EXTENSION, capability);
        if (has > 0 && (has & bits) == bits) return;
        missing += (missing.empty() ? "" : ", ");
        missing += name;
    };
    need(KVM_CAP_USER_MEMORY, 0, "KVM_CAP_USER_MEMORY");
    need(KVM_CAP_SYNC_MMU, 0, "KVM_CAP_SYNC_MMU");
    need(KVM_CAP_EXT_CPUID, 0, "KVM_CAP_EXT_CPUID");
    need(KVM_CAP_VCPU_EVENTS, 0, "KVM_CAP_VCPU_EVENTS");
    need(KVM_CAP_XSAVE2, 0, "KVM_CAP_XSAVE2");
    need(KVM_CAP_GET_TSC_KHZ, 0, "KVM_CAP_GET_TSC_KHZ");
    need(KVM_CAP_IMMEDIATE_EXIT, 0, "KVM_CAP_IMMEDIATE_EXIT");
    need(KVM_CAP_SYNC_REGS, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS,
         "KVM_CAP_SYNC_REGS (registers and events)");
    if (!missing.empty())
        return error(errc::kvm_unsupported,
                     "this kernel's KVM lacks " + missing + "; Linux 5.17 or newer has it");

    const int page = kvm_call(fd(), KVM_GET_VCPU_MMAP_SIZE);
    if (page < static_cast<int>(sizeof(kvm_run)))
        return error(errc::kvm_failed, "KVM_GET_VCPU_MMAP_SIZE: " + std::to_string(page));
    run_page_size_ = static_cast<std::size_t>(page);
    // Larger than the plain 4096 bytes on hosts with AMX.
    if (const int size = kvm_call(fd(), KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
        size > static_cast<int>(xsave_size_))
        xsave_size_ = static_cast<std::size_t>(size);

    cpuid_ = std::make_unique<cpuid_table>();
    cpuid_->header.nent = cpuid_table::capacity;
    if (int rc = kvm_call(fd(), KVM_GET_SUPPORTED_CPUID, cpuid_.get()); rc < 0)
        return system_failure(errc::kvm_failed, "KVM_GET_SUPPORTED_CPUID", -rc);
    x86_64::name_caches(*cpuid_);
    if (this_processor().xsave) host_xcr0_ = read_xcr0();
    return {};
}

/// A throw-away VM: what its vCPU accepts, and how one SYSCALL looks from outside.
result<void> kvm::probe() {
    HEARTH_TRY(auto memory, guest_memory::create(byte_count(layout::first_free.value)));
    HEARTH_CHECK(x86_64::write_system_area(memory, flavour::software, false));
    const std::byte syscall[] = {std::byte{0x0f}, std::byte{0x05}};
    std::memcpy(memory.at(layout::vdso, sizeof syscall), syscall, sizeof syscall);

    HEARTH_TRY(auto vm, x86_64::create_vm(*this));
    HEARTH_CHECK(x86_64::set_memory_slot(vm, 0, 0, memory.size(), memory.base()));
    HEARTH_TRY(auto vcpu, x86_64::bring_up(*this, vm, 0));
    guest_cr4_ = vcpu.control.cr4;
    guest_xcr0_ = vcpu.control.xcr0;
    loadable_xsave_size_ = x86_64::loadable_xsave_size(guest_xcr0_);

    kvm_run& run = vcpu.run();
    run.kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
    run.s.regs.regs = {};
    run.s.regs.regs.rip = layout::va_of(layout::vdso).value;
    run.s.regs.regs.rflags = x86_64::user_rflags(0);
    run.kvm_dirty_regs = KVM_SYNC_X86_REGS;
    int rc = 0;
    // A signal to this thread: the state is kept, go on.
    do rc = kvm_call(vcpu.fd, KVM_RUN);
    while (rc == -EINTR);
    if (rc < 0) return system_failure(errc::kvm_failed, "KVM_RUN", -rc);
    HEARTH_TRY(flavour_, flavour_by_behaviour(run));
    return {};
}

const char* to_string(flavour f) noexcept {
    return f == flavour::hardware ? "hardware KVM" : "software KVM";
}

}  // namespace hearth::vmm
