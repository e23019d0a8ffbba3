#include "guest/kernel/parts.hpp"
#include "guest/vfs/readiness.hpp"
#include "vfs_world.hpp"

#include <sched.h>
#include <sys/socket.h>

#include <csignal>

using namespace vfs_test;

TEST_CASE("a clone does not share file offsets with its snapshot") {
    world w;
    w.make("/tmp/f", "0123456789");
    w.root.file("h", "abcdefghij");
    const auto t = w.open("/tmp/f"), h = w.open("/h");
    CHECK(w.read(t, 2) == "01");
    CHECK(w.read(h, 2) == "ab");
    const kernel_state snapshot = w.kernel->state();
    CHECK(snapshot == w.kernel->state());
    CHECK(w.read(t, 2) == "23");
    CHECK(w.read(h, 2) == "cd");
    CHECK_FALSE(snapshot == w.kernel->state());
    w.kernel->state() = snapshot;
    CHECK(w.read(t, 2) == "23");
    CHECK(w.read(h, 2) == "cd");
}

TEST_CASE("a clone's files, pipes and connections are its own") {
    world w;
    w.make("/tmp/f", "as snapshot");
    REQUIRE(w.call(SYS_pipe, {world::buffer}) == 0);
    const auto r = w.get_value<int>(world::buffer), p = w.get_value<int>(world::buffer + 4);
    w.write(p, "in the pipe");
    const kernel_state snapshot = w.kernel->state();
    w.make("/tmp/f", "changed");
    w.make("/tmp/new", "new");
    CHECK(w.read(r) == "in the pipe");
    w.kernel->state() = snapshot;
    CHECK(w.slurp("/tmp/f") == "as snapshot");
    CHECK(w.names("/tmp") == std::set<std::string>{"f"});
    CHECK(w.read(r) == "in the pipe");
}

TEST_CASE("a file of the host is opened again by a clone that has no descriptor for it") {
    world w;
    w.root.file("h", "abcdefghij");
    const auto fd = w.open("/h");
    CHECK(w.read(fd, 3) == "abc");
    // Another filesystem object over the same trees, as another process would have.
    auto files = make_filesystem(w.root);
    auto clone = guest::kernel(w.kernel->state(), files, w.memory, w.host);
    w.regs.rax = SYS_read;
    w.regs.rdi = static_cast<std::uint64_t>(fd);
    w.regs.rsi = world::buffer;
    w.regs.rdx = 3;
    CHECK(clone.on_syscall(w.regs).rax == 3);
    CHECK(w.get(world::buffer, 3) == "def");
}

TEST_CASE("closing everything leaves nothing behind") {
    world w;
    const auto before = w.state();
    for (int round = 0; round < 3; ++round) {
        REQUIRE(w.call(SYS_pipe, {world::buffer}) == 0);
        REQUIRE(w.call(SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, world::buffer}) == 0);
        w.open("/tmp", O_TMPFILE | O_RDWR);
        w.open("/etc/name");
        w.open("/proc/self/maps");
        w.open("/tmp", O_RDONLY | O_DIRECTORY);
        w.open("/dev/null");
        const auto ep = w.call(SYS_epoll_create1, {0});
        CHECK(ep > 0);
        w.call(SYS_eventfd2, {0, 0});
        w.call(SYS_socket, {AF_INET, SOCK_STREAM, 0});
        w.call(SYS_memfd_create, {w.path("m"), 0});
        REQUIRE(w.call(SYS_close_range, {3, ~0u, 0}) == 0);
    }
    auto after = w.state();
    CHECK(after.descriptions == before.descriptions);
    CHECK(after.pipes.empty());
    CHECK(after.pairs.empty());
    CHECK(after.epoll_sets == 0);
    CHECK(after.files.bytes_used() == before.files.bytes_used());
    CHECK(after.files.inodes_used() == before.files.inodes_used());
}

