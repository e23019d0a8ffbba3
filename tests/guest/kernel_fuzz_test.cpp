#include "guest/sys/exchange.hpp"
#include "kernel_world.hpp"

#include <sys/syscall.h>

#include <random>

using namespace kernel_test;

namespace {

/// A root of tmpfs: files can be made and nothing of the host is seen.
std::shared_ptr<vfs::filesystem> some_files() {
    vfs::filesystem_options options;
    vfs::mount root;
    root.point = "/";
    root.what = vfs::mount::kind::tmpfs;
    options.mounts.push_back(root);
    options.tmp_size = 4_MiB;
    options.tmp_inodes = 256;
    return vfs::filesystem::create(std::move(options)).value();
}

std::uint64_t wild(std::mt19937_64& random) {
    switch (random() % 9) {
        case 0:
            return random();
        case 1:
            return random() % 16;
        case 2:
            return ~(random() % 16);
        case 3:
            return world::data + random() % world::data_size;
        case 4:
            return world::data + world::data_size - random() % 16;  // across the end
        case 5:
            return std::uint64_t{1} << random() % 64;
        case 6:
            return 0x7fff'ffff'f000 - random() % 64;
        case 7:
            return random() % 5000;
        default:
            return world::code + random() % 4096;
    }
}

}  // namespace

TEST_CASE("every number with wild arguments answers and never crashes") {
    const auto seed = GENERATE(1u, 2u, 3u);
    std::mt19937_64 random(seed);
    auto w = std::make_unique<world>(some_files());
    std::uint64_t calls = 0, parked = 0, fresh = 0;
    for (int round = 0; round < 12; ++round) {
        for (std::uint64_t n = 0; n <= 601; ++n) {
            std::uint64_t number = n == 601 ? HEARTH_SYS_EXCHANGE : n;
            if (number == SYS_exit || number == SYS_exit_group) continue;
            // Sensible bytes where pointers may point, so that calls get past their first check.
            for (int i = 0; i < 4; ++i) w->host.next_random = static_cast<std::uint8_t>(random());
            std::uint64_t word = wild(random);
            if (w->space().accessible(gva{world::data}, 4096, true))
                (void)w->space().write(gva{world::data + random() % 4000},
                                       std::as_bytes(std::span(&word, 1)));
            INFO("number " << number << " seed " << seed << " round " << round);
            auto s = w->step(number, {wild(random), wild(random), wild(random), wild(random),
                                      wild(random), wild(random)});
            ++calls;
            if (s.what == kind::parked) {
                ++parked;
                w->host.advance(std::chrono::hours{1});
                s = w->kernel->resume(w->regs);
            }
            // Whatever waits for good, has ended or is out of memory starts anew; so does one
            // without its area.
            if (s.what != kind::return_value && s.what != kind::set_registers) {
                w = std::make_unique<world>(some_files());
                ++fresh;
            }
            if (s.what == kind::return_value)
                CHECK(static_cast<std::int64_t>(s.rax) >= -4095);
        }
        const kernel_state copy = w->kernel->state();
        REQUIRE(copy == w->kernel->state());
    }
    CHECK(calls == 12 * 600);
    INFO(parked << " parked, " << fresh << " started anew");
    CHECK(fresh < calls / 4);
}

TEST_CASE("forged signal frames never break the kernel") {
    std::mt19937_64 random(7);
    int ended = 0;
    for (int i = 0; i < 200; ++i) {
        world w;
        for (std::uint64_t at = 0; at < 8192; at += 8) w.put(world::data + at, wild(random));
        w.regs.rsp = world::data + random() % 6000;
        const auto s = w.step(SYS_rt_sigreturn);
        const bool fine = s.what == kind::set_registers || s.what == kind::exited;
        REQUIRE(fine);
        if (s.what == kind::exited)
            ++ended;
        else
            CHECK(w.regs.rip < 0x7fff'ffff'f000);
    }
    CHECK(ended > 0);
}
