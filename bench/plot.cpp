#include "plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>

namespace hearth::bench::plot {
namespace {

// Pixels.
constexpr double chart_width = 560, chart_height = 340;
constexpr double margin = 24, header = 64;
constexpr double left = 66, right = 14, top = 30, bottom = 46, legend_line = 17;
constexpr double letter = 6.3;  // a letter's mean width at 11 px

// Okabe and Ito's colours, which the colour-blind tell apart, a shade between light and dark.
constexpr std::array colours{"#0077bb", "#d9790a", "#009e73", "#c2569b",
                             "#cc3311", "#33a3dc", "#8a7500", "#7a5cc8"};
constexpr std::array dashes{"", "7 3", "2 3", "9 3 2 3", "", "7 3", "2 3", "9 3 2 3"};

constexpr const char* style = R"(<style>
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1f2328; }
.ground { fill: #ffffff; } .frame { stroke: #57606a; fill: none; } .grid { stroke: #d8dee4; }
.soft { fill: #57606a; } .reference { stroke: #57606a; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.ground { fill: #0d1117; } .frame { stroke: #8b949e; } .grid { stroke: #2b323b; }
.soft { fill: #9aa4af; } .reference { stroke: #9aa4af; }
}
</style>
)";

/// Text for an attribute or between tags.
std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            default:
                // Control characters are not allowed in XML at all.
                out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
        }
    }
    return out;
}

/// A coordinate: hundredths of a pixel are enough.
std::string at(double v) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f", std::abs(v) < 0.005 ? 0.0 : v);
    return text;
}

std::string number(double v) {
    char text[32];
    const double size = std::abs(v);
    if (size >= 1e6)
        std::snprintf(text, sizeof text, "%.4gM", v / 1e6);
    else if (size >= 1e4)
        std::snprintf(text, sizeof text, "%.4gk", v / 1e3);
    else
        std::snprintf(text, sizeof text, "%.4g", size < 1e-12 ? 0.0 : v);
    return text;
}

struct place {
    double x = 0, y = 0;
};

std::string text(place p, const std::string& what, int size, const char* more = "") {
    return "<text x=\"" + at(p.x) + "\" y=\"" + at(p.y) + "\" font-size=\"" + std::to_string(size) +
           "\"" + more + ">" + escaped(what) + "</text>\n";
}

/// Values to pixels along one side, with its ticks.
class scale {
  public:
    scale(const axis& a, double lowest, double highest, double from, double to)
        : log_(a.log), from_(from), to_(to) {
        lowest = a.from.value_or(lowest);
        highest = a.to.value_or(highest);
        if (!(lowest <= highest)) lowest = highest = log_ ? 1 : 0;  // no values at all
        if (log_) {
            low_ = std::log10(std::max(lowest, 1e-300));
            high_ = std::log10(std::max(highest, 1e-300));
            if (!a.from) low_ = std::floor(low_ + 1e-9);
            if (!a.to) high_ = std::ceil(high_ - 1e-9);
            if (high_ - low_ < 1e-9) high_ = low_ + 1;
            for (double p = std::ceil(low_ - 1e-9); p <= high_ + 1e-9; ++p)
                ticks_.push_back(std::pow(10, p));
            return;
        }
        if (highest - lowest < 1e-12) highest = lowest + (lowest == 0 ? 1 : std::abs(lowest));
        const double rough = (highest - lowest) / 5;
        const double power = std::pow(10, std::floor(std::log10(rough)));
        double step = power;
        for (const double multiple : {1.0, 2.0, 2.5, 5.0, 10.0}) {
            step = multiple * power;
            if (step >= rough * 0.999) break;
        }
        low_ = a.from ? lowest : std::floor(lowest / step + 1e-9) * step;
        high_ = a.to ? highest : std::ceil(highest / step - 1e-9) * step;
        for (double n = std::ceil(low_ / step - 1e-9); n * step <= high_ + step * 1e-9; ++n)
            ticks_.push_back(n * step);
    }

    [[nodiscard]] double operator()(double v) const {
        const double share = ((log_ ? std::log10(v) : v) - low_) / (high_ - low_);
        return from_ + std::clamp(share, 0.0, 1.0) * (to_ - from_);
    }
    [[nodiscard]] bool shows(double v) const { return std::isfinite(v) && (!log_ || v > 0); }
    [[nodiscard]] const std::vector<double>& ticks() const { return ticks_; }

  private:
    bool log_;
    double from_, to_;
    double low_ = 0, high_ = 1;
    std::vector<double> ticks_;
};

