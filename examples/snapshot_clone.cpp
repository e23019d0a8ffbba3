// The lower floor, without functions or a scheduler: boots a guest program once, snapshots it when
// it is ready, and lets clones answer, each call in a clean sandbox.
//
//   snapshot_clone PROGRAM [COUNT]     build/<preset>/functions/native_hello_c/bootstrap, say

#include <hearth/sandbox.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <string>
#include <vector>

using namespace hearth::literals;
using std::chrono::steady_clock;

namespace {

/// Microseconds each of `count` rounds takes, as "p50 … p99 …".
template <class Round>
void measure(const char* what, std::size_t count, Round round) {
    std::vector<double> times;
    for (std::size_t i = 0; i < count; ++i) {
        const auto start = steady_clock::now();
        round();
        times.push_back(
            std::chrono::duration<double, std::micro>(steady_clock::now() - start).count());
    }
    std::sort(times.begin(), times.end());
    std::cout << std::left << std::setw(28) << what << std::right << std::fixed
              << std::setprecision(1) << " p50 " << std::setw(7) << times[count / 2] << " us  p99 "
              << std::setw(7) << times[count * 99 / 100] << " us\n";
}

}  // namespace

int main(int argc, char** argv) {
    const long wanted = argc == 3 ? std::atol(argv[2]) : 1000;
    if (argc < 2 || argc > 3 || wanted < 1) {
        std::cerr << "usage: snapshot_clone PROGRAM [COUNT]\n";
        return 2;
    }
    const auto count = static_cast<std::size_t>(wanted);
    const std::string event = R"({"name":"cat"})";
    try {
        const auto host = hearth::hypervisor::open().value();
        std::cout << host.flavour() << ", " << count << " times each\n";

        hearth::sandbox_config config;
        config.package = hearth::package::elf(argv[1]);
        config.memory = 64_MiB;
        const auto start = steady_clock::now();
        auto first = hearth::sandbox::create(host, config).value();
        const hearth::snapshot ready = first.snapshot_when_ready().value();  // init ran, once
        std::cout << "boot, init and snapshot: "
                  << std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() -
                                                                           start)
                         .count()
                  << " us; the snapshot holds " << ready.size().bytes() / 1024 << " KiB\n";

        std::size_t answered = 0;
        const auto call = [&](hearth::sandbox& box) { answered += box.call(event).value().ok(); };
        measure("call", count, [&] { call(first); });
        auto clone = ready.clone().value();
        call(clone);
        measure("reset + call", count, [&] {
            clone.reset().value();
            call(clone);
        });
        measure("new microVM, clone + call", count, [&] {
            auto fresh = ready.clone().value();
            call(fresh);
        });
        std::cout << answered << " calls answered; the last: " << first.call(event).value().payload
                  << '\n';
        return answered == 3 * count + 1 ? 0 : 1;
    } catch (const boost::system::system_error& e) {  // .value() of what could not be done
        std::cerr << "snapshot_clone: " << e.what() << '\n';
        return 1;
    }
}
