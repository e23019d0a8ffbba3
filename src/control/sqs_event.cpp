#include "control/sqs_event.hpp"

#include "control/base64.hpp"

#include <boost/json.hpp>

#include <utility>

namespace hearth::control {

namespace json = boost::json;

namespace {

json::string_view json_text(std::string_view s) { return {s.data(), s.size()}; }

}  // namespace

json::object sqs_record(const queue_message& m,
                        std::string_view queue_arn,
                        std::string_view region) {
    json::object attributes{{"ApproximateReceiveCount", std::to_string(m.receive_count)},
                            {"SentTimestamp", std::to_string(m.sent.time_since_epoch().count())},
                            {"SenderId", m.sender_id},
                            {"ApproximateFirstReceiveTimestamp",
                             std::to_string(m.first_received.time_since_epoch().count())}};
    const auto add = [&](const char* name, const std::string& value) {
        if (!value.empty()) attributes[name] = value;
    };
    add("SequenceNumber", m.sequence_number);
    add("MessageGroupId", m.group_id);
    add("MessageDeduplicationId", m.deduplication_id);
    add("AWSTraceHeader", m.trace_header);
    add("DeadLetterQueueSourceArn", m.dead_letter_source);
    json::object message_attributes;
    for (const auto& [name, a] : m.attributes) {
        const bool is_binary = a.type.starts_with("Binary");
        message_attributes[name] = {
            {is_binary ? "binaryValue" : "stringValue", is_binary ? to_base64(a.value) : a.value},
            {"stringListValues", json::array()},
            {"binaryListValues", json::array()},
            {"dataType", a.type}};
    }
    json::object record{{"messageId", m.message_id},
                        {"receiptHandle", m.receipt_handle},
                        {"body", m.body},
                        {"attributes", std::move(attributes)},
                        {"messageAttributes", std::move(message_attributes)},
                        {"md5OfBody", m.body_md5},
                        {"eventSource", "aws:sqs"},
                        {"eventSourceARN", json_text(queue_arn)},
                        {"awsRegion", json_text(region)}};
    if (!m.attributes.empty()) record["md5OfMessageAttributes"] = md5_of(m.attributes);
    return record;
}

json::object filtered_form(json::object record) {
    json::value& body = record.at("body");
    boost::system::error_code ec;
    json::value said = json::parse(body.get_string(), ec);
    if (!ec && said.is_structured()) body = std::move(said);
    return record;
}

}  // namespace hearth::control
