#pragma once

/// How the shapes are read: a JSON object whose members are asked for by name and type, and a body
/// that is one. Pure.

#include "http/shapes.hpp"
#include "http/text.hpp"

#include <boost/json.hpp>

#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace hearth::http {

namespace json = boost::json;

/// Carries a fault from deep in a document, or in what is done with it, to the function that reads
/// it.
struct fault_thrown {
    shape_fault fault;
};

[[noreturn]] inline void wrong_type(std::string_view member, std::string_view wanted) {
    throw fault_thrown{
        {shape_fault::kind::wrong_type,
         error(errc::invalid_argument, std::string(member) + " must be " + std::string(wanted))}};
}
[[noreturn]] inline void refuse(errc code, std::string why) {
    throw fault_thrown{{shape_fault::kind::refused, error(code, std::move(why))}};
}
[[noreturn]] inline void must_not_be_null(std::string_view member) {
    refuse(errc::invalid_argument, "1 validation error detected: Value null at '" +
                                       std::string(member) +
                                       "' failed to satisfy constraint: Member must not be null");
}

/// What an operation gave; its error becomes the request's refusal.
template <class T>
T taken(result<T> given) {
    if (given.has_error()) throw fault_thrown{{shape_fault::kind::refused, given.error()}};
    if constexpr (!std::is_void_v<T>) return std::move(*given);
}

/// A JSON object whose members are taken by name; null is the same as absent.
class reader {
  public:
    explicit reader(const json::object& from) : from_(from) {}

    [[nodiscard]] const json::value* find(std::string_view name) const {
        const json::value* v = from_.if_contains(json::string_view(name.data(), name.size()));
        return v && !v->is_null() ? v : nullptr;
    }
    [[nodiscard]] std::optional<std::string> text(std::string_view name) const {
        const json::value* v = find(name);
        if (!v) return std::nullopt;
        if (!v->is_string()) wrong_type(name, "a string");
        return std::string(v->get_string());
    }
    [[nodiscard]] std::optional<std::int64_t> number(std::string_view name) const {
        const json::value* v = find(name);
        if (!v) return std::nullopt;
        if (!v->is_int64()) wrong_type(name, "an integer");
        return v->get_int64();
    }
    [[nodiscard]] std::optional<std::map<std::string, double>> number_map(
        std::string_view name) const {
        const auto members = object(name);
        if (!members) return std::nullopt;
        std::map<std::string, double> map;
        for (const auto& [key, value] : members->from_) {
            if (!value.is_number()) wrong_type(name, "a map of numbers");
            map.emplace(key, value.to_number<double>());
        }
        return map;
    }
    /// Of a member that must be there; `shown` is its name as AWS's sentence has it.
    [[nodiscard]] std::string required_text(std::string_view name, std::string_view shown) const {
        auto value = text(name);
        if (!value) must_not_be_null(shown);
        return std::move(*value);
    }
    [[nodiscard]] bool flag(std::string_view name) const {
        const json::value* v = find(name);
        if (!v) return false;
        if (!v->is_bool()) wrong_type(name, "true or false");
        return v->get_bool();
    }
    [[nodiscard]] std::optional<reader> object(std::string_view name) const {
        const json::value* v = find(name);
        if (!v) return std::nullopt;
        if (!v->is_object()) wrong_type(name, "an object");
        return reader(v->get_object());
    }
    [[nodiscard]] std::optional<std::vector<std::string>> texts(std::string_view name) const {
        const json::value* v = find(name);
        if (!v) return std::nullopt;
        if (!v->is_array()) wrong_type(name, "a list");
        std::vector<std::string> list;
        for (const json::value& each : v->get_array()) {
            if (!each.is_string()) wrong_type(name, "a list of strings");
            list.emplace_back(each.get_string());
        }
        return list;
    }
    [[nodiscard]] std::optional<std::map<std::string, std::string>> text_map(
        std::string_view name) const {
        const auto members = object(name);
        if (!members) return std::nullopt;
        std::map<std::string, std::string> map;
        for (const auto& [key, value] : members->from_) {
            if (!value.is_string()) wrong_type(name, "a map of strings");
            map.emplace(key, value.get_string());
        }
        return map;
    }
    /// Whether the member says anything: not null, not empty.
    [[nodiscard]] bool says_something(std::string_view name) const {
        const json::value* v = find(name);
        if (!v) return false;
        if (v->is_string()) return !v->get_string().empty();
        if (v->is_array()) return !v->get_array().empty();
        if (v->is_object()) return !v->get_object().empty();
        return true;
    }
    [[nodiscard]] const json::object& members() const { return from_; }

  private:
    const json::object& from_;
};

/// The bytes of a package, of a shape that holds ZipFile and its alternatives.
std::string zip_file(const reader& code);

template <class Read>
auto read_document(std::string_view body, Read read)
    -> shaped<decltype(read(std::declval<reader>()))> {
    boost::system::error_code ec;
    const json::value document = json::parse(json::string_view(body.data(), body.size()), ec);
    if (ec || !document.is_object())
        return shape_fault{shape_fault::kind::not_json,
                           error(errc::invalid_argument, ec ? json_fault(body) : "not an object")};
    try {
        return read(reader(document.get_object()));
    } catch (fault_thrown& thrown) {
        return std::move(thrown.fault);
    }
}

}  // namespace hearth::http
