#include "guest/vfs/tmpfs.hpp"
#include "vfs_outcome.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <linux/fs.h>

#include <cerrno>
#include <string>

using namespace hearth::guest;
using namespace hearth::guest::vfs;

namespace {

constexpr std::chrono::nanoseconds now{1'000'000};

struct box {
    tmpfs fs{1 << 20, 64};
    inode_id root = fs.add_root(01777, now);

    inode_id file(std::string_view name) { return *fs.create_file(root, name, 0644, {}, now); }
    inode_id directory(std::string_view name) {
        return *fs.create_directory(root, name, 0755, {}, now);
    }
    std::int64_t write(inode_id id, std::uint64_t at, std::string_view text) {
        auto n = fs.write(id, at, std::as_bytes(std::span(text)), now);
        return n ? static_cast<std::int64_t>(*n) : -n.error().number;
    }
    std::string read(inode_id id, std::uint64_t at = 0, std::size_t n = 1 << 20) {
        std::string s(n, '\0');
        s.resize(fs.read(id, at, std::as_writable_bytes(std::span(s))));
        return s;
    }
};

int error_of(const outcome<void>& o) { return o ? 0 : o.error().number; }

}  // namespace

TEST_CASE("a file written beyond its end has a hole that reads as zeroes") {
    box b;
    const auto f = b.file("f");
    REQUIRE(b.write(f, 200'000, "end") == 3);
    REQUIRE(b.fs.attributes_of(f).size == 200'003);
    REQUIRE(b.read(f, 0, 100) == std::string(100, '\0'));
    REQUIRE(b.read(f, 199'998) == std::string("\0\0end", 5));
    const auto& content = std::get<file_content>(b.fs.find(f)->body);
    REQUIRE(content.held() < 64 * 1024);  // the hole costs nothing
    REQUIRE(content.next_hole(0) == 0);
    REQUIRE(content.next_data(0) == 196'608);  // the chunk's beginning: data is found by chunks
}

TEST_CASE("what lies beyond a shortened file's end does not come back when it grows") {
    box b;
    const auto f = b.file("f");
    b.write(f, 0, "secret secret");
    REQUIRE(b.fs.truncate(f, 6, now));
    REQUIRE(b.fs.truncate(f, 13, now));
    REQUIRE(b.read(f) == std::string("secret\0\0\0\0\0\0\0", 13));
    b.write(f, 300'000, "x");
    REQUIRE(b.fs.truncate(f, 100'000, now));
    REQUIRE(b.fs.truncate(f, 0, now));
    REQUIRE(std::get<file_content>(b.fs.find(f)->body).held() == 0);
}

TEST_CASE("the room of a tmpfs ends in ENOSPC, after what fits, and comes back") {
    box b;
    const auto f = b.file("f");
    const std::string big(2 << 20, 'x');
    const auto n = b.write(f, 0, big);
    REQUIRE(n > 900'000);
    REQUIRE(n < (1 << 20));
    REQUIRE(n % 4096 == 0);
    REQUIRE(b.write(f, static_cast<std::uint64_t>(n), "more") == -ENOSPC);
    REQUIRE(b.write(f, 0, "over what is there") == 18);
    REQUIRE(b.fs.bytes_used() <= b.fs.byte_limit());
    REQUIRE(b.fs.unlink(b.root, "f", now));
    REQUIRE(b.fs.bytes_used() == 0);
    REQUIRE(b.fs.inodes_used() == 1);
}

TEST_CASE("inodes and links are limited") {
    box b;
    int made = 0;
    while (b.fs.create_file(b.root, "f" + std::to_string(made), 0644, {}, now)) ++made;
    REQUIRE(made == 63);
    REQUIRE(b.fs.create_directory(b.root, "d", 0755, {}, now).error().number == ENOSPC);
    REQUIRE(b.fs.create_symlink(b.root, "s", "f0", {}, now).error().number == ENOSPC);
    const auto f = *b.fs.lookup(b.root, "f0");
    int links = 0;
    while (b.fs.link(f, b.root, "l" + std::to_string(links), now)) ++links;
    REQUIRE(links >= 900);
    REQUIRE(links <= 1000);
}

TEST_CASE("hard links share one file, which goes with its last name") {
    box b;
    const auto f = b.file("a");
    b.write(f, 0, "text");
    REQUIRE(b.fs.link(f, b.root, "b", now));
    REQUIRE(b.fs.attributes_of(f).links == 2);
    REQUIRE(b.fs.unlink(b.root, "a", now));
    REQUIRE(b.read(*b.fs.lookup(b.root, "b")) == "text");
    REQUIRE(b.fs.unlink(b.root, "b", now));
    REQUIRE(b.fs.find(f) == nullptr);
    REQUIRE(b.fs.bytes_used() == 0);
}

TEST_CASE("an open file lives on without a name") {
    box b;
    const auto f = b.file("f");
    b.fs.opened(f);
    b.write(f, 0, "text");
    REQUIRE(b.fs.unlink(b.root, "f", now));
    REQUIRE(b.fs.attributes_of(f).links == 0);
    REQUIRE(b.read(f) == "text");
    REQUIRE(error_of(b.fs.link(f, b.root, "again", now)) == ENOENT);
    b.fs.closed(f);
    REQUIRE(b.fs.find(f) == nullptr);
}

TEST_CASE("directories count their links as Linux does and go only when empty") {
    box b;
    const auto d = b.directory("d");
    REQUIRE(b.fs.attributes_of(b.root).links == 3);
    REQUIRE(b.fs.attributes_of(d).links == 2);
    REQUIRE(b.fs.create_file(d, "f", 0644, {}, now));
    REQUIRE(error_of(b.fs.remove_directory(b.root, "d", now)) == ENOTEMPTY);
    REQUIRE(error_of(b.fs.unlink(b.root, "d", now)) == EISDIR);
    REQUIRE(b.fs.unlink(d, "f", now));
    REQUIRE(error_of(b.fs.remove_directory(d, "f", now)) == ENOENT);
    b.fs.opened(d);
    REQUIRE(b.fs.remove_directory(b.root, "d", now));
    REQUIRE(b.fs.attributes_of(b.root).links == 2);
    REQUIRE(b.fs.create_file(d, "late", 0644, {}, now).error().number == ENOENT);
    REQUIRE(b.fs.path_of(d).error().number == ENOENT);
    b.fs.closed(d);
    REQUIRE(b.fs.find(d) == nullptr);
}

TEST_CASE("rename replaces, exchanges, refuses and keeps the tree a tree") {
    box b;
    const auto f = b.file("f");
    b.write(f, 0, "f");
    const auto g = b.file("g");
    b.write(g, 0, "g");
    REQUIRE(error_of(b.fs.rename(b.root, "f", b.root, "g", RENAME_NOREPLACE, now)) == EEXIST);
    REQUIRE(b.fs.rename(b.root, "f", b.root, "g", RENAME_EXCHANGE, now));
    REQUIRE(b.read(*b.fs.lookup(b.root, "f")) == "g");
    REQUIRE(b.fs.rename(b.root, "f", b.root, "g", 0, now));
    REQUIRE(b.fs.lookup(b.root, "f").error().number == ENOENT);
    REQUIRE(b.read(*b.fs.lookup(b.root, "g")) == "g");
    REQUIRE(b.fs.find(f) == nullptr);

    const auto d = b.directory("d");
    const auto e = *b.fs.create_directory(d, "e", 0755, {}, now);
    REQUIRE(error_of(b.fs.rename(b.root, "d", e, "below", 0, now)) == EINVAL);
    REQUIRE(error_of(b.fs.rename(b.root, "g", b.root, "d", 0, now)) == EISDIR);
    REQUIRE(error_of(b.fs.rename(b.root, "d", b.root, "g", 0, now)) == ENOTDIR);
    REQUIRE(error_of(b.fs.rename(d, "e", b.root, "d", 0, now)) == ENOTEMPTY);
    REQUIRE(*b.fs.path_of(e) == "/d/e");
    REQUIRE(b.fs.rename(d, "e", b.root, "top", 0, now));
    REQUIRE(*b.fs.path_of(e) == "/top");
    REQUIRE(b.fs.attributes_of(d).links == 2);
    REQUIRE(b.fs.attributes_of(b.root).links == 4);
}

TEST_CASE("seals forbid what they say") {
    box b;
    const auto f = *b.fs.create_anonymous(0600, 0, {}, now);
    b.write(f, 0, "12345678");
    b.fs.find(f)->seals = F_SEAL_SHRINK;
    REQUIRE(error_of(b.fs.truncate(f, 2, now)) == EPERM);
    REQUIRE(b.fs.truncate(f, 20, now));
    b.fs.find(f)->seals = F_SEAL_GROW;
    REQUIRE(error_of(b.fs.truncate(f, 21, now)) == EPERM);
    REQUIRE(b.write(f, 18, "four") == 2);
    REQUIRE(b.write(f, 20, "x") == -EPERM);
    b.fs.find(f)->seals = F_SEAL_WRITE;
    REQUIRE(b.write(f, 0, "x") == -EPERM);
}

TEST_CASE("a copy of a tmpfs shares nothing that either can see") {
    box b;
    const auto f = b.file("f");
    b.write(f, 0, std::string(100'000, 'a'));
    tmpfs copy = b.fs;
    REQUIRE(copy == b.fs);
    b.write(f, 70'000, "changed");
    REQUIRE_FALSE(copy == b.fs);
    std::string s(7, '\0');
    REQUIRE(copy.read(f, 70'000, std::as_writable_bytes(std::span(s))) == 7);
    REQUIRE(s == "aaaaaaa");
    REQUIRE(copy.write(f, 0, std::as_bytes(std::span("b", 1)), now));
    REQUIRE(b.read(f, 0, 1) == "a");
}

TEST_CASE("holes can be punched and room reserved") {
    box b;
    const auto f = b.file("f");
    b.write(f, 0, std::string(200'000, 'x'));
    const auto before = b.fs.bytes_used();
    REQUIRE(b.fs.punch(f, 1000, 150'000, now));
    REQUIRE(b.fs.bytes_used() < before);
    REQUIRE(b.read(f, 998, 4) == std::string("xx\0\0", 4));
    REQUIRE(b.read(f, 150'998, 4) == std::string("\0\0xx", 4));
    REQUIRE(b.fs.attributes_of(f).size == 200'000);
    REQUIRE(error_of(b.fs.allocate(f, 0, 2 << 20, false, now)) == ENOSPC);
    REQUIRE(b.fs.allocate(f, 0, 300'000, true, now));
    REQUIRE(b.fs.attributes_of(f).size == 200'000);
    REQUIRE(b.read(f, 0, 2) == "xx");
    REQUIRE(error_of(b.fs.allocate(f, file_content::max_size, 4096, false, now)) == EFBIG);
}
