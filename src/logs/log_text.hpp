#pragma once

/// A record of a log file as text: JSON of one shape, so that it is read without a JSON parser.
///     {"t":MILLISECONDS,"s":"STREAM","m":"MESSAGE"}\n

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::logs {

/// As a JSON string's inside. What is not UTF-8 becomes U+FFFD, a byte each.
void append_escaped(std::string& out, std::string_view text);
/// The reverse; what append_escaped does not write stays as it is.
std::string unescaped(std::string_view text);

/// `stream` needs no escaping (is_stream_name).
void append_record(std::string& out,
                   std::int64_t timestamp_ms,
                   std::string_view stream,
                   std::string_view message);

struct record_view {
    std::int64_t timestamp_ms = 0;
    std::string_view stream;
    std::string_view message;  ///< escaped
};
/// Of a line without its '\n'. Nothing: it is none, or was cut.
std::optional<record_view> parse_record(std::string_view line);

/// What stands at the beginning of a file.
std::string make_header(std::string_view group, std::int64_t created_ms);
/// When the file was begun. Nothing: no header of this format.
std::optional<std::int64_t> parse_header(std::string_view line);

/// The characters that AWS allows, at most 512. @source CloudWatch Logs API, CreateLogGroup
bool is_group_name(std::string_view name);
bool is_stream_name(std::string_view name);
/// A group's directory below that of all logs: '+' for '/', '%' for a '.' at the start; what is too
/// long for a file name goes on in a directory within. @pre is_group_name
std::string directory_of_group(std::string_view name);
/// The reverse.
std::string group_of_directory(std::string_view relative);

/// Where to cut a text that is longer than `limit`, not within a UTF-8 sequence.
std::size_t cut_at(std::string_view text, std::size_t limit);

}  // namespace hearth::logs
