#pragma once

/// What the sentence of errc::init_failed says: "TYPE: MESSAGE", as the runtime posted them to
/// init/error or as Lambda names what befell it.

#include <algorithm>
#include <string_view>

namespace hearth {

struct init_failure {
    std::string_view type = "Runtime.InitError";
    std::string_view message;
};

inline init_failure init_failure_in(std::string_view sentence) noexcept {
    const auto end = sentence.find(": ");
    const auto in_a_type = [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_';
    };
    if (end == 0 || end == sentence.npos ||
        !std::ranges::all_of(sentence.substr(0, end), in_a_type))
        return {.message = sentence};
    return {sentence.substr(0, end), sentence.substr(end + 2)};
}

}  // namespace hearth
