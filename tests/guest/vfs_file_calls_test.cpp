#include "guest/vfs/mappable.hpp"
#include "vfs_world.hpp"

#include <linux/close_range.h>
#include <sys/uio.h>

using namespace vfs_test;

TEST_CASE("the standard streams are the host's") {
    world w;
    CHECK(w.write(1, "out") == 3);
    CHECK(w.write(2, "err") == 3);
    CHECK(w.host.output == "out");
    CHECK(w.host.errors == "err");
    w.host.input = "line\n";
    CHECK(w.read(0) == "line\n");
    CHECK(w.write(0, "x") == -EBADF);
    CHECK(w.read(1) == "errno " + std::to_string(EBADF));
    CHECK(w.call(SYS_lseek, {1, 0, SEEK_CUR}) == -ESPIPE);
    w.parks(SYS_read, {0, world::buffer, 10});
    CHECK(w.still_parked());
    w.host.input = "late";
    CHECK(w.resume() == 4);
    w.host.input_closed = true;
    CHECK(w.read(0) == "");
}

TEST_CASE("a duplicate shares its offset, a second open does not") {
    world w;
    w.make("/tmp/f", "0123456789");
    const auto a = w.open("/tmp/f");
    const auto b = w.call(SYS_dup, {w.fd_of(a)});
    const auto c = w.open("/tmp/f");
    CHECK(w.read(a, 3) == "012");
    CHECK(w.read(b, 3) == "345");
    CHECK(w.read(c, 3) == "012");
    w.close(a);
    CHECK(w.read(b, 3) == "678");
    CHECK(w.call(SYS_dup2, {w.fd_of(b), 50}) == 50);
    CHECK(w.read(50, 3) == "9");
    CHECK(w.call(SYS_dup2, {w.fd_of(b), w.fd_of(b)}) == b);
    CHECK(w.call(SYS_dup3, {w.fd_of(b), w.fd_of(b), 0}) == -EINVAL);
    CHECK(w.call(SYS_dup3, {w.fd_of(b), 60, O_APPEND}) == -EINVAL);
    CHECK(w.call(SYS_dup2, {w.fd_of(b), 1024}) == -EBADF);
    CHECK(w.call(SYS_dup2, {99, 5}) == -EBADF);
}

TEST_CASE("descriptors are the lowest free ones and end in EMFILE") {
    world w;
    CHECK(w.open("/dev/null") == 3);
    CHECK(w.open("/dev/null") == 4);
    w.close(3);
    CHECK(w.open("/dev/null") == 3);
    CHECK(w.call(SYS_fcntl, {3, F_DUPFD, 100}) == 100);
    CHECK(w.call(SYS_fcntl, {3, F_DUPFD_CLOEXEC, 100}) == 101);
    CHECK(w.call(SYS_fcntl, {101, F_GETFD}) == FD_CLOEXEC);
    CHECK(w.call(SYS_fcntl, {100, F_GETFD}) == 0);
    CHECK(w.call(SYS_fcntl, {3, F_DUPFD, 1024}) == -EINVAL);
    std::int64_t last = 0;
    while ((last = w.open("/dev/null")) >= 0) {
    }
    CHECK(last == -EMFILE);
    CHECK(w.call(SYS_pipe, {world::buffer}) == -EMFILE);
    CHECK(w.call(SYS_dup, {0}) == -EMFILE);
    const auto descriptions = w.state().descriptions.size();
    CHECK(w.call(SYS_eventfd2, {0, 0}) == -EMFILE);
    CHECK(w.state().descriptions.size() == descriptions);
    CHECK(w.call(SYS_close_range, {5, ~0u, CLOSE_RANGE_CLOEXEC}) == 0);
    CHECK(w.call(SYS_fcntl, {1000, F_GETFD}) == FD_CLOEXEC);
    CHECK(w.call(SYS_close_range, {3, ~0u, 0}) == 0);
    CHECK(w.state().descriptions.size() == 3);
    w.process().limits[RLIMIT_NOFILE] = {5, 5};
    CHECK(w.open("/dev/null") == 3);
    CHECK(w.open("/dev/null") == 4);
    CHECK(w.open("/dev/null") == -EMFILE);
}

