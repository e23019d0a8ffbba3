#pragma once

/// Copies from and to pages of a file window. Somebody may have cut the file short: the kernel's
/// copy answers EFAULT where our own load or store would be SIGBUS.

#include <cstddef>

namespace hearth::guest::mm {

[[nodiscard]] bool copy_from_window(std::byte* into,
                                    const std::byte* from,
                                    std::size_t length) noexcept;
[[nodiscard]] bool copy_to_window(std::byte* into,
                                  const std::byte* from,
                                  std::size_t length) noexcept;

}  // namespace hearth::guest::mm
