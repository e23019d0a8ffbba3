#pragma once

/// What this host has for Hearth and what it lacks, as a value: the body of `hearth doctor`.

#include <hearth/error.hpp>
#include <hearth/units.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace hearth {

/// One thing to mend, or to know.
struct host_finding {
    enum class severity {
        problem,  ///< functions cannot run
        advice,   ///< functions run, but not as many or not as fast as they could
    };
    severity level = severity::advice;
    std::string what;  ///< a sentence, with its cure where there is one
    bool operator==(const host_finding&) const = default;
};

struct host_report {
    std::string kernel;  ///< "Linux 6.1.0-18-amd64"
    std::string cpu;     ///< the model's name
    unsigned cores = 0;  ///< this process may run on
    byte_count memory;   ///< of the host
    byte_count memory_available;

    std::string kvm_device;    ///< the device looked at
    bool kvm_present = false;  ///< it exists
    bool kvm_usable = false;   ///< functions can run
    std::string kvm_flavour;   ///< "hardware KVM" or "software KVM"; empty when not usable
    /// One floor: a raw system call's round trip from the guest to the host. Zero when not usable.
    std::chrono::nanoseconds floor_p50{}, floor_p99{};

    std::uint64_t open_files = 0;      ///< RLIMIT_NOFILE, soft
    std::uint64_t open_files_max = 0;  ///< RLIMIT_NOFILE, hard
    std::uint64_t mappings = 0;        ///< vm.max_map_count

    std::vector<host_finding> findings;  ///< problems first

    [[nodiscard]] bool functions_can_run() const noexcept { return kvm_usable; }
};

/// Looks, and measures the floor in a throw-away microVM (about 20 ms on software KVM). Changes
/// nothing.
host_report inspect_host(const std::string& kvm_device = "/dev/kvm");

}  // namespace hearth
