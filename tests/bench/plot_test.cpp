#include "plot.hpp"

#include "temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

namespace hearth::bench::plot {
namespace {

/// Tags that do not pair up, text that is not escaped: what is wrong, or nothing.
std::string fault_in(const std::string& xml) {
    std::vector<std::string> open;
    for (std::size_t i = 0; i < xml.size(); ++i) {
        const char c = xml[i];
        if (static_cast<unsigned char>(c) < 0x20 && c != '\n') return "a control character";
        if (c == '&') {
            const auto end = xml.find(';', i);
            const std::string entity = xml.substr(i, end - i + 1);
            if (entity != "&amp;" && entity != "&lt;" && entity != "&gt;" && entity != "&quot;")
                return "a bare &: " + entity.substr(0, 20);
        }
        if (c != '<') continue;
        const auto end = xml.find('>', i);
        if (end == std::string::npos) return "a tag without an end";
        const std::string tag = xml.substr(i + 1, end - i - 1);
        if (tag.find('<') != std::string::npos) return "a bare <: " + tag;
        if (std::count(tag.begin(), tag.end(), '"') % 2) return "an open quote: " + tag;
        if (tag[0] == '/') {
            if (open.empty() || open.back() != tag.substr(1)) return "unexpected <" + tag + ">";
            open.pop_back();
        } else if (tag.back() != '/') {
            open.push_back(tag.substr(0, tag.find(' ')));
        }
        i = end;
    }
    return open.empty() ? "" : "<" + open.back() + "> stays open";
}

std::size_t count(const std::string& text, const std::string& what) {
    std::size_t n = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
    return n;
}

figure example() {
    figure f;
    f.title = "R&D <\"now\">\x01";
    f.charts.emplace_back(line_chart{
        "lines",
        {"x", true},
        {"y"},
        {{"a & b", {{1, 2}, {10, 5}, {0, 3}, {1000, 4}}}, {"bound", {{1, 1}, {1000, 1}}, true}}});
    f.charts.emplace_back(bar_chart{"bars", {"n"}, {"g1", "g2"}, {{"s1", {3, 5}}, {"s2", {1}}}});
    f.charts.emplace_back(line_chart{"cdf", {"ns"}, {"part"}, {cdf("c", {3, 1, 2})}});
    return f;
}

}  // namespace

TEST_CASE("a figure is well-formed XML, whatever its words are, and always the same") {
    const std::string svg = to_svg(example());
    CHECK(fault_in(svg) == "");
    CHECK(to_svg(example()) == svg);
    CHECK(svg.find("R&amp;D &lt;&quot;now&quot;&gt; </title>") != std::string::npos);
    CHECK(svg.find("prefers-color-scheme: dark") != std::string::npos);
    CHECK(count(svg, "<rect x=") == 3);     // bars that have a value
    CHECK(count(svg, ">a &amp; b<") == 1);  // in the legend
    CHECK(svg.find("nan") == std::string::npos);
    CHECK(svg.find("inf") == std::string::npos);
}

TEST_CASE("values are drawn where the axes say, those without a place left out") {
    figure f;
    const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
    f.charts.emplace_back(line_chart{"",
                                     {"", false, 0, 10},
                                     {"", false, 0, 1},
                                     {{"", {{0, 0}, {nan, 1}, {5, infinity}, {10, 1}}}}});
    const std::string svg = to_svg(f);
    // The frame's corners: left below to right above.
    const auto frame = svg.find("class=\"frame\" d=\"M");
    REQUIRE(frame != std::string::npos);
    double x0, y0, x1, y1;
    REQUIRE(std::sscanf(svg.c_str() + frame, "class=\"frame\" d=\"M%lf %lfV%lfH%lf", &x0, &y0, &y1,
                        &x1) == 4);
    char path[80];
    std::snprintf(path, sizeof path, " d=\"M%.2f %.2fL%.2f %.2f\"", x0, y1, x1, y0);
    CHECK(svg.find(path) != std::string::npos);
}

TEST_CASE("empty charts, no values and single values are drawn too") {
    figure f;
    CHECK(fault_in(to_svg(f)) == "");
    f.charts.emplace_back(line_chart{});
    f.charts.emplace_back(bar_chart{});
    f.charts.emplace_back(
        line_chart{"", {"", true}, {"", true}, {{"none", {}}, {"low", {{-1, 0}}}}});
    f.charts.emplace_back(line_chart{"", {}, {}, {{"one", {{7, 7}}}}});
    f.columns = 0;
    const std::string svg = to_svg(f);
    CHECK(fault_in(svg) == "");
    CHECK(svg.find("nan") == std::string::npos);
}

TEST_CASE("a cumulative distribution goes from nothing to all, in few points") {
    std::vector<double> samples;
    for (int i = 100'000; i > 0; --i) samples.push_back(i);
    const series s = cdf("n", samples);
    CHECK(s.points.size() < 300);
    CHECK(s.points.front() == std::pair(1.0, 0.0));
    CHECK(s.points.back() == std::pair(100'000.0, 1.0));
    for (const auto& [x, part] : s.points) CHECK(x == Approx(part * 100'000).margin(1));
    CHECK(cdf("none", {}).points.empty());
}

TEST_CASE("a figure that cannot be written is an error") {
    const test::temporary_directory directory;
    const auto file = directory.path() / "figure.svg";
    REQUIRE(write_svg(file, example()).has_value());
    std::ostringstream read;
    read << std::ifstream(file).rdbuf();
    CHECK(read.str() == to_svg(example()));
    CHECK(write_svg(directory.path() / "missing" / "figure.svg", example()).error() ==
          errc::io_failed);
}

}  // namespace hearth::bench::plot
