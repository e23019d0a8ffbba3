// Shared mappings of files: what they cost, what bounds them, and that nothing of them is left. How
// they look to programs is tests/guests/shared_files.c.

#include "guest/sys/futex.hpp"
#include "vfs_world.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace vfs_test;

constexpr std::uint64_t page = 4096;
constexpr std::uint64_t rw = PROT_READ | PROT_WRITE;

struct mapping_world : world {
    using world::world;
    std::int64_t file(std::uint64_t size, const char* name = "/tmp/shared") {
        const auto fd = call(SYS_open, {path(name), O_CREAT | O_RDWR, 0600});
        REQUIRE(fd >= 0);
        REQUIRE(call(SYS_ftruncate, {static_cast<std::uint64_t>(fd), size}) == 0);
        return fd;
    }
    std::uint64_t map(std::int64_t fd, std::uint64_t length, std::uint64_t prot = rw) {
        const auto at =
            call(SYS_mmap, {0, length, prot, MAP_SHARED, static_cast<std::uint64_t>(fd), 0});
        REQUIRE(at > 0);
        return static_cast<std::uint64_t>(at);
    }
    std::uint64_t frames() { return kernel->state().frames.used_pages(); }
    bool touch(std::uint64_t at) {
        return space().write(gva{at}, std::array{std::byte{'x'}}).has_value();
    }
};

}  // namespace

TEST_CASE("a shared mapping costs frames while it is there") {
    mapping_world w;
    const auto fd = w.file(64 * page);
    const auto first = w.map(fd, page);  // page tables
    const auto before = w.frames();
    const auto at = w.map(fd, 64 * page), again = w.map(fd, 64 * page);
    for (unsigned i = 0; i < 64; ++i) REQUIRE(w.touch(at + i * page));
    CHECK(w.frames() - before <= 64);
    CHECK(w.frames() - before >= 63);
    CHECK(w.get(again + 63 * page, 1) == "x");
    CHECK(w.frames() - before <= 64);  // the same frames
    REQUIRE(w.call(SYS_munmap, {at, 64 * page}) == 0);
    CHECK(w.get(again + 63 * page, 1) == "x");
    REQUIRE(w.call(SYS_munmap, {again, 64 * page}) == 0);
    REQUIRE(w.call(SYS_munmap, {first, page}) == 0);
    CHECK(w.state().mapped_files.empty());
}

TEST_CASE("what was stored is the file's when nobody maps it any more") {
    mapping_world w;
    const auto fd = w.file(3 * page);
    const auto before = w.frames();
    const auto at = w.map(fd, 3 * page);
    w.put(at + page - 2, "across");
    REQUIRE(w.call(SYS_munmap, {at, 3 * page}) == 0);
    CHECK(w.state().mapped_files.empty());
    CHECK(w.frames() - before <= 3);  // tables stay
    REQUIRE(w.call(SYS_pread64, {static_cast<std::uint64_t>(fd), w.buffer, 6, page - 2}) == 6);
    CHECK(w.get(w.buffer, 6) == "across");
}

TEST_CASE("a mapped file lives without a name and a descriptor, and no longer than that") {
    mapping_world w;
    const auto inodes = w.state().files.inodes_used(), bytes = w.state().files.bytes_used();
    const auto fd = w.file(2 * page);
    const auto at = w.map(fd, 2 * page);
    w.put(at, "kept");
    REQUIRE(w.call(SYS_unlink, {w.path("/tmp/shared")}) == 0);
    REQUIRE(w.call(SYS_close, {static_cast<std::uint64_t>(fd)}) == 0);
    CHECK(w.state().files.inodes_used() == inodes + 1);
    CHECK(w.get(at, 4) == "kept");
    REQUIRE(w.call(SYS_munmap, {at, page}) == 0);  // one half
    REQUIRE(w.touch(at + page));
    REQUIRE(w.call(SYS_munmap, {at + page, page}) == 0);
    CHECK(w.state().files.inodes_used() == inodes);
    CHECK(w.state().files.bytes_used() == bytes);
}

TEST_CASE("a hole that the filesystem has no room for cannot be touched") {
    mapping_world w(256_KiB);
    const auto fd = w.file(128 * page);
    const auto at = w.map(fd, 128 * page);
    unsigned touched = 0;
    while (touched < 128 && w.touch(at + touched * page)) ++touched;
    CHECK(touched >= 48);
    CHECK(touched < 64);
    CHECK(w.state().files.bytes_used() <= w.state().files.byte_limit());
    CHECK_FALSE(w.kernel->state().frames.exhausted());  // the file's trouble, not memory's
    // What is punched out gives its room back.
    REQUIRE(w.call(SYS_fallocate, {static_cast<std::uint64_t>(fd), 3, 0, 32 * page}) == 0);
    CHECK(w.touch(at + 127 * page));
    CHECK(w.get(at, 1) == std::string(1, '\0'));
}

