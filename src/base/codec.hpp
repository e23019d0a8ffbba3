#pragma once

/// Values to bytes and back. Aggregates are taken apart field by field (Boost.PFR), so a new field
/// is stored without a line of code and none can be forgotten; standard containers, variants and
/// optionals by their kind. Numbers are as x86-64 holds them, lengths 64 bits.
///
/// Reading is for hostile bytes: every length is held against what is left before anything is
/// made, every index and enumerator is checked, the keys of a map or set ascend, and the nesting is
/// that of the types, so it is finite. What is read is well-formed as a C++ value; whether it makes
/// sense is for its owner (or a checksum) to know.
///
/// A class with private members names them in one line:
///
///     friend struct codec::access;
///     static auto fields(auto& self) { return std::tie(self.first_, self.second_); }
///
/// A writer has `bytes(const void*, size)`, a reader `bool bytes(void*, size)` and `left()`. Both
/// may have `custom(value)` for types that need a context; it comes first.

#include "base/codec_access.hpp"

#include <boost/pfr.hpp>

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

namespace hearth::codec {

/// How many enumerators an enumeration has, counted from 0; `any_enumerator` for ids. Each one that
/// is stored says so by a specialisation.
inline constexpr std::uint64_t any_enumerator = ~std::uint64_t{0};
template <class E>
inline constexpr std::uint64_t enumerators = 0;

/// Reads from a span. Once anything failed, all that follows does.
class byte_reader {
  public:
    explicit byte_reader(std::span<const std::byte> from) noexcept : rest_(from) {}
    bool bytes(void* into, std::size_t n) noexcept {
        if (n > rest_.size()) {
            rest_ = {};
            return false;
        }
        if (n) std::memcpy(into, rest_.data(), n);
        rest_ = rest_.subspan(n);
        return true;
    }
    [[nodiscard]] std::size_t left() const noexcept { return rest_.size(); }

