#include "stream/hash_key.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace hearth::streams {

hash_key hash_of(std::string_view partition_key) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    EVP_Digest(partition_key.data(), partition_key.size(), digest.data(), nullptr, EVP_md5(),
               nullptr);
    hash_key k = 0;
    for (std::size_t i = 0; i < sizeof k; ++i) k = k << 8 | digest[i];
    return k;
}

std::optional<hash_key> read_hash_key(std::string_view decimal) {
    if (decimal.empty() || (decimal[0] == '0' && decimal.size() > 1)) return std::nullopt;
    hash_key k = 0;
    for (const char c : decimal) {
        if (c < '0' || c > '9') return std::nullopt;
        const auto digit = static_cast<unsigned>(c - '0');
        if (k > (max_hash_key - digit) / 10) return std::nullopt;
        k = k * 10 + digit;
    }
    return k;
}

std::string to_decimal(hash_key k) {
    std::string digits;
    do {
        digits += static_cast<char>('0' + static_cast<int>(k % 10));
        k /= 10;
    } while (k != 0);
    std::ranges::reverse(digits);
    return digits;
}

std::string to_hex(hash_key k) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string hex(2 * sizeof k, '0');
    for (auto at = hex.rbegin(); at != hex.rend(); ++at, k >>= 4)
        *at = digits[static_cast<unsigned>(k & 15)];
    return hex;
}

hash_key from_hex(std::string_view hex) {
    hash_key k = 0;
    for (const char c : hex) k = k << 4 | static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
    return k;
}

std::vector<hash_range> divide(std::size_t n) {
    // 2^128 / n, which itself has no room in a key where n is 1.
    const hash_key size = max_hash_key / n + (max_hash_key % n + 1 == n ? 1 : 0);
    std::vector<hash_range> ranges(n);
    for (std::size_t i = 0; i < n; ++i) {
        ranges[i].first = size * i;
        ranges[i].last = i + 1 == n ? max_hash_key : size * (i + 1) - 1;
    }
    return ranges;
}

}  // namespace hearth::streams
