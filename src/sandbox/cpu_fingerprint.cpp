#include "sandbox/cpu_fingerprint.hpp"

#include "image/sha256.hpp"

#include <fmt/format.h>

#include <cpuid.h>
#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <string_view>

namespace hearth::detail {
namespace {

struct leaf {
    std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

leaf cpuid(std::uint32_t number, std::uint32_t sub = 0) noexcept {
    leaf l;
    __cpuid_count(number, sub, l.eax, l.ebx, l.ecx, l.edx);
    return l;
}

constexpr std::uint32_t osxsave = 1u << 27;

[[gnu::target("xsave")]] std::uint64_t enabled_components() noexcept { return _xgetbv(0); }

}  // namespace

// SDM vol. 2, CPUID. Left out is what differs between the CPUs of one machine or from one moment
// to the next: APIC ids (leaf 1 EBX, leaf 0BH), and the sizes that follow IA32_XSS (leaf 0DH.1).
std::string cpu_fingerprint() {
    const leaf basic = cpuid(0);
    char vendor[12];
    std::memcpy(vendor, &basic.ebx, 4);
    std::memcpy(vendor + 4, &basic.edx, 4);
    std::memcpy(vendor + 8, &basic.ecx, 4);
    const leaf one = cpuid(1);
    std::uint32_t family = one.eax >> 8 & 0xf, model = one.eax >> 4 & 0xf;
    if (family == 6 || family == 15) model |= (one.eax >> 16 & 0xf) << 4;
    if (family == 15) family += one.eax >> 20 & 0xff;

    std::string features;
    const auto add = [&](std::uint64_t word) { features += fmt::format("{:x} ", word); };
    add(one.eax), add(one.ecx), add(one.edx);
    if (basic.eax >= 7) {
        const leaf seven = cpuid(7);
        add(seven.ebx), add(seven.ecx), add(seven.edx);
        for (std::uint32_t sub = 1; sub <= seven.eax && sub < 8; ++sub) {
            const leaf more = cpuid(7, sub);
            add(more.eax), add(more.ebx), add(more.ecx), add(more.edx);
        }
    }
    const std::uint32_t extended = cpuid(0x8000'0000).eax;
    if (extended >= 0x8000'0001) add(cpuid(0x8000'0001).ecx), add(cpuid(0x8000'0001).edx);
    if (extended >= 0x8000'0007) add(cpuid(0x8000'0007).edx);
    if (extended >= 0x8000'0008) add(cpuid(0x8000'0008).ebx);
    if (basic.eax >= 0xd && (one.ecx & osxsave)) {
        const leaf area = cpuid(0xd);
        add(enabled_components());
        add(area.eax), add(area.edx), add(area.ebx), add(area.ecx);
        add(cpuid(0xd, 1).eax);
        const std::uint64_t components = std::uint64_t{area.edx} << 32 | area.eax;
        for (std::uint32_t sub = 2; sub < 63; ++sub)
            if (components >> sub & 1) add(cpuid(0xd, sub).eax), add(cpuid(0xd, sub).ebx);
    }
    return fmt::format("{} family {} model {} stepping {}, features {}",
                       std::string_view(vendor, sizeof vendor), family, model, one.eax & 0xf,
                       image::to_hex(image::sha256_of(features)));
}

}  // namespace hearth::detail
