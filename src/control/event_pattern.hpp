#pragma once

/// EventBridge's event patterns, as far as Lambda's filters have them. Pure.
///
/// A pattern is an object. Each of its fields must match the event's of that name: an object
/// matches field by field, a list matches if one of its alternatives does. `"$or": [{…}, {…}]`
/// stands for one of several objects. Alternatives are strings, numbers, true, false, null, or
///     {"prefix": "a"}              {"suffix": "z"}        either also {"equals-ignore-case": "a"}
///     {"equals-ignore-case": "a"}  {"exists": true}       {"numeric": [">", 0, "<=", 5]}
///     {"anything-but": 1, "a", [1, 2], {"prefix": "a"}, {"suffix": …}, {"equals-ignore-case": …}}
/// Where the event has a list, one of its elements must match. Numbers are compared by value, case
/// is ignored in ASCII only, and `exists` is of a field's value, not of an object's.
///
/// Source: Lambda Developer Guide, "Filter rule syntax"; EventBridge User Guide, "Comparison
/// operators". Their `cidr` and `wildcard` are not among Lambda's.

#include <hearth/error.hpp>

#include <boost/json/value.hpp>

#include <string_view>

namespace hearth::control {

class event_pattern {
  public:
    static constexpr std::size_t max_bytes = 4096;

    /// @errors errc::invalid_argument, beginning with AWS's sentence
    static result<event_pattern> parse(std::string_view text);

    [[nodiscard]] bool matches(const boost::json::object& event) const;

  private:
    explicit event_pattern(boost::json::object rules) : rules_(std::move(rules)) {}
    boost::json::object rules_;  ///< checked
};

}  // namespace hearth::control
