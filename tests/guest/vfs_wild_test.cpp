/// Hostile arguments to every file-like call: whatever the guest passes, the answer is a value or
/// an errno that exists, and the state stays sound and bounded.

#include "guest/sys/table.hpp"
#include "vfs_world.hpp"

#include <csignal>
#include <random>

using namespace vfs_test;

namespace {

const std::vector<long> calls{SYS_read,
                              SYS_write,
                              SYS_open,
                              SYS_close,
                              SYS_stat,
                              SYS_fstat,
                              SYS_lstat,
                              SYS_poll,
                              SYS_lseek,
                              SYS_ioctl,
                              SYS_pread64,
                              SYS_pwrite64,
                              SYS_readv,
                              SYS_writev,
                              SYS_access,
                              SYS_pipe,
                              SYS_select,
                              SYS_dup,
                              SYS_dup2,
                              SYS_sendfile,
                              SYS_socket,
                              SYS_connect,
                              SYS_accept,
                              SYS_sendto,
                              SYS_recvfrom,
                              SYS_sendmsg,
                              SYS_recvmsg,
                              SYS_shutdown,
                              SYS_bind,
                              SYS_listen,
                              SYS_getsockname,
                              SYS_getpeername,
                              SYS_socketpair,
                              SYS_setsockopt,
                              SYS_getsockopt,
                              SYS_fcntl,
                              SYS_flock,
                              SYS_fsync,
                              SYS_fdatasync,
                              SYS_truncate,
                              SYS_ftruncate,
                              SYS_getdents,
                              SYS_getcwd,
                              SYS_chdir,
                              SYS_fchdir,
                              SYS_rename,
                              SYS_mkdir,
                              SYS_rmdir,
                              SYS_creat,
                              SYS_link,
                              SYS_unlink,
                              SYS_symlink,
                              SYS_readlink,
                              SYS_chmod,
                              SYS_fchmod,
                              SYS_chown,
                              SYS_fchown,
                              SYS_lchown,
                              SYS_umask,
                              SYS_utime,
                              SYS_mknod,
                              SYS_statfs,
                              SYS_fstatfs,
                              SYS_sync,
                              SYS_readahead,
                              SYS_setxattr,
                              SYS_getxattr,
                              SYS_lgetxattr,
                              SYS_fgetxattr,
                              SYS_listxattr,
                              SYS_removexattr,
                              SYS_epoll_create,
                              SYS_getdents64,
                              SYS_fadvise64,
                              SYS_epoll_wait,
                              SYS_epoll_ctl,
                              SYS_utimes,
                              SYS_openat,
                              SYS_mkdirat,
                              SYS_mknodat,
                              SYS_fchownat,
                              SYS_futimesat,
                              SYS_newfstatat,
                              SYS_unlinkat,
                              SYS_renameat,
                              SYS_linkat,
                              SYS_symlinkat,
                              SYS_readlinkat,
                              SYS_fchmodat,
                              SYS_faccessat,
                              SYS_pselect6,
                              SYS_ppoll,
                              SYS_sync_file_range,
                              SYS_utimensat,
                              SYS_epoll_pwait,
                              SYS_eventfd,
                              SYS_fallocate,
                              SYS_accept4,
                              SYS_eventfd2,
                              SYS_epoll_create1,
                              SYS_dup3,
                              SYS_pipe2,
                              SYS_preadv,
                              SYS_pwritev,
                              SYS_syncfs,
                              SYS_renameat2,
                              SYS_memfd_create,
                              SYS_copy_file_range,
                              SYS_preadv2,
                              SYS_pwritev2,
                              SYS_statx,
                              SYS_close_range,
                              SYS_openat2,
                              SYS_faccessat2,
                              441 /* epoll_pwait2 */};

/// Runs a call to whatever end it has; a parked one is given up.
std::optional<std::int64_t> any(world& w, long number, std::initializer_list<std::uint64_t> args) {
    const auto s = w.step(number, args);
    if (s.what == guest::step::kind::parked) {
        w.task().run = task_running{};
        return std::nullopt;
    }
    REQUIRE(s.what != guest::step::kind::out_of_memory);
    return static_cast<std::int64_t>(w.regs.rax);
}

void check_sound(world& w) {
    vfs::vfs_state& state = w.state();
    std::map<description_id, std::uint32_t> held;
    for (const auto& [fd, d] : w.descriptors().all()) {
        REQUIRE(fd >= 0);
        REQUIRE(fd < vfs::max_descriptors);
        ++held[d.description];
    }
    REQUIRE(held.size() == state.descriptions.size());
    std::size_t epolls = 0;
    std::map<vfs::pipe_id, std::pair<std::uint32_t, std::uint32_t>> ends;
    for (const auto& [id, d] : state.descriptions) {
        REQUIRE(held[id] == d.references);
        epolls += std::holds_alternative<vfs::epoll_set>(d.body);
        if (const auto* end = std::get_if<vfs::pipe_end>(&d.body)) {
            ends[end->pipe].first += end->reads;
            ends[end->pipe].second += end->writes;
        }
    }
    REQUIRE(epolls == state.epoll_sets);
    REQUIRE(ends.size() == state.pipes.size());
    for (const auto& [id, p] : state.pipes) {
        REQUIRE(p.readers == ends[id].first);
        REQUIRE(p.writers == ends[id].second);
        REQUIRE(p.bytes.size() <= vfs::pipe::max_capacity);
    }
    REQUIRE(state.files.bytes_used() <= state.files.byte_limit());
    REQUIRE(state.files.inodes_used() <= state.files.inode_limit() + 2);
    REQUIRE(w.view().working_directory.starts_with('/'));
}

}  // namespace

