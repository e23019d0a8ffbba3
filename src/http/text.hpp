#pragma once

/// Small conversions of the wire: base64, percent-encoding, JSON validity. Pure.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::http {

std::string to_base64(std::string_view bytes);
/// RFC 4648 with padding, nothing else: no line breaks, no URL alphabet.
std::optional<std::string> from_base64(std::string_view text);

/// "%41" → "A"; '+' stays. Nothing when an escape is malformed.
std::optional<std::string> percent_decode(std::string_view text);

/// The text if it is UTF-8, else with '?' for what is not ASCII: for messages that quote a caller's
/// bytes.
std::string printable(std::string_view text);

/// Whether it can stand in a URL for a host and its port, and can do no harm there.
bool is_authority(std::string_view host);

/// AWS's parser (Jackson) stops at 1,000 levels.
inline constexpr std::size_t max_json_depth = 1000;

/// Empty if `text` is one JSON document, else what is wrong and where.
std::string json_fault(std::string_view text);

}  // namespace hearth::http
