#include "vfs_world.hpp"

#include <sys/mman.h>
#include <sys/statfs.h>

using namespace vfs_test;

TEST_CASE("stat of a host file is what the host says") {
    world w;
    w.root.file("dir/file", std::string(12345, 'x'), 0751);
    w.root.link("dir/link", "file");
    for (const char* name : {"dir/file", "dir", "etc/name"}) {
        struct ::stat native {};
        REQUIRE(::stat((w.root.path / name).c_str(), &native) == 0);
        const auto mine = w.stat("/" + std::string(name));
        INFO(name);
        CHECK(std::memcmp(&native, &mine, offsetof(struct ::stat, st_ctim) + sizeof(timespec)) ==
              0);
    }
    REQUIRE(w.call(SYS_lstat, {w.path("/dir/link"), world::buffer}) == 0);
    const auto link = w.get_value<struct ::stat>(world::buffer);
    CHECK(S_ISLNK(link.st_mode));
    CHECK(link.st_size == 4);

    REQUIRE(w.call(SYS_statx, {static_cast<std::uint64_t>(AT_FDCWD), w.path("/dir/file"), 0,
                               STATX_BASIC_STATS, world::buffer}) == 0);
    struct ::statx native {};
    REQUIRE(::statx(AT_FDCWD, (w.root.path / "dir/file").c_str(), 0, STATX_BASIC_STATS, &native) ==
            0);
    const auto mine = w.get_value<struct ::statx>(world::buffer);
    CHECK(mine.stx_size == native.stx_size);
    CHECK(mine.stx_ino == native.stx_ino);
    CHECK(mine.stx_mode == native.stx_mode);
    CHECK(mine.stx_mtime.tv_nsec == native.stx_mtime.tv_nsec);
    CHECK(mine.stx_dev_major == native.stx_dev_major);
    CHECK(mine.stx_dev_minor == native.stx_dev_minor);
    CHECK((mine.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
}

TEST_CASE("nothing of the host can be changed") {
    world w;
    w.root.file("f", "text");
    CHECK(w.open("/f", O_WRONLY) == -EROFS);
    CHECK(w.open("/f", O_RDWR) == -EROFS);
    CHECK(w.open("/f", O_RDONLY | O_TRUNC) == -EROFS);
    CHECK(w.open("/new", O_CREAT | O_WRONLY) == -EROFS);
    CHECK(w.open("/f", O_CREAT | O_EXCL | O_WRONLY) == -EEXIST);
    CHECK(w.call(SYS_unlink, {w.path("/f")}) == -EROFS);
    CHECK(w.call(SYS_mkdir, {w.path("/d"), 0755}) == -EROFS);
    CHECK(w.call(SYS_mkdir, {w.path("/etc"), 0755}) == -EEXIST);
    CHECK(w.call(SYS_rmdir, {w.path("/etc")}) == -EROFS);
    CHECK(w.call(SYS_rename, {w.path("/f"), w.path("/g")}) == -EROFS);
    CHECK(w.call(SYS_rename, {w.path("/f"), w.path("/tmp/g")}) == -EXDEV);
    CHECK(w.call(SYS_link, {w.path("/f"), w.path("/tmp/g")}) == -EXDEV);
    CHECK(w.call(SYS_symlink, {w.path("x"), w.path("/g")}) == -EROFS);
    CHECK(w.call(SYS_chmod, {w.path("/f"), 0777}) == -EROFS);
    CHECK(w.call(SYS_chown, {w.path("/f"), 1, 1}) == -EROFS);
    CHECK(w.call(SYS_truncate, {w.path("/f"), 0}) == -EROFS);
    CHECK(w.call(SYS_utimensat, {static_cast<std::uint64_t>(AT_FDCWD), w.path("/f"), 0, 0}) ==
          -EROFS);
    CHECK(w.call(SYS_access, {w.path("/f"), W_OK}) == -EROFS);
    CHECK(w.call(SYS_access, {w.path("/f"), R_OK}) == 0);
    const auto fd = w.open("/f");
    CHECK(w.call(SYS_fchmod, {w.fd_of(fd), 0777}) == -EROFS);
    CHECK(w.call(SYS_write, {w.fd_of(fd), world::buffer, 1}) == -EBADF);
    CHECK(w.call(SYS_ftruncate, {w.fd_of(fd), 0}) == -EINVAL);
    std::ifstream in(w.root.path / "f");
    CHECK(std::string(std::istreambuf_iterator<char>(in), {}) == "text");
}

TEST_CASE("special files of the host are seen and never opened") {
    world w;
    REQUIRE(::mkfifo((w.root.path / "fifo").c_str(), 0666) == 0);
    CHECK(S_ISFIFO(w.stat("/fifo").st_mode));
    CHECK(w.open("/fifo") == -ENXIO);
    CHECK(w.open("/fifo", O_RDONLY | O_NONBLOCK) == -ENXIO);
    if (::mknod((w.root.path / "null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0) {
        CHECK(S_ISCHR(w.stat("/null").st_mode));
        CHECK(w.open("/null") == -EACCES);
    }
}

TEST_CASE("big files are read whole, at offsets and across pages") {
    world w;
    std::string text;
    for (int i = 0; text.size() < 300'000; ++i) text += std::to_string(i) + ",";
    w.root.file("big", text);
    CHECK(w.slurp("/big") == text);
    const auto fd = w.open("/big");
    REQUIRE(w.call(SYS_pread64, {w.fd_of(fd), world::buffer + 7, 10'000, 123'456}) == 10'000);
    CHECK(w.get(world::buffer + 7, 10'000) == text.substr(123'456, 10'000));
    CHECK(w.call(SYS_lseek, {w.fd_of(fd), 0, SEEK_CUR}) == 0);
    CHECK(w.call(SYS_lseek, {w.fd_of(fd), static_cast<std::uint64_t>(-5), SEEK_END}) ==
          static_cast<std::int64_t>(text.size()) - 5);
    CHECK(w.read(fd) == text.substr(text.size() - 5));
    CHECK(w.read(fd) == "");
    CHECK(w.call(SYS_pread64, {w.fd_of(fd), world::buffer, 10, static_cast<std::uint64_t>(-1)}) ==
          -EINVAL);
    CHECK(w.call(SYS_pread64, {w.fd_of(fd), world::buffer, 10, text.size() + 5}) == 0);
}

TEST_CASE("a file replaced on the host is not taken for the one that was opened") {
    world w;
    w.root.file("f", "first");
    const auto fd = w.open("/f");
    CHECK(w.read(fd, 2) == "fi");
    // Written beside and moved over it, as package managers do: another inode.
    w.root.file("f.new", "second");
    std::filesystem::rename(w.root.path / "f.new", w.root.path / "f");
    CHECK(w.slurp("/f") == "second");
    CHECK(w.read(fd) == "errno " + std::to_string(ESTALE));
}

TEST_CASE("a directory of the host is listed in small steps without losing or repeating an entry") {
    world w;
    std::set<std::string> expected;
    for (int i = 0; i < 300; ++i) {
        const std::string name =
            "entry-" + std::to_string(i) + std::string(static_cast<std::size_t>(i % 60), 'x');
        w.root.file("many/" + name, "");
        expected.insert(name);
    }
    CHECK(w.names("/many") == expected);
    CHECK(w.call(SYS_open, {w.path("/many"), O_WRONLY}) == -EISDIR);
    const auto fd = w.open("/many");
    CHECK(w.call(SYS_read, {w.fd_of(fd), world::buffer, 10}) == -EISDIR);
    CHECK(w.call(SYS_getdents64, {w.fd_of(fd), world::buffer, 10}) == -EINVAL);
    CHECK(w.call(SYS_getdents64, {w.fd_of(fd), world::bad, 1000}) == -EFAULT);
    const auto inode = w.stat("/many").st_ino;
    REQUIRE(w.call(SYS_getdents64, {w.fd_of(fd), world::buffer, 24}) == 24);
    // ino, off, reclen, type, name: the layout of man 2 getdents.
    CHECK(w.get_value<std::uint64_t>(world::buffer) == inode);
    CHECK(w.get_value<std::uint16_t>(world::buffer + 16) == 24);
    CHECK(w.get_value<std::uint8_t>(world::buffer + 18) == DT_DIR);
    CHECK(w.get(world::buffer + 19, 2) == std::string(".\0", 2));
    REQUIRE(w.call(SYS_lseek, {w.fd_of(fd), 0, SEEK_SET}) == 0);
    REQUIRE(w.call(SYS_getdents, {w.fd_of(fd), world::buffer, 24}) == 24);
    CHECK(w.get(world::buffer + 18, 2) == std::string(".\0", 2));
    CHECK(w.get_value<std::uint8_t>(world::buffer + 23) == DT_DIR);
}

TEST_CASE("many files open at once keep the host's descriptors bounded") {
    world w;
    for (int i = 0; i < 400; ++i) w.root.file("n/" + std::to_string(i), std::to_string(i));
    std::vector<std::int64_t> fds;
    for (int i = 0; i < 400; ++i) fds.push_back(w.open("/n/" + std::to_string(i)));
    std::size_t host_fds = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator("/proc/self/fd"))
        ++host_fds;
    CHECK(host_fds < vfs::host_tree::max_cached_files + 64);
    for (int i = 0; i < 400; ++i)
        CHECK(w.read(fds[static_cast<std::size_t>(i)]) == std::to_string(i));
}
