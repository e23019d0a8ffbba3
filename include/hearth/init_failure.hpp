#pragma once

/// What the message of an errc::init_failed says: "TYPE: MESSAGE", as the function's runtime posted
/// them to init/error, or as Lambda names what befell it (Sandbox.Timedout, Runtime.ExitError …).

#include <algorithm>
#include <string_view>

namespace hearth {

/// Views into the message.
struct init_failure {
    std::string_view type = "Runtime.InitError";
    std::string_view message;
};

inline init_failure init_failure_in(std::string_view message) noexcept {
    const auto end = message.find(": ");
    const auto in_a_type = [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_';
    };
    if (end == 0 || end == message.npos || !std::ranges::all_of(message.substr(0, end), in_a_type))
        return {.message = message};
    return {message.substr(0, end), message.substr(end + 2)};
}

}  // namespace hearth
