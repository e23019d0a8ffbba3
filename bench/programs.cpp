// Programs under `hearth run` beside the same programs run natively, in turns: a start of Python
// from nothing to its exit, and loops of Python and Node.js that time themselves. Then system calls
// in a row, by one reading of the clock around ten thousand: of those that leave the guest, those
// that the stub page answers and those of the vDSO.

#include "base/system_error.hpp"
#include "base/try.hpp"
#include "base/unique_fd.hpp"
#include "bench.hpp"
#include "vmm/kvm_api.hpp"

#include <hearth/sandbox.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>

extern char** environ;

namespace hearth::bench {
namespace {

/// Runs a command to its end; gives what it wrote to stdout.
result<std::string> output_of(const std::vector<std::string>& command) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return system_failure(errc::io_failed, "pipe2");
    const unique_fd from(ends[0]);
    unique_fd to(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, to.get(), STDOUT_FILENO);
    std::vector<char*> arguments;
    for (const std::string& a : command) arguments.push_back(const_cast<char*>(a.c_str()));
    arguments.push_back(nullptr);
    pid_t pid = 0;
    const int failed =
        ::posix_spawn(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed) return system_failure(errc::io_failed, command[0], failed);
    to = unique_fd();
    std::string text;
    char piece[4096];
    for (ssize_t n; (n = ::read(from.get(), piece, sizeof piece)) > 0;)
        text.append(piece, static_cast<std::size_t>(n));
    int status = -1;
    ::waitpid(pid, &status, 0);
    if (status != 0) return error(errc::io_failed, command[0] + " failed");
    return text;
}

std::vector<std::string> in_hearth(const context& ctx, std::vector<std::string> command) {
    std::vector<std::string> all{ctx.binary("hearth").string(), "run", "--"};
    all.insert(all.end(), command.begin(), command.end());
    return all;
}

/// What KVM counted for this process's vCPUs so far, by name; the greatest of them.
std::uint64_t kvm_count(const char* name) {
    std::uint64_t most = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code ec;
        const auto target = std::filesystem::read_symlink(entry.path(), ec).string();
        if (target.find("kvm-vcpu") == std::string::npos) continue;
        const unique_fd stats(
            ::ioctl(std::atoi(entry.path().filename().c_str()), KVM_GET_STATS_FD, 0));
        kvm_stats_header head{};
        if (!stats || ::pread(stats.get(), &head, sizeof head, 0) != sizeof head) continue;
        std::vector<char> descriptor(sizeof(kvm_stats_desc) + head.name_size);
        for (std::uint32_t i = 0; i < head.num_desc; ++i) {
            const auto at = head.desc_offset + i * descriptor.size();
            if (::pread(stats.get(), descriptor.data(), descriptor.size(),
                        static_cast<off_t>(at)) != std::ssize(descriptor))
                break;
            kvm_stats_desc d{};
            std::memcpy(static_cast<void*>(&d), descriptor.data(), sizeof d);
            if (std::strcmp(descriptor.data() + sizeof d, name) != 0) continue;
            std::uint64_t value = 0;
            if (::pread(stats.get(), &value, sizeof value, head.data_offset + d.offset) ==
                sizeof value)
                most = std::max(most, value);
        }
    }
    return most;
}

struct counts {
    std::uint64_t system_calls = 0, page_faults = 0;
};
/// System calls that leave the guest, and page faults that KVM takes, up to a program's first
/// output.
result<counts> count(const std::vector<std::string>& command) {
    counts c;
    run_options options;
    options.arguments = command;
    options.input = -1;
    options.on_output = [&](std::string_view) { c.page_faults = kvm_count("pf_taken"); };
    HEARTH_TRY(const run_status plain, run_program(options));
    options.trace = [&](std::string_view) { ++c.system_calls; };
    HEARTH_TRY(const run_status traced, run_program(options));
    if (plain.exit_code != 0 || traced.exit_code != 0) return error(errc::io_failed, command[0]);
    return c;
}

/// The whole command, from its start to its end.
result<rows> start_of(context& ctx,
                      const std::string& variant,
                      const std::vector<std::string>& command) {
    const auto whole = [](std::vector<std::string> c) {
        return [c = std::move(c)]() -> result<void> {
            HEARTH_TRY(const std::string text, output_of(c));
            if (text != "hi\n") return error(errc::io_failed, c[0] + " printed something else");
            return {};
        };
    };
    HEARTH_TRY(rows both, ctx.race("programs",
                                   {{variant + "_native", whole(command)},
                                    {variant + "_hearth", whole(in_hearth(ctx, command))}},
                                   100, 20));
    HEARTH_TRY(const counts c, count(command));
    both[1].extra = {{"ratio", both[1].p50_us / both[0].p50_us},
                     {"system_calls", static_cast<double>(c.system_calls)},
                     {"page_faults", static_cast<double>(c.page_faults)}};
    return both;
}

