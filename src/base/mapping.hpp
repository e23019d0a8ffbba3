#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <utility>

namespace hearth {

/// Owns an address range made by mmap(2).
class mapping {
  public:
    mapping() noexcept = default;
    mapping(void* address, std::size_t length) noexcept
        : address_(static_cast<std::byte*>(address)), length_(length) {}
    mapping(mapping&& other) noexcept
        : address_(std::exchange(other.address_, nullptr)), length_(std::exchange(other.length_, 0)) {}
    mapping& operator=(mapping&& other) noexcept {
        if (this != &other) {
            release();
            address_ = std::exchange(other.address_, nullptr);
            length_ = std::exchange(other.length_, 0);
        }
        return *this;
    }
    ~mapping() { release(); }

    [[nodiscard]] std::byte* data() const noexcept { return address_; }
    [[nodiscard]] std::size_t size() const noexcept { return length_; }
    [[nodiscard]] explicit operator bool() const noexcept { return address_ != nullptr; }

  private:
    void release() noexcept {
        if (address_) ::munmap(address_, length_);
    }
    std::byte* address_ = nullptr;
    std::size_t length_ = 0;
};

}  // namespace hearth
