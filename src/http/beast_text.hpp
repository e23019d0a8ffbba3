#pragma once

/// Between Beast's string_view and the standard's.

#include <boost/beast/core/string.hpp>

#include <string_view>

namespace hearth::http {

inline std::string_view view(boost::beast::string_view s) { return {s.data(), s.size()}; }
inline boost::beast::string_view to_beast(std::string_view s) { return {s.data(), s.size()}; }

}  // namespace hearth::http
