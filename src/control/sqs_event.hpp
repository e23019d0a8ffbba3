#pragma once

/// A queue's messages as functions see them. Pure.
///
/// Source: Lambda Developer Guide, "Using Lambda with Amazon SQS".

#include <hearth/queue.hpp>

#include <boost/json/object.hpp>

#include <string_view>

namespace hearth::control {

/// One of an event's Records.
boost::json::object sqs_record(const queue_message& m,
                               std::string_view queue_arn,
                               std::string_view region);

/// The record as filters see it: with the body as what it says, where that is a JSON object or
/// list.
boost::json::object filtered_form(boost::json::object record);

}  // namespace hearth::control
