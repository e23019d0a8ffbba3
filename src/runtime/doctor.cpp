#include "vmm/floor.hpp"
#include "vmm/kvm.hpp"

#include <hearth/doctor.hpp>

#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace hearth {
namespace {

using severity = host_finding::severity;

/// Each live microVM holds two descriptors (VM and vCPU); the rest is for clients and packages.
constexpr std::uint64_t comfortable_open_files = 4096;

/// The value of "key : value" in a /proc file; empty when it is not there.
std::string proc_field(const char* file, const std::string& key) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
        if (!line.starts_with(key)) continue;
        const auto colon = line.find(':');
        if (colon == std::string::npos) continue;
        const auto value = line.find_first_not_of(" \t", colon + 1);
        return value == std::string::npos ? std::string() : line.substr(value);
    }
    return {};
}

byte_count meminfo(const std::string& key) {
    const std::string kib = proc_field("/proc/meminfo", key + ":");
    return byte_count(kib.empty() ? 0 : std::strtoull(kib.c_str(), nullptr, 10) << 10);
}

unsigned usable_cores() {
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return static_cast<unsigned>(CPU_COUNT(&set));
}

void inspect_kvm(host_report& report) {
    report.kvm_present = ::access(report.kvm_device.c_str(), F_OK) == 0;
    auto kvm = vmm::kvm::open(report.kvm_device.c_str());
    if (!kvm) {
        report.findings.push_back({severity::problem, kvm.error().message()});
        return;
    }
    report.kvm_flavour = vmm::to_string(kvm->flavour());
    const auto floor = vmm::measure_floor(*kvm, 500);
    if (!floor) {
        report.findings.push_back(
            {severity::problem, "a microVM does not run here: " + floor.error().message()});
        return;
    }
    report.kvm_usable = true;
    report.floor_p50 = floor->p50;
    report.floor_p99 = floor->p99;
    if (kvm->flavour() == vmm::flavour::software)
        report.findings.push_back(
            {severity::advice,
             "this is software KVM: on a host with hardware virtualisation a guest's system "
             "call costs about 1 us, a fraction of the floor here"});
}

void inspect_limits(host_report& report) {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
        report.open_files = files.rlim_cur;
        report.open_files_max = files.rlim_max;
    }
    std::ifstream("/proc/sys/vm/max_map_count") >> report.mappings;
    if (report.open_files < comfortable_open_files)
        report.findings.push_back(
            {severity::advice,
             "at most " + std::to_string(report.open_files) +
                 " open files: many environments at once need more (ulimit -n " +
                 std::to_string(std::min(report.open_files_max, std::uint64_t{65536})) + ")"});
    if (report.memory_available < byte_count(512ull << 20))
        report.findings.push_back(
            {severity::advice, "only " + std::to_string(report.memory_available.mebibytes()) +
                                   " MiB of memory are available: few environments fit"});
}

}  // namespace

host_report inspect_host(const std::string& kvm_device) {
    host_report report;
    utsname name{};
    if (::uname(&name) == 0) report.kernel = std::string(name.sysname) + " " + name.release;
    report.cpu = proc_field("/proc/cpuinfo", "model name");
    report.cores = usable_cores();
    report.memory = meminfo("MemTotal");
    report.memory_available = meminfo("MemAvailable");
    report.kvm_device = kvm_device;
    inspect_kvm(report);
    inspect_limits(report);
    return report;
}

}  // namespace hearth