struct span_of {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    void add(double v, bool log) {
        if (!std::isfinite(v) || (log && v <= 0)) return;
        low = std::min(low, v);
        high = std::max(high, v);
    }
};

struct key {
    std::string name;
    std::string sample;  // drawn at 0,0, 22 wide
};

/// Where the values go, below title and legend.
struct area {
    double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};

/// @return the legend; `y` moves below it
std::string legend(const std::vector<key>& keys, place origin, double& y) {
    std::string out;
    double x = origin.x + left;
    y = origin.y + top;
    for (const key& k : keys) {
        const double width = 30 + letter * static_cast<double>(k.name.size()) + 12;
        if (x + width > origin.x + chart_width - right && x > origin.x + left) {
            x = origin.x + left;
            y += legend_line;
        }
        out += "<g transform=\"translate(" + at(x) + " " + at(y) + ")\">" + k.sample + "</g>\n";
        out += text({x + 28, y + 4}, k.name, 11);
        x += width;
    }
    if (!keys.empty()) y += legend_line;
    return out;
}

std::string frame(const area& a) {
    return "<path class=\"frame\" d=\"M" + at(a.x0) + " " + at(a.y0) + "V" + at(a.y1) + "H" +
           at(a.x1) + "\"/>\n";
}

std::string y_axis(const axis& y, const scale& to_y, const area& a, place origin) {
    std::string out;
    for (const double tick : to_y.ticks()) {
        const std::string level = at(to_y(tick));
        out += "<path class=\"grid\" d=\"M" + at(a.x0) + " " + level + "H" + at(a.x1) + "\"/>\n";
        out += text({a.x0 - 6, to_y(tick) + 4}, number(tick), 11, " text-anchor=\"end\"");
    }
    const place middle{origin.x + 14, (a.y0 + a.y1) / 2};
    const std::string turned = " class=\"soft\" text-anchor=\"middle\" transform=\"rotate(-90 " +
                               at(middle.x) + " " + at(middle.y) + ")\"";
    return out + text(middle, y.label, 11, turned.c_str());
}

std::string stroke(std::size_t i, bool reference) {
    if (reference) return " class=\"reference\" stroke-dasharray=\"4 3\"";
    std::string out = std::string(" stroke=\"") + colours[i % colours.size()] + "\"";
    if (const std::string dash = dashes[i % dashes.size()]; !dash.empty())
        out += " stroke-dasharray=\"" + dash + "\"";
    return out;
}

std::string draw(const line_chart& c, place origin) {
    std::string out = text({origin.x + left, origin.y + 14}, c.title, 14, " font-weight=\"600\"");
    std::vector<key> keys;
    span_of x, y;
    for (std::size_t i = 0; i < c.lines.size(); ++i) {
        keys.push_back({c.lines[i].name, "<path d=\"M0 0H22\" stroke-width=\"2\"" +
                                             stroke(i, c.lines[i].reference) + "/>"});
        for (const auto& [px, py] : c.lines[i].points) {
            x.add(px, c.x.log);
            y.add(py, c.y.log);
        }
    }
    area a{origin.x + left, 0, origin.x + chart_width - right, origin.y + chart_height - bottom};
    out += legend(keys, origin, a.y0);
    const scale to_x(c.x, x.low, x.high, a.x0, a.x1);
    const scale to_y(c.y, y.low, y.high, a.y1, a.y0);
    out += y_axis(c.y, to_y, a, origin);
    for (const double tick : to_x.ticks()) {
        out += "<path class=\"grid\" d=\"M" + at(to_x(tick)) + " " + at(a.y0) + "V" + at(a.y1) +
               "\"/>\n";
        out += text({to_x(tick), a.y1 + 16}, number(tick), 11, " text-anchor=\"middle\"");
    }
    out += text({(a.x0 + a.x1) / 2, a.y1 + 34}, c.x.label, 11,
                " class=\"soft\" text-anchor=\"middle\"");
    out += frame(a);
    for (std::size_t i = 0; i < c.lines.size(); ++i) {
        std::string path;
        for (const auto& [px, py] : c.lines[i].points) {
            if (!to_x.shows(px) || !to_y.shows(py)) continue;
            path += (path.empty() ? "M" : "L") + at(to_x(px)) + " " + at(to_y(py));
        }
        if (path.empty()) continue;
        out += "<path fill=\"none\" stroke-width=\"1.8\" stroke-linejoin=\"round\"" +
               stroke(i, c.lines[i].reference) + " d=\"" + path + "\"/>\n";
    }
    return out;
}