/// The microseconds that a program says its loop took.
result<rows> loop_of(context& ctx,
                     const std::string& variant,
                     const std::vector<std::string>& command) {
    constexpr int times = 9;
    samples native, hearth, floors;
    for (int i = 0; i < times; ++i) {
        HEARTH_TRY(const samples timing, ctx.floor(200));
        floors.push_back(timing.front());
        HEARTH_TRY(const std::string outside, output_of(command));
        native.push_back(std::strtod(outside.c_str(), nullptr));
        HEARTH_TRY(const std::string inside, output_of(in_hearth(ctx, command)));
        hearth.push_back(std::strtod(inside.c_str(), nullptr));
    }
    rows both{summarize("programs", variant + "_native", native, floors),
              summarize("programs", variant + "_hearth", hearth, floors)};
    both[1].extra = {{"ratio", both[1].p50_us / both[0].p50_us}};
    return both;
}

/// Means of ten thousand calls in a row.
result<row> calls_of(context& ctx, const std::string& call, std::size_t n) {
    const auto one = [&]() -> result<samples> {
        std::string text;
        run_options options;
        options.arguments = {ctx.guest("syscall_loop").string(), call, std::to_string(n / 10)};
        options.input = -1;
        options.on_output = [&](std::string_view piece) { text += piece; };
        HEARTH_TRY(const run_status status, run_program(options));
        if (status.exit_code != 0 || status.signal != 0)
            return error(errc::sandbox_poisoned, "the guest program failed");
        samples means;
        const char* at = text.c_str();
        for (char* end = nullptr;; at = end) {
            const double nanoseconds = std::strtod(at, &end);
            if (end == at) break;
            means.push_back(nanoseconds / 1000);
        }
        return means;
    };
    return ctx.collect("programs", call, one, 10);
}

constexpr const char* python_loop = R"(
import time
start = time.perf_counter()
sieve = bytearray([1]) * 300000
for i in range(2, 548):
    if sieve[i]: sieve[i * i::i] = bytes(len(range(i * i, 300000, i)))
words = {}
for n in range(400000): words[n % 1009] = words.get(n % 1009, 0) + n * n % 7
text = sorted(str(n * 7919 % 100003) for n in range(60000))
print((time.perf_counter() - start) * 1e6))";
constexpr const char* node_loop = R"(
const start = process.hrtime.bigint();
let words = new Map(), sum = 0;
for (let n = 0; n < 4e6; n++) { const k = n % 1009; words.set(k, (words.get(k) || 0) + n % 7); }
const body = new Float64Array(4096).map((_, i) => Math.sin(i));
for (let r = 0; r < 400; r++) for (let i = 1; i < 4096; i++) sum += body[i] * body[i - 1];
const text = Array.from({length: 60000}, (_, n) => String(n * 7919 % 100003)).sort().join('').length;
console.log(Number(process.hrtime.bigint() - start) / 1e3);)";

}  // namespace

result<rows> programs(context& ctx) {
    const pinned here;
    const std::string python = "/usr/bin/python3", node = "/usr/bin/node";
    rows table;
    const auto add = [&](result<rows> more) -> result<void> {
        if (!more) return more.error();
        table.insert(table.end(), more->begin(), more->end());
        return {};
    };
    if (::access(python.c_str(), X_OK) == 0) {
        HEARTH_CHECK(add(start_of(ctx, "python_start", {python, "-c", "print('hi')"})));
        HEARTH_CHECK(add(loop_of(ctx, "python_loop", {python, "-c", python_loop})));
    }
    if (::access(node.c_str(), X_OK) == 0)
        HEARTH_CHECK(add(loop_of(ctx, "node_loop", {node, "-e", node_loop})));
    // Ten processes, one after the other.
    HEARTH_CHECK(add(start_of(
        ctx, "shell_forks",
        {"/bin/bash", "-c", "for i in 0 1 2 3 4 5 6 7 8 9; do (:); done; echo hi"})));
    for (const std::string call : {"getpgrp", "getpid", "clock_gettime"}) {
        HEARTH_TRY(row r, calls_of(ctx, call, ctx.how_many(1'000'000)));
        table.push_back(std::move(r));
    }
    return table;
}

}  // namespace hearth::bench
