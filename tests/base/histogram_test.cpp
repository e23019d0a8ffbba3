#include <hearth/histogram.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

using hearth::histogram;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

/// The width of the bucket that `d` falls into.
nanoseconds width_at(nanoseconds d) {
    const auto bounds = histogram::bounds();
    const auto at = std::ranges::lower_bound(bounds, d);
    REQUIRE(at != bounds.end());
    return at == bounds.begin() ? *at : *at - *(at - 1);
}

}  // namespace

TEST_CASE("bucket bounds go from 1 us to 100 s, each at most 28 % above the one before") {
    const auto bounds = histogram::bounds();
    REQUIRE(bounds.size() + 1 == histogram::bucket_count);
    CHECK(bounds.front() == 1us);
    CHECK(bounds[10] == 10us);
    CHECK(bounds[35] == 3150us);
    CHECK(bounds.back() == 100s);
    for (std::size_t i = 1; i < bounds.size(); ++i) {
        const double ratio =
            static_cast<double>(bounds[i].count()) / static_cast<double>(bounds[i - 1].count());
        CHECK(ratio > 1.2);
        CHECK(ratio <= 1.28);
    }
}

TEST_CASE("a duration falls into the first bucket whose bound is not below it") {
    const auto bounds = histogram::bounds();
    for (std::size_t i = 0; i < bounds.size(); ++i) {
        histogram h;
        h.record(bounds[i]);
        h.record(bounds[i] + 1ns);
        CHECK(h.bucket(i) == 1);
        CHECK(h.bucket(i + 1) == 1);
        CHECK(h.count() == 2);
    }
}

TEST_CASE("an empty histogram has no quantile, one duration is every quantile") {
    histogram h;
    CHECK_FALSE(h.quantile(0.5));
    CHECK(h.count() == 0);
    CHECK(h.max() == 0ns);
    h.record(1300us);
    CHECK(h.quantile(1) == 1300us);
    for (const double p : {0.0, 0.5, 0.99}) {
        CHECK(h.quantile(p).value() >= 1250us);
        CHECK(h.quantile(p).value() <= 1300us);
    }
}

TEST_CASE("quantiles are right within a bucket's width, whatever the distribution") {
    std::mt19937_64 random(7);
    std::vector<nanoseconds> all;
    histogram h;
    double sum = 0;
    for (int i = 0; i < 20000; ++i) {
        // Log-normal around 300 us, with a tail of seconds.
        const double exponent =
            std::normal_distribution(std::log(300e3), i % 50 ? 0.8 : 3.0)(random);
        const nanoseconds d(static_cast<std::int64_t>(std::min(std::exp(exponent), 90e9)));
        all.push_back(d);
        sum += static_cast<double>(d.count()) * 1e-9;
        h.record(d);
    }
    std::ranges::sort(all);
    for (const double p : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999}) {
        const auto exact = all[static_cast<std::size_t>(p * static_cast<double>(all.size()))];
        const auto got = h.quantile(p).value();
        INFO(p << ": " << exact.count() << " ns, got " << got.count());
        CHECK(std::abs((got - exact).count()) <= width_at(std::max(got, exact)).count());
    }
    CHECK(h.quantile(1) == all.back());
    CHECK(h.max() == all.back());
    CHECK(h.count() == all.size());
    CHECK(h.sum().count() == Approx(sum));
}

TEST_CASE("extremes: nothing, less than nothing, the shortest and the longest") {
    histogram h;
    h.record(0ns);
    h.record(-5s);
    CHECK(h.bucket(0) == 2);
    CHECK(h.sum().count() == 0);
    CHECK(h.quantile(1) == 0ns);
    h.record(nanoseconds::max());
    h.record(nanoseconds::min());
    h.record(101s);
    CHECK(h.bucket(histogram::bucket_count - 1) == 2);
    CHECK(h.quantile(1) == nanoseconds::max());
    CHECK(h.quantile(7.0) == h.quantile(1));
    CHECK(h.quantile(-1) == h.quantile(0));
    CHECK(h.quantile(std::numeric_limits<double>::quiet_NaN()) == h.quantile(0));
    CHECK(h.quantile(0.8).value() > 100s);
    CHECK(h.sum().count() == Approx(9.223372036854775807e9 + 101));
}

TEST_CASE("merging is as if everything had been recorded in one") {
    histogram a, b, both;
    for (int i = 1; i <= 1000; ++i) {
        const auto d = i * i * 1us;
        (i % 3 ? a : b).record(d);
        both.record(d);
    }
    a.merge(b);
    for (std::size_t i = 0; i < histogram::bucket_count; ++i) CHECK(a.bucket(i) == both.bucket(i));
    CHECK(a.count() == 1000);
    CHECK(a.sum().count() == Approx(both.sum().count()));
    CHECK(a.max() == both.max());
    CHECK(a.quantile(0.37) == both.quantile(0.37));
    const histogram before = a;
    a.merge({});
    CHECK(a == before);
}
