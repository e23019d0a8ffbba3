#pragma once

/// Lambda's log levels, and which line has which. @source Lambda guide, "Log-level filtering"

#include <string_view>

namespace hearth::logs {

enum class level { trace, debug, info, warn, error, fatal };

/// "INFO", in any case; `otherwise` for what is none.
level parse_level(std::string_view name, level otherwise = level::info) noexcept;

/// Of a line that a function wrote: of a JSON object its "level"; what has none, and text, is INFO.
level level_of_line(std::string_view line);

}  // namespace hearth::logs
