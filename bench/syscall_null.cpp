// System calls that do nothing, timed by the guest itself: what the personality adds to the bare
// exit, beside a call that the stub page answers without one. The guest's clock readings (about 20
// ns) are in the figures.

#include "base/try.hpp"
#include "bench.hpp"

#include <hearth/sandbox.hpp>

#include <cstdlib>

namespace hearth::bench {

result<rows> syscall_null(context& ctx) {
    const pinned here;
    rows table;
    for (const std::string call : {"in_stub", "emulated", "unknown"}) {
        const auto one = [&]() -> result<samples> {
            std::string text;
            run_options options;
            options.arguments = {ctx.guest("syscall_null").string(), call, "2000"};
            options.input = -1;
            options.on_output = [&](std::string_view piece) { text += piece; };
            HEARTH_TRY(const run_status status, run_program(options));
            if (status.exit_code != 0 || status.signal != 0)
                return error(errc::sandbox_poisoned, "the guest program failed");
            samples calls;
            const char* at = text.c_str();
            for (char* end = nullptr;; at = end) {
                const long nanoseconds = std::strtol(at, &end, 10);
                if (end == at) break;
                calls.push_back(static_cast<double>(nanoseconds) / 1000);
            }
            return calls;
        };
        HEARTH_TRY(row r, ctx.collect("syscall_null", call, one, 10));
        table.push_back(std::move(r));
    }
    return table;
}

}  // namespace hearth::bench
