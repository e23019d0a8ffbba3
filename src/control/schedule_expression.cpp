#include "control/schedule_expression.hpp"

#include "base/try.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <vector>

namespace hearth::control {

using std::chrono::day;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::month;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::weekday;
using std::chrono::year_month_day;

namespace {

error wrong(std::string_view why) {
    return {errc::invalid_argument,
            fmt::format("Parameter ScheduleExpression is not valid: {}", why)};
}

std::optional<unsigned> number(std::string_view text) {
    unsigned value = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (ec != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t at = text.find(separator);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos) return parts;
        text.remove_prefix(at + 1);
    }
}

/// A field's name, its range, and the names of its values from `low` on.
struct field {
    std::string_view name;
    unsigned low, high;
    const char* names = "";  ///< three letters each

    [[nodiscard]] std::optional<unsigned> value(std::string_view text) const {
        std::string upper(text);
        std::ranges::transform(upper, upper.begin(), [](unsigned char c) {
            return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : static_cast<char>(c);
        });
        const std::string_view all = names;
        if (upper.size() == 3)
            for (std::size_t at = 0; at < all.size(); at += 3)
                if (all.substr(at, 3) == upper) return low + static_cast<unsigned>(at / 3);
        const auto n = number(text);
        return n && *n >= low && *n <= high ? n : std::nullopt;
    }

    [[nodiscard]] error refuse(std::string_view text) const {
        return wrong(fmt::format("\"{}\" is no {} ({} to {}{})", text, name, low, high,
                                 *names ? ", or a name of three letters" : ""));
    }

