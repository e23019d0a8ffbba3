/// /proc and /sys: what is there, whose it is, and that numbers of it agree with each other.

#include "vfs_world.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <sstream>

using namespace vfs_test;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

/// What a program of two arguments and variables has on its stack after exec.
void put_stack(world& w, std::string_view strings, std::size_t arguments) {
    w.put(world::buffer + 0x8000, strings);
    auto& mm = w.process().mm;
    mm.arguments = gva{world::buffer + 0x8000};
    mm.environment = mm.arguments + arguments;
    mm.environment_end = mm.arguments + strings.size();
}

/// fork or clone; the parent goes on. @return the child's id
std::int64_t made(world& w, long number, std::initializer_list<std::uint64_t> arguments = {}) {
    (void)w.step(number, arguments);
    for (int i = 0; i < 4 && w.kernel->state().running != first_process; ++i)
        (void)w.step(SYS_sched_yield);
    REQUIRE(w.kernel->state().running == first_process);
    return w.kernel->state().last_id;
}

/// "Rss:    12 kB" of a text, 12.
std::uint64_t kib_of(const std::string& text, const std::string& name) {
    const auto at = text.find("\n" + name + ":");
    INFO(name);
    REQUIRE(at != std::string::npos);
    const auto digits = text.find_first_of("0123456789", at + name.size() + 2);
    std::uint64_t n = 0;
    std::from_chars(text.data() + digits, text.data() + text.size(), n);
    return n;
}

std::vector<std::string> words_of(const std::string& text) {
    std::istringstream in(text);
    return {std::istream_iterator<std::string>(in), {}};
}

}  // namespace

TEST_CASE("/proc shows the process and the machine") {
    world w;
    CHECK(w.slurp("/proc/self/comm") == "test\n");
    CHECK(w.slurp("/proc/meminfo").find("MemTotal:          32768 kB") == 0);
    CHECK(w.slurp("/proc/self/maps").find("00100000-00500000") ==
          std::string::npos);  // as Linux: no leading zeroes
    CHECK(w.slurp("/proc/self/maps").find("100000-500000 rw-p 00000000 00:00 0") == 0);
    CHECK(w.slurp("/proc/self/status").find("\nPid:\t8\n") != std::string::npos);
    CHECK(w.slurp("/proc/cpuinfo").find("processor\t: 0\n") == 0);
    CHECK(w.slurp("/proc/self/mounts").find("tmpfs /tmp tmpfs rw,nosuid 0 0\n") !=
          std::string::npos);
    const std::string stat = w.slurp("/proc/self/stat");
    CHECK(std::count(stat.begin(), stat.end(), ' ') == 51);
    CHECK(stat.find("8 (test) R 0 8 8 ") == 0);
    CHECK(w.slurp("/proc/sys/kernel/random/uuid").size() == 37);
    CHECK(w.slurp("/proc/sys/kernel/random/uuid") != w.slurp("/proc/sys/kernel/random/uuid"));
    CHECK(w.slurp("/proc/sys/kernel/random/boot_id") == w.slurp("/proc/sys/kernel/random/boot_id"));
    CHECK(w.open("/proc/self/maps", O_WRONLY) == -EACCES);
    CHECK(w.open("/proc/new", O_CREAT | O_WRONLY) == -ENOENT);
    CHECK(w.open("/proc/1/maps") == -ENOENT);
    const auto top = w.names("/proc");
    for (const char* n : {"self", "8", "cpuinfo", "meminfo", "sys", "uptime", "version"})
        CHECK(top.contains(n));
    CHECK(w.names("/proc/sys/kernel").contains("random"));
    const auto own = w.names("/proc/self");
    for (const char* n : {"exe", "fd", "maps", "status"}) CHECK(own.contains(n));
    // Every name listed can be looked up, and every file read.
    for (const std::string dir :
         {"/proc/", "/proc/self/", "/proc/sys/kernel/", "/proc/sys/kernel/random/", "/proc/sys/vm/",
          "/proc/self/net/", "/proc/self/task/8/", "/proc/thread-self/", "/sys/fs/cgroup/",
          "/sys/devices/system/cpu/", "/sys/class/net/lo/",
          "/sys/devices/system/cpu/cpu0/topology/"}) {
        for (const std::string& n : w.names(dir)) {
            INFO(dir << n);
            CHECK(w.call(SYS_lstat, {w.path(dir + n), world::buffer}) == 0);
            if (S_ISREG(w.get_value<struct ::stat>(world::buffer).st_mode))
                CHECK(w.slurp(dir + n).find("errno") != 0);
        }
    }
    const auto d = w.open("/dev/null");
    CHECK(w.names("/proc/self/fd") ==
          std::set<std::string>{"0", "1", "2", std::to_string(d), std::to_string(d + 1)});
}

