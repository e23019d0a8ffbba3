#pragma once

/// How sequence numbers, shards and places in them are written. Pure.

#include <hearth/data_stream.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::streams {

/// 56 digits, as AWS's have: of one length, so that they are ordered as texts too.
std::string write_sequence_number(std::int64_t n);
std::optional<std::int64_t> read_sequence_number(std::string_view text);

std::string write_shard_id(std::int64_t number);
/// Also of a shorter number. Nothing: it is no shard's id.
std::optional<std::int64_t> read_shard_id(std::string_view text);

/// Up to 128 letters, digits, '_', '.' and '-'.
bool is_stream_name(std::string_view name);

/// An iterator: the first sequence number of a shard that has not been read.
struct cursor {
    std::string stream;
    std::int64_t shard = 0;  ///< its row, which no other shard ever has
    std::int64_t next = 0;
    stream_time given{};
};
std::string write_iterator(const cursor& c);
std::optional<cursor> read_iterator(std::string_view text);

inline error fail(stream_errc code, std::string message) {
    return {make_error_code(code), std::move(message)};
}

}  // namespace hearth::streams
