#pragma once

/// Amazon Kinesis Data Streams over a control plane's streams (hearth/data_stream.hpp): JSON 1.1,
/// the operation in X-Amz-Target (botocore kinesis/2013-12-02). Knows no sockets. Every other
/// operation of the service is refused by its name, and so is CBOR, which some SDKs speak if they
/// are not told otherwise.

#include "http/reply.hpp"
#include "http/service.hpp"
#include "http/shard_subscription.hpp"

#include <hearth/control.hpp>
#include <hearth/http/access_key.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::http::kinesis {

/// An answer that is still to be written, which may be some 14 MB: on a thread that may take its
/// time.
using answer = std::function<reply()>;

/// Reads the request and has it done. Blocks for the disk where a stream is changed; records are
/// put and read without a thread. Calls one of `done` and `subscribed` once: before it returns, or
/// on `executor`. `by`: whose request it is; null: anyone's.
void start(control_plane& control,
           const service_call& what,
           std::string_view body,
           const access_key* by,
           const boost::asio::any_io_executor& executor,
           std::function<void(answer)> done,
           std::function<void(std::unique_ptr<shard_subscription>)> subscribed);

/// What IAM calls the actions: "kinesis:PutRecord".
std::vector<std::string> action_names();
/// As README shows them: a row for each way they are answered.
std::string operations_table();

}  // namespace hearth::http::kinesis