TEST_CASE(
    "every file-like call answers a wild pointer with EFAULT or another error, never with harm") {
    world w;
    w.actions()[SIGPIPE].handler = 1;
    for (const long number : calls) {
        INFO("system call " << number);
        REQUIRE(default_table().find(static_cast<std::uint64_t>(number)) != nullptr);
        REQUIRE(default_table().find(static_cast<std::uint64_t>(number))->level !=
                support_level::refused);
        for (const std::uint64_t p :
             {std::uint64_t{0}, std::uint64_t{1}, world::bad, world::data + world::data_size - 1,
              std::uint64_t{0x7fff'ffff'ffff}, std::uint64_t{0x8000'0000'0000}, ~std::uint64_t{0},
              ~std::uint64_t{0} - 4095}) {
            const auto r = any(w, number, {p, p, p, p, p, p});
            if (r) REQUIRE(*r >= -4095);
            const auto q = any(w, number, {0, p, 16, p, p, p});
            if (q) REQUIRE(*q >= -4095);
        }
        check_sound(w);
    }
}

TEST_CASE("calls that take a pointer say EFAULT for one that leads nowhere") {
    world w;
    const std::uint64_t here = static_cast<std::uint64_t>(AT_FDCWD), bad = world::bad;
    REQUIRE(w.call(SYS_pipe, {world::buffer}) == 0);
    const auto [a, b] = std::pair{w.fd_of(w.get_value<int>(world::buffer)),
                                  w.fd_of(w.get_value<int>(world::buffer + 4))};
    REQUIRE(w.call(SYS_write, {b, world::buffer, 4}) == 4);
    const auto dir = w.fd_of(w.open("/own", O_RDONLY | O_DIRECTORY));
    const auto ep = w.fd_of(w.call(SYS_epoll_create1, {0}));
    const std::vector<std::pair<long, std::vector<std::uint64_t>>> cases{
        {SYS_read, {a, bad, 4}},
        {SYS_write, {1, bad, 4}},
        {SYS_open, {bad, 0, 0}},
        {SYS_stat, {bad, world::buffer}},
        {SYS_stat, {w.path("/own"), bad}},
        {SYS_fstat, {1, bad}},
        {SYS_lstat, {bad, bad}},
        {SYS_readv, {a, bad, 1}},
        {SYS_writev, {1, bad, 1}},
        {SYS_access, {bad, 0}},
        {SYS_pipe, {bad}},
        {SYS_pipe2, {bad, 0}},
        {SYS_getcwd, {bad, 100}},
        {SYS_chdir, {bad}},
        {SYS_mkdir, {bad, 0}},
        {SYS_rmdir, {bad}},
        {SYS_unlink, {bad}},
        {SYS_rename, {bad, bad}},
        {SYS_link, {bad, bad}},
        {SYS_symlink, {bad, bad}},
        {SYS_readlink, {bad, world::buffer, 5}},
        {SYS_chmod, {bad, 0}},
        {SYS_chown, {bad, 0, 0}},
        {SYS_truncate, {bad, 0}},
        {SYS_statfs, {bad, world::buffer}},
        {SYS_fstatfs, {1, bad}},
        {SYS_getdents64, {dir, bad, 100}},
        {SYS_getdents, {dir, bad, 100}},
        {SYS_epoll_ctl, {ep, 1, a, bad}},
        {SYS_poll, {bad, 1, 0}},
        {SYS_newfstatat, {here, bad, world::buffer, 0}},
        {SYS_statx, {here, bad, 0, 0, world::buffer}},
        {SYS_openat, {here, bad, 0, 0}},
        {SYS_openat2, {here, w.path("/own"), bad, 24}},
        {SYS_socketpair, {1, 1, 0, bad}},
        {SYS_memfd_create, {bad, 0}},
        {SYS_utimensat, {here, w.path("/tmp"), bad, 0}},
        {SYS_select, {5, bad, 0, 0, 0}},
        {SYS_ppoll, {world::buffer, 0, bad, 0, 8}},
        {SYS_sendfile, {b, dir, bad, 1}}};
    const auto before = w.state().descriptions.size();
    for (const auto& [number, args] : cases) {
        INFO("system call " << number);
        std::uint64_t x[6] = {};
        std::copy(args.begin(), args.end(), x);
        CHECK(any(w, number, {x[0], x[1], x[2], x[3], x[4], x[5]}) == -EFAULT);
    }
    CHECK(w.state().descriptions.size() == before);
}

