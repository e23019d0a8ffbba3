#pragma once

/// A stream's records as functions and their filters see them. Pure.
///
/// Source: Lambda Developer Guide, "Using Lambda with Kinesis Data Streams" and "Control which
/// events Lambda sends to your function".

#include <hearth/data_stream.hpp>

#include <boost/json/object.hpp>

#include <string_view>

namespace hearth::control {

/// What the records of one shard have in common.
struct kinesis_origin {
    std::string_view stream_arn, shard_id, region, role;
};

/// One of an event's Records.
boost::json::object kinesis_record(const stream_record& r, const kinesis_origin& from);

/// What filters see of a record: what stands under "kinesis", with the data as what it says, where
/// that is a JSON object or list, and else as text.
boost::json::object filtered_form(const boost::json::object& record, std::string_view data);

}  // namespace hearth::control
