#include "load.hpp"

#include "base/system_error.hpp"
#include "base/try.hpp"

#include <boost/asio.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>

namespace hearth::bench {
namespace {

namespace asio = boost::asio;
using std::chrono::steady_clock;

/// "Name:   123 kB" of a file in /proc, in bytes; zero when it is not there.
std::uint64_t kilobytes(const char* file, std::string_view name) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);)
        if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ':')
            return std::stoull(line.substr(name.size() + 1)) << 10;
    return 0;
}

}  // namespace

double us_since(steady_clock::time_point start) {
    return std::chrono::duration<double, std::micro>(steady_clock::now() - start).count();
}

bool eventually(const std::function<bool()>& there, std::chrono::milliseconds at_most) {
    const auto until = steady_clock::now() + at_most;
    while (!there()) {
        if (steady_clock::now() > until) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
}

function_config native_function(const context& ctx,
                                const std::string& name,
                                const std::string& guest) {
    function_config config;
    config.name = name;
    config.package = package::elf(ctx.guest(guest));
    return config;
}

result<response> invoke(function& fn, const std::string& payload, invoke_options options) {
    HEARTH_TRY(response reply, fn.invoke(payload, std::move(options)));
    if (!reply.ok()) return error(errc::invalid_argument, fn.name() + " failed: " + reply.payload);
    return reply;
}

double invoke_all(std::vector<call>& calls, const std::function<void()>& sampled) {
    asio::io_context io{1};
    std::size_t left = calls.size();
    asio::steady_timer timer(io);
    std::function<void()> tick = [&] {
        sampled();
        timer.expires_after(std::chrono::milliseconds(10));
        timer.async_wait([&](error_code ec) {
            if (!ec && left) tick();
        });
    };
    double last = 0;
    const auto start = steady_clock::now();
    for (call& c : calls)
        c.fn.async_invoke(
            c.payload, c.options,
            asio::bind_executor(io, [&, at = steady_clock::now()](error_code ec, response r) {
                c.us = us_since(at);
                c.failed = ec;
                c.reply = std::move(r);
                last = us_since(start);
                if (--left == 0) timer.cancel();
            }));
    if (sampled) tick();
    io.run();
    return last;
}

result<void> all_ok(const std::vector<call>& calls) {
    for (const call& c : calls) {
        if (c.failed) return error(c.failed, c.reply.payload);
        if (!c.reply.ok())
            return error(errc::invalid_argument, c.fn.name() + " failed: " + c.reply.payload);
    }
    return {};
}

result<memory_use> memory_in_use() {
    memory_use m;
    m.anonymous = kilobytes("/proc/self/smaps_rollup", "Anonymous");
    m.pss = kilobytes("/proc/self/smaps_rollup", "Pss");
    m.page_tables = kilobytes("/proc/self/status", "VmPTE");
    if (!m.anonymous) return error(errc::io_failed, "/proc/self/smaps_rollup cannot be read");
    std::error_code failure;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", failure)) {
        const auto target = std::filesystem::read_symlink(entry.path(), failure).string();
        struct ::stat s {};
        if (target.starts_with("/memfd:") &&
            ::fstat(std::stoi(entry.path().filename().string()), &s) == 0)
            m.memfd += static_cast<std::uint64_t>(s.st_blocks) * 512;
    }
    return m;
}

std::size_t thread_count() {
    std::size_t n = 0;
    std::error_code failure;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/self/task", failure))
        ++n;
    return n;
}

}  // namespace hearth::bench