TEST_CASE("shared pages count against the memory size") {
    mapping_world w(128_MiB);
    const auto fd = w.file(64u << 20);
    const auto at = w.map(fd, 64u << 20);
    std::uint64_t touched = 0;
    while (touched < 16384 && w.touch(at + touched * page)) ++touched;
    CHECK(touched < 8192);  // the world's limit
    CHECK(touched > 6000);
    CHECK(w.kernel->state().frames.exhausted());
}

TEST_CASE("a copy of the state has the contents and none of the frames") {
    mapping_world w;
    const auto fd = w.file(4 * page);
    const auto at = w.map(fd, 4 * page);
    w.put(at + page, "in a frame");
    const auto frames = w.frames();
    kernel_state copy = w.kernel->state();
    vfs::put_back_pages(copy, w.memory);
    const auto& [id, m] = *copy.vfs.mapped_files.begin();
    CHECK(m.frames.empty());
    CHECK(m.pages == 4);
    CHECK(copy.frames.used_pages() == frames - 4);
    CHECK_FALSE(copy.frames.any_shared());
    std::string text(10, '\0');
    CHECK(copy.vfs.files.read(id, page, std::as_writable_bytes(std::span(text))) == 10);
    CHECK(text == "in a frame");
    // The guest's own goes on.
    CHECK(w.get(at + page, 10) == "in a frame");
    CHECK(w.frames() == frames);
}

TEST_CASE("a futex in a file is one, wherever it is mapped and whether its page is there") {
    mapping_world w;
    const auto fd = w.file(4 * page);
    const auto at = w.map(fd, 4 * page), other = w.map(fd, 4 * page);
    const auto place = w.space().shared_place_of(gva{at + page + 8});
    REQUIRE(place);
    CHECK(place->file != 0);
    CHECK(place->address == page + 8);
    CHECK(place == w.space().shared_place_of(gva{other + page + 8}));
    CHECK_FALSE(place == w.space().shared_place_of(gva{other + page + 12}));
}

TEST_CASE("a file that shrinks takes its pages out of every mapping") {
    mapping_world w;
    const auto fd = static_cast<std::uint64_t>(w.file(8 * page));
    const auto a = w.map(static_cast<std::int64_t>(fd), 8 * page),
               b = w.map(static_cast<std::int64_t>(fd), 8 * page);
    for (unsigned i = 0; i < 8; ++i) REQUIRE((w.touch(a + i * page) && w.touch(b + i * page)));
    const auto before = w.frames();
    REQUIRE(w.call(SYS_ftruncate, {fd, 3 * page + 1}) == 0);
    CHECK(w.frames() == before - 4);
    for (const auto at : {a, b}) {
        CHECK(w.get(at + 3 * page, 2) == std::string("x\0", 2));
        CHECK_FALSE(w.touch(at + 4 * page));
        CHECK(w.space().fault(gva{at + 4 * page}, 6) == mm::fault_result::bus_adrerr);
    }
    REQUIRE(w.call(SYS_ftruncate, {fd, 8 * page}) == 0);
    CHECK(w.get(a + 5 * page, 1) == std::string(1, '\0'));
}

