#pragma once

/// Hash keys: numbers below 2^128, which shards divide among them. Pure.
///
/// Source: Kinesis Data Streams Developer Guide, "Partition key": the MD5 of the partition key as a
/// 128-bit integer.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::streams {

__extension__ using hash_key = unsigned __int128;
inline constexpr hash_key max_hash_key = ~hash_key{0};

/// Both ends belong to it.
struct hash_range {
    hash_key first = 0, last = max_hash_key;
};

hash_key hash_of(std::string_view partition_key);

/// Decimal without leading zeros. Nothing: it is not that, or too large.
std::optional<hash_key> read_hash_key(std::string_view decimal);
std::string to_decimal(hash_key k);

/// 32 hex digits, which are ordered as the keys are: how they are stored.
std::string to_hex(hash_key k);
hash_key from_hex(std::string_view hex);

/// All keys, in `n` ranges (1 or more) of one size, but for the last one's rest.
std::vector<hash_range> divide(std::size_t n);

}  // namespace hearth::streams
