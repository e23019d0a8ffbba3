#include "../guest/kernel_world.hpp"
#include "target.hpp"
#include "vmm/vm_exit.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <filesystem>
#include <fstream>
#include <random>

namespace hearth::fuzz {
namespace {

using kernel_test::kind;
using kernel_test::world;

enum class takes : std::uint8_t { none, fd, path, buffer, area, size, flags, small, process, time };
using enum takes;

struct call {
    long number;
    takes arguments[6];
};

/// Calls by what they take, so that what one makes another abuses. All other numbers come too, with
/// anything.
constexpr call calls[] = {
    {SYS_read, {fd, buffer, size}},
    {SYS_write, {fd, buffer, size}},
    {SYS_open, {path, flags, small}},
    {SYS_openat, {fd, path, flags, small}},
    {SYS_close, {fd}},
    {SYS_fstat, {fd, buffer}},
    {SYS_newfstatat, {fd, path, buffer, flags}},
    {SYS_lseek, {fd, size, small}},
    {SYS_pread64, {fd, buffer, size, size}},
    {SYS_pwrite64, {fd, buffer, size, size}},
    {SYS_readv, {fd, buffer, small}},
    {SYS_writev, {fd, buffer, small}},
    {SYS_preadv2, {fd, buffer, small, size, none, flags}},
    {SYS_sendfile, {fd, fd, buffer, size}},
    {SYS_copy_file_range, {fd, buffer, fd, buffer, size, flags}},
    {SYS_splice, {fd, buffer, fd, buffer, size, flags}},
    {SYS_tee, {fd, fd, size, flags}},
    {SYS_ftruncate, {fd, size}},
    {SYS_fallocate, {fd, flags, size, size}},
    {SYS_getdents64, {fd, buffer, size}},
    {SYS_dup, {fd}},
    {SYS_dup3, {fd, fd, flags}},
    {SYS_fcntl, {fd, small, fd}},
    {SYS_ioctl, {fd, flags, buffer}},
    {SYS_flock, {fd, small}},
    {SYS_rename, {path, path}},
    {SYS_renameat2, {fd, path, fd, path, flags}},
    {SYS_linkat, {fd, path, fd, path, flags}},
    {SYS_symlink, {path, path}},
    {SYS_unlinkat, {fd, path, flags}},
    {SYS_mkdir, {path, small}},
    {SYS_mknod, {path, flags, small}},
    {SYS_rmdir, {path}},
    {SYS_chdir, {path}},
    {SYS_fchdir, {fd}},
    {SYS_readlink, {path, buffer, size}},
    {SYS_memfd_create, {path, flags}},
    {SYS_pipe2, {buffer, flags}},
    {SYS_eventfd2, {small, flags}},
    {SYS_timerfd_create, {small, flags}},
    {SYS_timerfd_settime, {fd, small, time, buffer}},
    {SYS_signalfd4, {fd, buffer, size, flags}},
    {SYS_pidfd_open, {process, flags}},
    {SYS_epoll_create1, {flags}},
    {SYS_epoll_ctl, {fd, small, fd, buffer}},
    {SYS_epoll_wait, {fd, buffer, small, small}},
    {SYS_poll, {buffer, small, small}},
    {SYS_select, {small, buffer, buffer, buffer, time}},
    {SYS_socket, {small, small, small}},
    {SYS_socketpair, {small, small, small, buffer}},
    {SYS_bind, {fd, buffer, size}},
    {SYS_connect, {fd, buffer, size}},
    {SYS_listen, {fd, small}},
    {SYS_accept4, {fd, buffer, buffer, flags}},
    {SYS_sendto, {fd, buffer, size, flags, buffer, size}},
    {SYS_recvfrom, {fd, buffer, size, flags, buffer, buffer}},
    {SYS_sendmsg, {fd, buffer, flags}},
    {SYS_recvmsg, {fd, buffer, flags}},
    {SYS_shutdown, {fd, small}},
    {SYS_setsockopt, {fd, small, small, buffer, size}},
    {SYS_getsockopt, {fd, small, small, buffer, buffer}},
    {SYS_mmap, {area, size, small, flags, fd, size}},
    {SYS_munmap, {area, size}},
    {SYS_mprotect, {area, size, small}},
    {SYS_mremap, {area, size, size, small, area}},
    {SYS_madvise, {area, size, small}},
    {SYS_msync, {area, size, small}},
    {SYS_mincore, {area, size, buffer}},
    {SYS_brk, {area}},
    {SYS_fork, {}},
    {SYS_vfork, {}},
    {SYS_clone, {flags, buffer, buffer, buffer, buffer}},
    {SYS_clone3, {buffer, size}},
    {SYS_execve, {path, buffer, buffer}},
    {SYS_exit, {small}},
    {SYS_wait4, {process, buffer, flags, buffer}},
    {SYS_waitid, {small, process, buffer, flags, buffer}},
    {SYS_kill, {process, small}},
    {SYS_tgkill, {process, process, small}},
    {SYS_setpgid, {process, process}},
    {SYS_setsid, {}},
    {SYS_futex, {buffer, small, small, time, buffer, small}},
    {SYS_set_robust_list, {buffer, size}},
    {SYS_set_tid_address, {buffer}},
    {SYS_rt_sigaction, {small, buffer, buffer, size}},
    {SYS_rt_sigprocmask, {small, buffer, buffer, size}},
    {SYS_rt_sigtimedwait, {buffer, buffer, time, size}},
    {SYS_rt_sigqueueinfo, {process, small, buffer}},
    {SYS_rt_sigreturn, {}},
    {SYS_sigaltstack, {buffer, buffer}},
    {SYS_setitimer, {small, buffer, buffer}},
    {SYS_timer_create, {small, buffer, buffer}},
    {SYS_timer_settime, {small, flags, time, buffer}},
    {SYS_timer_delete, {small}},
    {SYS_nanosleep, {time, buffer}},
    {SYS_sched_yield, {}},
    {SYS_prlimit64, {process, small, buffer, buffer}},
    {SYS_prctl, {small, buffer, small, small, small}},
    {SYS_arch_prctl, {flags, area}},
};

constexpr const char* names[] = {"/tmp/a",
                                 "/tmp/b",
                                 "/tmp/d",
                                 "/tmp/d/e",
                                 "b",
                                 "..",
                                 "/",
                                 "/etc/name",
                                 "/proc/self/fd/3",
                                 "",
                                 "/proc/self/maps",
                                 "/dev/null",
                                 "/dev/zero",
                                 "/tmp/d/../a",
                                 "/proc/self/fd",
                                 "/dev/urandom"};
constexpr std::uint64_t sizes[] = {0,    1,     8,       16,         24,         128,  4095,
                                   4096, 65536, 1 << 20, 1ull << 31, 1ull << 40, ~0ull};

/// A program of system calls, read from the input as far as it goes.
class program {
  public:
    program(world& w, std::string_view input) : w_(w), input_(input) {}

