#pragma once

/// The functions' logs on disk: what each invocation and init wrote, and Lambda's own lines around
/// it (START, END, REPORT, INIT_REPORT, or with LogFormat JSON their platform records).
///
/// Names are AWS's. A log group is "/aws/lambda/NAME", or the function's LoggingConfig.LogGroup; a
/// log stream "YYYY/MM/DD/[VERSION]HEX32" is an execution environment's. Environments that are
/// clones of a snapshot write to the stream of the environment that the snapshot was taken of: its
/// name stands in their memory as AWS_LAMBDA_LOG_STREAM_NAME, where no clone could be told another.
///
/// Nothing waits for the disk: lines go to one thread through a bounded queue, and what finds it
/// full, or the disk, is lost, counted (metrics::logs) and told to the observer once.
///
/// The files are text: a directory for each group below `log_options::directory`, named for it with
/// '+' for '/'; in it 00000001.log, 00000002.log, …, each of JSON lines:
///
///     {"hearth":"log","format":1,"group":"/aws/lambda/hello","created":1764244800000}
///     {"t":1764244800123,"s":"2025/11/27/[$LATEST]0123…","m":"START RequestId: …\n"}
///
/// t: milliseconds since 1970, when it was written; s: the stream; m: the message, one line as a
/// rule, as UTF-8. A last line that was cut off by a crash is skipped by who reads.

#include <hearth/error.hpp>
#include <hearth/units.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

struct log_options {
    /// Made if absent. Empty: no logs are kept.
    std::filesystem::path directory{};
    /// A file that has grown to this is followed by a new one. Who reads holds one in memory.
    byte_count file_size = byte_count(8u << 20);
    /// Of a group, at least two; the oldest are removed.
    std::size_t files_per_group = 8;
    /// What may wait for the disk.
    byte_count queue_size = byte_count(8u << 20);
};

/// Where a record stands in its group: before every later one.
struct log_position {
    std::uint64_t file = 0;    ///< the number in its name
    std::uint64_t offset = 0;  ///< of the record in the file
    auto operator<=>(const log_position&) const = default;
};

struct log_event {
    log_position at{};  ///< stays the event's as long as it is kept
    std::int64_t timestamp_ms = 0;
    std::string stream{};
    std::string message{};
};

struct log_group {
    std::string name{};
    std::int64_t created_ms = 0;
    byte_count stored{};
};

struct log_stream {
    std::string name{};
    std::int64_t first_event_ms = 0, last_event_ms = 0;
    byte_count stored{};
};

struct log_query {
    std::string group{};
    std::vector<std::string> streams{};  ///< empty: all
    std::string stream_prefix{};
    std::int64_t from_ms = 0;  ///< inclusive, as `to_ms`
    std::int64_t to_ms = std::numeric_limits<std::int64_t>::max();
    std::function<bool(std::string_view message)> matches{};  ///< empty: all
    /// False: the first ones at `start` or later. True: the last ones before `start`.
    bool backward = false;
    std::optional<log_position> start{};  ///< nothing: the first record, or the end
    std::size_t max_events = 10'000;
    byte_count max_bytes = byte_count(1u << 20);  ///< of messages, but for a first one
};

struct log_page {
    std::vector<log_event> events{};  ///< in the order they were written
    /// Where the page ends: forward, the next one starts here. Backward, the one before ends here.
    log_position next{};
    bool complete = false;  ///< there is nothing beyond `next`
};

/// Reads what was kept, this process's lines included that were written before the call. Blocks for
/// the disk. All members are thread-safe.
class function_logs {
  public:
    virtual ~function_logs() = default;
    /// By name. @errors errc::io_failed
    [[nodiscard]] virtual result<std::vector<log_group>> groups() const = 0;
    /// By name. @errors errc::not_found, io_failed
    [[nodiscard]] virtual result<std::vector<log_stream>> streams(std::string_view group) const = 0;
    /// A page may have fewer events than there are, or none, and not be complete: what one call
    /// reads is bounded. @errors errc::not_found: there is no such group; io_failed
    [[nodiscard]] virtual result<log_page> read(const log_query& query) const = 0;
};

}  // namespace hearth
