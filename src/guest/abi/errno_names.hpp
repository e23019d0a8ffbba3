#pragma once

/// Names of error numbers, for the tracer: 2 is ENOENT, "No such file or directory".

#include <string_view>

namespace hearth::guest::abi {

struct error_name {
    std::string_view name;
    std::string_view text;
};

error_name name_of_error(int number) noexcept;

}  // namespace hearth::guest::abi