    void run() {
        for (int n = 0; !input_.empty() && n < 400; ++n)
            if (!one()) break;
        const auto& state = w_.kernel->state();
        promise(state.tasks.size() <= 1024 + 1 && state.processes.size() <= 1024 + 1, "tasks");
        promise(state.frames.used_pages() <= state.frames.limit_pages(),
                "more memory than there is");
        const guest::kernel_state copy = state;
        promise(copy == state, "a copy differs");
    }

  private:
    /// The memory of whichever task's turn it is.
    guest::mm::address_space running() {
        auto& state = w_.kernel->state();
        auto& process = w_.kernel->process_of(w_.kernel->running_task());
        return {guest::memory_of(state, process), state.frames, w_.memory};
    }
    std::uint64_t byte() {
        if (input_.empty()) return 0;
        const auto b = static_cast<unsigned char>(input_.front());
        input_.remove_prefix(1);
        return b;
    }
    std::uint64_t word() {
        std::uint64_t v = 0;
        for (int i = 0; i < 8; ++i) v |= byte() << (8 * i);
        return v;
    }

    std::uint64_t buffer_at(std::uint64_t slot) const { return world::data + 0x2'0000 + slot * 64; }
    std::uint64_t known(const std::vector<std::uint64_t>& values, std::uint64_t b) {
        return values.empty() ? b : values[b % values.size()];
    }
    std::uint64_t value(takes kind_of) {
        const std::uint64_t b = byte();
        switch (kind_of) {
            case none:
                return 0;
            case fd:
                return b < 200    ? known(small_, b)
                       : b == 255 ? static_cast<std::uint64_t>(AT_FDCWD)
                                  : b - 200;
            case path: {
                const std::uint64_t at = world::data + 0x1'0000 + b % 16 * 256;
                return at;
            }
            case buffer:
                return b == 255 ? 0 : b == 254 ? world::code : buffer_at(b);
            case area:
                return b < 128 ? known(areas_, b) + (b & 3) * 4096
                               : world::data + 0x4'0000 + b * 4096;
            case size:
                return b < 200 ? sizes[b % std::size(sizes)] : b;
            case flags:
                return b < 64    ? std::uint64_t{1} << (b % 32)
                       : b < 128 ? 0
                                 : (byte() << 8 | b) & 0xff'ff7f;
            case small:
                return b == 255 ? ~0ull : b % 70;
            case process:
                return b < 128 ? known(small_, b) : b == 255 ? ~0ull : b - 128;
            case time:
                return buffer_at(b % 4);
        }
        return b;
    }

    /// False: there is no guest any more.
    bool one() {
        const std::uint64_t what = byte();
        if (what >= 246) return other(what);
        std::uint64_t a[6] = {};
        long number;
        if (what >= 240) {
            number = static_cast<long>((byte() << 8 | byte()) % 470);
            for (auto& x : a) x = value(static_cast<takes>(byte() % 10));
        } else {
            const call& c = calls[what % std::size(calls)];
            number = c.number;
            const std::uint64_t mischief = byte();  // which arguments are anything at all
            for (unsigned i = 0; i < 6; ++i)
                a[i] = mischief >= 192 && mischief >> i & 1 ? word() : value(c.arguments[i]);
        }
        const auto s =
            w_.step(static_cast<std::uint64_t>(number), {a[0], a[1], a[2], a[3], a[4], a[5]});
        return follow(s, number, a);
    }

    bool follow(guest::step s, long number, const std::uint64_t* a) {
        for (int tries = 0; s.what == kind::parked && tries < 3; ++tries) {
            w_.host.advance(std::chrono::hours{1});
            s = w_.kernel->resume(w_.regs);
        }
        if (s.what != kind::return_value && s.what != kind::set_registers) return false;
        const auto r = static_cast<std::int64_t>(w_.regs.rax);
        if (s.what == kind::return_value) promise(r >= -4095 || r < -(1ll << 40), "no errno");
        if (r > 0 && r < 5000 && small_.size() < 64) small_.push_back(w_.regs.rax);
        if (r > 0xffff && areas_.size() < 64 && (number == SYS_mmap || number == SYS_mremap))
            areas_.push_back(w_.regs.rax);
        if (r == 0 && (number == SYS_pipe2 || number == SYS_socketpair)) {
            std::uint32_t pair[2];
            const std::uint64_t at = number == SYS_pipe2 ? a[0] : a[3];
            if (running().read(guest::gva{at}, std::as_writable_bytes(std::span(pair))))
                for (const auto f : pair)
                    if (small_.size() < 64) small_.push_back(f);
        }
        return true;
    }

    bool other(std::uint64_t what) {
        w_.host.advance(std::chrono::milliseconds{1});
        switch (what) {
            case 246: {  // a fault of any address
                vmm::exception_exit fault;
                fault.vector = 14;
                fault.error_code = static_cast<std::uint32_t>(byte() % 32) | 4;
                fault.fault_address = guest::gva{value(area) + byte()};
                return follow(w_.kernel->on_exception(w_.regs, fault), -1, nullptr);
            }
            case 247: {
                vmm::exception_exit fault;
                fault.vector = static_cast<std::uint8_t>(byte() % 20);
                return follow(w_.kernel->on_exception(w_.regs, fault), -1, nullptr);
            }
            case 248: {
                const auto s = w_.kernel->on_interrupt(w_.regs);
                return s.what == kind::run_on || follow(s, -1, nullptr);
            }
            case 249:
                w_.host.advance(std::chrono::seconds{byte()});
                return true;
            default: {  // stores of the guest's
                const std::uint64_t at = buffer_at(byte()) + byte() % 8 * 8;
                static constexpr takes kinds[] = {fd, buffer, size, flags, small, area};
                const std::uint64_t v =
                    what < 253 ? value(kinds[byte() % 6]) | (what == 252 ? value(small) << 32 : 0)
                               : word();
                (void)running().write(guest::gva{at}, std::as_bytes(std::span(&v, 1)));
                return true;
            }
        }
    }

    world& w_;
    std::string_view input_;
    std::vector<std::uint64_t> small_{0, 1, 2, 3};
    std::vector<std::uint64_t> areas_{world::data};
};

class system_calls final : public target {
    static std::filesystem::path temporary() {
        char name[] = "/tmp/hearth-fuzz-XXXXXX";
        REQUIRE(::mkdtemp(name));
        return name;
    }

  public:
    system_calls() {
        std::filesystem::create_directories(root_ / "etc");
        std::ofstream(root_ / "etc/name") << "of the host\n";
        files_ = guest::vfs::filesystem::create(
                     guest::vfs::host_root(root_, byte_count(4 << 20)).value())
                     .value();
    }
    ~system_calls() override {
        std::error_code ec;
        std::filesystem::remove_all(root_, ec);
    }
    std::vector<std::string> seeds() override {
        std::vector<std::string> all;
        std::mt19937_64 random(99);
        for (int i = 0; i < 40; ++i) {
            std::string s(300 + random() % 1200, '\0');
            for (char& c : s) c = static_cast<char>(random());
            all.push_back(std::move(s));
        }
        return all;
    }
    void run(std::string_view input) override {
        world w(files_);
        for (unsigned i = 0; i < std::size(names); ++i)
            w.put_text(world::data + 0x1'0000 + i * 256, names[i]);
        program(w, input).run();
    }

  private:
    std::filesystem::path root_ = temporary();
    std::shared_ptr<guest::vfs::filesystem> files_;
};

}  // namespace

std::unique_ptr<target> make_system_calls() { return std::make_unique<system_calls>(); }

}  // namespace hearth::fuzz
