// A static glibc program from nothing to its exit: a file namespace, a microVM, the program in it,
// its run. KVM has been opened before, as a runtime has. Then the same with a microVM that was made
// ahead, as a runtime's pool keeps some (`spare_shell`). Beside them posix_spawn and waitpid of the
// same program. The microVM's teardown, which a runtime does elsewhere, is not in the figures but
// beside them.

#include "base/system_error.hpp"
#include "base/try.hpp"
#include "base/unique_fd.hpp"
#include "bench.hpp"
#include "guest/vfs/filesystem.hpp"
#include "sandbox/sandbox.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

namespace hearth::bench {
namespace {

using std::chrono::steady_clock;

/// The guest's "hello\n" goes where the native one goes: to /dev/null, by a real write.
class null_streams final : public detail::sandbox_streams {
  public:
    explicit null_streams(int fd) : fd_(fd) {}
    std::size_t write(guest::stream, std::span<const std::byte> bytes) override {
        const auto n = ::write(fd_, bytes.data(), bytes.size());
        written += n > 0 ? static_cast<std::size_t>(n) : 0;
        return bytes.size();
    }
    std::size_t written = 0;

  private:
    int fd_;
};

struct phases {
    double start = 0, run = 0, teardown = 0;  ///< microseconds
};

enum class shell { made, spare };

result<phases> start_in_vm(const vmm::kvm& kvm,
                           const std::string& program,
                           int null,
                           shell whence) {
    constexpr byte_count memory(128ull << 20);
    const int signal = SIGRTMIN + 7;
    const auto make = [&] {
        return vmm::vm::create(kvm, detail::sandbox::shell_options(memory, signal, false));
    };
    phases taken;
    std::optional<vmm::vm> vm;
    if (whence == shell::spare) {
        HEARTH_TRY(vm, make());
    }
    auto from = steady_clock::now();
    HEARTH_TRY(auto mounts, guest::vfs::host_root("/", byte_count(512ull << 20)));
    HEARTH_TRY(auto files, guest::vfs::filesystem::create(std::move(mounts)));
    if (whence == shell::made) {
        HEARTH_TRY(vm, make());
    }
    null_streams streams(null);
    std::optional<detail::sandbox> sandbox;
    sandbox.emplace(std::move(*vm),
                    detail::sandbox_options{memory, std::move(files), &streams, nullptr, false});
    HEARTH_CHECK(sandbox->load(
        {.path = program, .arguments = {"hello"}, .environment = {}, .working_directory = "/"}));
    taken.start = since(from);
    from = steady_clock::now();
    {
        const vmm::run_scope scope(signal);
        const auto outcome = sandbox->run(scope);
        const auto* exited = std::get_if<detail::run_exited>(&outcome);
        if (!exited || exited->status.code != 0 || streams.written != 6)
            return error(errc::sandbox_poisoned, "hello did not say hello");
    }
    taken.run = since(from);
    from = steady_clock::now();
    sandbox.reset();
    taken.teardown = since(from);
    return taken;
}

result<double> spawn(const std::string& program, int null) {
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, null, STDOUT_FILENO);
    char name[] = "hello";
    char* arguments[] = {name, nullptr};
    char* environment[] = {nullptr};
    const auto from = steady_clock::now();
    pid_t pid = 0;
    const int failed =
        ::posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments, environment);
    int status = -1;
    if (!failed) ::waitpid(pid, &status, 0);
    const double taken = since(from);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed) return system_failure(errc::io_failed, program, failed);
    if (status != 0) return error(errc::io_failed, program + " failed");
    return taken;
}

}  // namespace

result<rows> cold_start(context& ctx) {
    const pinned here;
    const std::string program = ctx.guest("hello").string();
    const unique_fd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (!null) return system_failure(errc::io_failed, "/dev/null");

    constexpr int batches = 20, per_batch = 15;
    struct {
        shell whence;
        const char* variant;
        samples total{}, start{}, run{}, teardown{};
    } ways[] = {{shell::made, "hearth"}, {shell::spare, "spare_shell"}};
    samples floors, native;
    for (int b = 0; b < batches; ++b) {
        HEARTH_TRY(const samples timing, ctx.floor(200));
        floors.push_back(timing.front());
        for (auto& way : ways)
            for (int i = 0; i < per_batch; ++i) {
                HEARTH_TRY(const phases taken,
                           start_in_vm(ctx.kvm(), program, null.get(), way.whence));
                way.start.push_back(taken.start);
                way.run.push_back(taken.run);
                way.teardown.push_back(taken.teardown);
                way.total.push_back(taken.start + taken.run);
            }
        for (int i = 0; i < per_batch; ++i) {
            HEARTH_TRY(const double taken, spawn(program, null.get()));
            native.push_back(taken);
        }
    }
    rows all;
    for (auto& way : ways) {
        row r = summarize("cold_start", way.variant, way.total, floors);
        r.extra = {{"start_us", quantile(way.start, 0.5)},
                   {"run_us", quantile(way.run, 0.5)},
                   {"teardown_us", quantile(way.teardown, 0.5)}};
        all.push_back(std::move(r));
    }
    all.push_back(summarize("cold_start", "posix_spawn", native, floors));
    return all;
}

}  // namespace hearth::bench
