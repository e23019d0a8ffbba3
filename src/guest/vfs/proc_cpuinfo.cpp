#include "guest/vfs/proc_cpuinfo.hpp"

#include "vmm/x86_64/layout.hpp"
#include "vmm/x86_64/vvar.hpp"

#include <fmt/format.h>

#include <cpuid.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace hearth::guest::vfs::proc {
namespace {

struct leaf {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};
leaf cpuid(unsigned number, unsigned sub = 0) {
    leaf l;
    __get_cpuid_count(number, sub, &l.eax, &l.ebx, &l.ecx, &l.edx);
    return l;
}

struct flag {
    const char* name;
    unsigned leaf;
    unsigned leaf::*reg;
    int bit;
};
/// Names as in the kernel's arch/x86/include/asm/cpufeatures.h; those that programs look for.
constexpr flag flags[] = {
    {"fpu", 1, &leaf::edx, 0},          {"tsc", 1, &leaf::edx, 4},
    {"cx8", 1, &leaf::edx, 8},          {"cmov", 1, &leaf::edx, 15},
    {"clflush", 1, &leaf::edx, 19},     {"mmx", 1, &leaf::edx, 23},
    {"fxsr", 1, &leaf::edx, 24},        {"sse", 1, &leaf::edx, 25},
    {"sse2", 1, &leaf::edx, 26},        {"pni", 1, &leaf::ecx, 0},
    {"pclmulqdq", 1, &leaf::ecx, 1},    {"ssse3", 1, &leaf::ecx, 9},
    {"fma", 1, &leaf::ecx, 12},         {"cx16", 1, &leaf::ecx, 13},
    {"sse4_1", 1, &leaf::ecx, 19},      {"sse4_2", 1, &leaf::ecx, 20},
    {"movbe", 1, &leaf::ecx, 22},       {"popcnt", 1, &leaf::ecx, 23},
    {"aes", 1, &leaf::ecx, 25},         {"xsave", 1, &leaf::ecx, 26},
    {"avx", 1, &leaf::ecx, 28},         {"f16c", 1, &leaf::ecx, 29},
    {"rdrand", 1, &leaf::ecx, 30},      {"hypervisor", 1, &leaf::ecx, 31},
    {"bmi1", 7, &leaf::ebx, 3},         {"avx2", 7, &leaf::ebx, 5},
    {"bmi2", 7, &leaf::ebx, 8},         {"erms", 7, &leaf::ebx, 9},
    {"avx512f", 7, &leaf::ebx, 16},     {"avx512dq", 7, &leaf::ebx, 17},
    {"rdseed", 7, &leaf::ebx, 18},      {"adx", 7, &leaf::ebx, 19},
    {"clflushopt", 7, &leaf::ebx, 23},  {"avx512cd", 7, &leaf::ebx, 28},
    {"sha_ni", 7, &leaf::ebx, 29},      {"avx512bw", 7, &leaf::ebx, 30},
    {"avx512vl", 7, &leaf::ebx, 31},    {"vaes", 7, &leaf::ecx, 9},
    {"vpclmulqdq", 7, &leaf::ecx, 10},  {"syscall", 0x80000001, &leaf::edx, 11},
    {"nx", 0x80000001, &leaf::edx, 20}, {"rdtscp", 0x80000001, &leaf::edx, 27},
    {"lm", 0x80000001, &leaf::edx, 29}, {"lahf_lm", 0x80000001, &leaf::ecx, 0},
    {"abm", 0x80000001, &leaf::ecx, 5},
};

/// Of the time stamp counter, which counts at the processor's nominal rate; 0: nobody has set it.
double megahertz(const vmm::guest_memory& memory) {
    vmm::vvar v;
    std::memcpy(&v, memory.base() + vmm::layout::vvar.value, sizeof v);
    return v.mul == 0 || v.shift > 63 ? 0 : static_cast<double>(1ull << v.shift) * 1000 / v.mul;
}

}  // namespace

std::string cpuinfo(const vmm::guest_memory& memory) {
    const leaf zero = cpuid(0), one = cpuid(1);
    std::array<char, 13> vendor{};
    std::memcpy(vendor.data(), &zero.ebx, 4);
    std::memcpy(vendor.data() + 4, &zero.edx, 4);
    std::memcpy(vendor.data() + 8, &zero.ecx, 4);
    unsigned family = (one.eax >> 8) & 15, model = (one.eax >> 4) & 15;
    if (family == 6 || family == 15) model |= ((one.eax >> 16) & 15) << 4;
    if (family == 15) family += (one.eax >> 20) & 255;
    std::array<char, 49> brand{};
    for (unsigned i = 0; i < 3; ++i) {
        const leaf l = cpuid(0x80000002 + i);
        std::memcpy(brand.data() + 16 * i, &l, 16);
    }
    std::string names;
    for (const flag& f : flags) {
        const leaf l = cpuid(f.leaf);
        if ((l.*f.reg >> f.bit) & 1) names += fmt::format(" {}", f.name);
    }
    std::string rate, bogomips;
    if (const double mhz = megahertz(memory); mhz > 0) {
        rate = fmt::format("cpu MHz\t\t: {:.3f}\n", mhz);
        bogomips = fmt::format("bogomips\t: {:.2f}\n", 2 * mhz);
    }
    return fmt::format(
        "processor\t: 0\nvendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: "
        "{}\nstepping\t: {}\n{}"
        "physical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\nfpu\t\t: "
        "yes\nflags\t\t:{}\n{}"
        "clflush size\t: 64\ncache_alignment\t: 64\naddress sizes\t: 48 bits physical, 48 bits "
        "virtual\n\n",
        vendor.data(), family, model, brand.data(), one.eax & 15, rate, names, bogomips);
}

}  // namespace hearth::guest::vfs::proc