TEST_CASE("/proc/[pid]/cmdline and environ are what stands in the process's memory") {
    world w;
    CHECK(w.slurp("/proc/self/cmdline").empty());
    put_stack(w, "prog\0-x\0A=1\0B=2\0"sv, 8);
    CHECK(w.slurp("/proc/self/cmdline") == "prog\0-x\0"s);
    CHECK(w.slurp("/proc/self/environ") == "A=1\0B=2\0"s);
    // A title written over both, as setproctitle does.
    w.put(world::buffer + 0x8000, "prog: idle\0"sv);
    CHECK(w.slurp("/proc/self/cmdline") == "prog: idle\0"s);
    // Whatever a program writes there, or unmaps: an answer.
    REQUIRE(w.call(SYS_munmap, {world::buffer + 0x8000, 4096}) == 0);
    CHECK(w.slurp("/proc/self/cmdline").empty());
    CHECK(w.slurp("/proc/self/environ").empty());
}

TEST_CASE("/proc/[pid]/auxv ends with AT_NULL, wherever that is") {
    world w;
    CHECK(w.slurp("/proc/self/auxv").empty());
    w.process().mm.auxiliary = gva{world::buffer + 0x8000};
    const std::uint64_t pairs[] = {6, 4096, 17, 100, 0, 0, 9, 9};
    w.put_value(world::buffer + 0x8000, pairs);
    CHECK(w.slurp("/proc/self/auxv").size() == 48);
    // Without one: bounded.
    const std::vector<std::uint64_t> endless(4096, 1);
    w.put(world::buffer + 0x8000, {reinterpret_cast<const char*>(endless.data()), 32768});
    CHECK(w.slurp("/proc/self/auxv").size() == 640);
}

