#pragma once

/// Event source mappings: queues (queue.hpp) and streams (data_stream.hpp) of this server, and
/// queues at endpoints that it was told of (queue_endpoint.hpp), that invoke functions, as AWS
/// Lambda's pollers do. Names, ranges and error sentences are AWS's.
///
///     hearth::control_plane& control = rt.control();
///     hearth::queue jobs = control.queues().create("jobs").value();
///     control.create_event_source_mapping(
///         {.event_source_arn = jobs.arn(), .function_name = "work"}).value();
///
/// A queue's messages come to the function in batches, {"Records": […]} in the form of Lambda's SQS
/// events. A batch that the function has answered is deleted from the queue. One that it failed is
/// left there: its messages come again after their visibility timeout, until the queue's redrive
/// policy moves them. Where the mapping says ReportBatchItemFailures, the function's answer names
/// the messages that failed, and the others are deleted. A batch that is throttled is tried again,
/// ever more seldom, until its messages' visibility timeout is over. Messages that no filter
/// matches are deleted. Of a FIFO queue, one batch of a message group is with the function at a
/// time.
///
/// Five batches at a time are with the function at first, and five more with every second in which
/// all were needed; fewer after failures. Waiting for a message takes no thread.
///
/// A stream's records come in batches of one shard, in the form of Lambda's Kinesis events, and in
/// their order: those of a shard, or with a parallelization factor those of a partition key. How
/// far the mapping has come is kept with the stream, so it goes on there after a restart; a batch
/// may come twice, none is left out. A shard's children begin when it was read to its end. A batch
/// that the function fails is tried again, and holds up those behind it, until it is answered or
/// given up (maximum_retry_attempts, maximum_record_age). Where the mapping says
/// ReportBatchItemFailures, the records below the lowest sequence number that the function's answer
/// names are done with.
///
/// With a tumbling window each record belongs to the span of so many seconds in which it arrived.
/// The function is invoked for a window's records, each time with the state that it answered the
/// time before, {"state": {}} at first, and once more without records when the window is over: for
/// a second nothing of it has come any more, a record of a later one has, or its shard has ended. A
/// state over 1 MiB ends it early. State and place are kept together, so a window goes on after a
/// restart. A batch that fails, or is answered without a state, is tried again until it is not,
/// whatever the mapping says of retries.
///
/// The source may also be a consumer that is registered with a stream: what is read then is its
/// stream, for as long as it is registered.
///
/// What differs from AWS: a new mapping begins at once, so LATEST means its creation; where nothing
/// comes any more a window ends within seconds, not minutes. While the function cannot be invoked
/// at all (it was deleted, is not Active, or its reserved concurrency is zero) no message is
/// received, so none is used up; a message waits for its batch to fill for half of its visibility
/// timeout at most, whatever the batching window says.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

/// What becomes of it. Those that end in -ing are passed through by themselves.
enum class event_source_state {
    creating,
    enabling,
    enabled,
    updating,
    disabling,
    disabled,
    deleting
};
/// AWS's words: "Creating", …
std::string_view to_string(event_source_state) noexcept;

/// AWS's EventSourceMappingConfiguration.
struct event_source_mapping {
    std::string uuid{};
    std::string arn{};
    std::string event_source_arn{};
    std::string function_arn{};                          ///< with its qualifier, if one was given
    std::uint64_t batch_size = 0;                        ///< messages or records, at most
    std::uint64_t maximum_batching_window = 0;           ///< seconds
    std::optional<std::uint64_t> maximum_concurrency{};  ///< batches with the function at once
    std::vector<std::string> filters{};                  ///< event patterns, any of which is enough
    std::vector<std::string> function_response_types{};  ///< none, or ReportBatchItemFailures
    // Of streams.
    std::string starting_position{};               ///< TRIM_HORIZON, LATEST or AT_TIMESTAMP
    std::int64_t starting_position_timestamp = 0;  ///< ms since 1970
    std::uint64_t parallelization_factor = 1;      ///< batches of a shard at once
    std::int64_t maximum_retry_attempts = -1;      ///< -1: as often as need be
    std::int64_t maximum_record_age = -1;          ///< seconds; -1: however old it is
    bool bisect_batch_on_function_error = false;   ///< try again in two halves
    std::uint64_t tumbling_window = 0;             ///< seconds; 0: none
    std::string on_failure{};                      ///< the ARN that is told of what is given up
    std::map<std::string, std::string> tags{};
    bool enabled = true;
    std::int64_t last_modified = 0;  ///< ms since 1970
    // Not stored.
    event_source_state state = event_source_state::creating;
    std::string last_processing_result{};  ///< "No records processed", "OK", "PROBLEM: …"

