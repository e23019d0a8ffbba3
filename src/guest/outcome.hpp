#pragma once

/// The result of an emulated operation: a value, or the errno the guest will see. Emulated behaviour is
/// data, never an error_code of ours (STYLE 9). Numbers are Linux's x86-64 ones, which the host shares.

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>

#include <cstdlib>

namespace hearth::guest {

struct os_error {
    int number = 0;  ///< positive: ENOENT, not -ENOENT
    bool operator==(const os_error&) const = default;
};

[[noreturn]] inline void throw_exception_from_error(const os_error&, const boost::source_location&) {
    std::abort();  // .value() on an unchecked outcome is a bug of ours
}

template <class T>
using outcome = boost::system::result<T, os_error>;

}  // namespace hearth::guest
