#pragma once

/// The frames of application/vnd.amazon.eventstream, in which Lambda sends a streamed response and
/// Kinesis a shard's records.
///
/// @source Smithy, "Amazon Event Stream Specification"; service models,
///   InvokeWithResponseStreamResponseEvent and SubscribeToShardEventStream.

#include <string>
#include <string_view>

namespace hearth::http {

inline constexpr std::string_view event_stream_content_type = "application/vnd.amazon.eventstream";

/// PayloadChunk events of the bytes, as many as it takes.
std::string payload_chunks(std::string_view bytes);
/// InvokeComplete: the last event. The arguments are left out of it when empty.
std::string invoke_complete(std::string_view error_code,
                            std::string_view error_details,
                            std::string_view log_result);

/// An event whose payload is a JSON document; where the protocol has an event for the response's
/// other members, "initial-response" comes first.
std::string json_event(std::string_view type, std::string_view document);
/// An error that ends the stream.
std::string json_exception(std::string_view type, std::string_view document);

}  // namespace hearth::http
