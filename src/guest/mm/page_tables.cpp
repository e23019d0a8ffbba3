#include "guest/mm/page_tables.hpp"

#include <optional>

namespace hearth::guest::mm {
namespace {

namespace layout = vmm::layout;

/// The tables that lead to the system area have fixed frames, and user mappings near it share them.
std::optional<gpa> fixed_child(gpa table, std::size_t index) noexcept {
    if (table == layout::pml4 && index == 255) return layout::system_pdpt;
    if (table == layout::system_pdpt && index == 511) return layout::system_pd;
    return std::nullopt;
}

}  // namespace

page_entry* page_tables::walk(gva a, std::uint64_t& next) noexcept {
    gpa table = root_;
    for (const unsigned shift : {39U, 30U, 21U}) {
        const page_entry e = table_at(table)[index(a, shift)];
        next = ((a.value >> shift) + 1) << shift;
        if (!e.has(page_entry::present)) return nullptr;
        table = e.frame();
    }
    cached_range_ = a.value & ~(leaf_span - 1);
    return cached_table_ = table_at(table);
}

page_entry* page_tables::ensure(gva page) {
    if (page_entry* const e = find(page)) return e;
    gpa table = root_;
    std::uint32_t level = 4;
    for (const unsigned shift : {39U, 30U, 21U}) {
        --level;
        const std::size_t i = index(page, shift);
        page_entry& e = table_at(table)[i];
        if (!e.has(page_entry::present)) {
            std::optional<gpa> child = fixed_child(table, i);
            if (!child) child = frames_.allocate(1);
            if (!child) return nullptr;
            e.raw = child->value | table_link;
            made_.push_back({{page.value >> shift << shift}, level, *child});
        }
        table = e.frame();
    }
    return find(page);
}

}  // namespace hearth::guest::mm
