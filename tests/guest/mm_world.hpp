#pragma once

/// Guest memory, a frame allocator and one address space, without KVM; and a checker of the room's
/// invariants.

#include "guest/mm/address_space.hpp"
#include "vmm/x86_64/layout.hpp"

#include <catch2/catch.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace Catch {
template <class T>
struct StringMaker<hearth::guest::outcome<T>> {
    static std::string convert(const hearth::guest::outcome<T>& o) {
        return o ? "a value" : "errno " + std::to_string(o.error().number);
    }
};
}  // namespace Catch

namespace mm_test {

using namespace hearth;
using namespace hearth::guest;
using namespace hearth::guest::mm;
using namespace hearth::literals;
using vmm::page_size;
namespace layout = vmm::layout;

inline constexpr protection none{}, r{true, false, false}, rw{true, true, false},
    rx{true, false, true};

struct world {
    explicit world(byte_count region = 64_MiB, std::uint64_t limit_pages = 8192)
        : own(vmm::guest_memory::create(region).value()),
          memory(*own),
          frames(layout::first_free, gpa{region.bytes()}, limit_pages) {
        start();
    }
    /// The memory of a VM.
    world(vmm::guest_memory& of_vm, std::uint64_t limit_pages)
        : memory(of_vm), frames(layout::first_free, gpa{of_vm.size()}, limit_pages) {
        start();
    }
    void start() {
        state.stack_top = layout::system_area;
        state.mmap_base = layout::system_area - (16ULL << 20);
        state.brk_start = state.brk = gva{0x60'0000};
        space.emplace(state, frames, memory);
    }
    gva map(std::uint64_t length, protection prot = rw, gva at = {}) {
        address_space::map_request q;
        q.length = length, q.prot = prot, q.hint = at, q.fixed = at.value != 0;
        auto m = space->map(q);
        REQUIRE(m);
        return *m;
    }
    outcome<gva> map_file(file_backing f,
                          std::uint64_t length,
                          protection prot,
                          std::uint64_t offset = 0) {
        address_space::map_request q;
        q.length = length, q.prot = prot, q.file = std::move(f), q.file_offset = offset;
        return space->map(q);
    }
    bool put(gva at, std::string_view text) {
        return space->write(at, std::as_bytes(std::span(text))).has_value();
    }
    std::string get(gva at, std::size_t n) {
        std::string s(n, '\0');
        return space->read(at, std::as_writable_bytes(std::span(s))) ? s : "EFAULT";
    }
    page_entry* entry(gva page) {
        page_tables t(memory, frames, state.tables, state.root);
        return t.find(page);
    }
    /// What the processor does with an access that the entry permits.
    bool touch(gva a, bool write) {
        for (int i = 0; i < 3; ++i) {
            page_entry* e = entry(a.page());
            if (e && e->has(page_entry::present | (write ? page_entry::writable : 0))) {
                e->set(page_entry::accessed | (write ? page_entry::dirty : 0));
                return true;
            }
            if (space->fault(a, write ? 6 : 4) != fault_result::resolved) return false;
        }
        FAIL("a resolved fault did not help");
        return false;
    }

    /// Table frames reachable from the root, without the fixed ones.
    std::set<std::uint64_t> tables() {
        std::set<std::uint64_t> found;
        const auto visit = [&](auto&& self, gpa table, int level) -> void {
            if (table >= layout::first_free) found.insert(table.value / page_size);
            if (level == 1) return;
            for (std::uint64_t i = 0; i < 512; ++i) {
                const page_entry e{memory.word(table + i * 8)};
                if (e.has(page_entry::present)) self(self, e.frame(), level - 1);
            }
        };
        visit(visit, layout::pml4, 4);
        return found;
    }

    void check() {
        gva last{};
        for (auto& [start, v] : state.vmas) {
            REQUIRE(start.offset_in_page() == 0);
            REQUIRE(v.end.offset_in_page() == 0);
            REQUIRE(start < v.end);
            REQUIRE(last <= start);
            REQUIRE(v.end <= user_end);
            last = v.end;
        }
        const auto table_frames = tables();
        std::set<std::uint64_t> owned = table_frames;
        std::uint64_t frames_out = table_frames.size(), charged = 0;
        std::map<std::uint64_t, std::uint64_t> window_live;
        page_tables t(memory, frames, state.tables, state.root);
        t.for_each(gva{0}, user_end, [&](gva page, page_entry& e) {
            REQUIRE(e.has(page_entry::owned));
            const auto it = find_vma(state.vmas, page);
            REQUIRE(it != state.vmas.end());
            const protection p = it->second.prot;
            if (e.has(page_entry::present)) {
                REQUIRE(!p.none());
                if (e.has(page_entry::writable)) REQUIRE(p.write);
                if (!e.has(page_entry::no_execute)) REQUIRE(p.execute);
            }
            REQUIRE(e.frame() >= layout::first_free);
            REQUIRE(e.frame().value < memory.size());
            REQUIRE(owned.insert(e.frame().value / page_size).second);  // never shared
            if (e.has(page_entry::window)) {
                auto w = state.windows.upper_bound(e.frame().value / page_size);
                REQUIRE(w != state.windows.begin());
                --w;
                REQUIRE(e.frame().value / page_size < w->first + w->second.pages);
                ++window_live[w->first];
                if (e.has(page_entry::writable)) REQUIRE(e.has(page_entry::charged));
                if (e.has(page_entry::charged)) ++charged;
            } else {
                ++frames_out;
            }
        });
        REQUIRE(frames.used_pages() == frames_out + charged);
        std::uint64_t window_pages = 0;
        for (auto& [first, w] : state.windows) {
            REQUIRE(window_live[first] == w.live);
            window_pages += w.pages;
        }
        REQUIRE(frames.free_space_pages() + frames_out + window_pages ==
                (memory.size() - layout::first_free.value) / page_size);
    }

    std::optional<vmm::guest_memory> own;
    vmm::guest_memory& memory;
    mm_state state;
    frame_allocator frames;
    std::optional<address_space> space;
};

/// A memfd whose page n is filled with 'a' + n % 26.
inline file_backing pattern_file(std::uint64_t size, std::uint64_t lead = 0) {
    const int fd = ::memfd_create("pattern", MFD_CLOEXEC);
    REQUIRE(fd >= 0);
    std::string bytes(lead, '#');
    for (std::uint64_t i = 0; i < size; ++i)
        bytes.push_back(static_cast<char>('a' + static_cast<char>(i / page_size % 26)));
    bytes += "@@@@@@@@";  // what follows the file in a package; must not be seen
    REQUIRE(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    file_backing f;
    f.fd = std::make_shared<const unique_fd>(fd);
    f.fd_offset = lead;
    f.size = size;
    f.path = "/pattern";
    return f;
}
inline file_backing bytes_file(std::string_view text) {
    file_backing f;
    const auto* p = reinterpret_cast<const std::byte*>(text.data());
    f.bytes = std::make_shared<const std::vector<std::byte>>(p, p + text.size());
    f.size = text.size();
    return f;
}

}  // namespace mm_test