TEST_CASE("ids are not given twice while they are in use") {
    world w;
    w.state().next_id = ~0u - 1;
    std::set<std::uint32_t> seen;
    for (const auto& [id, d] : w.state().descriptions) seen.insert(static_cast<std::uint32_t>(id));
    for (int i = 0; i < 8; ++i) {
        const std::uint32_t id = static_cast<std::uint32_t>(w.state().add(vfs::description{}));
        CHECK(id != 0);
        CHECK(seen.insert(id).second);
    }
}

TEST_CASE("descriptors cannot make the host hold more than a bounded amount") {
    world w;
    // A large environment of 4 MiB, opened over and over as /proc/self/environ.
    w.process().mm.environment = gva{world::data};
    w.process().mm.environment_end = gva{world::data + world::data_size};
    std::int64_t r = 0;
    int opened = 0;
    while ((r = w.open("/proc/self/environ")) >= 0) ++opened;
    CHECK(r == -ENOMEM);
    CHECK(opened == 8);
    int pairs = 0;
    while ((r = w.call(SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, world::buffer})) == 0) ++pairs;
    CHECK(r == -EMFILE);
    CHECK(pairs > 500);
    REQUIRE(w.call(SYS_close_range, {3, ~0u, 0}) == 0);
    std::int64_t grown = 0;
    while (w.call(SYS_pipe, {world::buffer}) == 0)
        grown += w.call(SYS_fcntl, {static_cast<std::uint64_t>(w.get_value<int>(world::buffer)),
                                    F_SETPIPE_SZ, 1u << 20}) > 0;
    CHECK(grown <= 64);
    std::size_t capacity = 0;
    for (const auto& [id, p] : w.state().pipes) capacity += p.capacity;
    CHECK(capacity <= vfs::max_pipe_bytes + 512 * vfs::pipe::default_capacity);
}

TEST_CASE("nothing is created when there is no descriptor for it") {
    world w;
    while (w.open("/dev/null") >= 0) {
    }
    CHECK(w.open("/tmp/new", O_CREAT | O_RDWR) == -EMFILE);
    w.close(0);
    CHECK(w.names("/tmp").empty());
}

TEST_CASE("exec closes what asked for it and exit closes all") {
    world w;
    const auto kept = w.open("/dev/null"), gone = w.open("/dev/null", O_CLOEXEC);
    vfs::close_on_exec(w.state(), w.task().files, w.descriptors());
    CHECK(w.call(SYS_fcntl, {w.fd_of(kept), F_GETFD}) == 0);
    CHECK(w.call(SYS_fcntl, {w.fd_of(gone), F_GETFD}) == -EBADF);
    vfs::close_all(w.state(), w.task().files, w.descriptors());
    CHECK(w.state().descriptions.empty());
}

TEST_CASE("what processes share they share in a copy of the state too") {
    world w;
    (void)w.step(SYS_clone, {CLONE_FILES | CLONE_FS | SIGCHLD});
    const pid child = w.kernel->state().last_id;
    REQUIRE(w.kernel->state().processes.contains(child));
    const auto shared = w.task().files;
    kernel_state copy = w.kernel->state();
    const auto& first = copy.tasks.begin()->second;
    const auto& second = copy.tasks.at(child);
    REQUIRE(files_of(copy, second).remove(1));
    view_of(copy, second).umask = 077;
    CHECK_FALSE(files_of(copy, first).find(1));
    CHECK(view_of(copy, first).umask == 077);
    CHECK(w.descriptors().find(1));
    CHECK(w.view().umask == 022);

    auto& state = w.kernel->state();
    CHECK(state.tables.at(shared).holders == 2);
    parts::own_files(state, w.task());
    CHECK(w.descriptors().find(1));
    CHECK(state.tables.at(shared).holders == 1);
    for (const auto& [id, d] : w.state().descriptions) CHECK(d.references == 2);
    w.kernel->exit_process(state.processes.at(child), {});
    CHECK_FALSE(state.tables.contains(shared));
    CHECK(state.views.size() == 1);
    for (const auto& [id, d] : w.state().descriptions) CHECK(d.references == 1);
}

TEST_CASE("an id that is no more polls as POLLNVAL") {
    world w;
    CHECK(vfs::poll_events({w.kernel->state(), w.host, w.task()}, description_id{12345}) == POLLNVAL);
}
