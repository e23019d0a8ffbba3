#pragma once

#include <cstdlib>

/// Kept in release: past a broken isolation invariant we stop. Never reachable from guest input.
#define HEARTH_ASSERT(condition)           \
    do {                                   \
        if (!(condition)) [[unlikely]]     \
            ::std::abort();                \
    } while (false)
