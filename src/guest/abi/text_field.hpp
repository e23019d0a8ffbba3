#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace hearth::guest::abi {

/// Fills a fixed text field of a guest-visible struct, zero-padded and zero-terminated; what does not
/// fit is cut.
template <std::size_t N>
void put_text(char (&field)[N], std::string_view text) noexcept {
    std::ranges::fill(field, '\0');
    std::ranges::copy(text.substr(0, N - 1), field);
}

}  // namespace hearth::guest::abi
