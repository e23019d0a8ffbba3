#include "mm_world.hpp"

#include <sys/mman.h>

#include <random>

namespace mm_fork_test {

using namespace mm_test;

constexpr gva base{0x10'0000'0000}, file_base{0x10'4000'0000};
constexpr std::uint64_t mebibyte = 1 << 20;
constexpr std::uint64_t anonymous_pages = 48, file_pages = 40;

/// Several spaces over one memory, and what each should hold: the first byte of each page.
struct spaces : world {
    struct one {
        mm_state mm;
        std::map<std::uint64_t, char> pages;  // anonymous and file pages by address
    };
    std::vector<std::unique_ptr<one>> all;
    std::vector<mm_state> retired;

    address_space space_of(one& s) { return {s.mm, frames, memory}; }
    std::unique_ptr<one> make() {
        auto s = std::make_unique<one>();
        if (!retired.empty()) {
            s->mm = std::move(retired.back());
            retired.pop_back();
        } else {
            REQUIRE(make_root(s->mm, frames, memory));
        }
        return s;
    }
    void check_contents() {
        for (auto& s : all) {
            auto of_this = space_of(*s);
            for (const auto& [at, c] : s->pages) {
                std::byte b{};
                REQUIRE(of_this.read(gva{at}, {&b, 1}));
                REQUIRE(static_cast<char>(b) == c);
            }
        }
    }
};

void write_byte(address_space space, gva at, char c) {
    const auto b = static_cast<std::byte>(c);
    REQUIRE(space.write(at, {&b, 1}));
}
char read_byte(address_space space, gva at) {
    std::byte b{};
    REQUIRE(space.read(at, {&b, 1}));
    return static_cast<char>(b);
}

/// A quarter of the memory and more, in a space of its own: from here on a child shares pages
/// instead of having copies.
void use_memory(spaces& w) {
    w.all.push_back(w.make());
    auto other = w.space_of(*w.all.back());
    address_space::map_request q;
    q.length = (w.frames.limit_pages() / 4 + 1) * page_size, q.prot = rw;
    const gva a = other.map(q).value();
    for (std::uint64_t at = 0; at < q.length; at += page_size) write_byte(other, a + at, 'u');
}

TEST_CASE("after fork each side sees its own writes and the other's pages as they were") {
    spaces w;
    const gva a = w.map(mebibyte);
    for (std::uint64_t i = 0; i < 256; ++i) write_byte(*w.space, a + i * page_size, 'p');
    const bool copies = GENERATE(true, false);
    INFO(copies);
    if (!copies) use_memory(w);
    auto child = w.make();
    const auto before = w.frames.used_pages();
    REQUIRE(w.space->fork_into(child->mm));
    CHECK(w.frames.used_pages() - before <= 4 + (copies ? 256 : 0));  // tables, and the copies
    auto c = w.space_of(*child);
    CHECK(read_byte(c, a) == 'p');
    write_byte(c, a, 'c');
    write_byte(*w.space, a + page_size, 'q');
    CHECK(read_byte(*w.space, a) == 'p');
    CHECK(read_byte(c, a) == 'c');
    CHECK(read_byte(c, a + page_size) == 'p');
    CHECK(w.frames.any_shared() == !copies);
    // The processor may not write what is shared.
    CHECK(w.entry(a + 2 * page_size)->has(page_entry::writable) == copies);
    CHECK(w.space->protect(a, mebibyte, r));
    CHECK(w.space->protect(a, mebibyte, rw));
    CHECK(w.entry(a + 2 * page_size)->has(page_entry::writable) == copies);
    c.clear();
    CHECK_FALSE(w.frames.any_shared());
    CHECK(w.touch(a + 2 * page_size, true));  // the last owner writes where it stands
    w.space->clear();
}

TEST_CASE("shared anonymous memory stays one memory") {
    spaces w;
    address_space::map_request q;
    q.length = 64 * page_size, q.prot = rw, q.shared = true;
    const gva a = w.space->map(q).value();
    write_byte(*w.space, a, '1');
    auto child = w.make();
    REQUIRE(w.space->fork_into(child->mm));
    auto c = w.space_of(*child);
    write_byte(c, a + 9 * page_size, '2');  // nobody had touched it
    write_byte(*w.space, a, '3');
    CHECK(read_byte(*w.space, a + 9 * page_size) == '2');
    CHECK(read_byte(c, a) == '3');
    CHECK(c.advise(a, q.length, MADV_DONTNEED));
    CHECK(read_byte(c, a) == '3');
    REQUIRE(w.space->shared_place_of(a));
    CHECK(w.space->shared_place_of(a) == c.shared_place_of(a));
    c.clear();
    CHECK(read_byte(*w.space, a + 9 * page_size) == '2');
}

TEST_CASE("memory to be wiped is zeroes in a child, and costs it nothing") {
    spaces w;
    const gva a = w.map(mebibyte);
    for (std::uint64_t i = 0; i < 256; ++i) write_byte(*w.space, a + i * page_size, 'p');
    const auto areas = w.state.vmas.size();
    REQUIRE(w.space->advise(a + 16 * page_size, 64 * page_size, MADV_WIPEONFORK));
    CHECK(w.state.vmas.size() == areas + 2);
    use_memory(w);
    auto child = w.make();
    REQUIRE(w.space->fork_into(child->mm));
    auto c = w.space_of(*child);
    CHECK(read_byte(c, a + 15 * page_size) == 'p');
    CHECK(read_byte(c, a + 16 * page_size) == 0);
    CHECK(read_byte(c, a + 79 * page_size) == 0);
    CHECK(read_byte(c, a + 80 * page_size) == 'p');
    CHECK(read_byte(*w.space, a + 16 * page_size) == 'p');
    // The parent need not share what the child does not have.
    CHECK(w.entry(a + 40 * page_size)->has(page_entry::writable));
    CHECK_FALSE(w.entry(a + 100 * page_size)->has(page_entry::writable));
    REQUIRE(w.space->advise(a, mebibyte, MADV_KEEPONFORK));
    CHECK(w.state.vmas.size() == areas);
    c.clear();
    w.space->clear();
}

TEST_CASE("the page in which a mapped file ends is each space's own after a fork, and is given back") {
    spaces w;
    const std::uint64_t pages = charge_whole_limit / page_size + 8;
    const auto at = w.map_file(pattern_file(pages * page_size + 100), pages * page_size + 100, rw);
    REQUIRE(at);
    const gva tail = *at + pages * page_size;  // the file ends inside this page: a frame, no window
    write_byte(*w.space, tail, 't');
    CHECK(w.touch(tail - page_size, true));
    auto child = w.make();
    const auto before = w.frames.used_pages();
    const auto own_tables = child->mm.tables.size();
    REQUIRE(w.space->fork_into(child->mm));
    auto c = w.space_of(*child);
    write_byte(*w.space, tail, 'u');
    CHECK(read_byte(c, tail) == 't');
    c.clear();
    CHECK(w.frames.used_pages() == before + child->mm.tables.size() - own_tables);
}

TEST_CASE("fork without memory left fails, and the parent goes on") {
    spaces w;
    const gva a = w.map(mebibyte);
    for (std::uint64_t i = 0; i < 256; ++i) write_byte(*w.space, a + i * page_size, 'p');
    auto child = w.make();
    std::vector<gpa> hoard;
    while (auto f = w.frames.allocate(1)) hoard.push_back(*f);
    const auto r = w.space->fork_into(child->mm);
    REQUIRE_FALSE(r);
    CHECK(r.error().number == ENOMEM);
    w.space_of(*child).clear();
    for (const gpa f : hoard) w.frames.release(f, 1);
    CHECK(read_byte(*w.space, a + 77 * page_size) == 'p');
    write_byte(*w.space, a + 77 * page_size, 'x');
}

TEST_CASE("any order of forks, writes, unmappings and ends keeps every space's contents") {
    const auto seed = GENERATE(range(1u, 13u));
    INFO(seed);
    std::mt19937 random(seed);
    const auto up_to = [&](std::uint64_t n) { return random() % n; };
    spaces w;
    const auto file = pattern_file(file_pages * page_size);
    w.all.push_back(w.make());
    const auto map_all = [&](spaces::one& s) {
        auto space = w.space_of(s);
        address_space::map_request q;
        q.hint = base, q.fixed = true, q.length = anonymous_pages * page_size, q.prot = rw;
        REQUIRE(space.map(q));
        q.hint = file_base, q.length = file_pages * page_size, q.file = file;
        REQUIRE(space.map(q));
        for (std::uint64_t i = 0; i < anonymous_pages; ++i)
            s.pages[(base + i * page_size).value] = 0;
        for (std::uint64_t i = 0; i < file_pages; ++i)
            s.pages[(file_base + i * page_size).value] = static_cast<char>('a' + i % 26);
    };
    map_all(*w.all[0]);
    for (int step = 0; step < 600; ++step) {
        auto& s = *w.all[up_to(w.all.size())];
        auto space = w.space_of(s);
        auto page = std::next(s.pages.begin(), static_cast<std::ptrdiff_t>(up_to(s.pages.size())));
        const gva at{page->first};
        switch (up_to(12)) {
            default:
                page->second = static_cast<char>('A' + up_to(26));
                write_byte(space, at, page->second);
                break;
            case 6:
                if (w.all.size() < 4) {
                    auto child = w.make();
                    REQUIRE(space.fork_into(child->mm));
                    child->pages = s.pages;
                    w.all.push_back(std::move(child));
                }
                break;
            case 7:
                if (w.all.size() > 1) {
                    const auto gone = w.all.begin() + static_cast<std::ptrdiff_t>(up_to(w.all.size()));
                    w.space_of(**gone).clear();
                    w.retired.push_back(std::move((*gone)->mm));
                    w.all.erase(gone);
                }
                break;
            case 8:
                REQUIRE(space.advise(at, page_size, MADV_DONTNEED));
                page->second = at < file_base
                                   ? '\0'
                                   : static_cast<char>('a' + (at - file_base) / page_size % 26);
                break;
            case 9: {
                if (at >= file_base) break;
                address_space::map_request q;
                q.hint = at, q.fixed = true, q.length = page_size, q.prot = rw;
                REQUIRE(space.map(q));
                page->second = 0;
                break;
            }
            case 10:
                REQUIRE(space.protect(at, page_size, r));
                w.check_contents();
                REQUIRE(space.protect(at, page_size, rw));
                break;
            case 11:
                map_all(s);
                break;
        }
        if (step % 20 == 0) w.check_contents();
    }
    w.check_contents();
    for (auto& s : w.all) {
        w.space_of(*s).clear();
        w.retired.push_back(std::move(s->mm));
    }
    CHECK_FALSE(w.frames.any_shared());
    for (auto& mm : w.retired) {
        CHECK(mm.windows.empty());
        release_tables(mm, w.frames);
    }
    CHECK(w.frames.used_pages() == 0);
}

}  // namespace mm_fork_test
