#pragma once

/// What an address space asks of those who keep files in guest memory: a mapping of such a file
/// shows the file's own pages, the same frames in every mapping of it; a private one until it is
/// written.

#include "vmm/address.hpp"

#include <cstdint>

namespace hearth::guest::mm {

class shared_files {
  public:
    struct page {
        enum class kind { found, past_end, no_room, out_of_memory };
        kind what = kind::past_end;
        vmm::gpa frame;  ///< the file's; who points to it is one more owner
    };

    /// The frame that holds a page of a file, which some mapping holds. no_room: the file's
    /// filesystem has none for a hole to be filled.
    virtual page page_of(std::uint64_t file, std::uint64_t index) = 0;
    /// So many pages of address space more show the file, or fewer. A file lives while any do.
    virtual void mapped(std::uint64_t file, std::uint64_t pages) = 0;
    virtual void unmapped(std::uint64_t file, std::uint64_t pages) = 0;

  protected:
    ~shared_files() = default;
};

}  // namespace hearth::guest::mm
