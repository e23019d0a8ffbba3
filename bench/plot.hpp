#pragma once

/// Charts as SVG: lines, bars and cumulative distributions, several to a figure. The same input
/// gives the same bytes. Colours follow the viewer's light or dark scheme; lines also differ by
/// their dashes.

#include <hearth/error.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace hearth::bench::plot {

struct axis {
    std::string label;
    bool log = false;  ///< values at or below zero are left out
    std::optional<double> from = std::nullopt, to = std::nullopt;  ///< else what the values span
};

struct series {
    std::string name;
    std::vector<std::pair<double, double>> points;
    bool reference = false;  ///< something to compare with: grey
};

struct line_chart {
    std::string title;
    axis x, y;
    std::vector<series> lines;
};

/// For each group a bar per series; `values` in the order of `groups`. Starts at zero.
struct bar_chart {
    struct bars {
        std::string name;
        std::vector<double> values;
    };
    std::string title;
    axis y;
    std::vector<std::string> groups;
    std::vector<bars> series;
};

/// The cumulative distribution of `samples` as a line: which part of them is at most x.
[[nodiscard]] series cdf(std::string name, std::vector<double> samples);

struct figure {
    std::string title;
    std::string subtitle;
    std::vector<std::variant<line_chart, bar_chart>> charts;
    int columns = 2;
};

[[nodiscard]] std::string to_svg(const figure& f);

/// @errors errc::io_failed
[[nodiscard]] result<void> write_svg(const std::filesystem::path& file, const figure& f);

}  // namespace hearth::bench::plot