TEST_CASE("writes append, truncate and keep to their offsets") {
    world w;
    w.make("/tmp/f", "hello");
    auto fd = w.open("/tmp/f", O_WRONLY | O_APPEND);
    CHECK(w.write(fd, " world") == 6);
    w.close(fd);
    CHECK(w.slurp("/tmp/f") == "hello world");
    fd = w.open("/tmp/f", O_RDWR);
    w.put(world::buffer, "J");
    CHECK(w.call(SYS_pwrite64, {w.fd_of(fd), world::buffer, 1, 0}) == 1);
    CHECK(w.read(fd, 5) == "Jello");
    CHECK(w.call(SYS_ftruncate, {w.fd_of(fd), 3}) == 0);
    CHECK(w.read(fd) == "");
    CHECK(w.slurp("/tmp/f") == "Jel");
    CHECK(w.call(SYS_pwrite64,
                 {w.fd_of(fd), world::buffer, 1, static_cast<std::uint64_t>(INT64_MAX)}) == -EFBIG);
    CHECK(w.call(SYS_ftruncate, {w.fd_of(fd), static_cast<std::uint64_t>(-1)}) == -EINVAL);
    CHECK(w.call(SYS_ftruncate, {w.fd_of(fd), static_cast<std::uint64_t>(INT64_MAX)}) == -EFBIG);
    CHECK(w.call(SYS_lseek, {w.fd_of(fd), static_cast<std::uint64_t>(INT64_MAX), SEEK_SET}) ==
          INT64_MAX);
    CHECK(w.call(SYS_lseek, {w.fd_of(fd), 1, SEEK_CUR}) == -EOVERFLOW);
    CHECK(w.read(fd) == "");
    CHECK(w.open("/tmp/f", O_WRONLY | O_TRUNC) > 0);
    CHECK(w.slurp("/tmp/f").empty());
    CHECK(w.open("/tmp/f", O_CREAT | O_EXCL | O_WRONLY) == -EEXIST);
    CHECK(w.open("/tmp", O_WRONLY) == -EISDIR);
    CHECK(w.open("/tmp/none/f", O_CREAT | O_WRONLY) == -ENOENT);
    CHECK(w.open("/tmp/new/", O_CREAT | O_WRONLY) == -EISDIR);
}

TEST_CASE("vectors are read and written in order, and counted") {
    world w;
    const auto fd = w.open("/tmp/v", O_CREAT | O_RDWR);
    w.put(world::buffer, "onetwothree");
    struct piece {
        std::uint64_t base, length;
    };
    const auto at = world::data + 0x8000;
    w.put_value(at, std::array<piece, 3>{piece{world::buffer + 6, 5}, piece{0, 0},
                                         piece{world::buffer, 3}});
    CHECK(w.call(SYS_writev, {w.fd_of(fd), at, 3}) == 8);
    CHECK(w.slurp("/tmp/v") == "threeone");
    w.put_value(
        at, std::array<piece, 2>{piece{world::buffer + 100, 2}, piece{world::buffer + 200, 100}});
    CHECK(w.call(SYS_preadv, {w.fd_of(fd), at, 2, 1}) == 7);
    CHECK(w.get(world::buffer + 100, 2) == "hr");
    CHECK(w.get(world::buffer + 200, 5) == "eeone");
    CHECK(w.call(SYS_readv, {w.fd_of(fd), at, 1025}) == -EINVAL);
    CHECK(w.call(SYS_readv, {w.fd_of(fd), world::bad, 1}) == -EFAULT);
    w.put_value(at, std::array<piece, 2>{piece{world::buffer, 2}, piece{0, ~0ull}});
    CHECK(w.call(SYS_readv, {w.fd_of(fd), at, 2}) == -EINVAL);
    CHECK(w.call(SYS_preadv2, {w.fd_of(fd), at, 1, static_cast<std::uint64_t>(-1), 0, 0}) ==
          0);  // at the file's end
    CHECK(w.call(SYS_preadv2, {w.fd_of(fd), at, 1, 0, 0, 0x100}) == -EOPNOTSUPP);
}

