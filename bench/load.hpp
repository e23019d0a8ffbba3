#pragma once

/// What the workloads with many environments share: functions, invocations many at a time through
/// the public API, and what the process holds meanwhile.

#include "bench.hpp"

#include <hearth/hearth.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace hearth::bench {

/// A function of the native path with defaults.
function_config native_function(const context& ctx,
                                const std::string& name,
                                const std::string& guest);

/// The reply of an invocation that went well.
result<response> invoke(function& fn,
                        const std::string& payload = "{}",
                        invoke_options options = {});

/// An asynchronous invocation and what became of it.
struct call {
    function fn;
    std::string payload = "{}";
    invoke_options options;
    double us = 0;  ///< from its submission to its reply
    response reply;
    error_code failed;
    [[nodiscard]] bool ok() const { return !failed && reply.ok(); }
};

/// Submits all at once and waits for all replies; `sampled` is called about every 10 ms meanwhile.
/// @return microseconds from the first submission to the last reply
double invoke_all(std::vector<call>& calls, const std::function<void()>& sampled = {});

/// An error that says what the first failed call was answered; else nothing.
result<void> all_ok(const std::vector<call>& calls);

/// Memory of this process: nothing that is there is left out, nothing is counted twice.
struct memory_use {
    std::uint64_t anonymous = 0;    ///< bytes of private pages, guests' among them
    std::uint64_t memfd = 0;        ///< held by memfds, mapped or not
    std::uint64_t page_tables = 0;  ///< the kernel's, for the above
    std::uint64_t pss = 0;          ///< for comparison: what is mapped, shared pages in part
    [[nodiscard]] std::uint64_t total() const { return anonymous + memfd + page_tables; }
};
result<memory_use> memory_in_use();

/// Threads of this process.
std::size_t thread_count();

double us_since(std::chrono::steady_clock::time_point start);
inline double us_of(std::chrono::nanoseconds t) { return static_cast<double>(t.count()) / 1000; }

/// Waits until `there` is true, at most so long; false: it never was.
bool eventually(const std::function<bool()>& there,
                std::chrono::milliseconds at_most = std::chrono::seconds(60));

}  // namespace hearth::bench
