#pragma once

/// /proc/cpuinfo, and the kernel that this personality says it is.

#include "vmm/guest_memory.hpp"

#include <string>
#include <string_view>

namespace hearth::guest::vfs::proc {

/// The release whose system-call table we have (6.1: rows up to 450).
inline constexpr std::string_view kernel_release = "6.1.0-hearth";
inline constexpr std::string_view kernel_version = "#1 SMP";

/// One processor, as CPUID describes it, with the rate of the guest's clock for its own.
std::string cpuinfo(const vmm::guest_memory& memory);

}  // namespace hearth::guest::vfs::proc
