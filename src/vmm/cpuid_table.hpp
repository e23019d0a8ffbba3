#pragma once

#include "vmm/kvm_api.hpp"

namespace hearth::vmm {

/// The argument of KVM_GET_SUPPORTED_CPUID and KVM_SET_CPUID2: header and entries in one piece.
struct cpuid_table {
    static constexpr unsigned capacity = 256;  // KVM's own limit, KVM_MAX_CPUID_ENTRIES
    kvm_cpuid2 header{};
    kvm_cpuid_entry2 entries[capacity]{};
};
static_assert(sizeof(cpuid_table) == 8 + cpuid_table::capacity * sizeof(kvm_cpuid_entry2));

}  // namespace hearth::vmm
