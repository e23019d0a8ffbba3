#include "guest/exec/vdso_image.hpp"
#include "guest/exec/vvar_clock.hpp"
#include "image/elf.hpp"

#include <catch2/catch.hpp>

#include <elf.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <x86intrin.h>

#include <cstring>
#include <ctime>
#include <map>
#include <random>
#include <string>

using namespace hearth;
using namespace hearth::guest;
using namespace hearth::guest::exec;
namespace layout = vmm::layout;

namespace {

using std::chrono::nanoseconds;

nanoseconds host_now(int clock) {
    timespec ts{};
    ::clock_gettime(clock, &ts);
    return nanoseconds(ts.tv_sec * 1'000'000'000LL + ts.tv_nsec);
}

/// The vDSO in this process, above a vvar page of its own.
struct loaded_vdso {
    loaded_vdso() {
        const std::size_t size = (1 + layout::vdso_pages) * 4096;
        void* p = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        REQUIRE(p != MAP_FAILED);
        memory = mapping(p, size);
        std::memcpy(memory.data() + 4096, vdso_image().data(), vdso_image().size());
        REQUIRE(::mprotect(memory.data() + 4096, size - 4096, PROT_READ | PROT_EXEC) == 0);
        vvar = reinterpret_cast<vmm::vvar*>(memory.data());
        read_symbols();
    }
    /// As libc does: PT_DYNAMIC, DT_SYMTAB, DT_STRTAB, DT_HASH for the count.
    void read_symbols() {
        const std::byte* base = memory.data() + 4096;
        Elf64_Ehdr h;
        std::memcpy(&h, base, sizeof h);
        const auto* ph = reinterpret_cast<const Elf64_Phdr*>(base + h.e_phoff);
        const Elf64_Sym* table = nullptr;
        const char* strings = nullptr;
        const std::uint32_t* hash = nullptr;
        for (int i = 0; i < h.e_phnum; ++i) {
            if (ph[i].p_type != PT_DYNAMIC) continue;
            for (auto* d = reinterpret_cast<const Elf64_Dyn*>(base + ph[i].p_vaddr);
                 d->d_tag != DT_NULL; ++d) {
                if (d->d_tag == DT_SYMTAB)
                    table = reinterpret_cast<const Elf64_Sym*>(base + d->d_un.d_ptr);
                if (d->d_tag == DT_STRTAB)
                    strings = reinterpret_cast<const char*>(base + d->d_un.d_ptr);
                if (d->d_tag == DT_HASH)
                    hash = reinterpret_cast<const std::uint32_t*>(base + d->d_un.d_ptr);
                if (d->d_tag == DT_SONAME) soname = d->d_un.d_val;
                CHECK(d->d_tag != DT_RELA);
                CHECK(d->d_tag != DT_REL);
            }
        }
        REQUIRE(table);
        REQUIRE(strings);
        REQUIRE(hash);
        CHECK(std::string(strings + soname) == "linux-vdso.so.1");
        for (std::uint32_t i = 0; i < hash[1]; ++i)
            symbols[strings + table[i].st_name] = base + table[i].st_value;
    }
    template <class F>
    F* function(const char* name) {
        REQUIRE(symbols.contains(name));
        return reinterpret_cast<F*>(reinterpret_cast<std::uintptr_t>(symbols[name]));
    }

    mapping memory;
    vmm::vvar* vvar = nullptr;
    std::uint64_t soname = 0;
    std::map<std::string, const std::byte*> symbols;
};

std::uint64_t measured_tsc_khz() {
    const auto t0 = host_now(CLOCK_MONOTONIC);
    const auto c0 = __rdtsc();
    while (host_now(CLOCK_MONOTONIC) - t0 < std::chrono::milliseconds(20)) {
    }
    const auto c1 = __rdtsc();
    return (c1 - c0) * 1'000'000 /
           static_cast<std::uint64_t>((host_now(CLOCK_MONOTONIC) - t0).count());
}

}  // namespace

TEST_CASE("the vDSO is one read-only executable segment at zero that fits its pages") {
    REQUIRE(vdso_image().size() <= layout::vdso_pages * 4096);
    const auto plan = image::read_elf(vdso_image(), vdso_image().size());
    REQUIRE(plan.has_value());
    REQUIRE(plan->segments.size() == 1);
    CHECK(plan->segments[0].address == 0);
    CHECK(plan->segments[0].offset == 0);
    CHECK(plan->segments[0].file_size == plan->segments[0].memory_size);
    CHECK(plan->segments[0].execute);
    CHECK(!plan->segments[0].write);
    auto memory = vmm::guest_memory::create(byte_count(2 << 20)).value();
    install_vdso(memory);
    CHECK(std::memcmp(memory.at(layout::vdso, 4096), vdso_image().data(), vdso_image().size()) ==
          0);
}

TEST_CASE("the vDSO tells the host's time from the page before it") {
    loaded_vdso v;
    const auto gettime = v.function<int(int, timespec*)>("__vdso_clock_gettime");
    refresh_clock(*v.vvar, measured_tsc_khz(),
                  {__rdtsc(), host_now(CLOCK_MONOTONIC), host_now(CLOCK_REALTIME)});
    for (const int clock :
         {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE}) {
        timespec ts{};
        REQUIRE(gettime(clock, &ts) == 0);
        const auto shown = nanoseconds(ts.tv_sec * 1'000'000'000LL + ts.tv_nsec);
        const auto is = host_now(clock == CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC);
        CHECK(std::chrono::abs(shown - is) < std::chrono::milliseconds(2));
    }
    timeval tv{};
    REQUIRE(v.function<int(timeval*, struct timezone*)>("__vdso_gettimeofday")(&tv, nullptr) == 0);
    CHECK(std::abs(tv.tv_sec - ::time(nullptr)) <= 1);
    time_t t = 0;
    CHECK(std::abs(v.function<long(time_t*)>("__vdso_time")(&t) - ::time(nullptr)) <= 1);
    CHECK(t != 0);
    timespec resolution{};
    REQUIRE(v.function<int(int, timespec*)>("__vdso_clock_getres")(CLOCK_MONOTONIC, &resolution) ==
            0);
    CHECK(resolution.tv_nsec == 1);
    unsigned cpu = 7, node = 7;
    CHECK(v.function<long(unsigned*, unsigned*, void*)>("__vdso_getcpu")(&cpu, &node, nullptr) ==
          0);
    CHECK(cpu == 0);
    CHECK(node == 0);
}

TEST_CASE("clocks that the page does not hold become system calls") {
    loaded_vdso v;  // no clock written: even CLOCK_MONOTONIC
    const auto gettime = v.function<int(int, timespec*)>("__vdso_clock_gettime");
    timespec ts{};
    REQUIRE(gettime(CLOCK_MONOTONIC, &ts) == 0);
    CHECK(std::abs(ts.tv_sec - host_now(CLOCK_MONOTONIC).count() / 1'000'000'000) <= 1);
    refresh_clock(*v.vvar, 3'000'000, {__rdtsc(), nanoseconds(5), nanoseconds(6)});
    REQUIRE(gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) == 0);
    CHECK(ts.tv_sec < 100);
    CHECK(gettime(12345, &ts) == -EINVAL);
}

TEST_CASE("a TSC scale is exact to a part in a billion") {
    for (const std::uint64_t khz :
         {1'000ULL, 999'999ULL, 1'000'000ULL, 2'449'998ULL, 3'000'000ULL, 5'700'000ULL}) {
        const tsc_scale s = scale_of(khz);
        REQUIRE(s.mul != 0);
        const double rate =
            static_cast<double>(s.mul) / static_cast<double>(std::uint64_t{1} << s.shift);
        CHECK(rate * static_cast<double>(khz) / 1e6 == Approx(1.0).epsilon(1e-9));
    }
    CHECK(scale_of(0) == tsc_scale{});
    CHECK(scale_of(~0ULL) == tsc_scale{});
}

TEST_CASE("guest monotonic time never steps back, whatever is refreshed") {
    std::mt19937_64 random(7);
    vmm::vvar v{};
    std::uint64_t tsc = 1'000'000;
    std::int64_t host = 50'000'000'000;
    nanoseconds last{};
    for (int i = 0; i < 20'000; ++i) {
        tsc += random() % 10'000'000;
        host += static_cast<std::int64_t>(random() % 4'000'000);
        if (random() % 3 == 0) {
            // The host's clock and the TSC disagree about speed. The TSC may start anew in another
            // VM; the caller then brings the time that the guest had reached.
            if (random() % 50 == 0) {
                tsc = random() % 1'000;
                host = std::max(host, last.count());
            }
            refresh_clock(v, 2'000'000 + random() % 2'000'000,
                          {tsc, nanoseconds(host), nanoseconds(host)});
            REQUIRE(v.realtime_ns0 == static_cast<std::uint64_t>(host));
        }
        const nanoseconds now = monotonic_at(v, tsc);
        REQUIRE(now >= last);
        last = now;
    }
    // A year without a refresh does not overflow.
    const nanoseconds year = std::chrono::hours(24 * 365);
    refresh_clock(v, 3'000'000, {0, last, nanoseconds(0)});
    const nanoseconds after = monotonic_at(v, 3'000'000ULL * 1000 * 3600 * 24 * 365);
    CHECK(std::chrono::abs(after - monotonic_at(v, 0) - year) < std::chrono::milliseconds(50));
}
