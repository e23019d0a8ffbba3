#include <hearth/histogram.hpp>

#include <algorithm>
#include <bit>
#include <type_traits>

namespace hearth {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t bound_count = histogram::bucket_count - 1;

/// ISO 3, R10, in hundredths; 3.15 as the standard has it.
constexpr std::array<nanoseconds, bound_count> make_bounds() {
    constexpr std::int64_t steps[] = {100, 125, 160, 200, 250, 315, 400, 500, 630, 800};
    std::array<nanoseconds, bound_count> bounds{};
    std::size_t n = 0;
    for (std::int64_t unit = 10; n < bound_count; unit *= 10)  // a hundredth of 1 µs
        for (const auto step : steps)
            if (n < bound_count) bounds[n++] = nanoseconds(step * unit);
    return bounds;
}
constexpr auto all_bounds = make_bounds();
static_assert(all_bounds.front() == std::chrono::microseconds(1));
static_assert(all_bounds.back() == std::chrono::seconds(100));

/// By the bits of a duration in ns, the first bucket it may be in: at most four are looked at.
constexpr auto first_by_width = [] {
    std::array<std::uint8_t, 65> first{};
    for (unsigned width = 1; width < first.size(); ++width) {
        const std::uint64_t least = std::uint64_t{1} << (width - 1);
        std::size_t i = 0;
        while (i < bound_count && static_cast<std::uint64_t>(all_bounds[i].count()) < least) ++i;
        first[width] = static_cast<std::uint8_t>(i);
    }
    return first;
}();

}  // namespace

static_assert(std::is_trivially_copyable_v<histogram>);

std::span<const nanoseconds> histogram::bounds() noexcept { return all_bounds; }

void histogram::record(nanoseconds duration) noexcept {
    const nanoseconds d = std::max(duration, nanoseconds{});
    std::size_t i = first_by_width[static_cast<std::size_t>(
        std::bit_width(static_cast<std::uint64_t>(d.count())))];
    while (i < bound_count && all_bounds[i] < d) ++i;
    ++buckets_[i];
    sum_ += static_cast<double>(d.count()) * 1e-9;
    max_ = std::max(max_, d);
}

void histogram::merge(const histogram& other) noexcept {
    for (std::size_t i = 0; i < bucket_count; ++i) buckets_[i] += other.buckets_[i];
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
}

std::uint64_t histogram::count() const noexcept {
    std::uint64_t n = 0;
    for (const auto b : buckets_) n += b;
    return n;
}

std::optional<nanoseconds> histogram::quantile(double p) const noexcept {
    const std::uint64_t all = count();
    if (!all) return std::nullopt;
    const double rank = (p > 0 ? std::min(p, 1.0) : 0.0) * static_cast<double>(all);
    double before = 0;
    for (std::size_t i = 0; i < bucket_count; ++i) {
        const double here = static_cast<double>(buckets_[i]);
        if (!buckets_[i] || before + here < rank) {
            before += here;
            continue;
        }
        const nanoseconds low = i ? all_bounds[i - 1] : nanoseconds{};
        const nanoseconds high = i < bound_count ? std::min(all_bounds[i], max_) : max_;
        if (rank >= before + here) return high;
        const double part = static_cast<double>((high - low).count()) * ((rank - before) / here);
        return low + nanoseconds(static_cast<nanoseconds::rep>(part));
    }
    return max_;
}

}  // namespace hearth
