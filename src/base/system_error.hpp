#pragma once

#include <hearth/error.hpp>

#include <boost/system/system_category.hpp>

#include <cerrno>
#include <string>
#include <string_view>

namespace hearth {

/// What helps against running out of something; empty for the rest.
constexpr std::string_view cure_of(int errno_value) noexcept {
    switch (errno_value) {
        case EMFILE:
            return "; raise this process's limit of open files (ulimit -n, LimitNOFILE=)";
        case ENFILE:
            return "; raise the host's limit of open files (sysctl fs.file-max)";
        case ENOMEM:
            return "; the host's memory, its vm.max_map_count or this process's address space "
                   "(ulimit -v) is used up";
        default:
            return {};
    }
}

/// Of ENOSPC where it is a disk that is full: others mean other things by it.
inline constexpr std::string_view cure_of_full_disk = "; make room on its disk";

/// "what: strerror" under `code`, and the cure if there is one. errno_value defaults to the current
/// errno: call it first thing.
inline error system_failure(errc code, std::string_view what, int errno_value = errno) {
    std::string text(what);
    text.append(": ").append(error_code(errno_value, boost::system::system_category()).message());
    return {code, text.append(cure_of(errno_value))};
}

}  // namespace hearth
