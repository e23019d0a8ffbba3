#pragma once

/// hearth_bench: one binary of named workloads. Speed is stated in floors: one floor is a raw
/// system call's round trip to the host (vmm/floor.hpp), measured again between the batches of
/// every row, so that a slow phase of the machine hits both.

#include "vmm/kvm.hpp"

#include <hearth/error.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hearth::bench {

/// One line of the table.
struct row {
    std::string workload;
    std::string variant;
    std::uint64_t n = 0;
    double p50_us = 0;
    double p99_us = 0;
    double floor_us = 0;  ///< p50 of the floor, measured between this row's batches
    std::vector<std::pair<std::string, double>> extra;

    [[nodiscard]] double floors_p50() const { return floor_us > 0 ? p50_us / floor_us : 0; }
};

/// Durations of single calls, in microseconds.
using samples = std::vector<double>;

/// Microseconds.
inline double since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
        .count();
}

/// q in [0, 1]; 0 when there are none.
double quantile(samples values, double q);

row summarize(const std::string& workload,
              const std::string& variant,
              const samples& calls,
              const samples& floors);

/// What a workload gets: the host's KVM, where the guest programs stand, and how to measure.
class context {
  public:
    static result<context> create();

    /// Measures several ways of doing a thing against each other: batches of each take turns, the
    /// floor is measured between them. `once` makes one call and returns its error, if any.
    struct contender {
        std::string variant;
        std::function<result<void>()> once;
    };
    result<std::vector<row>> race(const std::string& workload,
                                  const std::vector<contender>& contenders,
                                  std::uint64_t n_each,
                                  unsigned batches = 10);

    /// The same for a batch that brings its own samples (measured inside a guest).
    using batch = std::function<result<samples>()>;
    result<row> collect(const std::string& workload,
                        const std::string& variant,
                        const batch& one,
                        unsigned batches);

    /// Round trips, n of them.
    result<samples> floor(int n);

    /// A guest program of the bench, or an example function.
    [[nodiscard]] std::filesystem::path guest(const std::string& name) const {
        return directory_ / "bench_guests" / name;
    }
    [[nodiscard]] std::filesystem::path function_package(const std::string& name) const {
        return directory_ / "functions" / (name + ".zip");
    }
    /// A binary of ours.
    [[nodiscard]] std::filesystem::path binary(const std::string& name) const {
        return directory_ / name;
    }
    [[nodiscard]] const vmm::kvm& kvm() const noexcept { return kvm_; }

    /// Where a workload that draws something writes it (WORKLOAD.svg), if anywhere.
    [[nodiscard]] const std::optional<std::filesystem::path>& plots() const noexcept {
        return plots_;
    }
    void set_plots(std::filesystem::path directory) { plots_ = std::move(directory); }

    /// How many of what a workload counts: the user's number, else its own.
    [[nodiscard]] std::size_t how_many(std::size_t otherwise) const noexcept {
        return how_many_ ? how_many_ : otherwise;
    }
    void set_how_many(std::size_t n) noexcept { how_many_ = n; }

  private:
    context(vmm::kvm kvm, std::filesystem::path directory)
        : kvm_(std::move(kvm)), directory_(std::move(directory)) {}
    vmm::kvm kvm_;
    std::filesystem::path directory_;
    std::optional<std::filesystem::path> plots_;
    std::size_t how_many_ = 0;
};

/// Keeps this thread, and those it starts, on one core while it lives: a migration costs more than
/// most of what is measured here.
class pinned {
  public:
    pinned();
    ~pinned();
    pinned(const pinned&) = delete;
    pinned& operator=(const pinned&) = delete;

  private:
    std::vector<unsigned char> before_;
};

using rows = std::vector<row>;
result<rows> floor(context&);
result<rows> syscall_null(context&);
result<rows> programs(context&);
result<rows> cold_start(context&);
result<rows> warm_invoke(context&);
result<rows> restored_start(context&);
result<rows> reset(context&);
result<rows> invocation_isolation(context&);
result<rows> http_warm(context&);
result<rows> control_reads(context&);
result<rows> run_queue_cost(context&);
result<rows> placement(context&);
result<rows> pool_churn(context&);
result<rows> clone_storm(context&);
result<rows> concurrent_sleep(context&);
result<rows> density(context&);
result<rows> scheduler_fairness(context&);
result<rows> managed_start(context&);
result<rows> managed_invoke(context&);
result<rows> async_accept(context&);
result<rows> async_drain(context&);
result<rows> soak(context&);

}  // namespace hearth::bench
