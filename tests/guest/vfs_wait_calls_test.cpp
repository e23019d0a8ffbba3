#include "guest/abi/signal.hpp"
#include "vfs_world.hpp"

#include <csignal>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

using namespace vfs_test;

namespace {

struct pipes : world {
    std::uint64_t r = 0, w = 0;
    explicit pipes(int flags = 0) {
        REQUIRE(call(SYS_pipe2, {buffer, static_cast<std::uint64_t>(flags)}) == 0);
        r = static_cast<std::uint64_t>(get_value<int>(buffer));
        w = static_cast<std::uint64_t>(get_value<int>(buffer + 4));
    }
    std::int64_t put_n(std::uint64_t fd, std::size_t n, char c = 'p') {
        put(buffer, std::string(n, c));
        return call(SYS_write, {fd, buffer, n});
    }
    std::int64_t poll(std::initializer_list<pollfd> list, int timeout = 0) {
        put_value(data + 0x8000, std::vector<pollfd>(list).front());
        std::uint64_t at = data + 0x8000;
        for (const pollfd& p : list) {
            put_value(at, p);
            at += sizeof p;
        }
        return call(SYS_poll, {data + 0x8000, list.size(), static_cast<std::uint64_t>(timeout)});
    }
    short revents(std::size_t i) {
        return get_value<pollfd>(data + 0x8000 + i * sizeof(pollfd)).revents;
    }
};

bool has_signal(world& w, int number) {
    for (const auto& s : w.task().signals.pending)
        if (s.number == number) return true;
    return false;
}

}  // namespace

TEST_CASE("a pipe carries bytes, then end of file") {
    pipes p;
    CHECK(p.world::write(static_cast<int>(p.w), "through") == 7);
    CHECK(p.read(static_cast<int>(p.r), 3) == "thr");
    CHECK(p.read(static_cast<int>(p.r)) == "ough");
    CHECK(p.call(SYS_write, {p.r, world::buffer, 1}) == -EBADF);
    CHECK(p.call(SYS_read, {p.w, world::buffer, 1}) == -EBADF);
    CHECK(p.call(SYS_lseek, {p.r, 0, SEEK_SET}) == -ESPIPE);
    CHECK(p.call(SYS_pread64, {p.r, world::buffer, 1, 0}) == -ESPIPE);
    p.parks(SYS_read, {p.r, world::buffer, 10});
    CHECK(p.still_parked());
    // Another holder of the other end would close it; here the state itself stands in for that
    // thread.
    p.descriptors().remove(static_cast<int>(p.w));
    for (auto& [id, d] : p.state().descriptions)
        if (auto* end = std::get_if<vfs::pipe_end>(&d.body); end && end->writes) {
            p.state().release(id);
            break;
        }
    CHECK(p.resume() == 0);
    CHECK(p.state().pipes.size() == 1);
    p.close(static_cast<int>(p.r));
    CHECK(p.state().pipes.empty());
}

TEST_CASE("writing into a pipe that nobody reads is EPIPE and SIGPIPE") {
    pipes p;
    p.actions()[abi::sigpipe].handler = 1;  // SIG_IGN: the call's own answer
    p.close(static_cast<int>(p.r));
    CHECK(p.put_n(p.w, 1) == -EPIPE);
    p.actions()[abi::sigpipe].handler = 0;
    p.put(world::buffer, "x");
    CHECK(p.step(SYS_write, {p.w, world::buffer, 1}).what == guest::step::kind::exited);
    CHECK(p.kernel->exit_status().signal == abi::sigpipe);
}