std::string draw(const bar_chart& c, place origin) {
    std::string out = text({origin.x + left, origin.y + 14}, c.title, 14, " font-weight=\"600\"");
    std::vector<key> keys;
    span_of y;
    y.add(c.y.log ? 1 : 0, c.y.log);
    for (std::size_t i = 0; i < c.series.size(); ++i) {
        keys.push_back({c.series[i].name, "<rect y=\"-5\" width=\"14\" height=\"10\" fill=\"" +
                                              std::string(colours[i % colours.size()]) + "\"/>"});
        for (const double v : c.series[i].values) y.add(v, c.y.log);
    }
    if (keys.size() == 1) keys.clear();  // the title says it
    area a{origin.x + left, 0, origin.x + chart_width - right, origin.y + chart_height - bottom};
    out += legend(keys, origin, a.y0);
    a.y0 += 8;  // for the number above the highest bar
    const scale to_y(c.y, y.low, y.high, a.y1, a.y0);
    out += y_axis(c.y, to_y, a, origin);
    const double group = (a.x1 - a.x0) / std::max<double>(1, static_cast<double>(c.groups.size()));
    const double bar =
        std::min(44.0, group * 0.8 / std::max<double>(1, static_cast<double>(c.series.size())));
    for (std::size_t g = 0; g < c.groups.size(); ++g) {
        const double middle = a.x0 + group * (static_cast<double>(g) + 0.5);
        out += text({middle, a.y1 + 16}, c.groups[g], 11, " text-anchor=\"middle\"");
        for (std::size_t i = 0; i < c.series.size(); ++i) {
            if (g >= c.series[i].values.size()) continue;
            const double v = c.series[i].values[g];
            if (!to_y.shows(v)) continue;
            const double x =
                middle + bar * (static_cast<double>(i) - static_cast<double>(c.series.size()) / 2);
            out += "<rect x=\"" + at(x + 1) + "\" y=\"" + at(to_y(v)) + "\" width=\"" +
                   at(bar - 2) + "\" height=\"" + at(a.y1 - to_y(v)) + "\" fill=\"" +
                   colours[i % colours.size()] + "\"><title>" +
                   escaped(c.groups[g] + ", " + c.series[i].name + ": " + number(v)) +
                   "</title></rect>\n";
            char shown[32];
            std::snprintf(shown, sizeof shown, "%.3g", v);
            out += text({x + bar / 2, to_y(v) - 4}, v >= 1000 ? number(v) : shown, 10,
                        " class=\"soft\" text-anchor=\"middle\"");
        }
    }
    return out + frame(a);
}

}  // namespace

series cdf(std::string name, std::vector<double> samples) {
    series s{std::move(name), {}};
    if (samples.empty()) return s;
    std::sort(samples.begin(), samples.end());
    // More points than that do not show.
    constexpr std::size_t most = 256;
    const std::size_t n = samples.size();
    const std::size_t points = std::min(n, most);
    s.points.emplace_back(samples.front(), 0);
    for (std::size_t i = 1; i <= points; ++i) {
        const std::size_t rank = i * n / points;  // samples up to here
        s.points.emplace_back(samples[rank - 1],
                              static_cast<double>(rank) / static_cast<double>(n));
    }
    return s;
}

std::string to_svg(const figure& f) {
    const std::size_t columns = static_cast<std::size_t>(std::max(1, f.columns));
    const std::size_t used = std::max<std::size_t>(1, std::min(columns, f.charts.size()));
    const std::size_t lines = (f.charts.size() + columns - 1) / columns;
    const double width = 2 * margin + static_cast<double>(used) * (chart_width + margin) - margin;
    const double height = header + static_cast<double>(lines) * (chart_height + margin);
    std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + at(width) +
                      "\" height=\"" + at(height) + "\" viewBox=\"0 0 " + at(width) + " " +
                      at(height) + "\" role=\"img\">\n<title>" + escaped(f.title) + "</title>\n" +
                      style + "<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n";
    out += text({margin, 30}, f.title, 18, " font-weight=\"600\"");
    out += text({margin, 50}, f.subtitle, 12, " class=\"soft\"");
    for (std::size_t i = 0; i < f.charts.size(); ++i) {
        const place origin{
            margin + static_cast<double>(i % columns) * (chart_width + margin),
            header + 10 + static_cast<double>(i / columns) * (chart_height + margin)};
        out += std::visit([&](const auto& c) { return draw(c, origin); }, f.charts[i]);
    }
    return out + "</svg>\n";
}

result<void> write_svg(const std::filesystem::path& file, const figure& f) {
    std::ofstream out(file, std::ios::binary);
    out << to_svg(f);
    out.close();
    if (!out) return error(errc::io_failed, file.string() + " cannot be written");
    return {};
}

}  // namespace hearth::bench::plot
