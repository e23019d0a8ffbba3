#include "control/sqs_event.hpp"

#include <boost/json.hpp>
#include <openssl/evp.h>

#include <cstddef>
#include <utility>

namespace hearth::control {

namespace json = boost::json;

namespace {

std::string in_base64(std::string_view bytes) {
    std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // and EVP_EncodeBlock's NUL
    text.resize(static_cast<std::size_t>(EVP_EncodeBlock(
        reinterpret_cast<unsigned char*>(text.data()),
        reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()))));
    return text;
}

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
            {is_binary ? "binaryValue" : "stringValue", is_binary ? in_base64(a.value) : a.value},
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

std::optional<std::set<std::string, std::less<>>> item_failures(
    std::string_view answer, const std::set<std::string, std::less<>>& ids) {
    using failures = std::set<std::string, std::less<>>;
    boost::system::error_code ec;
    const json::value said = json::parse(json_text(answer), ec);
    if (ec) return std::nullopt;
    if (said.is_null()) return failures();
    const json::object* o = said.if_object();
    if (!o) return std::nullopt;
    const json::value* list = o->if_contains("batchItemFailures");
    if (!list || list->is_null()) return failures();
    if (!list->is_array()) return std::nullopt;
    failures found;
    for (const json::value& each : list->get_array()) {
        const json::object* item = each.if_object();
        const json::value* id = item ? item->if_contains("itemIdentifier") : nullptr;
        if (!id || !id->is_string()) return std::nullopt;
        const std::string_view text(id->get_string().data(), id->get_string().size());
        if (!ids.contains(text)) return std::nullopt;  // an empty one too
        found.emplace(text);
    }
    return found;
}

}  // namespace hearth::control
