#pragma once

/// How Catch2 shows an outcome.

#include "guest/outcome.hpp"

#include <catch2/catch.hpp>

#include <string>

namespace Catch {
template <class T>
struct StringMaker<hearth::guest::outcome<T>> {
    static std::string convert(const hearth::guest::outcome<T>& o) {
        return o ? "a value" : "errno " + std::to_string(o.error().number);
    }
};
}  // namespace Catch