TEST_CASE("/proc tells how much memory each mapping and process holds") {
    world w;
    // Asking takes pages of the guest's, the same ones from here on.
    for (int i = 0; i < 5; ++i) w.slurp("/proc/self/status");
    const auto before = kib_of("\n" + w.slurp("/proc/self/smaps_rollup"), "Rss");
    const std::vector<std::byte> bytes(16 * 4096, std::byte{1});
    REQUIRE(w.space().write(gva{world::data + 0x20'0000}, bytes));
    const std::string rollup = w.slurp("/proc/self/smaps_rollup");
    CHECK(kib_of(rollup, "Rss") == before + 64);
    CHECK(kib_of(rollup, "Private_Dirty") + kib_of(rollup, "Private_Clean") ==
          kib_of(rollup, "Rss"));
    CHECK(kib_of(rollup, "Pss") == kib_of(rollup, "Rss"));
    const std::string smaps = w.slurp("/proc/self/smaps");
    CHECK(smaps.find("100000-500000 rw-p") == 0);
    CHECK(kib_of(smaps, "Size") == 4096);
    CHECK(kib_of(smaps, "Rss") == before + 64);
    const std::string status = w.slurp("/proc/self/status");
    CHECK(kib_of(status, "VmRSS") == kib_of(rollup, "Rss"));
    CHECK(kib_of(status, "VmSize") == 4096);
    const auto statm = words_of(w.slurp("/proc/self/statm"));
    REQUIRE(statm.size() == 7);
    CHECK(statm[0] == "1024");
    CHECK(std::stoull(statm[1]) * 4 == kib_of(rollup, "Rss"));
    const auto stat = words_of(w.slurp("/proc/self/stat"));
    CHECK(stat[22] == std::to_string(4 << 20));
    CHECK(stat[23] == statm[1]);
    REQUIRE(w.call(SYS_madvise, {world::data + 0x20'0000, 16 * 4096, 4}) == 0);  // MADV_DONTNEED
    CHECK(kib_of(w.slurp("/proc/self/smaps_rollup"), "Rss") == before);
}

TEST_CASE("after fork both hold the pages, each the half, until one writes") {
    world w;
    // A guest that uses a quarter of its memory shares pages instead of copying them.
    const std::uint64_t quarter = w.kernel->state().frames.limit_pages() / 4 * 4096;
    const auto used = w.call(SYS_mmap, {0, quarter, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, ~std::uint64_t{0}, 0});
    REQUIRE(used > 0);
    REQUIRE(w.space().write(gva{static_cast<std::uint64_t>(used)},
                            std::vector<std::byte>(quarter, std::byte{1})));
    const std::vector<std::byte> bytes(16 * 4096, std::byte{1});
    REQUIRE(w.space().write(gva{world::data + 0x20'0000}, bytes));
    const auto rss = kib_of(w.slurp("/proc/self/smaps_rollup"), "Rss");
    const auto child = made(w, SYS_fork);
    REQUIRE(child > 0);
    const std::string place = "/proc/" + std::to_string(child);
    for (const std::string& dir : {"/proc/self"s, place}) {
        const std::string rollup = w.slurp(dir + "/smaps_rollup");
        INFO(dir << rollup);
        CHECK(kib_of(rollup, "Rss") >= rss);
        CHECK(kib_of(rollup, "Shared_Clean") + kib_of(rollup, "Shared_Dirty") >= 64);
        CHECK(kib_of(rollup, "Pss") <= kib_of(rollup, "Rss") - 32);
    }
    CHECK(w.slurp(place + "/stat").find(std::to_string(child) + " (test) R 8 8 8 ") == 0);
    CHECK(w.names("/proc").contains(std::to_string(child)));
    CHECK(w.names(place + "/task") == std::set<std::string>{std::to_string(child)});
    CHECK(w.slurp("/sys/fs/cgroup/cgroup.procs") == "8\n" + std::to_string(child) + "\n");
}

TEST_CASE("threads have directories, named by the process and unlisted by themselves") {
    world w;
    constexpr std::uint64_t flags =
        0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000;  // VM FS FILES SIGHAND THREAD SYSVSEM
    const auto thread = made(w, SYS_clone, {flags, world::data + 0x8'0000});
    REQUIRE(thread > 0);
    const std::string id = std::to_string(thread);
    CHECK(w.names("/proc/self/task") == std::set<std::string>{"8", id});
    CHECK_FALSE(w.names("/proc").contains(id));
    CHECK(w.slurp("/proc/self/status").find("\nThreads:\t2\n") != std::string::npos);
    const std::string status = w.slurp("/proc/self/task/" + id + "/status");
    CHECK(status.find("\nTgid:\t8\n") != std::string::npos);
    CHECK(status.find("\nPid:\t" + id + "\n") != std::string::npos);
    CHECK(w.slurp("/proc/" + id + "/status") == status);
    CHECK(w.slurp("/proc/self/task/" + id + "/stat").find(id + " (test) ") == 0);
    CHECK(w.open("/proc/self/task/9999/stat") == -ENOENT);
    CHECK(w.open("/proc/self/task/" + id + "/task") == -ENOENT);
    CHECK(w.names("/proc/self/task/" + id + "/fd") == w.names("/proc/self/fd"));
    const auto n = w.call(SYS_readlink, {w.path("/proc/thread-self"), world::buffer, 100});
    CHECK(w.get(world::buffer, static_cast<std::size_t>(n)) == "8/task/8");
}

TEST_CASE("/proc/[pid]/status shows the ids and capabilities that the process has") {
    world w;
    w.process().uid = 1000;
    w.process().ids.euid = 1001;
    w.process().ids.groups = {4, 24};
    w.process().ids.effective = 0x21;
    const std::string status = w.slurp("/proc/self/status");
    CHECK(status.find("\nUid:\t1000\t1001\t0\t0\n") != std::string::npos);
    CHECK(status.find("\nGroups:\t4 24 \n") != std::string::npos);
    CHECK(status.find("\nCapEff:\t0000000000000021\n") != std::string::npos);
    CHECK(status.find("\nCapBnd:\t000001ffffffffff\n") != std::string::npos);
    CHECK(status.find("\nNoNewPrivs:\t0\n") != std::string::npos);
    CHECK(w.stat("/proc/self/stat").st_uid == 1001);
}

TEST_CASE("a process names its threads by comm, and nobody else's") {
    world w;
    const auto fd = w.open("/proc/self/comm", O_RDWR | O_CREAT | O_TRUNC);
    REQUIRE(fd >= 0);
    CHECK(w.write(fd, "a name of many bytes") == 20);
    CHECK(w.slurp("/proc/self/comm") == "a name of many \n");
    CHECK(w.task().name == "a name of many ");
    w.close(fd);
    const auto child = made(w, SYS_fork);
    const auto other = w.open("/proc/" + std::to_string(child) + "/comm", O_WRONLY);
    CHECK(w.write(other, "x") == -EINVAL);
    CHECK(w.open("/proc/self/stat", O_WRONLY) == -EACCES);
}

TEST_CASE("the control group's limits are the guest's") {
    world w;
    CHECK(w.slurp("/proc/self/cgroup") == "0::/\n");
    CHECK(w.slurp("/sys/fs/cgroup/memory.max") == std::to_string(8192 * 4096) + "\n");
    const auto used = std::stoull(w.slurp("/sys/fs/cgroup/memory.current"));
    CHECK(used > 0);
    CHECK(used <= std::stoull(w.slurp("/sys/fs/cgroup/memory.peak")));
    CHECK(w.slurp("/sys/fs/cgroup/cpu.max") == "max 100000\n");
    CHECK(w.slurp("/sys/fs/cgroup/cgroup.controllers") == "cpuset cpu memory pids\n");
    CHECK(w.slurp("/sys/fs/cgroup/pids.current") == "1\n");
    CHECK(w.slurp("/proc/self/mountinfo").find(" /sys/fs/cgroup ro,nosuid - cgroup2 cgroup2 ro") !=
          std::string::npos);
    CHECK(w.open("/sys/fs/cgroup/memory.max", O_WRONLY) == -EACCES);
    CHECK(w.open("/sys/fs/cgroup/new", O_CREAT | O_WRONLY) == -ENOENT);
    CHECK(w.call(SYS_mkdir, {w.path("/sys/fs/cgroup/own"), 0755}) == -EPERM);
    CHECK(w.slurp("/sys/devices/system/cpu/online") == "0\n");
    CHECK(w.slurp("/sys/class/net/lo/mtu") == "65536\n");
    CHECK(w.names("/sys/class/net") == std::set<std::string>{"lo"});
    CHECK(w.names("/sys/block").empty());
    CHECK(w.open("/sys/devices/system/cpu/cpu1") == -ENOENT);
}

TEST_CASE("/proc/net shows sockets by the numbers that fstat has for them") {
    world w;
    const auto listener = w.call(SYS_socket, {AF_INET, SOCK_STREAM, 0});
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(0x1f90);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    w.put_value(world::buffer, a);
    REQUIRE(w.call(SYS_bind, {w.fd_of(listener), world::buffer, sizeof a}) == 0);
    CHECK(w.slurp("/proc/net/tcp").find("1F90") == std::string::npos);  // not listening yet
    REQUIRE(w.call(SYS_listen, {w.fd_of(listener), 5}) == 0);
    REQUIRE(w.call(SYS_fstat, {w.fd_of(listener), world::buffer}) == 0);
    const auto inode = std::to_string(w.get_value<struct ::stat>(world::buffer).st_ino);
    auto row = words_of(w.slurp("/proc/net/tcp"));
    const auto at = std::ranges::find(row, "0100007F:1F90");
    REQUIRE(at != row.end());
    CHECK(*(at + 1) == "00000000:0000");
    CHECK(*(at + 2) == "0A");
    CHECK(*(at + 8) == inode);
    const auto client = w.call(SYS_socket, {AF_INET, SOCK_STREAM, 0});
    w.put_value(world::buffer, a);
    REQUIRE(w.call(SYS_connect, {w.fd_of(client), world::buffer, sizeof a}) == 0);
    row = words_of(w.slurp("/proc/net/tcp"));
    CHECK(std::ranges::count(row, "0100007F:1F90") == 2);
    const auto datagrams = w.call(SYS_socket, {AF_INET6, SOCK_DGRAM, 0});
    CHECK(words_of(w.slurp("/proc/net/udp6")).size() < 20);
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(53);
    w.put_value(world::buffer, six);
    REQUIRE(w.call(SYS_bind, {w.fd_of(datagrams), world::buffer, sizeof six}) == 0);
    CHECK(w.slurp("/proc/net/udp6").find(" 00000000000000000000000000000000:0035 ") !=
          std::string::npos);
    REQUIRE(w.call(SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, world::buffer}) == 0);
    const std::string names = w.slurp("/proc/net/unix");
    CHECK(std::count(names.begin(), names.end(), '\n') == 3);
    CHECK(w.slurp("/proc/net/dev").find("\n    lo:") != std::string::npos);
    CHECK(w.slurp("/proc/net/dev").find("eth0") == std::string::npos);
}
