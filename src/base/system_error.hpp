#pragma once

#include <hearth/error.hpp>

#include <boost/system/system_category.hpp>

#include <cerrno>
#include <string>
#include <string_view>

namespace hearth {

/// "what: strerror" under `code`. errno_value defaults to the current errno: call it first thing.
inline error system_failure(errc code, std::string_view what, int errno_value = errno) {
    return {code, std::string(what) + ": " + error_code(errno_value, boost::system::system_category()).message()};
}

}  // namespace hearth