TEST_CASE("a full pipe takes what fits, keeps small writes whole, and blocks the rest") {
    pipes p(O_NONBLOCK);
    CHECK(p.put_n(p.w, 60'000) == 60'000);
    CHECK(p.put_n(p.w, 10'000) == 5'536);
    CHECK(p.put_n(p.w, 1) == -EAGAIN);
    CHECK(p.read(static_cast<int>(p.r), 1000).size() == 1000);
    CHECK(p.put_n(p.w, 4096) == -EAGAIN);  // atomic: not in part
    CHECK(p.put_n(p.w, 1000) == 1000);
    CHECK(p.call(SYS_ioctl, {p.r, FIONREAD, world::data}) == 0);
    CHECK(p.get_value<int>(world::data) == 65'536);
    CHECK(p.call(SYS_fcntl, {p.w, F_SETPIPE_SZ, 100'000}) == 131'072);
    CHECK(p.call(SYS_fcntl, {p.w, F_GETPIPE_SZ}) == 131'072);
    CHECK(p.call(SYS_fcntl, {p.w, F_SETPIPE_SZ, 4096}) == -EBUSY);
    CHECK(p.call(SYS_fcntl, {p.w, F_SETPIPE_SZ, 8u << 20}) == -EPERM);
}

TEST_CASE("a long blocking write goes on where it stopped and counts everything") {
    pipes p;
    std::string text;
    for (int i = 0; text.size() < 150'000; ++i) text += std::to_string(i) + " ";
    text.resize(150'000);
    p.put(world::buffer, text);
    p.parks(SYS_write, {p.w, world::buffer, text.size()});
    vfs::pipe& pipe = p.state().pipes.begin()->second;
    std::string seen;
    for (int i = 0; i < 2; ++i) {
        seen += pipe.bytes.view();
        pipe.bytes.consume(pipe.bytes.size());
        if (i == 0) CHECK(p.still_parked());
    }
    CHECK(p.resume() == 150'000);
    seen += pipe.bytes.view();
    CHECK(seen == text);
}

TEST_CASE("poll tells readable, writable, hung up and not open") {
    pipes p;
    CHECK(p.poll({{static_cast<int>(p.r), POLLIN, 0},
                  {static_cast<int>(p.w), POLLOUT, 0},
                  {77, POLLIN, 0},
                  {-1, POLLIN, 0}}) == 2);
    CHECK(p.revents(0) == 0);
    CHECK(p.revents(1) == POLLOUT);
    CHECK(p.revents(2) == POLLNVAL);
    CHECK(p.revents(3) == 0);
    p.put_n(p.w, 3);
    CHECK(p.poll({{static_cast<int>(p.r), POLLIN, 0}}) == 1);
    CHECK(p.revents(0) == POLLIN);
    p.close(static_cast<int>(p.w));
    CHECK(p.poll({{static_cast<int>(p.r), POLLIN, 0}}) == 1);
    CHECK(p.revents(0) == (POLLIN | POLLHUP));
    const auto f = p.open("/own/hello");
    CHECK(p.poll({{static_cast<int>(f), POLLIN | POLLOUT, 0}}) == 1);
    CHECK(p.revents(0) == (POLLIN | POLLOUT));
    CHECK(p.call(SYS_poll, {world::bad, 1, 0}) == -EFAULT);
    CHECK(p.call(SYS_poll, {world::buffer, 100'000, 0}) == -EINVAL);
}

TEST_CASE("poll waits for its events or its deadline") {
    pipes p;
    p.put_value(world::data + 0x8000, pollfd{static_cast<int>(p.r), POLLIN, 0});
    p.parks(SYS_poll, {world::data + 0x8000, 1, 100});
    REQUIRE(p.kernel->wait_deadline() == p.host.monotonic + 100ms);
    p.host.monotonic += 99ms;
    CHECK(p.still_parked());
    p.host.monotonic += 1ms;
    CHECK(p.resume() == 0);
    p.parks(SYS_poll, {world::data + 0x8000, 1, static_cast<std::uint64_t>(-1)});
    CHECK_FALSE(p.kernel->wait_deadline());
    p.state().pipes.begin()->second.bytes.append("x");
    CHECK(p.resume() == 1);
    CHECK(p.revents(0) == POLLIN);
}

TEST_CASE("ppoll writes back the rest of its time") {
    pipes p;
    p.put_value(world::data + 0x8000, pollfd{static_cast<int>(p.r), POLLIN, 0});
    p.put_value(world::data + 0x9000, std::array<std::int64_t, 2>{1, 0});
    p.parks(SYS_ppoll, {world::data + 0x8000, 1, world::data + 0x9000, 0, 8});
    p.host.monotonic += 400ms;
    p.state().pipes.begin()->second.bytes.append("x");
    CHECK(p.resume() == 1);
    CHECK(p.get_value<std::array<std::int64_t, 2>>(world::data + 0x9000) ==
          std::array<std::int64_t, 2>{0, 600'000'000});
    CHECK(p.call(SYS_ppoll, {world::data + 0x8000, 1, 0, world::data, 4}) == -EINVAL);
}

TEST_CASE("select answers with bits") {
    pipes p;
    const auto sets = world::data + 0x8000;
    const auto bit = [](std::uint64_t fd) { return std::uint64_t{1} << fd; };
    p.put_value(sets, bit(p.r));
    p.put_value(sets + 8, bit(p.w));
    CHECK(p.call(SYS_select, {p.w + 1, sets, sets + 8, 0, 0}) == 1);
    CHECK(p.get_value<std::uint64_t>(sets) == 0);
    CHECK(p.get_value<std::uint64_t>(sets + 8) == bit(p.w));
    p.put_value(sets, bit(40));
    CHECK(p.call(SYS_select, {41, sets, 0, 0, 0}) == -EBADF);
    CHECK(p.call(SYS_select, {static_cast<std::uint64_t>(-1), 0, 0, 0, 0}) == -EINVAL);
    p.put_value(sets, bit(p.r));
    p.put_value(sets + 64, std::array<std::int64_t, 2>{0, 50'000});
    p.parks(SYS_select, {p.r + 1, sets, 0, 0, sets + 64});
    p.host.monotonic += 50ms;
    CHECK(p.resume() == 0);
    CHECK(p.get_value<std::uint64_t>(sets) == 0);
    CHECK(p.get_value<std::array<std::int64_t, 2>>(sets + 64) == std::array<std::int64_t, 2>{0, 0});
}

TEST_CASE("eventfd counts, or counts down") {
    world w;
    const auto e = w.call(SYS_eventfd2, {3, EFD_NONBLOCK});
    const auto read8 = [&](std::int64_t fd) {
        const auto n = w.call(SYS_read, {w.fd_of(fd), world::buffer, 8});
        return n == 8 ? static_cast<std::int64_t>(w.get_value<std::uint64_t>(world::buffer)) : n;
    };
    const auto write8 = [&](std::int64_t fd, std::uint64_t v) {
        w.put_value(world::buffer, v);
        return w.call(SYS_write, {w.fd_of(fd), world::buffer, 8});
    };
    CHECK(read8(e) == 3);
    CHECK(read8(e) == -EAGAIN);
    CHECK(write8(e, 5) == 8);
    CHECK(write8(e, ~0ull) == -EINVAL);
    CHECK(write8(e, ~0ull - 3) == -EAGAIN);
    CHECK(read8(e) == 5);
    CHECK(w.call(SYS_read, {w.fd_of(e), world::buffer, 7}) == -EINVAL);
    const auto s = w.call(SYS_eventfd2, {2, EFD_SEMAPHORE | EFD_NONBLOCK});
    CHECK(read8(s) == 1);
    CHECK(read8(s) == 1);
    CHECK(read8(s) == -EAGAIN);
    CHECK(w.call(SYS_eventfd2, {0, 0x10}) == -EINVAL);
}

TEST_CASE("epoll reports levels, edges and one shots") {
    pipes p;
    const auto ep = p.call(SYS_epoll_create1, {0});
    const auto add = [&](std::uint64_t fd, std::uint32_t events, std::uint64_t data,
                         int op = EPOLL_CTL_ADD) {
        epoll_event e{};
        e.events = events;
        e.data.u64 = data;
        p.put_value(world::data + 0x8000, e);
        return p.call(SYS_epoll_ctl,
                      {p.fd_of(ep), static_cast<std::uint64_t>(op), fd, world::data + 0x8000});
    };
    const auto wait = [&] {
        const auto n = p.call(SYS_epoll_wait, {p.fd_of(ep), world::data + 0x9000, 8, 0});
        if (n != 1) return std::pair<std::int64_t, std::uint64_t>{n, 0};
        const auto e = p.get_value<epoll_event>(world::data + 0x9000);
        return std::pair<std::int64_t, std::uint64_t>{e.events, e.data.u64};
    };
    using pair = std::pair<std::int64_t, std::uint64_t>;
    CHECK(add(p.r, EPOLLIN, 42) == 0);
    CHECK(add(p.r, EPOLLIN, 42) == -EEXIST);
    CHECK(wait() == pair{0, 0});
    p.put_n(p.w, 1);
    CHECK(wait() == pair{EPOLLIN, 42});
    CHECK(wait() == pair{EPOLLIN, 42});
    CHECK(add(p.r, EPOLLIN | EPOLLET, 43, EPOLL_CTL_MOD) == 0);
    CHECK(wait() == pair{EPOLLIN, 43});
    CHECK(wait() == pair{0, 0});
    p.put_n(p.w, 1);
    CHECK(wait() == pair{EPOLLIN, 43});
    CHECK(wait() == pair{0, 0});
    CHECK(add(p.r, EPOLLIN | EPOLLONESHOT, 44, EPOLL_CTL_MOD) == 0);
    CHECK(wait() == pair{EPOLLIN, 44});
    p.put_n(p.w, 1);
    CHECK(wait() == pair{0, 0});
    CHECK(add(p.r, EPOLLIN, 45, EPOLL_CTL_MOD) == 0);
    CHECK(wait() == pair{EPOLLIN, 45});
    CHECK(add(p.r, 0, 0, EPOLL_CTL_DEL) == 0);
    CHECK(add(p.r, 0, 0, EPOLL_CTL_DEL) == -ENOENT);
    CHECK(wait() == pair{0, 0});

    CHECK(add(static_cast<std::uint64_t>(p.open("/own/hello")), EPOLLIN, 0) == -EPERM);
    CHECK(add(p.fd_of(ep), EPOLLIN, 0) == -EINVAL);
    CHECK(add(99, EPOLLIN, 0) == -EBADF);
    CHECK(p.call(SYS_epoll_ctl, {p.r, EPOLL_CTL_ADD, p.w, world::data}) == -EINVAL);
    CHECK(p.call(SYS_epoll_wait, {p.fd_of(ep), world::data, 0, 0}) == -EINVAL);

    // Closing what is watched takes it out.
    CHECK(add(p.w, EPOLLOUT, 46) == 0);
    CHECK(wait() == pair{EPOLLOUT, 46});
    p.close(static_cast<int>(p.w));
    CHECK(wait() == pair{0, 0});
}

TEST_CASE("an epoll wait with nothing new does not wake for an old edge") {
    pipes p;
    const auto ep = p.call(SYS_epoll_create1, {0});
    epoll_event e{};
    e.events = EPOLLIN | EPOLLET;
    p.put_value(world::data + 0x8000, e);
    REQUIRE(p.call(SYS_epoll_ctl, {p.fd_of(ep), EPOLL_CTL_ADD, p.r, world::data + 0x8000}) == 0);
    p.put_n(p.w, 1);
    REQUIRE(p.call(SYS_epoll_wait,
                   {p.fd_of(ep), world::data + 0x9000, 8, static_cast<std::uint64_t>(-1)}) == 1);
    p.parks(SYS_epoll_wait, {p.fd_of(ep), world::data + 0x9000, 8, static_cast<std::uint64_t>(-1)});
    CHECK(p.still_parked());
    auto& pipe = p.state().pipes.begin()->second;
    pipe.bytes.append("new");
    ++pipe.activity;
    CHECK(p.resume() == 1);
}

TEST_CASE("a signal ends a wait with EINTR, and a write that moved something with its count") {
    pipes p;
    p.actions()[abi::sigusr1].handler = 0x40'0000;
    p.actions()[abi::sigusr1].flags = abi::sa_restorer;
    p.actions()[abi::sigusr1].restorer = 0x40'0000;
    p.regs.rsp = world::data + 0x20'0000;
    p.put(world::buffer, std::string(100'000, 'x'));
    p.parks(SYS_write, {p.w, world::buffer, 100'000});
    signal_info s;
    s.number = abi::sigusr1;
    p.kernel->post_signal(p.task(), s);
    const auto step = p.kernel->resume(p.regs);
    CHECK(step.what == guest::step::kind::set_registers);
    CHECK(p.regs.rip ==
          0x40'0000);  // in the handler; the count stands in the frame it returns from
    CHECK_FALSE(has_signal(p, abi::sigusr1));
    CHECK(p.state().pipes.begin()->second.bytes.size() == 65'536);
}

TEST_CASE("a terminal is one for isatty and its size; anything else is not") {
    world w;
    CHECK(w.call(SYS_ioctl, {1, TIOCGWINSZ, world::buffer}) == -ENOTTY);
    CHECK(w.call(SYS_ioctl, {1, 0x5401, world::buffer}) == -ENOTTY);
    w.host.is_terminal = true;
    CHECK(w.call(SYS_ioctl, {1, 0x5401, world::buffer}) == 0);
    CHECK(w.call(SYS_ioctl, {1, TIOCGWINSZ, world::buffer}) == 0);
    CHECK(w.get_value<std::uint16_t>(world::buffer) == 24);
    CHECK(w.get_value<std::uint16_t>(world::buffer + 2) == 80);
    CHECK(w.call(SYS_ioctl, {1, TIOCGWINSZ, world::bad}) == -EFAULT);
    REQUIRE(w.call(SYS_fstat, {1, world::buffer}) == 0);
    CHECK(S_ISCHR(w.get_value<struct ::stat>(world::buffer).st_mode));
    const auto fd = w.open("/own/hello");
    CHECK(w.call(SYS_ioctl, {w.fd_of(fd), 0x5401, world::buffer}) == -ENOTTY);
    CHECK(w.call(SYS_ioctl, {w.fd_of(fd), FIONREAD, world::buffer}) == 0);
    CHECK(w.get_value<int>(world::buffer) == 13);
    CHECK(w.call(SYS_ioctl, {w.fd_of(fd), FIOCLEX, 0}) == 0);
    CHECK(w.call(SYS_fcntl, {w.fd_of(fd), F_GETFD}) == FD_CLOEXEC);
}

TEST_CASE("opening a FIFO waits for the other side, and leaves nothing when it is given up") {
    world w;
    const auto inodes = w.state().files.inodes_used();
    REQUIRE(w.call(SYS_mknod, {w.path("/tmp/fifo"), S_IFIFO | 0644, 0}) == 0);
    const auto descriptions = w.state().descriptions.size();
    w.parks(SYS_open, {w.path("/tmp/fifo"), O_RDONLY, 0});
    CHECK(w.still_parked());
    // It counts as a reader meanwhile, and its descriptor goes with the process's others.
    CHECK(w.state().pipes.size() == 1);
    CHECK(w.state().pipes.begin()->second.readers == 1);
    CHECK(w.state() == vfs::vfs_state(w.state()));
    SECTION("a writer comes") {
        const auto writer = vfs::open(w.context(), *w.files, "/", "/tmp/fifo", O_WRONLY, 0);
        REQUIRE(writer);
        CHECK_FALSE(vfs::waits_for_partner(w.state(), *writer));
        CHECK(w.resume() == 3);
        w.state().release(*writer);
        CHECK(w.read(3).empty());
        w.close(3);
    }
    SECTION("a signal comes") {
        w.actions()[SIGUSR1] = {.handler = 0x1234, .flags = abi::sa_restorer};
        w.task().registers.rsp = world::data + 0x8'0000;
        w.kernel->post_signal(w.task(), {.number = SIGUSR1});
        (void)w.kernel->resume(w.regs);
    }
    CHECK(w.state().descriptions.size() == descriptions);
    CHECK(w.state().pipes.empty());
    REQUIRE(w.call(SYS_unlink, {w.path("/tmp/fifo")}) == 0);
    CHECK(w.state().files.inodes_used() == inodes);
}

TEST_CASE("epoll sets that hold each other a thousand ways answer at once") {
    world w;
    const auto add = [&](std::int64_t set, std::int64_t fd) {
        epoll_event e{};
        e.events = EPOLLIN;
        w.put_value(world::buffer, e);
        return w.call(SYS_epoll_ctl, {w.fd_of(set), EPOLL_CTL_ADD, w.fd_of(fd), world::buffer});
    };
    const auto source = w.call(SYS_eventfd2, {0, 0});
    std::vector<std::int64_t> sets{w.call(SYS_epoll_create1, {0})};
    REQUIRE(add(sets[0], source) == 0);
    for (int depth = 1; depth < 6; ++depth) {
        sets.push_back(w.call(SYS_epoll_create1, {0}));
        std::vector<std::int64_t> names{sets[sets.size() - 2]};
        for (int i = 0; i < 100; ++i) names.push_back(w.call(SYS_dup, {w.fd_of(names[0])}));
        for (const auto name : names) REQUIRE(add(sets.back(), name) == 0);
    }
    const auto above = w.call(SYS_epoll_create1, {0});
    CHECK(add(above, sets.back()) == -ELOOP);
    CHECK(add(sets[0], sets.back()) == -ELOOP);
    // Ten thousand million ways: one by one they would never end.
    const auto wait = [&] {
        return w.call(SYS_epoll_wait, {w.fd_of(sets.back()), world::buffer, 200, 0});
    };
    CHECK(wait() == 0);
    CHECK_FALSE(w.kernel->waits_for_input());
    w.parks(SYS_epoll_wait,
            {w.fd_of(sets.back()), world::buffer, 200, static_cast<std::uint64_t>(-1)});
    CHECK_FALSE(w.kernel->waits_for_input());
    CHECK_FALSE(w.kernel->wait_deadline());
    CHECK(w.still_parked());
    w.task().run = task_running{};
    const std::uint64_t one = 1;
    w.put_value(world::buffer, one);
    REQUIRE(w.call(SYS_write, {w.fd_of(source), world::buffer, 8}) == 8);
    CHECK(wait() == 101);
}
