#pragma once

/// What the personality needs from its host: clocks, randomness, the function's streams, the vector
/// registers. Resources, so never part of `kernel_state`. Implemented by the sandbox; by a fake in
/// unit tests. Called on the sandbox's owner thread only.

#include "guest/kernel/outbound.hpp"
#include "vmm/vcpu_state.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace hearth::guest {

/// Where stdin comes from and stdout and stderr go.
enum class stream { input, output, error };

class host {
  public:
    virtual ~host() = default;

    /// CLOCK_MONOTONIC and CLOCK_REALTIME as the guest shall see them.
    virtual std::chrono::nanoseconds monotonic_now() = 0;
    virtual std::chrono::nanoseconds realtime_now() = 0;
    /// CPU time this sandbox has used.
    virtual std::chrono::nanoseconds cpu_time() = 0;
    virtual void random(std::span<std::byte> out) = 0;

    /// Accepts bytes for stdout or stderr. @return how many; never blocks the vCPU thread for a
    /// slow reader of a function's log; `hearth run` may block.
    virtual std::size_t write_stream(stream which, std::span<const std::byte> bytes) = 0;
    enum class input_status { data, end_of_file, would_block };
    struct input_result {
        input_status status = input_status::end_of_file;
        std::size_t length = 0;
    };
    virtual input_result read_input(std::span<std::byte> into) = 0;
    /// Whether read_input would give data or end of file now.
    virtual bool input_ready() = 0;
    /// The stream is a terminal, and then its size; for isatty and TIOCGWINSZ.
    struct terminal {
        bool is_terminal = false;
        std::uint16_t rows = 0, columns = 0;
    };
    virtual terminal terminal_of(stream which) = 0;

    /// True when a service of ours listens at this IPv4 address and port (host byte order): the
    /// Runtime API.
    virtual bool service_listens(std::uint32_t address, std::uint16_t port) = 0;

    /// The way out of the guest; null: there is none.
    virtual outbound* network() { return nullptr; }

    /// Vector state of the running task, for signal frames.
    virtual vmm::fpu_state read_fpu() = 0;
    virtual bool write_fpu(const vmm::fpu_state& state) = 0;

    /// The tracer is on: one line per system call, as strace prints it.
    virtual bool tracing() const = 0;
    virtual void trace(std::string_view line) = 0;
};

}  // namespace hearth::guest
