#pragma once

/// A queue's messages as functions see them, and what functions answer. Pure.
///
/// Source: Lambda Developer Guide, "Using Lambda with Amazon SQS" and "Implementing partial batch
/// responses".

#include <hearth/queue.hpp>

#include <boost/json/object.hpp>

#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace hearth::control {

/// One of an event's Records.
boost::json::object sqs_record(const queue_message& m,
                               std::string_view queue_arn,
                               std::string_view region);

/// The record as filters see it: with the body as what it says, where that is a JSON object or
/// list.
boost::json::object filtered_form(boost::json::object record);

/// The batchItemFailures of an answer, of the messages `ids`. Nothing: the whole batch counts as
/// failed, because the answer is not JSON, or names a message in a wrong way or one that was not
/// in the batch.
std::optional<std::set<std::string, std::less<>>> item_failures(
    std::string_view answer, const std::set<std::string, std::less<>>& ids);

}  // namespace hearth::control
