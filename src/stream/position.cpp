#include "stream/position.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace hearth::streams {
namespace {

constexpr std::string_view shard_prefix = "shardId-";
constexpr std::string_view sequence_prefix = "49";
constexpr std::size_t sequence_digits = 56;
constexpr std::size_t max_name = 128;

std::optional<std::int64_t> read_digits(std::string_view text) {
    std::int64_t n = 0;
    const char* const end = text.data() + text.size();
    const auto [at, ec] = std::from_chars(text.data(), end, n);
    if (text.empty() || text[0] == '-' || ec != std::errc() || at != end) return std::nullopt;
    return n;
}

}  // namespace

std::string write_sequence_number(std::int64_t n) {
    return fmt::format("{}{:0{}}", sequence_prefix, n, sequence_digits - sequence_prefix.size());
}

std::optional<std::int64_t> read_sequence_number(std::string_view text) {
    if (text.size() != sequence_digits || !text.starts_with(sequence_prefix)) return std::nullopt;
    return read_digits(text.substr(sequence_prefix.size()));
}

std::string write_shard_id(std::int64_t number) {
    return fmt::format("{}{:012}", shard_prefix, number);
}

std::optional<std::int64_t> read_shard_id(std::string_view text) {
    if (text.starts_with(shard_prefix)) text.remove_prefix(shard_prefix.size());
    return read_digits(text);
}

bool is_stream_name(std::string_view name) {
    return !name.empty() && name.size() <= max_name && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-' || c == '.';
    });
}

std::string write_iterator(const cursor& c) {
    return fmt::format("{:016x}{:016x}{:016x}{}", static_cast<std::uint64_t>(c.shard),
                       static_cast<std::uint64_t>(c.next),
                       static_cast<std::uint64_t>(c.given.time_since_epoch().count()), c.stream);
}

std::optional<cursor> read_iterator(std::string_view text) {
    constexpr std::size_t digits = 16;
    std::array<std::int64_t, 3> numbers{};
    if (text.size() <= digits * numbers.size()) return std::nullopt;
    for (std::int64_t& n : numbers) {
        std::uint64_t read = 0;
        const auto [end, ec] = std::from_chars(text.data(), text.data() + digits, read, 16);
        if (ec != std::errc() || end != text.data() + digits || read > INT64_MAX)
            return std::nullopt;
        n = static_cast<std::int64_t>(read);
        text.remove_prefix(digits);
    }
    if (!is_stream_name(text)) return std::nullopt;
    return cursor{.stream = std::string(text),
                  .shard = numbers[0],
                  .next = numbers[1],
                  .given = stream_time(std::chrono::milliseconds(numbers[2]))};
}

}  // namespace hearth::streams
