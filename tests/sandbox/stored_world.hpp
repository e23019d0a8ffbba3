#pragma once

/// A guest with something of everything in its state, and a snapshot of it, without KVM.

#include "../guest/vfs_world.hpp"
#include "guest/kernel/parts.hpp"
#include "sandbox/snapshot_format.hpp"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <string>
#include <vector>

/// How Catch2 shows a result.
template <class T>
struct Catch::StringMaker<hearth::result<T>> {
    static std::string convert(const hearth::result<T>& r) {
        return r ? "a value" : "error: " + r.error().message();
    }
};

namespace stored_test {

using namespace vfs_test;
using namespace hearth::detail;

inline constexpr std::uint64_t memory_size = 64u << 20;
/// Whose snapshot it is.
inline constexpr char key[] = "arn:aws:lambda:…:function:f:1 code=abc config=def";

/// Content that no two seeds share, without a zero page.
inline std::vector<std::byte> some_bytes(std::size_t n, unsigned seed) {
    std::vector<std::byte> bytes(n);
    std::minstd_rand next(seed + 1);
    for (auto& b : bytes) b = static_cast<std::byte>(next() >> 8 | 1);
    return bytes;
}

/// "/" a host directory, "/own" a tree in memory, "/pack" files inside one memfd, as a package's.
inline std::shared_ptr<vfs::filesystem> filesystem_of(const host_directory& root,
                                                      const std::string& packed = "packed file") {
    auto options = vfs::host_root(root.path, 4_MiB).value();
    std::map<std::string, vfs::memory_tree::node, std::less<>> own;
    own["hello"] = vfs::memory_tree::text("hello, world\n");
    vfs::mount m;
    m.point = "/own";
    m.tree = std::make_shared<const vfs::memory_tree>(std::move(own));
    options.mounts.push_back(m);

    unique_fd contents(::memfd_create("package", MFD_CLOEXEC));
    REQUIRE(::pwrite(contents.get(), packed.data(), packed.size(), 8192) > 0);
    vfs::memory_tree::node file;
    file.mode = S_IFREG | 0755;
    file.modified = 1'600'000'000;
    file.content.fd = std::make_shared<const unique_fd>(std::move(contents));
    file.content.fd_offset = 8192;
    file.content.size = packed.size();
    std::map<std::string, vfs::memory_tree::node, std::less<>> pack;
    pack["lib/code"] = file;
    m.point = "/pack";
    m.tree = std::make_shared<const vfs::memory_tree>(std::move(pack));
    options.mounts.push_back(m);
    return vfs::filesystem::create(std::move(options)).value();
}

inline std::shared_ptr<const memory_image> some_memory(unsigned seed, std::size_t pages = 20) {
    auto builder = memory_image::builder::create(byte_count(memory_size)).value();
    std::uint64_t at = 0x4000;
    for (std::size_t done = 0; done < pages;) {
        const std::size_t n = std::min<std::size_t>(pages - done, 7);
        REQUIRE(builder.add(vmm::gpa{at}, some_bytes(n * 4096, seed + unsigned(done))));
        done += n;
        at += (n + (done % 2 ? 3 : 40)) * 4096;  // holes inside an extent, gaps between extents
    }
    return std::move(builder).finish().value();
}

struct stored_world : world {
    static constexpr std::uint64_t at_host_file = 0x2000'0000, at_packed = 0x2100'0000,
                                   at_tmp_file = 0x2200'0000;

