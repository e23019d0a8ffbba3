#include "base/try.hpp"
#include "bench.hpp"

namespace hearth::bench {

result<rows> floor(context& ctx) {
    const pinned here;
    // A row of one measurement a batch: p50 and p99 are the floor's own, over all batches.
    constexpr int batches = 20, per_batch = 1000;
    samples p50, p99;
    for (int b = 0; b < batches; ++b) {
        HEARTH_TRY(const samples timing, ctx.floor(per_batch));
        p50.push_back(timing[0]);
        p99.push_back(timing[1]);
    }
    row r{.workload = "floor",
          .variant = "",
          .n = batches * per_batch,
          .p50_us = quantile(p50, 0.5),
          .p99_us = quantile(p99, 0.5),
          .floor_us = quantile(p50, 0.5),
          .extra = {}};
    return rows{r};
}

}  // namespace hearth::bench
