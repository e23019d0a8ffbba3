# cmake -D SOURCE=… -D OUTPUT=… -P commit.cmake: the commit that is measured, in a header, at build time.
execute_process(COMMAND git -C ${SOURCE} rev-parse --short=12 HEAD
    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed ERROR_QUIET)
execute_process(COMMAND git -C ${SOURCE} diff --quiet HEAD RESULT_VARIABLE dirty ERROR_QUIET)
if(failed)
    set(commit unknown)
elseif(dirty)
    string(APPEND commit "-dirty")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#pragma once

namespace hearth::bench {
inline constexpr char commit[] = "@commit@";
}
]])