TEST_CASE("ten thousand random calls leave the state sound") {
    world w;
    w.actions()[SIGPIPE].handler = 1;
    w.host.services.insert({0x7f00'0001, 80});
    std::mt19937 random(20'240'607);
    const std::vector<std::string> names{"/tmp/a",
                                         "/tmp/b",
                                         "/tmp/d",
                                         "/tmp/d/e",
                                         "/tmp/d/../a",
                                         "/tmp",
                                         "/",
                                         "/own/hello",
                                         "/own",
                                         "/etc/name",
                                         "/proc/self/fd/3",
                                         "/proc/self/fd",
                                         "/dev/null",
                                         "/dev/shm/x",
                                         "a",
                                         "d",
                                         "..",
                                         ".",
                                         "",
                                         "/proc/self/maps",
                                         "/proc/self/smaps_rollup",
                                         "/proc/thread-self/stat",
                                         "/proc/net/tcp",
                                         "/sys/fs/cgroup",
                                         "/dev/stdin",
                                         "/tmp/loop/x"};
    const auto pick = [&](std::uint32_t n) {
        return std::uniform_int_distribution<std::uint32_t>(0, n - 1)(random);
    };
    const auto argument = [&]() -> std::uint64_t {
        switch (pick(10)) {
            case 0:
            case 1:
            case 2:
                return w.path(names[pick(static_cast<std::uint32_t>(names.size()))]);
            case 3:
            case 4:
                return pick(12);
            case 5:
                return world::buffer + pick(100) * 8;
            case 6:
                return pick(2) ? static_cast<std::uint64_t>(AT_FDCWD)
                               : std::uint64_t{1} << pick(64);
            case 7:
                return pick(100'000);
            case 8:
                return pick(2) ? world::bad : ~std::uint64_t{0} - pick(5000);
            default:
                return (std::uint64_t{random()} << 32) | random();
        }
    };
    for (int i = 0; i < 10'000; ++i) {
        const long number = calls[pick(static_cast<std::uint32_t>(calls.size()))];
        // Something for structures to be read from.
        if (pick(4) == 0)
            w.put_value(world::buffer + pick(100) * 8,
                        pick(2) ? std::uint64_t{pick(200)} : argument());
        const auto r = any(
            w, number, {argument(), argument(), argument(), argument(), argument(), argument()});
        INFO("round " << i << ", system call " << number);
        if (r && number != SYS_lseek) REQUIRE(*r >= -4095);
        if (i % 100 == 0) check_sound(w);
        w.host.monotonic += 1ms;
    }
    check_sound(w);
    const kernel_state copy = w.kernel->state();
    CHECK(copy == w.kernel->state());
}
