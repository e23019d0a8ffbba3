#pragma once

/// HEARTH_TRY(auto fd, open_kvm());   — declares fd, or returns the error.
/// HEARTH_CHECK(do_it());             — for result<void>.

#include <utility>

#define HEARTH_CONCAT_(a, b) a##b
#define HEARTH_CONCAT(a, b) HEARTH_CONCAT_(a, b)
#define HEARTH_TRY_(tmp, decl, ...)           \
    auto tmp = (__VA_ARGS__);                 \
    if (tmp.has_error()) return tmp.error();  \
    decl = std::move(*tmp)
#define HEARTH_TRY(decl, ...) HEARTH_TRY_(HEARTH_CONCAT(hearth_try_, __LINE__), decl, __VA_ARGS__)
#define HEARTH_CHECK(...)                                                  \
    do {                                                                   \
        if (auto hearth_check_ = (__VA_ARGS__); hearth_check_.has_error()) \
            return hearth_check_.error();                                  \
    } while (false)
