#pragma once

#include <cstdint>
#include <string_view>

namespace hearth::guest {

/// The Linux release that brought an x86-64 system call (man 2 syscalls); empty: 2.4 or before.
std::string_view introduced_in(std::uint32_t number) noexcept;

}  // namespace hearth::guest
