#pragma once

/// The result of an emulated operation: a value, or the errno the guest will see. Emulated behaviour is
/// data, never an error_code of ours (STYLE 9). Numbers are Linux's x86-64 ones, which the host shares.

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>

#include <cstdlib>
#include <initializer_list>

namespace hearth::guest {

struct os_error {
    int number = 0;  ///< positive: ENOENT, not -ENOENT

    constexpr os_error() = default;
    // Braces only, `os_error{ENOENT}`: were it constructible from a number in parentheses (in C++20 aggregates
    // are), boost::system::result would refuse to convert a number to an outcome<int>.
    constexpr os_error(std::initializer_list<int> n) : number(*n.begin()) {}
    bool operator==(const os_error&) const = default;
};

[[noreturn]] inline void throw_exception_from_error(const os_error&, const boost::source_location&) {
    std::abort();  // .value() on an unchecked outcome is a bug of ours
}

template <class T>
using outcome = boost::system::result<T, os_error>;

}  // namespace hearth::guest
