#include "control/event_pattern.hpp"

#include "base/try.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace hearth::control {
namespace {

namespace json = boost::json;

error bad(std::string_view why) {
    return {errc::invalid_argument, "Invalid filter pattern definition. " + std::string(why)};
}

std::string_view view(const json::string& s) { return {s.data(), s.size()}; }
std::string_view view(json::string_view s) { return {s.data(), s.size()}; }

bool is_scalar(const json::value& v) { return !v.is_object() && !v.is_array(); }
bool is_text_or_number(const json::value& v) { return v.is_string() || v.is_number(); }

/// All of a list, or the value itself.
template <class Predicate>
bool all_of(const json::value& v, Predicate holds) {
    if (!v.is_array()) return holds(v);
    return !v.get_array().empty() && std::ranges::all_of(v.get_array(), holds);
}
/// Any of a list, or the value itself.
template <class Predicate>
bool any_of(const json::value& v, Predicate holds) {
    return v.is_array() ? std::ranges::any_of(v.get_array(), holds) : holds(v);
}

constexpr std::string_view relations[] = {"=", "<", "<=", ">", ">="};

result<void> check_numeric(const json::value& v) {
    const json::array* list = v.if_array();
    if (!list || (list->size() != 2 && list->size() != 4))
        return bad("\"numeric\" takes one or two pairs of a comparison and a number");
    for (std::size_t i = 0; i < list->size(); i += 2) {
        const json::value &relation = (*list)[i], &bound = (*list)[i + 1];
        if (!relation.is_string() ||
            std::ranges::find(relations, view(relation.get_string())) == std::end(relations))
            return bad("\"numeric\" compares by =, <, <=, > or >=");
        if (!bound.is_number()) return bad("\"numeric\" compares with numbers");
    }
    if (list->size() == 4) {
        const auto direction = [&](std::size_t i) { return (*list)[i].get_string()[0]; };
        if (direction(0) == '=' || direction(2) == '=' || direction(0) == direction(2))
            return bad("a range of \"numeric\" has a lower and an upper bound");
    }
    return {};
}

/// `with_case`: it may ignore the case.
result<void> check_affix(std::string_view name, const json::value& v, bool with_case) {
    if (v.is_string()) return {};
    const json::object* o = v.if_object();
    if (with_case && o && o->size() == 1 && o->begin()->key() == "equals-ignore-case" &&
        o->begin()->value().is_string())
        return {};
    return bad("\"" + std::string(name) + "\" takes a string");
}

result<void> check_anything_but(const json::value& v) {
    if (const json::object* o = v.if_object()) {
        const std::string_view name = o->size() == 1 ? view(o->begin()->key()) : "";
        if ((name == "prefix" || name == "suffix" || name == "equals-ignore-case") &&
            all_of(o->begin()->value(), [](const json::value& each) { return each.is_string(); }))
            return {};
        return bad(
            "\"anything-but\" takes one of prefix, suffix and equals-ignore-case, of strings");
    }
    if (all_of(v, is_text_or_number)) return {};
    return bad("\"anything-but\" takes a string, a number, or a list of them");
}

result<void> check_alternative(const json::value& v) {
    if (v.is_array()) return bad("a list holds alternatives, not lists");
    const json::object* o = v.if_object();
    if (!o) return {};
    if (o->size() != 1) return bad("an alternative has one comparison");
    const std::string_view name = view(o->begin()->key());
    const json::value& operand = o->begin()->value();
    if (name == "prefix" || name == "suffix") return check_affix(name, operand, true);
    if (name == "equals-ignore-case") return check_affix(name, operand, false);
    if (name == "numeric") return check_numeric(operand);
    if (name == "anything-but") return check_anything_but(operand);
    if (name != "exists") return bad("\"" + std::string(name) + "\" is no comparison");
    if (!operand.is_bool()) return bad("\"exists\" takes true or false");
    return {};
}

result<void> check_rules(const json::object& rules) {
    if (rules.empty()) return bad("a pattern, and an object in it, is not empty");
    for (const auto& [key, value] : rules) {
        const std::string name(view(key));
        if (key == "$or") {
            const json::array* list = value.if_array();
            if (!list || list->size() < 2) return bad("\"$or\" takes two objects or more");
            for (const json::value& each : *list) {
                if (!each.is_object()) return bad("\"$or\" takes objects");
                HEARTH_CHECK(check_rules(each.get_object()));
            }
        } else if (const json::object* nested = value.if_object()) {
            HEARTH_CHECK(check_rules(*nested));
        } else if (const json::array* list = value.if_array()) {
            if (list->empty()) return bad("\"" + name + "\" has no alternatives");
            for (const json::value& each : *list) HEARTH_CHECK(check_alternative(each));
        } else {
            return bad("\"" + name + "\" must be an object or an array");
        }
    }
    return {};
}

bool equal(const json::value& a, const json::value& b) {
    if (!a.is_number() || !b.is_number()) return a == b;
    if (!a.is_double() && !b.is_double()) return a == b;
    return a.to_number<double>() == b.to_number<double>();
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool equal_without_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, {}, lower, lower);
}

