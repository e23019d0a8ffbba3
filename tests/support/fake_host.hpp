#pragma once

/// A host for unit tests: its clock stands until told to move, its randomness is a counter, its
/// streams are strings.

#include "guest/kernel/host.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace hearth::test {

class fake_host final : public guest::host {
  public:
    std::chrono::nanoseconds monotonic{std::chrono::seconds{1000}};
    std::chrono::nanoseconds realtime{std::chrono::seconds{1'700'000'000}};
    std::chrono::nanoseconds cpu{std::chrono::milliseconds{5}};
    std::uint8_t next_random = 0;
    std::string output, errors, input;
    bool input_closed = false;
    std::set<std::pair<std::uint32_t, std::uint16_t>> services;
    terminal input_terminal, output_terminal;
    vmm::fpu_state fpu;
    bool refuse_fpu = false;
    bool trace_on = false;
    std::vector<std::string> lines;

    void advance(std::chrono::nanoseconds by) {
        monotonic += by;
        realtime += by;
    }

    std::chrono::nanoseconds monotonic_now() override { return monotonic; }
    std::chrono::nanoseconds realtime_now() override { return realtime; }
    std::chrono::nanoseconds cpu_time() override { return cpu; }
    void random(std::span<std::byte> out) override {
        for (auto& b : out) b = std::byte{next_random++};
    }
    std::size_t write_stream(guest::stream which, std::span<const std::byte> bytes) override {
        auto& to = which == guest::stream::error ? errors : output;
        // Bounded: a fuzzed guest writes for as long as it is let.
        if (to.size() < (1u << 20))
            to.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return bytes.size();
    }
    input_result read_input(std::span<std::byte> into) override {
        if (input.empty())
            return {input_closed ? input_status::end_of_file : input_status::would_block, 0};
        const auto n = std::min(into.size(), input.size());
        std::memcpy(into.data(), input.data(), n);
        input.erase(0, n);
        return {input_status::data, n};
    }
    bool input_ready() override { return !input.empty() || input_closed; }
    terminal terminal_of(guest::stream which) override {
        return which == guest::stream::input ? input_terminal : output_terminal;
    }
    bool service_listens(std::uint32_t address, std::uint16_t port) override {
        return services.contains({address, port});
    }
    vmm::fpu_state read_fpu() override { return fpu; }
    bool write_fpu(const vmm::fpu_state& state) override {
        if (refuse_fpu) return false;
        fpu = state;
        return true;
    }
    bool tracing() const override { return trace_on; }
    void trace(std::string_view line) override { lines.emplace_back(line); }
};

}  // namespace hearth::test
