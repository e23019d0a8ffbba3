#include "machine.hpp"
#include "vmm/floor.hpp"

#include <hearth/error.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <iostream>

using namespace hearth::vmm;
using namespace hearth::vmm::test;
using Catch::Contains;

TEST_CASE("a missing device is named, with the cure") {
    const auto r = kvm::open("/nonexistent/kvm");
    REQUIRE(r.has_error());
    CHECK(r.error() == hearth::errc::kvm_missing);
    CHECK_THAT(r.error().message(),
               Contains("/nonexistent/kvm does not exist") && Contains("modprobe"));
}

TEST_CASE("a file that is no KVM device is said to be none") {
    const auto r = kvm::open("/dev/null");
    REQUIRE(r.has_error());
    CHECK(r.error() == hearth::errc::kvm_unsupported);
    CHECK_THAT(r.error().message(), Contains("/dev/null is not a KVM device"));
}

TEST_CASE("a device this user may not open is said to be forbidden, with the cure") {
    char name[] = "/tmp/hearth-test-XXXXXX";
    const int fd = mkstemp(name);
    REQUIRE(fd >= 0);
    close(fd);
    chmod(name, 0);
    const bool root = geteuid() == 0;
    constexpr uid_t nobody = 65534;
    if (root) REQUIRE(seteuid(nobody) == 0);
    const auto r = kvm::open(name);
    if (root) REQUIRE(seteuid(0) == 0);
    unlink(name);
    REQUIRE(r.has_error());
    CHECK(r.error() == hearth::errc::kvm_forbidden);
    CHECK_THAT(r.error().message(), Contains("group kvm") && Contains("root"));
}

TEST_CASE("a directory is an error too") { CHECK(kvm::open("/").has_error()); }

TEST_CASE("bad options are refused") {
    CHECK(vm::create(the_kvm(), {.memory = hearth::byte_count(0)}).has_error());
    CHECK(vm::create(the_kvm(), {.memory = hearth::byte_count(4096)}).has_error());
    CHECK(vm::create(the_kvm(), {.memory = hearth::byte_count(2u << 20), .kick_signal = 9})
              .has_error());
}

TEST_CASE("a process out of file descriptors is told there is no room") {
    (void)the_kvm();
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int lowest = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(lowest);
    for (int spare : {0, 1}) {
        rlimit tight = before;
        tight.rlim_cur = static_cast<rlim_t>(lowest + spare);
        REQUIRE(setrlimit(RLIMIT_NOFILE, &tight) == 0);
        const auto v = vm::create(the_kvm(), {.memory = hearth::byte_count(2u << 20)});
        REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
        REQUIRE(v.has_error());
        CHECK(v.error() == hearth::errc::no_room);
    }
}

TEST_CASE("creating and destroying microVMs leaks no descriptor") {
    const auto lowest = [] {
        const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        close(fd);
        return fd;
    };
    (void)the_kvm();
    const int before = lowest();
    constexpr int rounds = 5;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < rounds; i++) {
        auto v = vm::create(the_kvm(), {.memory = hearth::byte_count(2u << 20)});
        REQUIRE(v.has_value());
    }
    const auto each = (std::chrono::steady_clock::now() - start) / rounds;
    std::cout << "vm create + destroy: "
              << std::chrono::duration_cast<std::chrono::microseconds>(each).count() << " us\n";
    CHECK(lowest() == before);
}

TEST_CASE("two openings of KVM stand side by side") {
    const auto other = kvm::open();
    REQUIRE(other.has_value());
    CHECK(other->flavour() == the_kvm().flavour());
    CHECK(other->guest_xcr0() == the_kvm().guest_xcr0());
    std::cout << to_string(other->flavour()) << ", CR4 " << std::hex << other->guest_cr4()
              << ", XCR0 " << other->guest_xcr0() << std::dec << ", XSAVE " << other->xsave_size()
              << " bytes, " << other->loadable_xsave_size() << " by the loader\n";
}

TEST_CASE("the floor is measured") {
    const auto floor = measure_floor(the_kvm(), 500);
    REQUIRE(floor.has_value());
    CHECK(floor->p50.count() > 100);
    CHECK(floor->p50 <= floor->p99);
    CHECK(floor->p50 < std::chrono::milliseconds(5));
    std::cout << "floor: p50 " << floor->p50.count() << " ns, p99 " << floor->p99.count()
              << " ns\n";
}
