#include "guest/mm/memory_use.hpp"

namespace hearth::guest::mm {

memory_use& memory_use::operator+=(const memory_use& o) noexcept {
    clean += o.clean;
    dirty += o.dirty;
    shared_clean += o.shared_clean;
    shared_dirty += o.shared_dirty;
    anonymous += o.anonymous;
    of_memory_file += o.of_memory_file;
    proportional_bytes += o.proportional_bytes;
    return *this;
}

memory_use use_of(mm_state& space,
                  frame_allocator& frames,
                  vmm::guest_memory& memory,
                  const vma_map::value_type& area) {
    memory_use use;
    const gva start = area.first;
    const vma& v = area.second;
    if (start >= user_end) return use;  // the vDSO's, which is everybody's
    page_tables tables(memory, frames, space.tables, space.root);
    tables.for_each(start, v.end, [&](gva, page_entry& e) {
        if (!e.touched()) return;
        const bool window = e.has(page_entry::window), charged = e.has(page_entry::charged);
        const std::uint64_t owners = window ? 1 : frames.owners(e.frame());
        const bool shared = v.shares_frames() || owners > 1;
        const bool dirty = window ? charged : e.has(page_entry::dirty);
        ++(shared ? dirty ? use.shared_dirty : use.shared_clean : dirty ? use.dirty : use.clean);
        if (v.shares_frames())
            ++use.of_memory_file;
        else if (!v.file || dirty)
            ++use.anonymous;
        use.proportional_bytes += vmm::page_size / owners;
    });
    return use;
}

memory_use use_of(mm_state& space, frame_allocator& frames, vmm::guest_memory& memory) {
    memory_use sum;
    for (const auto& area : space.vmas) sum += use_of(space, frames, memory, area);
    return sum;
}

}  // namespace hearth::guest::mm
