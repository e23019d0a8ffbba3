#pragma once

/// Finds in a snapshot's memory the random bytes its guest was given: what all clones will share. A
/// test's tool. Only what the guest itself could change is looked at: not the clean pages of mapped
/// files, and not AT_RANDOM's own 16 bytes, which every clone has renewed.

#include "sandbox/random_record.hpp"
#include "sandbox/snapshot_image.hpp"
#include "vmm/address.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace hearth::detail {

struct shared_random_bytes {
    random_record::source from = random_record::source::drawn;
    vmm::gva address;
    std::size_t length = 0;
    std::string mapping;
};

struct shared_randomness {
    static constexpr std::size_t max_places = 1024;

    std::vector<shared_random_bytes> places;  ///< by address
    bool complete = true;                     ///< there are no more than these
};

/// Places of 8 bytes or more in a row, as they were given.
shared_randomness find_shared_randomness(const snapshot_image& image, const random_record& given);

}  // namespace hearth::detail
