#pragma once

/// A guest with files and no KVM: a kernel over real guest memory, a filesystem with a host
/// directory made for the test, and a host of strings. System calls go through the table, as the
/// sandbox makes them.

#include "guest/kernel/identity.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/kernel/task.hpp"
#include "guest/vfs/file_pages.hpp"
#include "guest/vfs/filesystem.hpp"
#include "guest/vfs/host_tree.hpp"
#include "guest/vfs/memory_tree.hpp"
#include "guest/vfs/open.hpp"
#include "vfs_outcome.hpp"
#include "vmm/x86_64/layout.hpp"

#include <catch2/catch.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace vfs_test {

using namespace hearth;
using namespace hearth::guest;
using namespace hearth::literals;
using namespace std::chrono_literals;

class string_host final : public guest::host {
  public:
    std::chrono::nanoseconds monotonic{1000s}, realtime{1'700'000'000s};
    std::string output, errors, input;
    bool input_closed = false, is_terminal = false;
    std::set<std::pair<std::uint32_t, std::uint16_t>> services;
    std::uint8_t next_random = 1;
    outbound* way_out = nullptr;

    std::chrono::nanoseconds monotonic_now() override { return monotonic; }
    std::chrono::nanoseconds realtime_now() override { return realtime; }
    std::chrono::nanoseconds cpu_time() override { return 5ms; }
    void random(std::span<std::byte> out) override {
        for (auto& b : out) b = std::byte{next_random++};
    }
    std::size_t write_stream(guest::stream which, std::span<const std::byte> bytes) override {
        auto& to = which == guest::stream::error ? errors : output;
        if (to.size() < (1u << 20))
            to.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return bytes.size();
    }
    input_result read_input(std::span<std::byte> into) override {
        if (input.empty())
            return {input_closed ? input_status::end_of_file : input_status::would_block, 0};
        const auto n = std::min(into.size(), input.size());
        std::memcpy(into.data(), input.data(), n);
        input.erase(0, n);
        return {input_status::data, n};
    }
    bool input_ready() override { return !input.empty() || input_closed; }
    terminal terminal_of(guest::stream) override { return {is_terminal, 24, 80}; }
    bool service_listens(std::uint32_t address, std::uint16_t port) override {
        return services.contains({address, port});
    }
    outbound* network() override { return way_out; }
    vmm::fpu_state read_fpu() override { return {}; }
    bool write_fpu(const vmm::fpu_state&) override { return true; }
    bool tracing() const override { return false; }
    void trace(std::string_view) override {}
};

/// A directory of the host that lives as long as the test.
struct host_directory {
    std::filesystem::path path;
    host_directory() {
        char name[] = "/tmp/hearth-vfs-XXXXXX";
        REQUIRE(::mkdtemp(name));
        path = name;
    }
    ~host_directory() {
        std::error_code ec;
        std::filesystem::remove_all(path, ec);
    }
    void file(const std::string& name, const std::string& text, mode_t mode = 0644) const {
        std::filesystem::create_directories((path / name).parent_path());
        std::ofstream(path / name, std::ios::binary) << text;
        REQUIRE(::chmod((path / name).c_str(), mode) == 0);
    }
    void link(const std::string& name, const std::string& target) const {
        std::filesystem::create_directories((path / name).parent_path());
        REQUIRE(::symlink(target.c_str(), (path / name).c_str()) == 0);
    }
};

/// "/" is a host directory; /own a tree in memory; /tmp, /dev, /proc as everywhere.
inline std::shared_ptr<vfs::filesystem> make_filesystem(const host_directory& root,
                                                        byte_count tmp_size = 1_MiB) {
    auto options = vfs::host_root(root.path, tmp_size).value();
    std::map<std::string, vfs::memory_tree::node, std::less<>> nodes;
    nodes["hello"] = vfs::memory_tree::text("hello, world\n");
    nodes["run"] = vfs::memory_tree::text("#!/bin/sh\n", 0755);
    nodes["deep/er/leaf"] = vfs::memory_tree::text("leaf");
    nodes["to-tmp"] = vfs::memory_tree::symlink("/tmp");
    nodes["up"] = vfs::memory_tree::symlink("../own/deep");
    vfs::mount m;
    m.point = "/own";
    m.tree = std::make_shared<const vfs::memory_tree>(std::move(nodes));
    options.mounts.push_back(m);
    return vfs::filesystem::create(std::move(options)).value();
}

struct world {
    static constexpr std::uint64_t data = 0x10'0000;
    static constexpr std::uint64_t data_size = 4u << 20;
    static constexpr std::uint64_t bad = 0x7000'0000;  // nothing is mapped there
    static constexpr std::uint64_t text_area = data + 0x1000;
    static constexpr std::uint64_t buffer = data + 0x10'0000;

