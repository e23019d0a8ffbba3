#pragma once

/// CPUID leaf 2 with the caches by name instead of "ask leaf 4".
///
/// glibc starts every process on an Intel processor with a dozen questions about its caches: leaf 2
/// first and, where that holds descriptor FFH ("CPUID leaf 2 does not report cache descriptor
/// information, use CPUID leaf 4"), leaf 4 again from its beginning each time: 45 CPUIDs, of which
/// each is an exit on hardware KVM and on software KVM with CPUID faulting. With the caches named
/// in leaf 2 they are 12.

#include "vmm/cpuid_table.hpp"

namespace hearth::vmm::x86_64 {

/// Replaces FFH in leaf 2 by descriptors of the caches in leaf 4, each by the largest that is not
/// larger than the cache (the vocabulary is old: it ends at 24 MiB; what stands in leaf 4 stays
/// exact). The other descriptors (TLBs, prefetching) stay. Without FFH, without leaf 4, or with a
/// cache smaller than all that have a name, nothing changes.
void name_caches(cpuid_table& table) noexcept;

}  // namespace hearth::vmm::x86_64
