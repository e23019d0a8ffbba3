#pragma once

/// EventBridge's schedule expressions, `rate(…)` and `cron(…)`, in UTC. Pure.
/// Rules: "Setting a schedule pattern for rules" of the EventBridge user guide.

#include <hearth/error.hpp>

#include <bitset>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

namespace hearth::control {

class schedule_expression {
  public:
    /// @errors errc::invalid_argument, with what is wrong
    static result<schedule_expression> parse(std::string_view text);

    /// The first time after `after`; nothing: never again. Rates are counted from `since`.
    [[nodiscard]] std::optional<std::chrono::sys_seconds> next(
        std::chrono::sys_seconds after, std::chrono::sys_seconds since) const;

  private:
    struct cron {
        static constexpr int first_year = 1970, last_year = 2199;

        std::bitset<60> at_minutes;
        std::bitset<24> at_hours;
        std::bitset<32> on_days;     ///< of the month; by number
        std::bitset<13> in_months;   ///< by number
        std::bitset<8> on_weekdays;  ///< by AWS's number: 1 is Sunday
        std::bitset<last_year - first_year + 1> in_years;
        bool last_day = false;              ///< `L` in the day of month
        unsigned near_day = 0;              ///< `15W`: the weekday nearest to it, in its month
        unsigned last_weekday = 0;          ///< `6L`: the month's last Friday
        unsigned nth_weekday = 0, nth = 0;  ///< `6#3`: the third Friday

        [[nodiscard]] bool matches(std::chrono::year_month_day day) const;
        [[nodiscard]] std::optional<std::chrono::sys_seconds> next(
            std::chrono::sys_seconds after) const;
    };
    static result<schedule_expression> parse_cron(std::string_view fields);

    std::variant<std::chrono::seconds, cron> when_;  ///< a rate's period
};

}  // namespace hearth::control