TEST_CASE("a transfer into memory that ends is short, and EFAULT when it has nothing") {
    world w;
    w.make("/tmp/f", std::string(20'000, 'z'));
    const auto fd = w.open("/tmp/f");
    const std::uint64_t edge = world::data + world::data_size;
    CHECK(w.call(SYS_read, {w.fd_of(fd), edge - 1000, 5000}) == 1000);
    CHECK(w.call(SYS_lseek, {w.fd_of(fd), 0, SEEK_CUR}) == 1000);
    CHECK(w.call(SYS_read, {w.fd_of(fd), edge, 5000}) == -EFAULT);
    CHECK(w.call(SYS_lseek, {w.fd_of(fd), 0, SEEK_CUR}) == 1000);
    CHECK(w.call(SYS_write, {1, edge - 4, 100}) == 4);
    CHECK(w.call(SYS_write, {1, world::bad, 100}) == -EFAULT);
    CHECK(w.call(SYS_read, {w.fd_of(fd), ~0ull - 10, 100}) == -EFAULT);
    CHECK(w.call(SYS_read, {w.fd_of(fd), 0xffff'8000'0000'0000, 100}) == -EFAULT);
    CHECK(w.call(SYS_read, {w.fd_of(fd), world::buffer, 0}) == 0);
    w.root.file("host", "host file");
    const auto h = w.open("/host");
    CHECK(w.call(SYS_read, {w.fd_of(h), edge - 4, 100}) == 4);
    CHECK(w.call(SYS_read, {w.fd_of(h), world::bad, 100}) == -EFAULT);
    CHECK(w.read(h) == " file");
}

TEST_CASE("files copy into one another and into pipes") {
    world w;
    std::string text;
    for (int i = 0; i < 20'000; ++i) text += static_cast<char>('a' + i % 26);
    w.root.file("src", text);
    const auto in = w.open("/src");
    const auto out = w.open("/tmp/dst", O_CREAT | O_RDWR);
    CHECK(w.call(SYS_sendfile, {w.fd_of(out), w.fd_of(in), 0, 5000}) == 5000);
    w.put_value<std::int64_t>(world::buffer, 19'990);
    CHECK(w.call(SYS_sendfile, {w.fd_of(out), w.fd_of(in), world::buffer, 5000}) == 10);
    CHECK(w.get_value<std::int64_t>(world::buffer) == 20'000);
    CHECK(w.slurp("/tmp/dst") == text.substr(0, 5000) + text.substr(19'990));
    CHECK(w.call(SYS_lseek, {w.fd_of(in), 0, SEEK_CUR}) == 5000);
    CHECK(w.call(SYS_copy_file_range, {w.fd_of(in), 0, w.fd_of(out), 0, 100'000, 0}) == 15'000);
    CHECK(w.call(SYS_copy_file_range, {w.fd_of(in), 0, w.fd_of(out), 0, 1, 1}) == -EINVAL);
    CHECK(w.call(SYS_copy_file_range, {w.fd_of(out), 0, w.fd_of(out), 0, 1, 0}) == -EINVAL);
    REQUIRE(w.call(SYS_pipe, {world::buffer}) == 0);
    const auto r = w.get_value<int>(world::buffer), p = w.get_value<int>(world::buffer + 4);
    w.put_value<std::int64_t>(world::buffer, 0);
    CHECK(w.call(SYS_sendfile, {w.fd_of(p), w.fd_of(in), world::buffer, 3}) == 3);
    CHECK(w.read(r) == "abc");
    CHECK(w.call(SYS_sendfile, {w.fd_of(in), w.fd_of(in), 0, 3}) == -EBADF);
}

TEST_CASE("devices do what their names say") {
    world w;
    const auto zero = w.open("/dev/zero", O_RDWR);
    CHECK(w.read(zero, 5) == std::string(5, '\0'));
    const auto null = w.open("/dev/null", O_RDWR);
    CHECK(w.read(null) == "");
    CHECK(w.write(null, "gone") == 4);
    const auto full = w.open("/dev/full", O_RDWR);
    CHECK(w.write(full, "x") == -ENOSPC);
    CHECK(w.read(full, 2) == std::string(2, '\0'));
    const auto random = w.open("/dev/urandom");
    CHECK(w.read(random, 8) != w.read(random, 8));
    CHECK(w.open("/dev/tty", O_RDWR) == -ENXIO);
    CHECK(w.open("/dev/ptmx", O_RDWR) == -ENOENT);
    const auto st = w.stat("/dev/null");
    CHECK(S_ISCHR(st.st_mode));
    CHECK(st.st_rdev == makedev(1, 3));
    w.make("/dev/shm/x", "shared");
    CHECK(w.slurp("/dev/shm/x") == "shared");
    CHECK(w.call(SYS_access, {w.path("/dev/null"), W_OK}) == 0);
}

TEST_CASE("a memory file has no name, may be sealed, and goes with its last descriptor") {
    world w;
    const auto fd = w.call(SYS_memfd_create, {w.path("buffer"), 2 /* MFD_ALLOW_SEALING */});
    REQUIRE(fd >= 0);
    CHECK(w.write(fd, "content") == 7);
    CHECK(w.call(SYS_fcntl, {w.fd_of(fd), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW}) == 0);
    CHECK(w.write(fd, "more") == -EPERM);
    CHECK(w.call(SYS_fcntl, {w.fd_of(fd), F_GET_SEALS}) == (F_SEAL_WRITE | F_SEAL_GROW));
    const auto n =
        w.call(SYS_readlink, {w.path("/proc/self/fd/" + std::to_string(fd)), world::buffer, 100});
    CHECK(w.get(world::buffer, static_cast<std::size_t>(n)) == "/memfd:buffer (deleted)");
    CHECK(w.state().files.bytes_used() > 0);
    w.close(fd);
    CHECK(w.state().files.bytes_used() == 0);
    CHECK(w.call(SYS_memfd_create, {w.path("x"), 0x100}) == -EINVAL);
    CHECK(w.call(SYS_memfd_create, {w.path(std::string(250, 'n')), 0}) == -EINVAL);
    const auto unnamed = w.open("/tmp", O_TMPFILE | O_RDWR);
    REQUIRE(unnamed >= 0);
    CHECK(w.write(unnamed, "x") == 1);
    CHECK(w.names("/tmp").empty());
    CHECK(w.open("/tmp", O_TMPFILE | O_RDONLY) == -EINVAL);
    CHECK(w.open("/etc", O_TMPFILE | O_RDWR) == -EROFS);
}

TEST_CASE("fcntl answers about flags, locks and pipes") {
    world w;
    const auto fd = w.open("/tmp/f", O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC);
    CHECK(w.call(SYS_fcntl, {w.fd_of(fd), F_GETFL}) == (O_RDWR | O_APPEND | 0100000));
    CHECK(w.call(SYS_fcntl, {w.fd_of(fd), F_GETFD}) == FD_CLOEXEC);
    CHECK(w.call(SYS_fcntl, {w.fd_of(fd), F_SETFL, O_NONBLOCK | O_WRONLY}) == 0);
    CHECK(w.call(SYS_fcntl, {w.fd_of(fd), F_GETFL}) == (O_RDWR | O_NONBLOCK | 0100000));
    CHECK(w.call(SYS_fcntl, {w.fd_of(fd), F_SETFD, 0}) == 0);
    CHECK(w.call(SYS_fcntl, {w.fd_of(fd), F_GETFD}) == 0);
    CHECK(w.call(SYS_fcntl, {w.fd_of(fd), 12345}) == -EINVAL);
    struct ::flock lock {};
    lock.l_type = F_WRLCK;
    w.put_value(world::buffer, lock);
    CHECK(w.call(SYS_fcntl, {w.fd_of(fd), F_SETLK, world::buffer}) == 0);
    CHECK(w.call(SYS_fcntl, {w.fd_of(fd), F_GETLK, world::buffer}) == 0);
    CHECK(w.get_value<struct ::flock>(world::buffer).l_type == F_UNLCK);
    CHECK(w.call(SYS_fcntl, {w.fd_of(fd), F_SETLK, world::bad}) == -EFAULT);
    CHECK(w.call(SYS_flock, {w.fd_of(fd), 2}) == 0);
    CHECK(w.call(SYS_flock, {w.fd_of(fd), 3}) == -EINVAL);
    const auto place = w.open("/tmp/f", O_PATH);
    CHECK(w.call(SYS_read, {w.fd_of(place), world::buffer, 1}) == -EBADF);
    CHECK(w.call(SYS_fcntl, {w.fd_of(place), F_SETFL, 0}) == -EBADF);
    CHECK(w.call(SYS_fstat, {w.fd_of(place), world::buffer}) == 0);
}

TEST_CASE("what may be mapped is said with the file's bytes, and what may not with Linux's errno") {
    world w;
    w.root.file("lib", std::string(10'000, 'L'));
    const auto asked = [&](std::int64_t fd, bool writable_shared = false) {
        task t(*w.kernel, w.process(), w.task(), w.regs);
        mm::address_space::map_request q;
        q.shared = q.prot.write = writable_shared;
        const auto ok = vfs::find_mappable(t, static_cast<int>(fd), q);
        if (!ok) return -std::int64_t{ok.error().number};
        return static_cast<std::int64_t>(q.memory_file ? 1 : q.file->size);
    };
    const auto lib = w.open("/lib");
    CHECK(asked(lib) == 10'000);
    CHECK(asked(lib, true) == -EACCES);
    CHECK(asked(99) == -EBADF);
    CHECK(asked(w.open("/tmp", O_RDONLY | O_DIRECTORY)) == -ENODEV);
    CHECK(asked(w.open("/proc/self/maps")) == -ENODEV);
    CHECK(asked(1) == -ENODEV);
    w.make("/tmp/f", "text");
    CHECK(asked(w.open("/tmp/f", O_WRONLY)) == -EACCES);
    CHECK(asked(w.open("/tmp/f")) == 1);
    CHECK(asked(w.open("/tmp/f"), true) == -EACCES);
    CHECK(asked(w.open("/tmp/f", O_RDWR), true) == 1);
    CHECK(asked(w.open("/tmp/f", O_PATH)) == -EBADF);
}
