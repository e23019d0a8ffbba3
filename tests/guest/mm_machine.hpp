#pragma once

/// Random operations on an address space beside a simple model of it.

#include "mm_world.hpp"

#include <random>

namespace mm_test {

/// What a page of the arena should be, told without page tables, frames or VMAs.
struct model_page {
    protection prot;
    const file_backing* file = nullptr;
    std::uint64_t file_page = 0;
    int written = -1;  ///< the byte last stored; -1: as first mapped
    bool shared = false;

    [[nodiscard]] bool past_end() const { return file && file_page * page_size >= file->size; }
    [[nodiscard]] char expected() const {
        if (written >= 0) return static_cast<char>(written);
        return file ? static_cast<char>('a' + file_page % 26) : '\0';
    }
};

inline constexpr gva arena{0x1000'0000};
inline constexpr std::uint64_t arena_pages = 300;

struct machine {
    machine(unsigned seed, byte_count region, std::uint64_t limit)
        : random(seed), w(region, limit) {
        start();
    }
    machine(unsigned seed, vmm::guest_memory& of_vm, std::uint64_t limit)
        : random(seed), w(of_vm, limit) {
        start();
    }
    virtual ~machine() = default;
    void start() {
        // A file of bytes shows its page's letter too.
        std::string text;
        for (std::uint64_t i = 0; i < 3 * page_size; ++i)
            text.push_back(static_cast<char>('a' + i / page_size));
        small = bytes_file(text);
    }
    /// Access by guest code; without KVM, what the entries say. @return whether it was allowed
    virtual bool cpu_load(gva a, char& value) {
        if (!w.touch(a, false)) return false;
        return w.space->read(a, std::as_writable_bytes(std::span(&value, 1))).has_value();
    }
    virtual bool cpu_store(gva a, char value) {
        if (!w.touch(a, true)) return false;
        return w.put(a, std::string_view(&value, 1));
    }

    std::uint64_t below(std::uint64_t n) { return random() % n; }
    static gva at(std::uint64_t page) { return arena + page * page_size; }
    protection some_protection() {
        static constexpr protection all[] = {
            none, r, rw, rw, rx, {true, true, true}, {false, true, false}};
        return all[below(std::size(all))];
    }
    bool mapped(std::uint64_t from, std::uint64_t n) {
        for (std::uint64_t i = from; i < from + n; ++i)
            if (!pages.contains(i)) return false;
        return true;
    }

    void map(std::uint64_t from, std::uint64_t n) {
        address_space::map_request q;
        q.hint = at(from), q.length = n * page_size, q.prot = some_protection(), q.fixed = true;
        const file_backing* file = nullptr;
        const auto kind = below(4);
        if (kind == 1) file = &big;
        if (kind == 2) file = &small;
        if (file) {
            q.file = *file;
            q.file_offset = below(30) * page_size;
            q.shared = !q.prot.write && below(4) == 0;
        }
        q.populate = below(8) == 0;
        REQUIRE(w.space->map(q));
        for (std::uint64_t i = 0; i < n; ++i)
            pages[from + i] = {q.prot, file, q.file_offset / page_size + i, -1, q.shared};
    }
    void unmap(std::uint64_t from, std::uint64_t n) {
        REQUIRE(w.space->unmap(at(from), n * page_size));
        for (std::uint64_t i = from; i < from + n; ++i) pages.erase(i);
    }
    void protect(std::uint64_t from, std::uint64_t n) {
        const protection p = some_protection();
        // Which of a hole and a shared page comes first decides the errno and how far the change
        // goes.
        for (std::uint64_t i = from; i < from + n; ++i)
            if (auto it = pages.find(i); it == pages.end() || it->second.shared) return;
        const auto done = w.space->protect(at(from), n * page_size, p);
        REQUIRE((done || done.error().number == ENOMEM));
        if (!done) out_of_memory = true;
        for (std::uint64_t i = from; i < from + n; ++i) {
            const auto it = find_vma(w.state.vmas, at(i));
            REQUIRE(it != w.state.vmas.end());
            if (done) REQUIRE(it->second.prot == p);
            pages[i].prot = it->second.prot;
        }
    }
    void move(std::uint64_t from, std::uint64_t n) {
        const std::uint64_t to = below(arena_pages - n);
        if (to < from + n && from < to + n) return;
        const auto area = find_vma(w.state.vmas, at(from));
        const bool one = area != w.state.vmas.end() && at(from + n) <= area->second.end;
        const auto moved = w.space->remap(at(from), n * page_size, n * page_size,
                                          MREMAP_MAYMOVE | MREMAP_FIXED, at(to));
        REQUIRE(moved.has_value() == one);
        if (!moved) {
            REQUIRE(moved.error().number == EFAULT);
            return;
        }
        for (std::uint64_t i = 0; i < n; ++i) {
            pages[to + i] = pages[from + i];
            pages.erase(from + i);
        }
    }
    void forget(std::uint64_t from, std::uint64_t n) {
        const bool whole = mapped(from, n);
        REQUIRE(w.space->advise(at(from), n * page_size, MADV_DONTNEED).has_value() == whole);
        for (std::uint64_t i = from; i < from + n; ++i)
            if (auto it = pages.find(i); it != pages.end()) it->second.written = -1;
    }
    void store(std::uint64_t page) {
        const auto value = static_cast<char>(1 + below(90));
        const bool done = w.put(at(page), std::string_view(&value, 1));
        const auto it = pages.find(page);
        const bool allowed = it != pages.end() && it->second.prot.write && !it->second.past_end();
        if (w.frames.exhausted()) return;
        REQUIRE(done == allowed);
        if (done) it->second.written = value;
    }
    void load(std::uint64_t page) {
        char value = '?';
        const bool done =
            w.space->read(at(page), std::as_writable_bytes(std::span(&value, 1))).has_value();
        const auto it = pages.find(page);
        const bool allowed = it != pages.end() && !it->second.prot.none() && !it->second.past_end();
        if (w.frames.exhausted()) return;
        REQUIRE(done == allowed);
        if (done) REQUIRE(value == it->second.expected());
    }
    void processor(std::uint64_t page) {
        const auto it = pages.find(page);
        const bool write = below(2) != 0;
        const bool allowed = it != pages.end() && !it->second.past_end() &&
                             (write ? it->second.prot.write : !it->second.prot.none());
        char value = write ? static_cast<char>(1 + below(90)) : '?';
        const bool done = write ? cpu_store(at(page), value) : cpu_load(at(page), value);
        if (w.frames.exhausted()) return;
        REQUIRE(done == allowed);
        if (done && write) it->second.written = value;
        if (done && !write) REQUIRE(value == it->second.expected());
    }

    /// One operation.
    void step() {
        const std::uint64_t from = below(arena_pages - 1);
        const std::uint64_t n = 1 + below(std::min<std::uint64_t>(80, arena_pages - 1 - from));
        switch (below(12)) {
            case 0:
            case 1:
                return map(from, n);
            case 2:
                return unmap(from, 1 + n / 4);
            case 3:
            case 4:
                return protect(from, n);
            case 5:
                return move(from, 1 + n / 2);
            case 6:
                return forget(from, n);
            case 7:
            case 8:
                return store(from);
            case 9:
                return load(from);
            default:
                for (int k = 0; k < processor_accesses; ++k) processor(below(arena_pages));
        }
    }
    void run(int operations) {
        for (int i = 0; i < operations && !w.frames.exhausted(); ++i) {
            step();
            if (i % 8 == 0) w.check();
        }
        w.check();
        if (!w.frames.exhausted())
            for (std::uint64_t p = 0; p < arena_pages; ++p) load(p);
        w.space->clear();
        w.check();
        REQUIRE(w.frames.used_pages() == w.tables().size());
        REQUIRE(w.state.windows.empty());
    }

    std::mt19937 random;
    world w;
    file_backing big = pattern_file(70 * page_size);
    file_backing small = bytes_file(std::string(3 * page_size, 'x'));
    std::map<std::uint64_t, model_page> pages;
    bool out_of_memory = false;
    int processor_accesses = 4;
};

}  // namespace mm_test
