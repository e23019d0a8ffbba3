/// System calls without sense from several processes and threads. What is judged is the host: it
/// outlives them, says how the guest ended, and holds nothing afterwards that it did not hold
/// before.

#include "echo_server.hpp"
#include "programs.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace {

std::ptrdiff_t descriptors() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

/// Stops a guest that goes on for too long: ending by this is as good as any.
hearth::result<hearth::run_status> run_for(std::chrono::seconds limit, const std::string& seed) {
    const hearth::testing::echo_server outside;
    programs::ended e;
    auto options =
        programs::options_for({programs::guest("wild_calls"), seed, "1500",
                               std::to_string(outside.tcp_port), std::to_string(outside.udp_port)},
                              e);
    options.network = outside.named();
    options.memory = hearth::byte_count(64 << 20);
    std::stop_source stop;
    options.stop = stop.get_token();
    std::mutex mutex;
    std::condition_variable done;
    bool over = false;
    std::jthread watch([&] {
        std::unique_lock lock(mutex);
        if (!done.wait_for(lock, limit, [&] { return over; })) stop.request_stop();
    });
    auto ended = hearth::run_program(options);
    {
        const std::lock_guard lock(mutex);
        over = true;
    }
    done.notify_all();
    CHECK(e.errors.find("connect: ") == std::string::npos);
    return ended;
}

}  // namespace

TEST_CASE("senseless system calls of several tasks end with the guest") {
    const auto before = descriptors();
    for (const char* seed : {"11", "12", "13"}) {
        INFO(seed);
        const auto ended = run_for(std::chrono::seconds(20), seed);
        if (ended.has_error()) {
            // Stopped by us; a poisoned microVM would be another error.
            CHECK(ended.error().message().find("microVM") == std::string::npos);
            CHECK_FALSE(ended.error() == hearth::errc::sandbox_poisoned);
        }
    }
    CHECK(descriptors() == before);
}