    /// `*`, `7`, `1-5`, `0/15`, `*/15`, `10-20/2`, and lists of these.
    template <std::size_t N>
    result<void> fill(std::string_view text, std::bitset<N>& set, unsigned base = 0) const {
        for (const std::string_view item : split(text, ',')) {
            const auto step_at = item.find('/');
            const std::string_view range = item.substr(0, step_at);
            unsigned from = low, to = high, step = 1;
            if (range != "*") {
                const auto dash = range.find('-');
                const auto first = value(range.substr(0, dash));
                if (!first) return refuse(range.substr(0, dash));
                from = to = *first;
                if (dash != std::string_view::npos) {
                    const auto last = value(range.substr(dash + 1));
                    if (!last) return refuse(range.substr(dash + 1));
                    to = *last;
                } else if (step_at != std::string_view::npos) {
                    to = high;
                }
            }
            if (step_at != std::string_view::npos) {
                const auto n = number(item.substr(step_at + 1));
                if (!n || *n == 0)
                    return wrong(
                        fmt::format("\"{}\" is no step: a positive number follows the /", item));
                step = *n;
            }
            if (from > to) return wrong(fmt::format("\"{}\" ends before it begins", range));
            for (unsigned i = from; i <= to; i += std::min(step, high + 1)) set.set(i - base);
        }
        return {};
    }
};

constexpr field minute_field{"minute", 0, 59}, hour_field{"hour", 0, 23},
    day_field{"day of the month", 1, 31},
    month_field{"month", 1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"},
    weekday_field{"day of the week", 1, 7, "SUNMONTUEWEDTHUFRISAT"}, year_field{"year", 1970, 2199};

unsigned number_of(weekday w) { return w.c_encoding() + 1; }

/// The working day nearest to that day of its month, in the same month.
year_month_day nearest_weekday(year_month_day wanted) {
    const year_month_day last(wanted.year() / wanted.month() / std::chrono::last);
    const sys_days at(wanted);
    const weekday w(at);
    if (w == std::chrono::Saturday) return wanted.day() == day(1) ? at + days(2) : at - days(1);
    if (w == std::chrono::Sunday) return wanted.day() == last.day() ? at - days(2) : at + days(1);
    return wanted;
}

/// "5 minutes".
result<seconds> parse_rate(std::string_view text) {
    const auto space = text.find(' ');
    const auto value = number(text.substr(0, space));
    if (space == std::string_view::npos || !value || *value == 0)
        return wrong("a rate is a positive number and a unit, as in rate(5 minutes)");
    std::string_view unit = text.substr(space + 1);
    const bool plural = unit.ends_with('s');
    if (plural) unit.remove_suffix(1);
    seconds length{};
    if (unit == "minute") length = minutes(1);
    if (unit == "hour") length = hours(1);
    if (unit == "day") length = days(1);
    if (length == seconds{})
        return wrong(fmt::format("\"{}\" is no unit: minute, minutes, hour, hours, day or days",
                                 text.substr(space + 1)));
    if (plural == (*value == 1))
        return wrong("the unit is singular after 1, and plural after any other number");
    if (*value > 366 * 24 * 60) return wrong("the rate is longer than a year");
    return length * *value;
}

}  // namespace

result<schedule_expression> schedule_expression::parse(std::string_view text) {
    const auto inner = [&](std::string_view kind) -> std::optional<std::string_view> {
        if (!text.starts_with(kind) || !text.ends_with(')')) return std::nullopt;
        return text.substr(kind.size(), text.size() - kind.size() - 1);
    };
    if (const auto rate = inner("rate(")) {
        schedule_expression e;
        HEARTH_TRY(e.when_, parse_rate(*rate));
        return e;
    }
    if (const auto fields = inner("cron(")) return parse_cron(*fields);
    return wrong("it is rate(VALUE UNIT) or cron(MINUTES HOURS DAY MONTH WEEKDAY YEAR)");
}

result<schedule_expression> schedule_expression::parse_cron(std::string_view text) {
    std::vector<std::string_view> fields = split(text, ' ');
    std::erase(fields, std::string_view());
    if (fields.size() != 6)
        return wrong(
            fmt::format("cron has six fields (minutes, hours, day of month, month, day of "
                        "week, year), here are {}",
                        fields.size()));
    const std::string_view dom = fields[2], dow = fields[4];
    if ((dom == "?") == (dow == "?"))
        return wrong("one of day of month and day of week is a ?, and not both");
    cron c;
    HEARTH_CHECK(minute_field.fill(fields[0], c.at_minutes));
    HEARTH_CHECK(hour_field.fill(fields[1], c.at_hours));
    HEARTH_CHECK(month_field.fill(fields[3], c.in_months));
    HEARTH_CHECK(year_field.fill(fields[5], c.in_years, cron::first_year));
    if (dom == "L") {
        c.last_day = true;
    } else if (dom.ends_with('W')) {
        const auto n = day_field.value(dom.substr(0, dom.size() - 1));
        if (!n) return day_field.refuse(dom);
        c.near_day = *n;
    } else if (dom != "?") {
        HEARTH_CHECK(day_field.fill(dom, c.on_days));
    }
    if (dow == "L") {
        c.on_weekdays.set(7);
    } else if (dow.size() > 1 && dow.ends_with('L')) {
        const auto n = weekday_field.value(dow.substr(0, dow.size() - 1));
        if (!n) return weekday_field.refuse(dow);
        c.last_weekday = *n;
    } else if (const auto hash = dow.find('#'); hash != std::string_view::npos) {
        const auto n = weekday_field.value(dow.substr(0, hash));
        const auto which = number(dow.substr(hash + 1));
        if (!n) return weekday_field.refuse(dow.substr(0, hash));
        if (!which || *which < 1 || *which > 5)
            return wrong(fmt::format("\"{}\": the number after the # is 1 to 5", dow));
        c.nth_weekday = *n;
        c.nth = *which;
    } else if (dow != "?") {
        HEARTH_CHECK(weekday_field.fill(dow, c.on_weekdays));
    }
    schedule_expression e;
    e.when_ = c;
    return e;
}

bool schedule_expression::cron::matches(year_month_day d) const {
    if (near_day &&
        near_day <= unsigned(year_month_day(d.year() / d.month() / std::chrono::last).day()))
        if (nearest_weekday(d.year() / d.month() / day(near_day)) == d) return true;
    if (on_days[unsigned(d.day())]) return true;
    if (last_day && d == year_month_day(d.year() / d.month() / std::chrono::last)) return true;
    const unsigned w = number_of(weekday(sys_days(d)));
    if (on_weekdays[w]) return true;
    if (w == last_weekday && year_month_day(sys_days(d) + days(7)).month() != d.month())
        return true;
    return w == nth_weekday && (unsigned(d.day()) - 1) / 7 + 1 == nth;
}

std::optional<sys_seconds> schedule_expression::cron::next(sys_seconds after) const {
    const auto from = std::chrono::floor<minutes>(after) + minutes(1);
    auto today = std::chrono::floor<days>(from);
    auto of_day = from - today;  // only on the first day
    for (;; today += days(1), of_day = minutes(0)) {
        const year_month_day d(today);
        const int year = int(d.year());
        if (year > last_year) return std::nullopt;
        if (year < first_year || !in_years[static_cast<unsigned>(year - first_year)] ||
            !in_months[unsigned(d.month())]) {
            // To the month's end.
            today = sys_days(d.year() / d.month() / std::chrono::last);
            continue;
        }
        if (!matches(d)) continue;
        for (auto t = of_day; t < days(1); t += minutes(1)) {
            const auto h = std::chrono::floor<hours>(t);
            if (!at_hours[static_cast<unsigned>(h.count())]) {
                t = h + minutes(59);
                continue;
            }
            if (at_minutes[static_cast<unsigned>((t - h).count())]) return today + t;
        }
    }
}

std::optional<sys_seconds> schedule_expression::next(sys_seconds after, sys_seconds since) const {
    if (const auto* c = std::get_if<cron>(&when_)) return c->next(after);
    const seconds period = std::get<seconds>(when_);
    if (after < since) return since + period;
    return since + period * ((after - since) / period + 1);
}

}  // namespace hearth::control
