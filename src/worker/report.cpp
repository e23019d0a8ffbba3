#include <hearth/response.hpp>

#include <fmt/compile.h>

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
    // Compiled: every invocation has one.
    fmt::format_to(std::back_inserter(out),
                   FMT_COMPILE("REPORT RequestId: {}\tDuration: {:.2f} ms\tBilled Duration: {} "
                               "ms\tMemory Size: {} MB\tMax Memory Used: {} MB"),
                   r.request_id, ms(r.duration), r.billed.count(), r.memory_size.mebibytes(),
                   used_mb);
    const auto at = std::back_inserter(out);
    switch (r.start) {
        case start_kind::cold:
            fmt::format_to(at,
                           "\tInit Duration: {:.2f} ms\tStart: cold (vm {:.2f} ms, boot {:.2f} ms, "
                           "init {:.2f} ms",
                           ms(r.boot + r.init), ms(r.vm), ms(r.boot), ms(r.init));
            if (r.snapshot.count()) fmt::format_to(at, ", snapshot {:.2f} ms", ms(r.snapshot));
            out += ')';
            break;
        case start_kind::restored:
            fmt::format_to(at,
                           "\tRestore Duration: {:.2f} ms\tStart: restored (vm {:.2f} ms, restore "
                           "{:.2f} ms",
                           ms(r.boot + r.init), ms(r.vm), ms(r.boot));
            if (r.init.count()) fmt::format_to(at, ", hooks {:.2f} ms", ms(r.init));
            out += ')';
            break;
        case start_kind::warm:
            out += "\tStart: warm";
            if (r.reattached)
                fmt::format_to(at, " (reattached: vm {:.2f} ms, restore {:.2f} ms)", ms(r.vm),
                               ms(r.boot));
            break;
    }
    return out;
}

std::ostream& operator<<(std::ostream& out, const invocation_report& r) {
    return out << to_string(r);
}

}  // namespace hearth