bool begins(std::string_view text, std::string_view with, bool ignore_case) {
    text = text.substr(0, with.size());
    return ignore_case ? equal_without_case(text, with) : text == with;
}
bool ends(std::string_view text, std::string_view with, bool ignore_case) {
    if (text.size() < with.size()) return false;
    text.remove_prefix(text.size() - with.size());
    return ignore_case ? equal_without_case(text, with) : text == with;
}

/// prefix, suffix or equals-ignore-case.
bool compares(std::string_view how, const json::value& operand, std::string_view text) {
    const json::object* o = operand.if_object();
    const std::string_view with = view((o ? o->begin()->value() : operand).get_string());
    if (how == "prefix") return begins(text, with, o);
    if (how == "suffix") return ends(text, with, o);
    return equal_without_case(text, with);
}

bool compares(const json::array& numeric, double number) {
    for (std::size_t i = 0; i < numeric.size(); i += 2) {
        const std::string_view how = view(numeric[i].get_string());
        const double bound = numeric[i + 1].to_number<double>();
        const bool holds = how == "="    ? number == bound
                           : how == "<"  ? number < bound
                           : how == "<=" ? number <= bound
                           : how == ">"  ? number > bound
                                         : number >= bound;
        if (!holds) return false;
    }
    return true;
}

bool is_another(const json::value& operand, const json::value& v) {
    const json::object* o = operand.if_object();
    if (!o) return !any_of(operand, [&](const json::value& each) { return equal(each, v); });
    // What is no string does not begin with one.
    if (!v.is_string()) return true;
    return !any_of(o->begin()->value(), [&](const json::value& each) {
        return compares(view(o->begin()->key()), each, view(v.get_string()));
    });
}

/// Of a field that is there, with a value that is no object and no list.
bool matches_value(const json::value& alternative, const json::value& v) {
    const json::object* o = alternative.if_object();
    if (!o) return equal(alternative, v);
    const std::string_view name = view(o->begin()->key());
    const json::value& operand = o->begin()->value();
    if (name == "exists") return operand.get_bool();
    if (name == "anything-but") return is_another(operand, v);
    if (name == "numeric")
        return v.is_number() && compares(operand.get_array(), v.to_number<double>());
    return v.is_string() && compares(name, operand, view(v.get_string()));
}

bool wants_absence(const json::value& alternative) {
    const json::object* o = alternative.if_object();
    return o && o->begin()->key() == "exists" && !o->begin()->value().get_bool();
}

bool matches_field(const json::array& alternatives, const json::value* v) {
    if (!v) return std::ranges::any_of(alternatives, wants_absence);
    const auto by_any = [&](const json::value& each) {
        return is_scalar(each) && std::ranges::any_of(alternatives, [&](const json::value& a) {
                   return matches_value(a, each);
               });
    };
    return any_of(*v, by_any);
}

bool matches_rules(const json::object& rules, const json::object& event);

bool matches_nested(const json::object& rules, const json::value* v) {
    // A field that is not there has none below it: some rules want just that.
    if (!v) return matches_rules(rules, json::object());
    return any_of(*v, [&](const json::value& each) {
        return each.is_object() && matches_rules(rules, each.get_object());
    });
}

bool matches_rules(const json::object& rules, const json::object& event) {
    return std::ranges::all_of(rules, [&](const auto& rule) {
        if (rule.key() == "$or")
            return std::ranges::any_of(rule.value().get_array(), [&](const json::value& each) {
                return matches_rules(each.get_object(), event);
            });
        const json::value* v = event.if_contains(rule.key());
        if (const json::object* nested = rule.value().if_object())
            return matches_nested(*nested, v);
        return matches_field(rule.value().get_array(), v);
    });
}

}  // namespace

result<event_pattern> event_pattern::parse(std::string_view text) {
    if (text.size() > max_bytes)
        return bad("A pattern has at most " + std::to_string(max_bytes) + " bytes");
    boost::system::error_code ec;
    json::value v = json::parse(json::string_view(text.data(), text.size()), ec);
    if (ec) return bad("It is not JSON: " + ec.message());
    if (!v.is_object()) return bad("It is no JSON object");
    HEARTH_CHECK(check_rules(v.get_object()));
    return event_pattern(std::move(v.get_object()));
}

bool event_pattern::matches(const json::object& event) const {
    return matches_rules(rules_, event);
}

}  // namespace hearth::control