    host_directory root;
    string_host host;
    vmm::guest_memory memory = vmm::guest_memory::create(64_MiB).value();
    std::shared_ptr<vfs::filesystem> files;
    std::unique_ptr<guest::kernel> kernel;
    std::optional<vfs::file_pages> pages;
    vmm::vcpu_state regs;

    explicit world(byte_count tmp_size = 1_MiB) {
        root.file("etc/name", "of the host\n");
        files = make_filesystem(root, tmp_size);
        initial_parameters p;
        p.first_frame = vmm::layout::first_free;
        p.end_frame = gpa{memory.size()};
        p.limit_pages = 8192;
        p.name = "test";
        p.random = [&](std::span<std::byte> out) { host.random(out); };
        auto state = make_initial_state(p);
        state.vfs = files->initial_state(host.realtime);
        auto& process = state.processes.begin()->second;
        vfs::open_standard_streams(state.vfs, files_of(state, state.tasks.begin()->second));
        process.mm.stack_top = vmm::layout::system_area;
        process.mm.mmap_base = vmm::layout::system_area - (16ull << 20);
        process.mm.brk_start = process.mm.brk = gva{0x60'0000};
        kernel = std::make_unique<guest::kernel>(std::move(state), files, memory, host);
        pages.emplace(kernel->state(), memory);
        mm::address_space::map_request q;
        q.hint = gva{data}, q.length = data_size, q.prot = {true, true, false}, q.fixed = true;
        REQUIRE(space().map(q));
    }

    process_state& process() { return kernel->state().processes.begin()->second; }
    task_state& task() { return kernel->state().tasks.begin()->second; }
    vfs::fd_table& descriptors() { return files_of(kernel->state(), task()); }
    viewpoint& view() { return view_of(kernel->state(), task()); }
    signal_actions& actions() { return actions_of(kernel->state(), process()); }
    vfs::vfs_state& state() { return kernel->state().vfs; }
    mm::address_space space() {
        return {process().mm, kernel->state().frames, memory, &*pages};
    }
    vfs::context context() { return {kernel->state(), process(), view(), host, memory}; }

    guest::step step(long number, std::initializer_list<std::uint64_t> args = {}) {
        std::uint64_t a[6] = {};
        std::copy(args.begin(), args.end(), a);
        regs.rax = static_cast<std::uint64_t>(number);
        regs.rdi = a[0], regs.rsi = a[1], regs.rdx = a[2], regs.r10 = a[3], regs.r8 = a[4],
        regs.r9 = a[5];
        const auto s = kernel->on_syscall(regs);
        if (s.what == guest::step::kind::return_value) regs.rax = s.rax;
        return s;
    }
    std::int64_t call(long number, std::initializer_list<std::uint64_t> args = {}) {
        const auto s = step(number, args);
        INFO("system call " << number);
        REQUIRE(s.what == guest::step::kind::return_value);
        return static_cast<std::int64_t>(regs.rax);
    }
    /// The call parks.
    void parks(long number, std::initializer_list<std::uint64_t> args = {}) {
        REQUIRE(step(number, args).what == guest::step::kind::parked);
    }
    /// What the parked call comes to now.
    std::int64_t resume() {
        const auto s = kernel->resume(regs);
        REQUIRE(s.what != guest::step::kind::parked);
        return static_cast<std::int64_t>(regs.rax);
    }
    bool still_parked() { return kernel->resume(regs).what == guest::step::kind::parked; }

    /// Puts a path (or other text) into guest memory; four may be in use at once.
    std::uint64_t path(const std::string& text) {
        const std::uint64_t at = text_area + 0x2000 * (next_text_++ % 4);
        REQUIRE(space().write(gva{at}, std::as_bytes(std::span(text.c_str(), text.size() + 1))));
        return at;
    }
    void put(std::uint64_t at, std::string_view text) {
        REQUIRE(space().write(gva{at}, std::as_bytes(std::span(text))));
    }
    template <class T>
    void put_value(std::uint64_t at, const T& v) {
        REQUIRE(space().write(gva{at}, std::as_bytes(std::span(&v, 1))));
    }
    std::string get(std::uint64_t at, std::size_t n) {
        std::string s(n, '\0');
        REQUIRE(space().read(gva{at}, std::as_writable_bytes(std::span(s))));
        return s;
    }
    template <class T>
    T get_value(std::uint64_t at) {
        T v;
        REQUIRE(space().read(gva{at}, std::as_writable_bytes(std::span(&v, 1))));
        return v;
    }

    // -- shorthands
    // ------------------------------------------------------------------------------------------
    std::int64_t open(const std::string& p, int flags = O_RDONLY, unsigned mode = 0644) {
        return call(SYS_open, {path(p), static_cast<std::uint64_t>(flags), mode});
    }
    std::int64_t write(std::int64_t fd, std::string_view text) {
        put(buffer, text);
        return call(SYS_write, {fd_of(fd), buffer, text.size()});
    }
    /// What read gives, as text; "errno N" when it fails.
    std::string read(std::int64_t fd, std::size_t n = 4096) {
        const auto got = call(SYS_read, {fd_of(fd), buffer, n});
        return got < 0 ? "errno " + std::to_string(-got)
                       : get(buffer, static_cast<std::size_t>(got));
    }
    std::string slurp(const std::string& p) {
        const auto fd = open(p);
        if (fd < 0) return "errno " + std::to_string(-fd);
        std::string all;
        for (;;) {
            const std::string part = read(fd, 65536);
            if (part.empty()) break;
            all += part;
        }
        close(fd);
        return all;
    }
    void make(const std::string& p, std::string_view text) {
        const auto fd = open(p, O_CREAT | O_WRONLY | O_TRUNC);
        REQUIRE(fd >= 0);
        REQUIRE(write(fd, text) == static_cast<std::int64_t>(text.size()));
        close(fd);
    }
    void close(std::int64_t fd) { REQUIRE(call(SYS_close, {fd_of(fd)}) == 0); }
    struct ::stat stat(const std::string& p) {
        REQUIRE(call(SYS_stat, {path(p), buffer}) == 0);
        return get_value<struct ::stat>(buffer);
    }
    /// Names in a directory, sorted, without "." and "..".
    std::set<std::string> names(const std::string& p) {
        const auto fd = open(p, O_RDONLY | O_DIRECTORY);
        REQUIRE(fd >= 0);
        std::set<std::string> out;
        for (;;) {
            const auto n = call(SYS_getdents64, {fd_of(fd), buffer, 512});
            REQUIRE(n >= 0);
            if (n == 0) break;
            const std::string raw = get(buffer, static_cast<std::size_t>(n));
            for (std::size_t at = 0; at < raw.size();) {
                std::uint16_t length = 0;
                std::memcpy(&length, raw.data() + at + 16, 2);
                const std::string name = raw.c_str() + at + 19;
                if (name != "." && name != "..") REQUIRE(out.insert(name).second);
                at += length;
            }
        }
        close(fd);
        return out;
    }
    static std::uint64_t fd_of(std::int64_t fd) { return static_cast<std::uint64_t>(fd); }

  private:
    unsigned next_text_ = 0;
};

}  // namespace vfs_test
