#pragma once

/// Base64 of RFC 4648, with padding. Pure.

#include <optional>
#include <string>
#include <string_view>

namespace hearth {

std::string to_base64(std::string_view bytes);
/// Nothing: the text is not just that, with no line breaks and not in the URL alphabet.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace hearth
