#include "bench.hpp"

#include "base/try.hpp"
#include "vmm/floor.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace hearth::bench {
namespace {

using clock = std::chrono::steady_clock;

double microseconds(clock::duration d) {
    return std::chrono::duration<double, std::micro>(d).count();
}

}  // namespace

double quantile(samples values, double q) {
    if (values.empty()) return 0;
    const auto at =
        static_cast<std::ptrdiff_t>(std::floor(q * static_cast<double>(values.size() - 1) + 0.5));
    std::nth_element(values.begin(), values.begin() + at, values.end());
    return values[static_cast<std::size_t>(at)];
}

row summarize(const std::string& workload,
              const std::string& variant,
              const samples& calls,
              const samples& floors) {
    return {.workload = workload,
            .variant = variant,
            .n = calls.size(),
            .p50_us = quantile(calls, 0.50),
            .p99_us = quantile(calls, 0.99),
            .floor_us = quantile(floors, 0.50),
            .extra = {}};
}

result<context> context::create() {
    HEARTH_TRY(vmm::kvm kvm, vmm::kvm::open());
    std::error_code failure;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", failure);
    if (failure)
        return error(errc::io_failed, "/proc/self/exe cannot be read: " + failure.message());
    return context(std::move(kvm), self.parent_path());
}

result<samples> context::floor(int n) {
    HEARTH_TRY(const vmm::floor_timing timing, vmm::measure_floor(kvm_, n));
    return samples{static_cast<double>(timing.p50.count()) / 1000,
                   static_cast<double>(timing.p99.count()) / 1000};
}

result<std::vector<row>> context::race(const std::string& workload,
                                       const std::vector<contender>& contenders,
                                       std::uint64_t n_each,
                                       unsigned batches) {
    std::vector<samples> calls(contenders.size());
    samples floors;
    const std::uint64_t per_batch = std::max<std::uint64_t>(1, n_each / batches);
    for (unsigned b = 0; b < batches; ++b) {
        HEARTH_TRY(const samples timing, floor(200));
        floors.push_back(timing.front());
        for (std::size_t c = 0; c < contenders.size(); ++c) {
            HEARTH_CHECK(
                contenders[c].once());  // not counted: refills the caches the others emptied
            for (std::uint64_t i = 0; i < per_batch; ++i) {
                const auto start = clock::now();
                HEARTH_CHECK(contenders[c].once());
                calls[c].push_back(microseconds(clock::now() - start));
            }
        }
    }
    std::vector<row> table;
    for (std::size_t c = 0; c < contenders.size(); ++c)
        table.push_back(summarize(workload, contenders[c].variant, calls[c], floors));
    return table;
}

result<row> context::collect(const std::string& workload,
                             const std::string& variant,
                             const batch& one,
                             unsigned batches) {
    samples calls, floors;
    for (unsigned b = 0; b < batches; ++b) {
        HEARTH_TRY(const samples timing, floor(200));
        floors.push_back(timing.front());
        HEARTH_TRY(const samples more, one());
        calls.insert(calls.end(), more.begin(), more.end());
    }
    return summarize(workload, variant, calls, floors);
}

pinned::pinned() : before_(sizeof(cpu_set_t)) {
    cpu_set_t all, one;
    CPU_ZERO(&all);
    if (::sched_getaffinity(0, sizeof all, &all) != 0) return;
    std::memcpy(before_.data(), &all, sizeof all);
    CPU_ZERO(&one);
    // The last core: the first ones take most interrupts.
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0; --cpu)
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &one);
            break;
        }
    ::sched_setaffinity(0, sizeof one, &one);
}

pinned::~pinned() {
    cpu_set_t all;
    std::memcpy(&all, before_.data(), sizeof all);
    ::sched_setaffinity(0, sizeof all, &all);
}

}  // namespace hearth::bench
