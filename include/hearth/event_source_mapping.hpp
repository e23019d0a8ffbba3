#pragma once

/// Event source mappings: queues of this server (queue.hpp) that invoke functions, as AWS Lambda's
/// pollers do. Names, ranges and error sentences are AWS's.
///
///     hearth::control_plane& control = rt.control();
///     hearth::queue jobs = control.queues().create("jobs").value();
///     control.create_event_source_mapping(
///         {.event_source_arn = jobs.arn(), .function_name = "work"}).value();
///
/// Messages come to the function in batches, {"Records": […]} in the form of Lambda's SQS events. A
/// batch that the function has answered is deleted from the queue. One that it failed is left
/// there: its messages come again after their visibility timeout, until the queue's redrive policy
/// moves them. Where the mapping says ReportBatchItemFailures, the function's answer names the
/// messages that failed, and the others are deleted. A batch that is throttled is tried again, ever
/// more seldom, until its messages' visibility timeout is over. Messages that no filter matches are
/// deleted. Of a FIFO queue, one batch of a message group is with the function at a time.
///
/// Five batches at a time are with the function at first, and five more with every second in which
/// all were needed; fewer after failures. Waiting for a message takes no thread.
///
/// What differs from AWS: while the function cannot be invoked at all (it was deleted, is not
/// Active, or its reserved concurrency is zero) no message is received, so none is used up; a
/// message waits for its batch to fill for half of its visibility timeout at most, whatever the
/// batching window says.

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
    std::uint64_t batch_size = 0;                        ///< messages, at most
    std::uint64_t maximum_batching_window = 0;           ///< seconds
    std::optional<std::uint64_t> maximum_concurrency{};  ///< batches with the function at once
    std::vector<std::string> filters{};                  ///< event patterns, any of which is enough
    std::vector<std::string> function_response_types{};  ///< none, or ReportBatchItemFailures
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
    std::optional<std::uint64_t> batch_size{};  ///< 10; 1 to 10,000 (FIFO: to 10)
    /// 0; to 300 s. Not for FIFO queues; at least 1 where batches are of more than 10.
    std::optional<std::uint64_t> maximum_batching_window{};
    std::optional<std::uint64_t> maximum_concurrency{};  ///< 2 to 1,000
    std::vector<std::string> filters{};                  ///< at most five
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
    std::optional<std::vector<std::string>> filters{};   ///< empty: none any more
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
    std::uint64_t polled = 0;         ///< PolledEventCount: messages received
    std::uint64_t filtered_out = 0;   ///< FilteredOutEventCount
    std::uint64_t invoked = 0;        ///< InvokedEventCount: messages that the function was given
    std::uint64_t failed_invoke = 0;  ///< FailedInvokeEventCount: and left in the queue
    std::uint64_t deleted = 0;        ///< DeletedEventCount: done with
    std::uint64_t in_flight = 0;      ///< batches with the function now
    bool operator==(const event_source_metrics&) const = default;
};

}  // namespace hearth