    bool operator==(const event_source_mapping&) const = default;
};

/// Fields without a value: AWS's default.
struct create_event_source_mapping_request {
    std::string event_source_arn{};
    std::string function_name{};  ///< plain, partial ARN or full ARN, perhaps with a qualifier
    /// 10, of streams 100; 1 to 10,000 (FIFO: to 10)
    std::optional<std::uint64_t> batch_size{};
    /// 0; to 300 s. Not for FIFO queues; at least 1 where batches of a queue are of more than 10.
    std::optional<std::uint64_t> maximum_batching_window{};
    std::optional<std::uint64_t> maximum_concurrency{};  ///< 2 to 1,000; of queues alone
    // Of streams alone.
    std::string starting_position{};                            ///< must be said
    std::optional<std::int64_t> starting_position_timestamp{};  ///< with AT_TIMESTAMP
    std::optional<std::uint64_t> parallelization_factor{};      ///< 1; to 10
    std::optional<std::int64_t> maximum_retry_attempts{};       ///< -1; to 10,000
    std::optional<std::int64_t> maximum_record_age{};           ///< -1; 60 to 604,800 s
    std::optional<bool> bisect_batch_on_function_error{};       ///< false
    std::optional<std::uint64_t> tumbling_window{};             ///< 0; to 900 s
    /// A standard queue, a directory of files or an HTTP endpoint, by an ARN as for event_invoke's
    /// destinations.
    std::optional<std::string> on_failure{};
    std::vector<std::string> filters{};  ///< at most five
    std::vector<std::string> function_response_types{};
    std::map<std::string, std::string> tags{};
    bool enabled = true;
};

/// Fields without a value stay as they are.
struct update_event_source_mapping_request {
    std::string uuid{};
    std::optional<std::string> function_name{};
    std::optional<std::uint64_t> batch_size{}, maximum_batching_window{};
    std::optional<std::uint64_t> maximum_concurrency{};  ///< 0: no limit of its own any more
    std::optional<std::uint64_t> parallelization_factor{};
    std::optional<std::int64_t> maximum_retry_attempts{}, maximum_record_age{};
    std::optional<bool> bisect_batch_on_function_error{};
    std::optional<std::uint64_t> tumbling_window{};     ///< 0: none any more
    std::optional<std::string> on_failure{};            ///< empty: nobody is told any more
    std::optional<std::vector<std::string>> filters{};  ///< empty: none any more
    std::optional<std::vector<std::string>> function_response_types{};
    std::optional<bool> enabled{};
};

struct event_source_mapping_page {
    std::vector<event_source_mapping> mappings{};  ///< by UUID
    std::string next_marker{};
};

/// What a mapping has done since this process has it, as Lambda's metrics of these names count it.
struct event_source_metrics {
    std::string uuid{}, event_source_arn{}, function_arn{};
    std::uint64_t polled = 0;         ///< PolledEventCount: messages and records received
    std::uint64_t filtered_out = 0;   ///< FilteredOutEventCount
    std::uint64_t invoked = 0;        ///< InvokedEventCount: those that the function was given
    std::uint64_t failed_invoke = 0;  ///< FailedInvokeEventCount: and not done with
    std::uint64_t deleted = 0;        ///< DeletedEventCount: of a queue, done with
    std::uint64_t dropped = 0;        ///< DroppedEventCount: of a stream, given up
    std::uint64_t in_flight = 0;      ///< batches with the function now
    /// IteratorAge: of a stream, how old the last record of a shard's last batch was when the
    /// function got it; of the shard that is furthest behind.
    std::chrono::milliseconds iterator_age{};
    bool operator==(const event_source_metrics&) const = default;
};

}  // namespace hearth