    stored_world() : world(4_MiB) {
        root.file("lib/big.so", std::string(300'000, 'b'), 0755);
        root.file("data/open", "abcdefghij");
        files = filesystem_of(root);
        kernel = std::make_unique<guest::kernel>(std::move(kernel->state()), files, memory, host);
    }

    std::uint64_t map(std::uint64_t at, std::uint64_t length, std::int64_t fd) {
        const auto got =
            call(SYS_mmap, {at, length, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd_of(fd), 0});
        REQUIRE(got == static_cast<std::int64_t>(at));
        return at;
    }

    void fill_files() {
        make("/tmp/a", std::string(70'000, 'a'));
        REQUIRE(call(SYS_mkdir, {path("/tmp/dir"), 0750}) == 0);
        make("/tmp/dir/inner", "inner");
        REQUIRE(call(SYS_symlink, {path("inner"), path("/tmp/dir/link")}) == 0);
        const auto sparse = open("/tmp/sparse", O_CREAT | O_RDWR);
        REQUIRE(call(SYS_pwrite64, {fd_of(sparse), path("far"), 3, 900'000}) == 3);
        const auto gone = open("/tmp/gone", O_CREAT | O_RDWR);
        write(gone, "without a name");
        REQUIRE(call(SYS_unlink, {path("/tmp/gone")}) == 0);
        REQUIRE(call(SYS_memfd_create, {path("anonymous"), 0}) > 0);

        CHECK(read(open("/data/open"), 3) == "abc");
        CHECK(read(open("/own/hello"), 5) == "hello");
        read(open("/proc/self/maps"), 20);
        open("/dev/null", O_RDWR);
        open("/tmp/dir", O_RDONLY | O_DIRECTORY);
        open("/data", O_RDONLY | O_DIRECTORY);
        open("/data/open", O_PATH);
        close(map_file("/lib/big.so", at_host_file, 0x4'0000));
        close(map_file("/pack/lib/code", at_packed, 4096));
        close(map_file("/tmp/a", at_tmp_file, 0x1'0000));
        // Many areas of one content.
        for (unsigned i = 0; i < 16; i += 2)
            REQUIRE(call(SYS_mprotect, {at_tmp_file + i * 4096, 4096, PROT_NONE}) == 0);
    }
    std::int64_t map_file(const std::string& name, std::uint64_t at, std::uint64_t length) {
        const auto fd = open(name);
        REQUIRE(fd >= 0);
        map(at, length, fd);
        return fd;
    }

    void fill_sockets() {
        REQUIRE(call(SYS_pipe, {buffer}) == 0);
        const auto pipe_out = get_value<int>(buffer + 4);
        write(pipe_out, "waits in the pipe");
        for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
            REQUIRE(call(SYS_socketpair, {AF_UNIX, std::uint64_t(type), 0, buffer}) == 0);
            const auto one = get_value<int>(buffer);
            write(one, "first");
            write(one, "second");
        }
        host.services.insert({0x7f00'0001, 9001});
        const auto service = call(SYS_socket, {AF_INET, SOCK_STREAM, 0});
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(9001);
        to.sin_addr.s_addr = htonl(0x7f00'0001);
        put_value(buffer, to);
        REQUIRE(call(SYS_connect, {fd_of(service), buffer, sizeof to}) == 0);
        write(service, "GET / HTTP/1.1\r\n");
        state().connections.begin()->second.to_guest.append("HTTP/1.1 200");
        call(SYS_socket, {AF_INET, SOCK_STREAM, 0});
        fill_names();
        const auto poll_set = call(SYS_epoll_create1, {0});
        put_value(buffer, epoll_event{EPOLLOUT | EPOLLET, {.u64 = 77}});
        REQUIRE(call(SYS_epoll_ctl, {fd_of(poll_set), EPOLL_CTL_ADD, fd_of(pipe_out), buffer}) ==
                0);
        for (auto& [id, d] : state().descriptions)
            if (auto* set = std::get_if<vfs::epoll_set>(&d.body)) set->last = {3, id};
        REQUIRE(call(SYS_eventfd2, {5, 0}) > 0);
        const auto timer = call(SYS_timerfd_create, {CLOCK_MONOTONIC, 0});
        put_value(buffer, std::array<timespec, 2>{timespec{1, 0}, timespec{2, 500}});
        REQUIRE(call(SYS_timerfd_settime, {fd_of(timer), 0, buffer, 0}) == 0);
        put_value<std::uint64_t>(buffer, 0x200);
        REQUIRE(call(SYS_signalfd4, {~0ull, buffer, 8, 0}) > 0);
    }

    /// A listener with a client that waits, a datagram on its way, a descriptor in flight.
    void fill_names() {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(8080);
        to.sin_addr.s_addr = htonl(0x7f00'0001);
        put_value(buffer, to);
        for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
            const auto server = call(SYS_socket, {AF_INET, std::uint64_t(type), 0});
            REQUIRE(call(SYS_bind, {fd_of(server), buffer, sizeof to}) == 0);
            if (type == SOCK_STREAM) REQUIRE(call(SYS_listen, {fd_of(server), 3}) == 0);
            const auto client = call(SYS_socket, {AF_INET, std::uint64_t(type), 0});
            REQUIRE(call(SYS_connect, {fd_of(client), buffer, sizeof to}) == 0);
            REQUIRE(call(SYS_write, {fd_of(client), buffer, 4}) == 4);
        }
        const auto sent = state().descriptions.begin()->first;
        for (auto& [id, pair] : state().pairs) {
            if (pair.type != SOCK_STREAM || pair.to[0].bytes.size() + pair.to[1].bytes.size() == 0)
                continue;
            auto& queue = pair.to[1].bytes.empty() ? pair.to[0] : pair.to[1];
            state().retain(sent);
            queue.marks.push_back({1, 3, {{sent}, vfs::peer_credentials{7, 8, 9}}});
            ++state().in_flight;
            break;
        }
    }

    /// As calls leave it, and fields that no call here reaches set by hand.
    void fill_process() {
        process_state& p = process();
        p.started = 17ms;
        p.mm.arguments = gva{0x7000}, p.mm.environment = gva{0x7100};
        p.mm.environment_end = gva{0x7200}, p.mm.auxiliary = gva{0x6000};
        p.executable = "/pack/lib/code";
        p.ids.groups = {4, 24};
        p.limits[7] = {1024, 4096};
        actions()[SIGUSR1] = {0x40'0000, 4, 0x40'1000, 1};
        p.pending.push_back({.number = SIGUSR1, .code = -1, .sender_pid = 8});
        p.timers.real = {.deadline = 2000s, .interval = 1s};
        p.timers.posix[3] = {
            .schedule = {.deadline = 3000s, .interval = {}}, .clock = 1, .signal = 34};
        p.mm.windows[9].live = 2;
        p.mm.vmas.rbegin()->second.wipe_on_fork = true;
        p.executed = p.child_subreaper = true;
        task_state& t = task();
        t.signals.blocked = 0xff00;
        t.nice = 7;
        t.signals.pending.push_back({.number = 40, .address = 99});
        t.registers.r15 = 0x1234'5678'9abc'def0;
        auto& native = kernel->state().native;
        native.waiting = true;
        native.event = native_event{"id", 12, "arn", "trace", "context", "tenant", "payload"};
        native.reply = native_reply{true, "reply"};
        kernel->state().tasks[99].run = task_exited{256};
        state().owners[state().descriptions.begin()->first] = {
            .type = 1, .id = p.id, .signal = 34, .seen = {.arrived = 3, .urgent = 2}};
        // A thread beside it with the same descriptors and a viewpoint of its own.
        task_state& other = kernel->state().tasks[98];
        other.tid = 98;
        other.process = p.id;
        other.run = task_waiting{{.signal_only = true}};
        other.signals.blocked = ~0ull;
        other.files = parts::share_files(kernel->state(), t.files);
        other.view = parts::add(kernel->state(), viewpoint{"/tmp", "/tmp", 077});
    }

    void fill() {
        fill_files();
        fill_sockets();
        put_value(buffer, timespec{5, 0});
        parks(SYS_nanosleep, {buffer, 0});
        fill_process();
    }

    snapshot_image snapshot(unsigned seed = 1) {
        snapshot_image s;
        s.base = some_memory(seed);
        s.written.pages = {2, 5, 700};
        s.written.bytes = some_bytes(3 * 4096, seed + 1000);
        std::fill_n(s.written.bytes.begin(), 4096, std::byte{});  // a page that became zero
        s.kernel = kernel->state();
        s.registers = regs;
        s.fpu.xsave = some_bytes(832, seed + 2000);
        s.parked = true;
        s.memory_limit = 128u << 20;
        s.guest_clock = 1234567ns;
        s.cpu_time = 89ns;
        return s;
    }
};

inline std::string contents_of(const std::filesystem::path& p) {
    std::ifstream in(p, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}
inline void write_file(const std::filesystem::path& p, std::string_view what) {
    std::ofstream(p, std::ios::binary | std::ios::trunc) << what;
}
inline std::set<std::string> names_in(const std::filesystem::path& directory) {
    std::set<std::string> names;
    for (const auto& e : std::filesystem::directory_iterator(directory))
        names.insert(e.path().filename().string());
    return names;
}

inline bool same_memory(const memory_image& a, const memory_image& b) {
    if (a.size() != b.size() || a.pages() != b.pages() ||
        !std::ranges::equal(a.extents(), b.extents()))
        return false;
    for (const auto& e : a.extents())
        if (std::memcmp(a.page(e.first), b.page(e.first), e.pages * 4096) != 0) return false;
    return true;
}

inline bool same_file(const mm::file_backing& is, const mm::file_backing& was) {
    if (is.fd_offset != was.fd_offset || is.size != was.size || is.path != was.path ||
        !is.fd != !was.fd || !is.bytes != !was.bytes)
        return false;
    if (is.bytes && *is.bytes != *was.bytes) return false;
    std::vector<std::byte> a(is.size), b(is.size);
    return mm::read_backing(is, 0, a) == mm::read_backing(was, 0, b) && a == b;
}

/// `loaded` with its mapped files being the original's objects where they are the same files.
inline kernel_state with_files_of(kernel_state loaded, const kernel_state& original) {
    for (auto& [id, process] : loaded.processes) {
        const auto known = original.processes.find(id);
        if (known == original.processes.end()) continue;
        for (auto& [start, area] : process.mm.vmas) {
            const auto it = known->second.mm.vmas.find(start);
            if (!area.file || it == known->second.mm.vmas.end() || !it->second.file) continue;
            if (same_file(*area.file, *it->second.file)) area.file = it->second.file;
        }
        for (auto& [page, window] : process.mm.windows) {
            const auto it = known->second.mm.windows.find(page);
            if (it != known->second.mm.windows.end() && same_file(window.file, it->second.file))
                window.file = it->second.file;
        }
    }
    return loaded;
}

inline bool same_snapshot(const snapshot_image& loaded, const snapshot_image& original) {
    if (!loaded.root != !original.root) return false;
    if (loaded.root &&
        (loaded.root->base != loaded.base || !same_snapshot(*loaded.root, *original.root)))
        return false;
    return same_memory(*loaded.base, *original.base) &&
           loaded.written.pages == original.written.pages &&
           loaded.written.bytes == original.written.bytes &&
           with_files_of(loaded.kernel, original.kernel) == original.kernel &&
           loaded.registers == original.registers && loaded.fpu == original.fpu &&
           loaded.parked == original.parked && loaded.memory_limit == original.memory_limit &&
           loaded.guest_clock == original.guest_clock && loaded.cpu_time == original.cpu_time;
}

}  // namespace stored_test