  private:
    std::span<const std::byte> rest_;
};

namespace kinds {

template <class T, template <class...> class Template>
inline constexpr bool is = false;
template <template <class...> class Template, class... A>
inline constexpr bool is<Template<A...>, Template> = true;

template <class T>
inline constexpr bool is_array = false;
template <class T, std::size_t N>
inline constexpr bool is_array<std::array<T, N>> = true;

template <class T>
concept tied = requires(T& v) {
    access::fields(v);
};
template <class T>
concept sequence = is<T, std::vector> || is<T, std::deque> || std::same_as<T, std::string>;
template <class T>
concept byte_block = (is<T, std::vector> ||
                      std::same_as<T, std::string>)&&sizeof(typename T::value_type) == 1 &&
                     !std::same_as<typename T::value_type, bool>;
/// A value that several owners share and nobody changes. Null is a value of it.
template <class T>
concept shared_value = is<T, std::shared_ptr>;

}  // namespace kinds

template <class W, class T>
void put(W& w, const T& v) {
    if constexpr (requires { w.custom(v); }) {
        w.custom(v);
    } else if constexpr (std::same_as<T, bool>) {
        put(w, static_cast<std::uint8_t>(v));
    } else if constexpr (std::is_integral_v<T> || std::same_as<T, std::byte>) {
        w.bytes(&v, sizeof v);
    } else if constexpr (std::is_enum_v<T>) {
        put(w, static_cast<std::underlying_type_t<T>>(v));
    } else if constexpr (kinds::is<T, std::chrono::duration>) {
        put(w, v.count());
    } else if constexpr (kinds::is<T, std::optional>) {
        put(w, v.has_value());
        if (v) put(w, *v);
    } else if constexpr (kinds::shared_value<T>) {
        put(w, v != nullptr);
        if (v) put(w, *v);
    } else if constexpr (kinds::is<T, std::variant>) {
        static_assert(std::variant_size_v<T> < 256);
        put(w, static_cast<std::uint8_t>(v.index()));
        std::visit([&](const auto& alternative) { put(w, alternative); }, v);
    } else if constexpr (kinds::is<T, std::pair>) {
        put(w, v.first);
        put(w, v.second);
    } else if constexpr (kinds::byte_block<T>) {
        put(w, std::uint64_t{v.size()});
        w.bytes(v.data(), v.size());
    } else if constexpr (kinds::sequence<T> || kinds::is<T, std::map> || kinds::is<T, std::set>) {
        put(w, std::uint64_t{v.size()});
        for (const auto& element : v) put(w, element);
    } else if constexpr (kinds::is_array<T>) {
        for (const auto& element : v) put(w, element);
    } else if constexpr (kinds::tied<T>) {
        std::apply([&](const auto&... field) { (put(w, field), ...); }, access::fields(v));
    } else if constexpr (!std::is_empty_v<T>) {
        static_assert(std::is_aggregate_v<T>, "give this class `fields`");
        boost::pfr::for_each_field(v, [&](const auto& field) { put(w, field); });
    }
}

template <class R, class T>
[[nodiscard]] bool get(R& r, T& v);

namespace kinds {

template <class T, class R, std::size_t... I>
bool get_alternative(R& r, T& v, std::size_t index, std::index_sequence<I...>) {
    bool ok = false;
    static_cast<void>(((index == I && (ok = get(r, v.template emplace<I>()), true)) || ...));
    return ok;
}

}  // namespace kinds

/// @return false: the bytes are not such a value, and `v` is whatever it got to.
template <class R, class T>
bool get(R& r, T& v) {
    if constexpr (requires { r.custom(v); }) {
        return r.custom(v);
    } else if constexpr (std::same_as<T, bool>) {
        std::uint8_t stored = 0;
        if (!get(r, stored) || stored > 1) return false;
        v = stored != 0;
        return true;
    } else if constexpr (std::is_integral_v<T> || std::same_as<T, std::byte>) {
        return r.bytes(&v, sizeof v);
    } else if constexpr (std::is_enum_v<T>) {
        static_assert(enumerators<T> != 0, "say how many enumerators it has");
        std::underlying_type_t<T> stored{};
        if (!get(r, stored)) return false;
        // A negative one becomes large.
        if (enumerators<T> != any_enumerator &&
            static_cast<std::uint64_t>(stored) >= enumerators<T>)
            return false;
        v = static_cast<T>(stored);
        return true;
    } else if constexpr (kinds::is<T, std::chrono::duration>) {
        typename T::rep count{};
        if (!get(r, count)) return false;
        v = T(count);
        return true;
    } else if constexpr (kinds::is<T, std::optional>) {
        bool there = false;
        v.reset();
        return get(r, there) && (!there || get(r, v.emplace()));
    } else if constexpr (kinds::shared_value<T>) {
        using value = std::remove_const_t<typename T::element_type>;
        bool there = false;
        v.reset();
        if (!get(r, there)) return false;
        if (!there) return true;
        auto made = std::make_shared<value>();
        if (!get(r, *made)) return false;
        v = std::move(made);
        return true;
    } else if constexpr (kinds::is<T, std::variant>) {
        std::uint8_t index = 0;
        return get(r, index) &&
               kinds::get_alternative(r, v, index,
                                      std::make_index_sequence<std::variant_size_v<T>>());
    } else if constexpr (kinds::is<T, std::pair>) {
        return get(r, v.first) && get(r, v.second);
    } else if constexpr (kinds::byte_block<T>) {
        std::uint64_t n = 0;
        if (!get(r, n) || n > r.left()) return false;
        v.resize(n);
        return r.bytes(v.data(), n);
    } else if constexpr (kinds::sequence<T>) {
        std::uint64_t n = 0;
        // An element takes a byte at least (held to below), so memory is in proportion to bytes.
        if (!get(r, n) || n > r.left()) return false;
        v.clear();
        for (; n != 0; --n) {
            const std::size_t before = r.left();
            if (!get(r, v.emplace_back()) || r.left() == before) return false;
        }
        return true;
    } else if constexpr (kinds::is<T, std::map>) {
        std::uint64_t n = 0;
        if (!get(r, n) || n > r.left()) return false;
        v.clear();
        for (; n != 0; --n) {
            typename T::key_type key{};
            if (!get(r, key) || (!v.empty() && !v.key_comp()(v.rbegin()->first, key))) return false;
            if (!get(r, v.try_emplace(v.end(), std::move(key))->second)) return false;
        }
        return true;
    } else if constexpr (kinds::is<T, std::set>) {
        std::uint64_t n = 0;
        if (!get(r, n) || n > r.left()) return false;
        v.clear();
        for (; n != 0; --n) {
            typename T::key_type key{};
            if (!get(r, key) || (!v.empty() && !v.key_comp()(*v.rbegin(), key))) return false;
            v.insert(v.end(), std::move(key));
        }
        return true;
    } else if constexpr (kinds::is_array<T>) {
        for (auto& element : v)
            if (!get(r, element)) return false;
        return true;
    } else if constexpr (kinds::tied<T>) {
        return std::apply([&](auto&... field) { return (get(r, field) && ...); },
                          access::fields(v));
    } else if constexpr (std::is_empty_v<T>) {
        return true;
    } else {
        static_assert(std::is_aggregate_v<T>, "give this class `fields`");
        return std::apply([&](auto&... field) { return (get(r, field) && ...); },
                          boost::pfr::structure_tie(v));
    }
}

/// What a type is made of, down to the numbers: a text that changes with the layout.
class schema {
  public:
    template <class T>
    void add() {
        text_ += typeid(T).name();
        text_ += ' ';
        if constexpr (!kinds::is<T, std::map> && !kinds::is<T, std::set> &&
                      !kinds::is<T, std::deque>)
            text_ += std::to_string(sizeof(T));
        text_ += '\n';
        if (!seen_.insert(typeid(T).name()).second) return;
        if constexpr (std::is_enum_v<T>) {
            text_ += std::to_string(enumerators<T>) + '\n';
        } else if constexpr (kinds::is<T, std::optional> || kinds::sequence<T> ||
                             kinds::is<T, std::set> || kinds::is_array<T>) {
            add<typename T::value_type>();
        } else if constexpr (kinds::shared_value<T>) {
            // A type that holds its own kind ends here: it has been seen.
            add<std::remove_const_t<typename T::element_type>>();
        } else if constexpr (kinds::is<T, std::map>) {
            add<typename T::key_type>();
            add<typename T::mapped_type>();
        } else if constexpr (kinds::is<T, std::pair>) {
            add<typename T::first_type>();
            add<typename T::second_type>();
        } else if constexpr (kinds::is<T, std::variant>) {
            [&]<class... A>(std::type_identity<std::variant<A...>>) {
                (add<A>(), ...);
            }(std::type_identity<T>());
        } else if constexpr (kinds::tied<T>) {
            add_all(std::type_identity<decltype(access::fields(std::declval<T&>()))>());
        } else if constexpr (std::is_aggregate_v<T> && !std::is_empty_v<T>) {
            text_ += std::to_string(boost::pfr::tuple_size_v<T>) + '\n';
            add_all(std::type_identity<decltype(boost::pfr::structure_tie(std::declval<T&>()))>());
        }
    }
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

  private:
    template <class... F>
    void add_all(std::type_identity<std::tuple<F&...>>) {
        (add<F>(), ...);
    }
    std::string text_;
    std::set<std::string> seen_;
};

}  // namespace hearth::codec
