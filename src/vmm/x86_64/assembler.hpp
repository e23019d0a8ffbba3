#pragma once

/// Puts machine code into a page of the guest, knowing the page's own address.

#include "base/assert.hpp"
#include "vmm/address.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace hearth::vmm::x86_64 {

class assembler {
  public:
    assembler(std::span<std::byte, page_size> page, gva start) noexcept
        : page_(page), start_(start) {}

    void seek(gva where) noexcept { at_ = where - start_; }
    void emit(std::initializer_list<int> code) noexcept {
        for (int byte : code) put(byte);
    }
    /// A little-endian 32-bit value.
    void emit32(std::uint64_t value) noexcept {
        for (int i = 0; i < 4; i++) put(static_cast<int>(value >> (8 * i) & 0xff));
    }
    /// The displacement from the end of this instruction, of which it is the last part.
    void relative_to(gva target) noexcept { emit32(target.value - (start_.value + at_ + 4)); }

  private:
    void put(int byte) noexcept {
        HEARTH_ASSERT(at_ < page_size);
        page_[at_++] = static_cast<std::byte>(byte);
    }
    std::span<std::byte, page_size> page_;
    gva start_;
    std::uint64_t at_ = 0;
};

}  // namespace hearth::vmm::x86_64
