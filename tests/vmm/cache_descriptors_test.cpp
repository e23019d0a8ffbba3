#include "vmm/x86_64/cache_descriptors.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <cstring>
#include <initializer_list>

using hearth::vmm::cpuid_table;
using hearth::vmm::x86_64::name_caches;

namespace {

struct leaf {
    std::uint32_t function, index, eax, ebx, ecx, edx;
};

cpuid_table table_of(std::initializer_list<leaf> leaves) {
    cpuid_table t;
    for (const leaf& l : leaves) {
        kvm_cpuid_entry2& e = t.entries[t.header.nent++];
        e.function = l.function, e.index = l.index;
        e.eax = l.eax, e.ebx = l.ebx, e.ecx = l.ecx, e.edx = l.edx;
    }
    return t;
}

bool same(const cpuid_table& a, const cpuid_table& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

// 48 KiB, 32 KiB, 2 MiB and 480 MiB, as a Sapphire Rapids guest sees them.
constexpr leaf data{4, 0, 0x0400'0121, 0x02c0'003f, 0x3f, 0};
constexpr leaf instruction{4, 1, 0x0400'0122, 0x01c0'003f, 0x3f, 0};
constexpr leaf second{4, 2, 0x0400'0143, 0x03c0'003f, 0x7ff, 0};
constexpr leaf third{4, 3, 0x0400'4163, 0x03c0'003f, 0x77fff, 4};

}  // namespace

TEST_CASE("leaf 2 names the largest caches it can that are not larger than leaf 4's") {
    auto t = table_of({{1, 0, 1, 2, 3, 4},
                       {2, 0, 0x00fe'ff01, 0xf0, 0, 0},
                       data,
                       instruction,
                       second,
                       third,
                       {4, 4, 0, 0, 0, 0}});
    const auto before = t;
    name_caches(t);
    CHECK(t.entries[1].eax == 0x30fe'2c01);
    CHECK(t.entries[1].ebx == 0x00ec'7df0);
    CHECK(t.entries[1].ecx == 0);
    CHECK(t.entries[1].edx == 0);
    t.entries[1] = before.entries[1];
    CHECK(same(t, before));  // leaf 4 above all
}

TEST_CASE("a descriptor from 80H on never makes its register invalid") {
    // The only byte left in EAX is the top one; EBX holds none.
    auto t = table_of({{2, 0, 0x00fe'f001, 0x8000'0000, 0xff, 0}, third});
    name_caches(t);
    CHECK(t.entries[0].eax == 0x00fe'f001);
    CHECK(t.entries[0].ebx == 0x8000'0000);
    CHECK(t.entries[0].ecx == 0xec);
}

TEST_CASE("leaf 2 is left alone where it says all it can") {
    constexpr leaf asks{2, 0, 0x00fe'ff01, 0xf0, 0, 0};
    constexpr leaf fourth{4, 4, 0x0000'0183, 0x03c0'003f, 0xffff, 0};  // level 4 has no name
    constexpr leaf tiny{4, 0, 0x0000'0121, 0x0000'003f, 0x3f, 0};      // 4 KiB
    constexpr leaf wide{4, 0, 0x0000'0121, 0x01c0'007f, 0x3f, 0};      // lines of 128 bytes
    for (const auto& t :
         {table_of({{2, 0, 0, 0, 0, 0}, data}),  // AMD
          table_of({{2, 0, 0x0000'2c01, 0xf0, 0, 0}, third}), table_of({asks}),
          table_of({data, third}), table_of({asks, {4, 0, 0, 0, 0, 0}}),
          table_of({asks, data, fourth}), table_of({asks, tiny}), table_of({asks, wide}),
          // No byte is free.
          table_of({{2, 0, 0x0101'ff01, 0x0101'0101, 0x0101'0101, 0x0101'0101}, data, third})}) {
        auto after = t;
        name_caches(after);
        CHECK(same(after, t));
    }
}