TEST_CASE("whatever is mapped, stored, written, cut and punched, all views agree with a model") {
    constexpr std::uint64_t most_pages = 24;
    struct view {
        std::uint64_t at = 0, first = 0, pages = 0;
        bool is_private = false;
        std::map<std::uint64_t, std::string> copies;  // file page → a page of its own
    };
    const auto seed = GENERATE(1u, 2u, 3u, 4u);
    std::mt19937 random(seed);
    const auto below = [&](std::uint64_t n) { return random() % n; };
    mapping_world w;
    w.put(world::data, std::string(world::data_size, '\0'));  // its frames are there
    const auto fd = static_cast<std::uint64_t>(w.file(page));
    const auto first = w.map(static_cast<std::int64_t>(fd), page);
    REQUIRE(w.touch(first));  // and the tables for the others
    REQUIRE(w.call(SYS_munmap, {first, page}) == 0);
    REQUIRE(w.call(SYS_ftruncate, {fd, 0}) == 0);
    const auto frames = w.frames();
    std::string file;
    std::vector<view> views;
    const auto shown = [&](const view& v, std::uint64_t at, std::uint64_t n) {
        std::string out;
        for (std::uint64_t i = at; i < at + n; ++i) {
            const auto copy = v.copies.find(i / page);
            out += copy != v.copies.end() ? copy->second[i % page]
                   : i < file.size()      ? file[i]
                                          : '\0';
        }
        return out;
    };
    for (int step = 0; step < 1500; ++step) {
        INFO("seed " << seed << " step " << step);
        const auto what = below(10);
        if (what == 0 && views.size() < 6) {
            view v;
            v.first = below(most_pages), v.pages = 1 + below(most_pages);
            v.is_private = below(3) == 0;
            const auto at =
                w.call(SYS_mmap, {0, v.pages * page, rw,
                                  std::uint64_t(v.is_private ? MAP_PRIVATE : MAP_SHARED), fd,
                                  v.first * page});
            REQUIRE(at > 0);
            v.at = static_cast<std::uint64_t>(at);
            views.push_back(v);
        } else if (what == 1 && !views.empty()) {
            const auto i = below(views.size());
            REQUIRE(w.call(SYS_munmap, {views[i].at, views[i].pages * page}) == 0);
            views.erase(views.begin() + static_cast<std::ptrdiff_t>(i));
        } else if (what == 2) {
            const auto size = below(most_pages * page);
            REQUIRE(w.call(SYS_ftruncate, {fd, size}) == 0);
            if (size < file.size())
                for (auto& v : views)
                    std::erase_if(v.copies, [&](const auto& c) { return c.first * page >= size; });
            file.resize(size, '\0');
        } else if (what == 3) {
            const auto at = below(most_pages * page), n = 1 + below(3 * page);
            REQUIRE(w.call(SYS_fallocate, {fd, 3, at, n}) == 0);  // a hole, the size stays
            for (auto i = at; i < std::min<std::uint64_t>(at + n, file.size()); ++i) file[i] = '\0';
        } else if (what == 4) {
            const auto at = below(most_pages * page - 300);
            const std::string text(1 + below(300), static_cast<char>('a' + below(26)));
            w.put(world::buffer, text);
            REQUIRE(w.call(SYS_pwrite64, {fd, world::buffer, text.size(), at}) ==
                    static_cast<std::int64_t>(text.size()));
            if (file.size() < at + text.size()) file.resize(at + text.size(), '\0');
            file.replace(at, text.size(), text);
        } else if (what == 5) {
            const auto at = below(most_pages * page);
            const auto n = std::min<std::uint64_t>(1 + below(2 * page),
                                                   file.size() > at ? file.size() - at : 0);
            REQUIRE(w.call(SYS_pread64, {fd, world::buffer, 2 * page, at}) >=
                    static_cast<std::int64_t>(n));
            CHECK(w.get(world::buffer, n) ==
                  file.substr(std::min<std::uint64_t>(at, file.size()), n));
        } else if (!views.empty()) {
            auto& v = views[below(views.size())];
            const auto at = v.first * page + below(v.pages * page);
            const auto end_of_file = (file.size() + page - 1) / page * page;
            if (at >= end_of_file) {
                CHECK(w.space().fault(gva{v.at + at - v.first * page}, 6) ==
                      mm::fault_result::bus_adrerr);
                continue;
            }
            // Up to the end of the file and of the view.
            const auto n = std::min({1 + below(600), (v.first + v.pages) * page - at,
                                     file.size() > at ? file.size() - at : 0});
            if (n == 0) continue;
            const auto here = v.at + at - v.first * page;
            if (what < 8) {
                CHECK(w.get(here, n) == shown(v, at, n));
                continue;
            }
            const std::string text(n, static_cast<char>('A' + below(26)));
            if (v.is_private)
                for (auto p = at / page; p <= (at + n - 1) / page; ++p)
                    if (!v.copies.contains(p)) v.copies[p] = shown(v, p * page, page);
            w.put(here, text);
            for (std::uint64_t i = 0; i < n; ++i)
                (v.is_private ? v.copies[(at + i) / page][(at + i) % page] : file[at + i]) =
                    text[i];
        }
    }
    for (const auto& v : views) REQUIRE(w.call(SYS_munmap, {v.at, v.pages * page}) == 0);
    CHECK(w.state().mapped_files.empty());
    CHECK_FALSE(w.kernel->state().frames.any_shared());
    CHECK(w.frames() == frames);
    std::string all;
    for (std::uint64_t at = 0; at < file.size(); at += page) {
        const auto n = w.call(SYS_pread64, {fd, world::buffer, page, at});
        all += w.get(world::buffer, static_cast<std::size_t>(n));
    }
    CHECK(all == file);
}
