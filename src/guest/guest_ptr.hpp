#pragma once

/// A pointer argument as the guest passed it: a number with a type, which only `task` can follow, with every
/// check. The pointee is copied in once and copied out once; it may change between two reads.

#include "vmm/address.hpp"

#include <type_traits>

namespace hearth::guest {

using vmm::gpa;
using vmm::gva;

template <class T>
struct guest_ptr {
    gva address;

    [[nodiscard]] constexpr explicit operator bool() const noexcept { return address.value != 0; }
    [[nodiscard]] constexpr guest_ptr<T> operator+(std::uint64_t n) const noexcept
        requires(!std::is_void_v<T>)
    {
        return {address + n * sizeof(T)};
    }
};

}  // namespace hearth::guest
