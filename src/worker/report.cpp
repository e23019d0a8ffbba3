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

namespace {

std::string_view text_of(start_reason r) noexcept {
    switch (r) {
        case start_reason::none:
            break;
        case start_reason::first:
            return "it was the first start of this version since it was deployed or changed, or "
                   "the server started";
        case start_reason::busy:
            return "all of this version were busy";
        case start_reason::expired:
            return "the last had waited for idle_ttl and was ended";
        case start_reason::evicted:
            return "the last was given up for want of memory (memory_budget)";
        case start_reason::surplus:
            return "the last was given up, as no more are kept (max_idle)";
        case start_reason::destroyed:
            return "the last could not serve again (a timeout, an exit, a fault, or its isolation)";
        case start_reason::failed:
            return "the last could not be started";
        case start_reason::other_tenants:
            return "those that were are of other tenants";
        case start_reason::detaching:
            return "those that were gave their microVMs back just then";
    }
    return {};
}

std::string_view text_of(cold_reason r) noexcept {
    switch (r) {
        case cold_reason::none:
            break;
        case cold_reason::not_taken:
            return "none was taken yet";
        case cold_reason::off:
            return "this function has none (HEARTH_SNAPSHOT=off)";
        case cold_reason::dropped:
            return "it had to leave memory for other starts (memory_budget) and is on no disk";
        case cold_reason::no_room:
            return "the memory budget has no room for it beside the environment";
        case cold_reason::lost:
            return "it could not be read from disk";
    }
    return {};
}

}  // namespace

std::string explain_start(const invocation_report& r) {
    std::string out;
    if (r.reason != start_reason::none)
        out = fmt::format("No environment was idle: {}.", text_of(r.reason));
    if (r.no_snapshot != cold_reason::none)
        out += fmt::format("{}There was no snapshot to clone: {}.", out.empty() ? "" : " ",
                           text_of(r.no_snapshot));
    return out;
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
