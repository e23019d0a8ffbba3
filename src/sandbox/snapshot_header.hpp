#pragma once

/// The first page of a stored snapshot: see snapshot_format.hpp.

#include "vmm/address.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace hearth::detail {

struct snapshot_header {
    static constexpr std::array<char, 16> signature{'h', 'e', 'a', 'r', 't', 'h', ' ', 's',
                                                    'n', 'a', 'p', 's', 'h', 'o', 't', '\n'};
    static constexpr std::uint32_t current_version = 1;

    std::array<char, 16> magic = signature;
    std::uint32_t version = current_version;
    std::uint32_t cpu_length = 0, key_length = 0, reserved = 0;
    std::uint64_t file_size = 0;
    std::uint64_t memory_size = 0;                  ///< of the guest-physical region
    std::uint64_t state_size = 0;                   ///< bytes
    std::uint64_t runs = 0;                         ///< of base pages
    std::uint64_t base_pages = 0;                   ///< in all runs
    std::uint64_t written_pages = 0;                ///< that differ from the base
    std::array<unsigned char, 32> header_digest{};  ///< of this page, with zeroes here
    std::array<unsigned char, 32> body_digest{};    ///< of all that follows this page
    std::array<unsigned char, 32> build{};          ///< of what the bytes mean
    std::array<char, 768> cpu{};
    std::array<char, 3152> key{};
};
static_assert(sizeof(snapshot_header) == vmm::page_size);
static_assert(offsetof(snapshot_header, version) == 16,
              "in every version: how others are told apart");

}  // namespace hearth::detail
