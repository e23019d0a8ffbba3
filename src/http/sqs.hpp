#pragma once

/// Amazon SQS over a control plane's queues: one table of operations, whatever they are encoded in
/// (sqs_wire.hpp). Knows no sockets.

#include "http/reply.hpp"
#include "http/service.hpp"

#include <hearth/control.hpp>
#include <hearth/http/access_key.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/json.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hearth::http::sqs {

struct operation_row;

/// A request for one of the operations.
struct call {
    const operation_row* row = nullptr;
    protocol how = protocol::json;
    boost::json::object input{};
    std::string queue{};  ///< the name in QueueUrl or QueueName; empty: it has none
    std::string request_id{};
    std::string origin{};  ///< "http://HOST", for queues' URLs
    std::string sender{};  ///< shown as SenderId; empty: the account
    std::string trace_header{};  ///< of messages that bring none
};
using call_ptr = std::shared_ptr<const call>;

/// What a request says beside its body.
struct envelope {
    service_call service{};
    std::string_view path{};
    std::string request_id{}, origin{};
    std::string trace_header{};      ///< X-Amzn-Trace-Id
    const access_key* by = nullptr;  ///< null: anyone's
};

/// The call, or why it is refused: not readable, no such operation, not allowed.
std::variant<call_ptr, reply> read(const control_plane& control,
                                   const envelope& e,
                                   std::string_view body);

/// Whether `answer` may be used, on a thread that may wait; otherwise `start`.
bool waits_for_disk(const call& c) noexcept;
reply answer(control_plane& control, const call& c);
/// Calls `done` on `executor`. The slot ends a long poll.
void start(control_plane& control,
           const call_ptr& c,
           const boost::asio::any_io_executor& executor,
           boost::asio::cancellation_slot slot,
           std::function<void(reply)> done);

/// What IAM calls the actions: "sqs:SendMessage".
std::vector<std::string> action_names();
/// As README shows them: a row for each way they are answered.
std::string operations_table();

}  // namespace hearth::http::sqs
