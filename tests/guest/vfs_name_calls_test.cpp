#include "vfs_world.hpp"

#include <sys/xattr.h>

#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/statfs.h>

using namespace vfs_test;

namespace {
constexpr auto here = static_cast<std::uint64_t>(AT_FDCWD);
}

TEST_CASE("directories are made, listed, entered and removed") {
    world w;
    REQUIRE(w.call(SYS_mkdir, {w.path("/tmp/d"), 0777}) == 0);
    CHECK((w.stat("/tmp/d").st_mode & 07777) == 0755);  // umask 022
    CHECK(w.call(SYS_mkdir, {w.path("/tmp/d"), 0777}) == -EEXIST);
    CHECK(w.call(SYS_mkdir, {w.path("/tmp/no/d"), 0777}) == -ENOENT);
    CHECK(w.call(SYS_mkdir, {w.path("/"), 0777}) == -EEXIST);
    CHECK(w.call(SYS_mkdir, {w.path("/tmp/e/"), 0777}) == 0);
    CHECK(w.names("/tmp") == std::set<std::string>{"d", "e"});
    CHECK(w.call(SYS_chdir, {w.path("/tmp/d")}) == 0);
    REQUIRE(w.call(SYS_getcwd, {world::buffer, 100}) == 7);
    CHECK(w.get(world::buffer, 7) == std::string("/tmp/d\0", 7));
    CHECK(w.call(SYS_getcwd, {world::buffer, 6}) == -ERANGE);
    CHECK(w.call(SYS_getcwd, {world::bad, 100}) == -EFAULT);
    w.make("inside", "x");
    CHECK(w.slurp("/tmp/d/inside") == "x");
    CHECK(w.slurp("../d/./inside") == "x");
    CHECK(w.call(SYS_chdir, {w.path("inside")}) == -ENOTDIR);
    const auto fd = w.open("..", O_RDONLY | O_DIRECTORY);
    CHECK(w.call(SYS_fchdir, {w.fd_of(fd)}) == 0);
    CHECK(w.view().working_directory == "/tmp");
    CHECK(w.call(SYS_rmdir, {w.path("d")}) == -ENOTEMPTY);
    CHECK(w.call(SYS_rmdir, {w.path("d/inside")}) == -ENOTDIR);
    CHECK(w.call(SYS_rmdir, {w.path("d/.")}) == -EINVAL);
    CHECK(w.call(SYS_rmdir, {w.path("d/..")}) == -ENOTEMPTY);
    CHECK(w.call(SYS_rmdir, {w.path("/tmp")}) == -EBUSY);
    CHECK(w.call(SYS_unlink, {w.path("d")}) == -EISDIR);
    CHECK(w.call(SYS_unlink, {w.path("d/inside")}) == 0);
    CHECK(w.call(SYS_unlinkat, {w.fd_of(fd), w.path("d"), AT_REMOVEDIR}) == 0);
    CHECK(w.call(SYS_unlinkat, {w.fd_of(fd), w.path("e"), 0x1}) == -EINVAL);
    CHECK(w.names("/tmp") == std::set<std::string>{"e"});
}

TEST_CASE("an open directory is followed when it is renamed, and lost when removed") {
    world w;
    REQUIRE(w.call(SYS_mkdir, {w.path("/tmp/a"), 0777}) == 0);
    const auto fd = w.open("/tmp/a", O_RDONLY | O_DIRECTORY);
    REQUIRE(w.call(SYS_rename, {w.path("/tmp/a"), w.path("/tmp/b")}) == 0);
    CHECK(w.call(SYS_openat, {w.fd_of(fd), w.path("f"), O_CREAT | O_WRONLY, 0644}) > 0);
    CHECK(w.names("/tmp/b") == std::set<std::string>{"f"});
    REQUIRE(w.call(SYS_unlinkat, {w.fd_of(fd), w.path("f"), 0}) == 0);
    REQUIRE(w.call(SYS_rmdir, {w.path("/tmp/b")}) == 0);
    CHECK(w.call(SYS_openat, {w.fd_of(fd), w.path("f"), O_CREAT | O_WRONLY, 0644}) == -ENOENT);
    CHECK(w.call(SYS_fstat, {w.fd_of(fd), world::buffer}) == 0);
    CHECK(w.call(SYS_openat, {1, w.path("f"), O_RDONLY}) == -ENOTDIR);
    CHECK(w.call(SYS_openat, {77, w.path("f"), O_RDONLY}) == -EBADF);
    CHECK(w.call(SYS_openat, {77, w.path("/own/hello"), O_RDONLY}) > 0);
}

