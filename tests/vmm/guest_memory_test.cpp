#include "vmm/guest_memory.hpp"

#include <hearth/error.hpp>

#include <catch2/catch.hpp>

#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <limits>

using namespace hearth;
using namespace hearth::literals;
using vmm::gpa;
using vmm::guest_memory;
using vmm::page_size;

namespace {

/// A file of two pages: 'a' and 'b'.
struct two_pages {
    int fd = -1;
    two_pages() {
        char name[] = "/tmp/hearth-test-XXXXXX";
        fd = mkstemp(name);
        unlink(name);
        const std::string text = std::string(page_size, 'a') + std::string(page_size, 'b');
        REQUIRE(write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    }
    ~two_pages() { close(fd); }
};

char byte_at(const guest_memory& m, std::uint64_t at) {
    return static_cast<char>(*m.at(gpa{at}, 1));
}

}  // namespace

TEST_CASE("guest memory is zero, aligned for huge pages, and as large as asked") {
    auto m = guest_memory::create(4_MiB).value();
    CHECK(m.size() == 4u << 20);
    CHECK(reinterpret_cast<std::uintptr_t>(m.base()) % (2u << 20) == 0);
    CHECK(m.word(gpa{0}) == 0);
    CHECK(m.word(gpa{(4u << 20) - 8}) == 0);
}

TEST_CASE("sizes that cannot be are refused") {
    CHECK(guest_memory::create(byte_count(0)).error() == errc::invalid_argument);
    CHECK(guest_memory::create(byte_count(4095)).error() == errc::invalid_argument);
    CHECK(guest_memory::create(byte_count(~0ull & ~0xfffull)).error() == errc::no_room);
    CHECK(guest_memory::create(byte_count(1ull << 60)).error() == errc::no_room);
}

TEST_CASE("an address range outside the region has no host address") {
    auto m = guest_memory::create(2_MiB).value();
    const std::uint64_t size = m.size();
    constexpr std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
    CHECK(m.at(gpa{0}, size) == m.base());
    CHECK(m.at(gpa{size}, 0) == m.base() + size);
    CHECK(m.at(gpa{size - 1}, 1) == m.base() + size - 1);
    CHECK(m.at(gpa{size - 1}, 2) == nullptr);
    CHECK(m.at(gpa{size}, 1) == nullptr);
    CHECK(m.at(gpa{0}, size + 1) == nullptr);
    CHECK(m.at(gpa{max}, 1) == nullptr);
    CHECK(m.at(gpa{max}, max) == nullptr);
    CHECK(m.at(gpa{1}, max) == nullptr);
}

TEST_CASE("a mapped file is read, and written copies stay private") {
    two_pages file;
    auto m = guest_memory::create(2_MiB).value();
    REQUIRE(m.map_file(gpa{0x10000}, 2 * page_size, file.fd, 0).has_value());
    CHECK(byte_at(m, 0x10000) == 'a');
    CHECK(byte_at(m, 0x11000) == 'b');
    *m.at(gpa{0x10000}, 1) = std::byte{'x'};
    char c = 0;
    REQUIRE(pread(file.fd, &c, 1, 0) == 1);
    CHECK(c == 'a');
    m.discard(gpa{0x10000}, page_size);
    CHECK(byte_at(m, 0x10000) == 'a');
    REQUIRE(m.unmap_file(gpa{0x10000}, 2 * page_size).has_value());
    CHECK(byte_at(m, 0x10000) == 0);
    CHECK(byte_at(m, 0x11000) == 0);
}

TEST_CASE("a file is mapped from an offset") {
    two_pages file;
    auto m = guest_memory::create(2_MiB).value();
    REQUIRE(m.map_file(gpa{0x10000}, page_size, file.fd, page_size).has_value());
    CHECK(byte_at(m, 0x10000) == 'b');
}

TEST_CASE("bad file mappings are refused and leave the memory whole") {
    two_pages file;
    auto m = guest_memory::create(2_MiB).value();
    CHECK(m.map_file(gpa{0x10001}, page_size, file.fd, 0).has_error());
    CHECK(m.map_file(gpa{0x10000}, 1, file.fd, 0).has_error());
    CHECK(m.map_file(gpa{0x10000}, 0, file.fd, 0).has_error());
    CHECK(m.map_file(gpa{0x10000}, page_size, file.fd, 1).has_error());
    CHECK(m.map_file(gpa{0x10000}, page_size, file.fd, ~0ull & ~0xfffull).has_error());
    CHECK(m.map_file(gpa{m.size()}, page_size, file.fd, 0).has_error());
    CHECK(m.map_file(gpa{0}, m.size() + page_size, file.fd, 0).has_error());
    CHECK(m.map_file(gpa{0x10000}, page_size, -1, 0).error() == errc::io_failed);
    CHECK(m.unmap_file(gpa{m.size()}, page_size).has_error());
    *m.at(gpa{0x10000}, 1) = std::byte{1};
    CHECK(byte_at(m, 0x10000) == 1);
}

TEST_CASE("discarding gives zeroes, and only in its range") {
    auto m = guest_memory::create(2_MiB).value();
    for (std::uint64_t page : {0x10000, 0x11000, 0x12000}) *m.at(gpa{page}, 1) = std::byte{7};
    m.discard(gpa{0x11000}, page_size);
    CHECK(byte_at(m, 0x10000) == 7);
    CHECK(byte_at(m, 0x11000) == 0);
    CHECK(byte_at(m, 0x12000) == 7);
}

TEST_CASE("dropping translations keeps contents and leaves the memory writable") {
    auto m = guest_memory::create(2_MiB).value();
    *m.at(gpa{0x10000}, 1) = std::byte{7};
    m.drop_translations(gpa{0x10000}, page_size);
    CHECK(byte_at(m, 0x10000) == 7);
    *m.at(gpa{0x10000}, 1) = std::byte{8};
    CHECK(byte_at(m, 0x10000) == 8);
}

TEST_CASE("ranges outside the region are left alone by the operations that cannot fail") {
    auto m = guest_memory::create(2_MiB).value();
    for (auto [at, length] : {std::pair<std::uint64_t, std::uint64_t>{m.size(), page_size},
                              {~0ull & ~0xfffull, page_size},
                              {0, ~0ull},
                              {1, ~0ull}}) {
        m.discard(gpa{at}, length);
        m.drop_translations(gpa{at}, length);
        m.populate(gpa{at}, length);
    }
    m.populate(gpa{0}, m.size());
    CHECK(byte_at(m, m.size() - 1) == 0);
}

TEST_CASE("memory moves with its owner") {
    auto a = guest_memory::create(2_MiB).value();
    *a.at(gpa{0}, 1) = std::byte{9};
    guest_memory b = std::move(a);
    CHECK(byte_at(b, 0) == 9);
}
