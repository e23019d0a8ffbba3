#include <hearth/response.hpp>

#include <fmt/format.h>

#include <ostream>

namespace hearth {
namespace {

double ms(std::chrono::nanoseconds t) { return static_cast<double>(t.count()) / 1e6; }

}  // namespace

std::string_view to_string(start_kind kind) noexcept {
    switch (kind) {
        case start_kind::cold:
            return "cold";
        case start_kind::restored:
            return "restored";
        case start_kind::warm:
            return "warm";
    }
    return "unknown";
}

std::string to_string(const invocation_report& r) {
    std::string out;
    out.reserve(256);
    const auto used_mb = (r.max_memory_used.bytes() + (1 << 20) - 1) >> 20;
    fmt::format_to(std::back_inserter(out),
                   "REPORT RequestId: {}\tDuration: {:.2f} ms\tBilled Duration: {} ms\tMemory "
                   "Size: {} MB\tMax Memory "
                   "Used: {} MB",
                   r.request_id, ms(r.duration), r.billed.count(), r.memory_size.mebibytes(),
                   used_mb);
    if (r.start == start_kind::warm) {
        out.append("\tStart: warm");
        return out;
    }
    fmt::format_to(
        std::back_inserter(out),
        "\tInit Duration: {:.2f} ms\tStart: {} (vm {:.2f} ms, {} {:.2f} ms, init {:.2f} ms)",
        ms(r.boot + r.init), to_string(r.start), ms(r.vm),
        r.start == start_kind::cold ? "boot" : "restore", ms(r.boot), ms(r.init));
    return out;
}

std::ostream& operator<<(std::ostream& out, const invocation_report& r) {
    return out << to_string(r);
}

}  // namespace hearth