TEST_CASE("a directory can be emptied while it is listed") {
    world w;
    for (int i = 0; i < 100; ++i) w.make("/tmp/f" + std::to_string(i), "");
    const auto fd = w.open("/tmp", O_RDONLY | O_DIRECTORY);
    int removed = 0;
    for (;;) {
        const auto n = w.call(SYS_getdents64, {w.fd_of(fd), world::buffer, 100});
        REQUIRE(n >= 0);
        if (n == 0) break;
        const std::string raw = w.get(world::buffer, static_cast<std::size_t>(n));
        for (std::size_t at = 0; at < raw.size();) {
            std::uint16_t length = 0;
            std::memcpy(&length, raw.data() + at + 16, 2);
            const std::string name = raw.c_str() + at + 19;
            at += length;
            if (name[0] == '.') continue;
            REQUIRE(w.call(SYS_unlinkat, {w.fd_of(fd), w.path(name), 0}) == 0);
            ++removed;
        }
    }
    CHECK(removed == 100);
    CHECK(w.names("/tmp").empty());
}

TEST_CASE("links, symlinks and renames through the calls") {
    world w;
    w.make("/tmp/f", "text");
    CHECK(w.call(SYS_link, {w.path("/tmp/f"), w.path("/tmp/g")}) == 0);
    CHECK(w.stat("/tmp/g").st_nlink == 2);
    CHECK(w.stat("/tmp/g").st_ino == w.stat("/tmp/f").st_ino);
    CHECK(w.call(SYS_link, {w.path("/tmp/f"), w.path("/tmp/g")}) == -EEXIST);
    CHECK(w.call(SYS_symlink, {w.path("f"), w.path("/tmp/s")}) == 0);
    CHECK(w.slurp("/tmp/s") == "text");
    REQUIRE(w.call(SYS_readlink, {w.path("/tmp/s"), world::buffer, 100}) == 1);
    CHECK(w.call(SYS_readlink, {w.path("/tmp/f"), world::buffer, 100}) == -EINVAL);
    CHECK(w.call(SYS_readlink, {w.path("/tmp/s"), world::buffer, 0}) == -EINVAL);
    CHECK(w.call(SYS_symlink, {w.path(""), w.path("/tmp/t")}) == -ENOENT);
    CHECK(w.open("/tmp/s", O_RDONLY | O_NOFOLLOW) == -ELOOP);
    const auto place = w.open("/tmp/s", O_PATH | O_NOFOLLOW);
    CHECK(w.call(SYS_readlinkat, {w.fd_of(place), w.path(""), world::buffer, 100}) == 1);
    // Created through a dangling symlink.
    CHECK(w.call(SYS_symlink, {w.path("/tmp/made"), w.path("/tmp/dangling")}) == 0);
    CHECK(w.open("/tmp/dangling", O_CREAT | O_EXCL | O_WRONLY) == -EEXIST);
    w.make("/tmp/dangling", "through");
    CHECK(w.slurp("/tmp/made") == "through");

    CHECK(w.call(SYS_rename, {w.path("/tmp/f"), w.path("/dev/shm/f")}) == -EXDEV);
    CHECK(w.call(SYS_rename, {w.path("/tmp/none"), w.path("/tmp/x")}) == -ENOENT);
    CHECK(w.call(SYS_rename, {w.path("/tmp"), w.path("/tmp/x")}) == -EXDEV);
    CHECK(w.call(SYS_rename, {w.path("/tmp/f"), w.path("/tmp/f/")}) == -ENOTDIR);
    CHECK(w.call(SYS_renameat2,
                 {here, w.path("/tmp/made"), here, w.path("/tmp/f"), RENAME_NOREPLACE}) == -EEXIST);
    CHECK(w.call(SYS_renameat2,
                 {here, w.path("/tmp/made"), here, w.path("/tmp/f"), RENAME_EXCHANGE}) == 0);
    CHECK(w.slurp("/tmp/f") == "through");
    CHECK(w.call(SYS_renameat2, {here, w.path("/tmp/made"), here, w.path("/tmp/f"), 64}) ==
          -EINVAL);
    // A file without a name gets one.
    const auto fd = w.open("/tmp", O_TMPFILE | O_RDWR);
    CHECK(w.call(SYS_linkat,
                 {w.fd_of(fd), w.path(""), here, w.path("/tmp/named"), AT_EMPTY_PATH}) == -ENOENT);
}

