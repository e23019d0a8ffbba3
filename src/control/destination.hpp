#pragma once

/// Where the outcomes of asynchronous invocations go. What AWS names by an ARN is here one of:
///
///   arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]   an event of that function
///   arn:aws:sqs:REGION:ACCOUNT:NAME                           a message of that standard queue
///   arn:aws:s3:::BUCKET                                       a file
///   arn:aws:http:::HOST:PORT/PATH                             a POST to http://HOST:PORT/PATH
///
/// A file's path below DATA/destinations/BUCKET is the key that AWS gives the object:
/// aws/lambda/async/FUNCTION/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-UUID, or with MAPPING/SHARD in the
/// place of async/FUNCTION. The last is ours, in a form that AWS's clients let pass. Other services
/// are not served, and refused when they are configured. Pure, but for `write_record`.

#include "control/event.hpp"
#include "control/event_dispatcher.hpp"

#include <hearth/error.hpp>
#include <hearth/queue.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <variant>

namespace hearth::control {

struct function_destination {
    std::string name;  ///< as the ARN says it: to be parsed
};
struct queue_destination {
    std::string arn;
};
struct bucket_destination {
    std::string bucket;
};
struct http_destination {
    std::string host, port;
    std::string target;  ///< begins with '/'
};
using destination =
    std::variant<function_destination, queue_destination, bucket_destination, http_destination>;

/// @errors errc::invalid_argument: a service that is not served, or no bucket's name or endpoint
result<destination> parse_destination(std::string_view arn);

/// A moment as AWS's records say it: "2019-11-14T00:38:06.021Z".
std::string record_time(event_time t);

/// AWS's record of an invocation's end, for destinations.
std::string invocation_record(const queued_event& e,
                              const event_ending& ending,
                              std::string_view qualified_arn,
                              event_time now);

/// What a dead-letter queue is sent: the event as the message's body, and why as its attributes
/// RequestID, ErrorCode and ErrorMessage.
outgoing_message dead_letter_message(const queued_event& e, const event_ending& ending);

/// The same for a target that is no queue, in the form of an SQS record.
std::string dead_letter_record(const queued_event& e,
                               const event_ending& ending,
                               std::string_view target_arn);

/// A new file below `directory`/`place`, in a directory for the day, on disk when this returns.
/// Blocks.
result<void> write_record(const std::filesystem::path& directory,
                          std::string_view place,
                          std::string_view record,
                          event_time now);

}  // namespace hearth::control
