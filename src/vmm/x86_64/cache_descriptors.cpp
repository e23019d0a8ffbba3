#include "vmm/x86_64/cache_descriptors.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace hearth::vmm::x86_64 {
namespace {

/// Leaf 4, EAX[4:0] (SDM vol. 2, "CPUID", "Deterministic Cache Parameters Leaf").
enum class cache_type : std::uint32_t { none = 0, data = 1, instruction = 2, unified = 3 };

struct descriptor {
    std::uint8_t code;
    std::uint32_t level;
    cache_type type;
    std::uint32_t kibibytes;
};

/// Caches with 64-byte lines (SDM vol. 2, "Encoding of CPUID Leaf 2 Descriptors").
constexpr descriptor vocabulary[] = {
    {0x0d, 1, cache_type::data, 16},       {0x0e, 1, cache_type::data, 24},
    {0x2c, 1, cache_type::data, 32},       {0x30, 1, cache_type::instruction, 32},
    {0x21, 2, cache_type::unified, 256},   {0x80, 2, cache_type::unified, 512},
    {0x87, 2, cache_type::unified, 1024},  {0x7d, 2, cache_type::unified, 2048},
    {0x48, 2, cache_type::unified, 3072},  {0x4e, 2, cache_type::unified, 6144},
    {0xd0, 3, cache_type::unified, 512},   {0xd6, 3, cache_type::unified, 1024},
    {0xe2, 3, cache_type::unified, 2048},  {0xe3, 3, cache_type::unified, 4096},
    {0xe4, 3, cache_type::unified, 8192},  {0xea, 3, cache_type::unified, 12288},
    {0xeb, 3, cache_type::unified, 18432}, {0xec, 3, cache_type::unified, 24576},
};

constexpr std::uint8_t ask_leaf_4 = 0xff;

/// The descriptor of a cache; 0: none fits.
std::uint8_t descriptor_of(const kvm_cpuid_entry2& cache) noexcept {
    const auto type = static_cast<cache_type>(cache.eax & 0x1f);
    const std::uint32_t level = cache.eax >> 5 & 7;
    const std::uint64_t ways = (cache.ebx >> 22) + 1, partitions = (cache.ebx >> 12 & 0x3ff) + 1;
    const std::uint64_t line = (cache.ebx & 0xfff) + 1, sets = std::uint64_t{cache.ecx} + 1;
    if (line != 64) return 0;
    const std::uint64_t bytes = ways * partitions * line * sets;
    const descriptor* best = nullptr;
    for (const descriptor& d : vocabulary) {
        if (d.level != level || d.type != type || d.kibibytes * std::uint64_t{1024} > bytes)
            continue;
        if (!best || d.kibibytes > best->kibibytes) best = &d;
    }
    return best ? best->code : std::uint8_t{0};
}

/// The fifteen descriptor bytes of leaf 2, after AL, which counts. A register with bit 31 set holds
/// none.
class descriptor_bytes {
  public:
    explicit descriptor_bytes(kvm_cpuid_entry2& leaf) noexcept
        : registers_{&leaf.eax, &leaf.ebx, &leaf.ecx, &leaf.edx} {}

    static constexpr std::size_t count = 15;
    [[nodiscard]] bool valid(std::size_t i) const noexcept { return !(reg(i) >> 31); }
    [[nodiscard]] std::uint8_t get(std::size_t i) const noexcept {
        return static_cast<std::uint8_t>(reg(i) >> shift(i));
    }
    /// False where the byte is the top one of a register and would make it invalid.
    [[nodiscard]] static bool fits(std::size_t i, std::uint8_t code) noexcept {
        return shift(i) != 24 || code < 0x80;
    }
    void set(std::size_t i, std::uint8_t code) noexcept {
        std::uint32_t& r = *registers_[(i + 1) / 4];
        r = (r & ~(std::uint32_t{0xff} << shift(i))) | std::uint32_t{code} << shift(i);
    }

  private:
    [[nodiscard]] std::uint32_t reg(std::size_t i) const noexcept {
        return *registers_[(i + 1) / 4];
    }
    static unsigned shift(std::size_t i) noexcept { return static_cast<unsigned>((i + 1) % 4 * 8); }
    std::uint32_t* registers_[4];
};

}  // namespace

void name_caches(cpuid_table& table) noexcept {
    const std::span entries(table.entries,
                            std::min<std::size_t>(table.header.nent, cpuid_table::capacity));
    const auto leaf2 = std::ranges::find(entries, 2u, &kvm_cpuid_entry2::function);
    if (leaf2 == entries.end() || (leaf2->eax & 0xff) != 1) return;

    kvm_cpuid_entry2 named = *leaf2;
    descriptor_bytes bytes(named);
    bool asks = false, answered = false;
    for (std::size_t i = 0; i < descriptor_bytes::count; ++i)
        if (bytes.valid(i) && bytes.get(i) == ask_leaf_4) {
            asks = true;
            bytes.set(i, 0);
        }
    for (const kvm_cpuid_entry2& e : entries) {
        if (e.function != 4 || (e.eax & 0x1f) == static_cast<std::uint32_t>(cache_type::none))
            continue;
        const std::uint8_t code = descriptor_of(e);
        if (code == 0) return;
        std::size_t i = 0;
        while (i < descriptor_bytes::count &&
               !(bytes.valid(i) && bytes.get(i) == 0 && descriptor_bytes::fits(i, code)))
            ++i;
        if (i == descriptor_bytes::count) return;
        bytes.set(i, code);
        answered = true;
    }
    if (asks && answered) *leaf2 = named;
}

}  // namespace hearth::vmm::x86_64