TEST_CASE("modes, owners and times are kept") {
    world w;
    w.make("/tmp/f", "text");
    CHECK(w.call(SYS_chmod, {w.path("/tmp/f"), 04751}) == 0);
    CHECK((w.stat("/tmp/f").st_mode & 07777) == 04751);
    CHECK(w.call(SYS_chown, {w.path("/tmp/f"), 12, ~0u}) == 0);
    CHECK(w.stat("/tmp/f").st_uid == 12);
    CHECK(w.stat("/tmp/f").st_gid == 0);
    CHECK((w.stat("/tmp/f").st_mode & 07777) == 0751);
    struct times {
        std::int64_t s[4];
    };
    w.put_value(world::buffer, times{{1, 2, 3, 4}});
    CHECK(w.call(SYS_utimensat, {here, w.path("/tmp/f"), world::buffer, 0}) == 0);
    auto st = w.stat("/tmp/f");
    CHECK(st.st_atim.tv_sec == 1);
    CHECK(st.st_atim.tv_nsec == 2);
    CHECK(st.st_mtim.tv_sec == 3);
    CHECK(st.st_ctim.tv_sec == 1'700'000'000);
    w.put_value(world::buffer, times{{0, UTIME_OMIT, 0, UTIME_NOW}});
    CHECK(w.call(SYS_utimensat, {here, w.path("/tmp/f"), world::buffer, 0}) == 0);
    st = w.stat("/tmp/f");
    CHECK(st.st_atim.tv_sec == 1);
    CHECK(st.st_mtim.tv_sec == 1'700'000'000);
    w.put_value(world::buffer, times{{0, 2'000'000'000, 0, 0}});
    CHECK(w.call(SYS_utimensat, {here, w.path("/tmp/f"), world::buffer, 0}) == -EINVAL);
    w.put_value(world::buffer, times{{5, 500'000, -3, 500'000}});
    CHECK(w.call(SYS_utimes, {w.path("/tmp/f"), world::buffer}) == 0);
    CHECK(w.stat("/tmp/f").st_mtim.tv_sec == -3);
    CHECK(w.stat("/tmp/f").st_mtim.tv_nsec == 500'000'000);
    CHECK(w.call(SYS_umask, {077}) == 022);
    w.make("/tmp/private", "");
    CHECK((w.stat("/tmp/private").st_mode & 07777) == 0600);
    CHECK(w.call(SYS_truncate, {w.path("/tmp/f"), 2}) == 0);
    CHECK(w.slurp("/tmp/f") == "te");
    CHECK(w.call(SYS_truncate, {w.path("/tmp"), 2}) == -EISDIR);
}

TEST_CASE("access is what a root without the host's powers may do") {
    world w;
    w.root.file("plain", "x", 0644);
    w.root.file("tool", "x", 0755);
    CHECK(w.call(SYS_access, {w.path("/plain"), F_OK}) == 0);
    CHECK(w.call(SYS_access, {w.path("/plain"), X_OK}) == -EACCES);
    CHECK(w.call(SYS_access, {w.path("/tool"), X_OK}) == 0);
    CHECK(w.call(SYS_access, {w.path("/own/hello"), X_OK}) == -EACCES);
    CHECK(w.call(SYS_access, {w.path("/own/run"), R_OK | X_OK}) == 0);
    CHECK(w.call(SYS_access, {w.path("/own/run"), W_OK}) == -EROFS);
    CHECK(w.call(SYS_access, {w.path("/tmp"), W_OK}) == 0);
    CHECK(w.call(SYS_access, {w.path("/none"), F_OK}) == -ENOENT);
    CHECK(w.call(SYS_access, {w.path("/tmp"), 8}) == -EINVAL);
    CHECK(w.call(SYS_faccessat2, {here, w.path("/tmp"), R_OK, 0x10000}) == -EINVAL);
    CHECK(w.call(SYS_faccessat2, {1, w.path(""), R_OK, AT_EMPTY_PATH}) == 0);
}

TEST_CASE("statfs tells writable from read-only and the room that is left") {
    world w;
    REQUIRE(w.call(SYS_statfs, {w.path("/tmp"), world::buffer}) == 0);
    const auto before = w.get_value<struct ::statfs>(world::buffer);
    CHECK(before.f_type == TMPFS_MAGIC);
    CHECK(before.f_blocks == 256);
    w.make("/tmp/f", std::string(100'000, 'x'));
    REQUIRE(w.call(SYS_statfs, {w.path("/tmp"), world::buffer}) == 0);
    CHECK(w.get_value<struct ::statfs>(world::buffer).f_bfree <= before.f_bfree - 25);
    REQUIRE(w.call(SYS_statfs, {w.path("/own"), world::buffer}) == 0);
    CHECK((w.get_value<struct ::statfs>(world::buffer).f_flags & 1) == 1);
    CHECK(w.get_value<struct ::statfs>(world::buffer).f_blocks == 1);  // a few bytes, and no room
    CHECK(w.get_value<struct ::statfs>(world::buffer).f_bfree == 0);
    REQUIRE(w.call(SYS_statfs, {w.path("/etc"), world::buffer}) == 0);
    CHECK(w.get_value<struct ::statfs>(world::buffer).f_blocks > 0);
    REQUIRE(w.call(SYS_fstatfs, {1, world::buffer}) == 0);
}

TEST_CASE("openat2 refuses what it does not promise") {
    world w;
    struct how {
        std::uint64_t flags, mode, resolve, later;
    };
    w.put_value(world::buffer, how{O_RDONLY, 0, 0, 0});
    CHECK(w.call(SYS_openat2, {here, w.path("/own/hello"), world::buffer, 24}) > 0);
    CHECK(w.call(SYS_openat2, {here, w.path("/own/hello"), world::buffer, 32}) > 0);
    CHECK(w.call(SYS_openat2, {here, w.path("/own/hello"), world::buffer, 16}) == -EINVAL);
    w.put_value(world::buffer, how{O_RDONLY, 0, 0, 1});
    CHECK(w.call(SYS_openat2, {here, w.path("/own/hello"), world::buffer, 32}) == -E2BIG);
    w.put_value(world::buffer, how{O_RDONLY, 0, 8, 0});
    CHECK(w.call(SYS_openat2, {here, w.path("/own/hello"), world::buffer, 24}) == -EOPNOTSUPP);
    w.put_value(world::buffer, how{O_RDONLY, 0644, 0, 0});
    CHECK(w.call(SYS_openat2, {here, w.path("/own/hello"), world::buffer, 24}) == -EINVAL);
    w.put_value(world::buffer, how{1ull << 40, 0, 0, 0});
    CHECK(w.call(SYS_openat2, {here, w.path("/own/hello"), world::buffer, 24}) == -EINVAL);
}

TEST_CASE(
    "nodes are made; there are no terminals, notifications or file handles, and each says so") {
    world w;
    CHECK(w.call(SYS_mknod, {w.path("/tmp/null"), S_IFCHR | 0644, makedev(1, 3)}) == 0);
    CHECK(w.call(SYS_mknod, {w.path("/tmp/ptmx"), S_IFCHR | 0644, makedev(5, 2)}) == 0);
    CHECK(w.call(SYS_mknod, {w.path("/tmp/file"), S_IFREG | 0644, 0}) == 0);
    CHECK(w.open("/tmp/null", O_RDWR) >= 0);
    CHECK(w.open("/tmp/ptmx", O_RDWR) == -ENXIO);
    CHECK(w.open("/dev/ptmx", O_RDWR) == -ENOENT);
    CHECK(w.call(SYS_inotify_init, {}) == -ENOSYS);
    CHECK(w.call(SYS_inotify_init1, {0}) == -ENOSYS);
    CHECK(w.call(SYS_name_to_handle_at, {here, w.path("/tmp"), 0, 0, 0}) == -ENOSYS);
    CHECK(w.call(SYS_fsync, {1}) == -EINVAL);
    CHECK(w.call(SYS_fsync, {99}) == -EBADF);
}

TEST_CASE("files and directories of the writable trees have extended attributes") {
    world w;
    w.make("/tmp/f", "text");
    REQUIRE(w.call(SYS_symlink, {w.path("f"), w.path("/tmp/link")}) == 0);
    const auto before = w.state().files.bytes_used();
    const auto set = [&](const std::string& p, const std::string& name, std::string_view value,
                         int flags = 0) {
        w.put(world::buffer, value);
        return w.call(SYS_setxattr, {w.path(p), w.path(name), world::buffer, value.size(),
                                     static_cast<std::uint64_t>(flags)});
    };
    const auto get = [&](const std::string& p, const std::string& name, std::size_t room = 64) {
        const auto n =
            w.call(SYS_getxattr, {w.path(p), w.path(name), world::buffer + 0x1000, room});
        if (n < 0) return "errno " + std::to_string(-n);
        return room ? w.get(world::buffer + 0x1000, static_cast<std::size_t>(n))
                    : std::to_string(n);
    };
    const auto listed = [&](const std::string& p) {
        const auto n = w.call(SYS_listxattr, {w.path(p), world::buffer, 64});
        return n < 0 ? "errno " + std::to_string(-n)
                     : w.get(world::buffer, static_cast<std::size_t>(n));
    };
    CHECK(listed("/tmp/f").empty());
    CHECK(set("/tmp/f", "user.a", "one") == 0);
    CHECK(set("/tmp/link", "user.b", "") == 0);  // of what it leads to
    CHECK(set("/tmp", "user.d", "of a directory") == 0);
    CHECK(get("/tmp/f", "user.a") == "one");
    CHECK(get("/tmp/f", "user.a", 0) == "3");
    CHECK(get("/tmp/f", "user.a", 2) == "errno " + std::to_string(ERANGE));
    CHECK(get("/tmp/f", "user.b").empty());
    CHECK(get("/tmp/f", "user.none") == "errno " + std::to_string(ENODATA));
    CHECK(get("/tmp", "user.d") == "of a directory");
    CHECK(listed("/tmp/f") == std::string("user.a\0user.b\0", 14));
    CHECK(set("/tmp/f", "user.a", "x", XATTR_CREATE) == -EEXIST);
    CHECK(set("/tmp/f", "user.c", "x", XATTR_REPLACE) == -ENODATA);
    CHECK(set("/tmp/f", "user.a", "another", XATTR_REPLACE) == 0);
    CHECK(get("/tmp/f", "user.a") == "another");
    CHECK(set("/tmp/f", "user.a", "x", 4) == -EINVAL);
    CHECK(set("/tmp/f", "user.", "x") == -EINVAL);
    CHECK(set("/tmp/f", "", "x") == -ERANGE);
    CHECK(set("/tmp/f", "user." + std::string(255, 'n'), "x") == -ERANGE);
    CHECK(set("/tmp/f", "security.selinux", "x") == -EOPNOTSUPP);
    CHECK(set("/tmp/none", "user.a", "x") == -ENOENT);
    CHECK(set("/own/hello", "user.a", "x") == -EROFS);
    CHECK(get("/own/hello", "user.a") == "errno " + std::to_string(ENOTSUP));
    CHECK(w.call(SYS_lsetxattr, {w.path("/tmp/link"), w.path("user.a"), world::buffer, 1, 0}) ==
          -EPERM);
    CHECK(w.call(SYS_setxattr, {w.path("/tmp/f"), w.path("user.a"), world::buffer, 65537, 0}) ==
          -E2BIG);
    CHECK(w.call(SYS_setxattr, {w.path("/tmp/f"), w.path("user.a"), world::bad, 1, 0}) == -EFAULT);
    CHECK(w.call(SYS_getxattr, {w.path("/tmp/f"), w.path("user.a"), world::bad, 64}) == -EFAULT);
    const auto fd = w.open("/tmp/f");
    CHECK(w.call(SYS_fgetxattr, {w.fd_of(fd), w.path("user.a"), world::buffer, 64}) == 7);
    CHECK(w.call(SYS_fremovexattr, {w.fd_of(fd), w.path("user.b")}) == 0);
    CHECK(w.call(SYS_fremovexattr, {w.fd_of(fd), w.path("user.b")}) == -ENODATA);
    CHECK(w.call(SYS_fgetxattr, {1, w.path("user.a"), 0, 0}) == -ENOTSUP);
    w.close(fd);
    // They cost room, of which one file has only so much, and give it back.
    std::int64_t r = 0;
    std::size_t n = 0;
    const std::string big(3'000, 'v');
    for (; n < 100 && r == 0; ++n) r = set("/tmp/f", "user.n" + std::to_string(n), big);
    CHECK(r == -ENOSPC);
    CHECK(n == 6);
    CHECK(w.call(SYS_removexattr, {w.path("/tmp"), w.path("user.d")}) == 0);
    REQUIRE(w.call(SYS_unlink, {w.path("/tmp/f")}) == 0);
    REQUIRE(w.call(SYS_unlink, {w.path("/tmp/link")}) == 0);
    CHECK(w.state().files.bytes_used() < before);
}
