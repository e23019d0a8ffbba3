#pragma once

/// <linux/kvm.h>, made right for C++, and the one way Hearth calls ioctl. Private to vmm: include
/// this and never <linux/kvm.h> itself.
///
/// <linux/stddef.h> of linux-libc-dev 6.1 puts an empty struct before each flexible array, which
/// C++ gives a size. sizeof(kvm_cpuid2) becomes 12, so the numbers of KVM_SET_CPUID2, KVM_SET_MSRS,
/// KVM_SET_SIGNAL_MASK, KVM_SET_XSAVE and others, which hold that size, are wrong (EINVAL, ENOTTY).

#ifdef __LINUX_KVM_H
#error "<linux/kvm.h> was included before vmm/kvm_api.hpp: its ioctl numbers may be wrong"
#endif

#include "vmm/kvm_fd.hpp"

#include <linux/stddef.h>
#undef __DECLARE_FLEX_ARRAY
#define __DECLARE_FLEX_ARRAY(TYPE, NAME) TYPE NAME[0]
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <cerrno>

static_assert(sizeof(kvm_cpuid2) == 8);
static_assert(sizeof(kvm_msrs) == 8);
static_assert(sizeof(kvm_signal_mask) == 4);
static_assert(sizeof(kvm_xsave) == 4096);

namespace hearth::vmm {

/// One ioctl: its value, or -errno. Tried again while a signal interrupts it, which is right for
/// every request but KVM_RUN, whose EINTR means something.
template <class Argument = unsigned long>
int kvm_call(const kvm_fd& fd, unsigned long request, Argument argument = {}) noexcept {
    if (ioctl_filter* filter = fd.filter()) [[unlikely]]
        if (const int refused = filter->refuse(request)) return -refused;
    for (;;) {
        int value = ::ioctl(fd.get(), request, argument);
        if (value >= 0) return value;
        if (errno != EINTR || request == KVM_RUN) return -errno;
    }
}

}  // namespace hearth::vmm
