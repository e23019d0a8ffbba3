#include "command.hpp"

#include <unistd.h>

#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

namespace hearth::cli {

int complain(const std::string& sentence) {
    std::fprintf(stderr, "hearth: %s\n", sentence.c_str());
    return 1;
}

result<byte_count> parse_memory(const std::string& text) {
    static const std::map<std::string, unsigned> shifts = {
        {"", 20},   {"K", 10},   {"KB", 10}, {"KiB", 10}, {"M", 20},
        {"MB", 20}, {"MiB", 20}, {"G", 30},  {"GB", 30},  {"GiB", 30}};
    std::uint64_t number = 0;
    const auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    const auto shift = shifts.find(std::string(rest, text.data() + text.size()));
    if (failure != std::errc() || shift == shifts.end() || number == 0 || number >= 1ull << 24)
        return error(errc::invalid_argument,
                     "'" + text + "' is not an amount of memory, such as 256 (MB), 512M or 1G");
    return byte_count(number << shift->second);
}

std::string usual_handler(const std::string& runtime) {
    if (runtime.starts_with("python")) return "lambda_function.lambda_handler";
    return runtime.starts_with("nodejs") ? "index.handler" : "bootstrap";
}

void add_network_option(CLI::App& app, std::string& network) {
    app.add_option("--network", network,
                   "What it may reach: none, all, or a list of host:port, address(:port) and "
                   "network/prefix(:port), by commas; this machine only where an entry names it "
                   "(127.0.0.1:5432)")
        ->type_name("none|all|LIST")
        ->capture_default_str();
}

result<std::map<std::string, std::string>> parse_environment(
    const std::vector<std::string>& settings) {
    std::map<std::string, std::string> environment;
    for (const std::string& setting : settings) {
        const auto equals = setting.find('=');
        if (equals == std::string::npos || equals == 0)
            return error(errc::invalid_argument, "'" + setting + "' is not NAME=VALUE");
        environment[setting.substr(0, equals)] = setting.substr(equals + 1);
    }
    return environment;
}

result<package> package_at(const std::string& path) {
    std::error_code failure;
    const auto status = std::filesystem::status(path, failure);
    if (!std::filesystem::exists(status))
        return error(errc::bad_package, path + ": no such file or directory");
    if (std::filesystem::is_directory(status)) return package::directory(path);
    std::ifstream file(path, std::ios::binary);
    char magic[4] = {};
    if (!file.read(magic, sizeof magic) && !file.eof())
        return error(errc::io_failed, path + ": cannot be read");
    const std::string_view start(magic, sizeof magic);
    if (start ==
        "\x7f"
        "ELF")
        return package::elf(path);
    if (start.starts_with("PK")) return package::zip(path);
    return error(errc::bad_package, path + ": neither a zip, nor an ELF program, nor a directory");
}

struct progress::impl {
    std::mutex mutex;  // guards done
    std::condition_variable changed;
    bool done = false;
    std::thread teller;
};

progress::progress(std::string what, bool verbose) {
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    if (!terminal && !verbose) return;
    impl_ = std::make_unique<impl>();
    impl_->teller = std::thread([state = impl_.get(), what = std::move(what), terminal] {
        const auto start = std::chrono::steady_clock::now();
        std::unique_lock lock(state->mutex);
        bool said = false;
        while (!state->changed.wait_for(lock, std::chrono::seconds(1),
                                        [state] { return state->done; })) {
            const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(
                std::chrono::steady_clock::now() - start);
            // One line that counts on a terminal; a single line in a log.
            if (terminal)
                std::fprintf(stderr, "\rhearth: %s, %ld s ", what.c_str(),
                             static_cast<long>(seconds.count()));
            else if (!said)
                std::fprintf(stderr, "hearth: %s\n", what.c_str());
            said = true;
        }
        if (said && terminal) std::fputs("\r\033[K", stderr);
    });
}

progress::~progress() {
    if (!impl_) return;
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->done = true;
    }
    impl_->changed.notify_one();
    impl_->teller.join();
}

}  // namespace hearth::cli
