#include "http/sqs_wire.hpp"

#include "http/text.hpp"

#include <hearth/queue.hpp>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <memory>
#include <vector>

namespace hearth::http::sqs {

namespace json = boost::json;
using boost::beast::http::status;

namespace {

// ---- Names ----

enum class form { list, map };

/// A list or map: the JSON protocol's member, the element that stands for each of its items.
struct collection {
    std::string_view member;
    std::string_view element;
    form what;
    std::string_view key = "Name";  ///< of a map's item, beside Value
};
constexpr collection collections[] = {
    {"Attributes", "Attribute", form::map},
    {"MessageAttributes", "MessageAttribute", form::map},
    {"MessageSystemAttributes", "MessageSystemAttribute", form::map},
    {"Tags", "Tag", form::map, "Key"},
    {"AttributeNames", "AttributeName", form::list},
    {"MessageAttributeNames", "MessageAttributeName", form::list},
    {"MessageSystemAttributeNames", "MessageSystemAttributeName", form::list},
    {"TagKeys", "TagKey", form::list},
    {"Entries", "SendMessageBatchRequestEntry", form::list},
    {"Entries", "DeleteMessageBatchRequestEntry", form::list},
    {"Entries", "ChangeMessageVisibilityBatchRequestEntry", form::list},
    {"QueueUrls", "QueueUrl", form::list},
    {"queueUrls", "QueueUrl", form::list},
    {"Messages", "Message", form::list},
    {"Failed", "BatchResultErrorEntry", form::list},
};
constexpr std::string_view integers[] = {"DelaySeconds", "MaxNumberOfMessages", "MaxResults",
                                         "VisibilityTimeout", "WaitTimeSeconds"};

constexpr std::string_view namespace_url = "http://queue.amazonaws.com/doc/2012-11-05/";

// ---- Forms ----

/// "A.1.B=x" as A → 1 → B.
struct node {
    std::string value;
    std::map<std::string, node, std::less<>> children;
};

constexpr std::size_t max_pairs = 4096, max_depth = 8;

std::optional<std::string> decode(std::string_view text) {
    std::string spaced(text);
    std::ranges::replace(spaced, '+', ' ');
    return percent_decode(spaced);
}

std::optional<node> read_tree(std::string_view text) {
    node root;
    for (std::size_t pairs = 0; !text.empty(); ++pairs) {
        const std::string_view pair = text.substr(0, text.find('&'));
        text.remove_prefix(std::min(pair.size() + 1, text.size()));
        if (pair.empty()) continue;
        const auto equals = pair.find('=');
        const auto key = decode(pair.substr(0, equals));
        auto value = decode(equals == pair.npos ? "" : pair.substr(equals + 1));
        if (!key || !value || pairs == max_pairs) return std::nullopt;
        node* at = &root;
        std::string_view rest = *key;
        for (std::size_t depth = 0;; ++depth) {
            if (depth == max_depth) return std::nullopt;
            const std::string_view part = rest.substr(0, rest.find('.'));
            at = &at->children[std::string(part)];
            if (part.size() == rest.size()) break;
            rest.remove_prefix(part.size() + 1);
        }
        at->value = std::move(*value);
    }
    return root;
}

/// A list's items by their numbers.
std::vector<const node*> items_of(const node& list) {
    std::map<unsigned, const node*> ordered;
    for (const auto& [name, child] : list.children) {
        unsigned n = 0;
        const auto [end, ec] = std::from_chars(name.data(), name.data() + name.size(), n);
        if (ec == std::errc() && end == name.data() + name.size()) ordered.emplace(n, &child);
    }
    std::vector<const node*> items;
    for (const auto& [n, child] : ordered) items.push_back(child);
    return items;
}

json::object read_structure(const node& from);

json::value read_value(const node& from) {
    if (!from.children.empty()) return read_structure(from);
    return json::string(json_text(from.value));
}

json::object read_structure(const node& from) {
    json::object to;
    for (const auto& [name, child] : from.children) {
        // AWS's SDKs write one without items as its member's name and nothing.
        const bool is_nothing = child.children.empty() && child.value.empty();
        const auto c = std::ranges::find_if(collections, [&](const collection& each) {
            return is_nothing ? each.member == name
                              : each.element == name && !child.children.empty();
        });
        if (c == std::end(collections)) {
            std::int64_t n = 0;
            const char* end = child.value.data() + child.value.size();
            const bool is_integer = std::ranges::find(integers, name) != std::end(integers) &&
                                    std::from_chars(child.value.data(), end, n).ptr == end &&
                                    !child.value.empty();
            to[json_text(name)] = is_integer ? json::value(n) : read_value(child);
        } else if (c->what == form::list) {
            json::array list;
            for (const node* item : items_of(child)) list.push_back(read_value(*item));
            to[json_text(c->member)] = std::move(list);
        } else {
            json::object map;
            for (const node* item : items_of(child)) {
                const auto key = item->children.find(c->key), value = item->children.find("Value");
                if (key == item->children.end()) continue;
                map[json_text(key->second.value)] =
                    value == item->children.end() ? json::value("") : read_value(value->second);
            }
            to[json_text(c->member)] = std::move(map);
        }
    }
    return to;
}

// ---- XML ----

void escape(std::string& out, std::string_view text) {
    for (const char c : text) switch (c) {
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '&':
                out += "&amp;";
                break;
            case '"':
                out += "&quot;";
                break;
            case '\r':
                out += "&#xD;";
                break;
            default:
                out += c;
        }
}

void open(std::string& out, std::string_view name) { out.append("<").append(name).append(">"); }
void shut(std::string& out, std::string_view name) { out.append("</").append(name).append(">"); }

void write_structure(std::string& out, const json::object& from, std::string_view operation);

void write_value(std::string& out, const json::value& v, std::string_view operation) {
    if (v.is_object()) return write_structure(out, v.get_object(), operation);
    if (v.is_string()) return escape(out, std::string_view(v.get_string()));
    out += json::serialize(v);
}

void write_element(std::string& out,
                   std::string_view name,
                   const json::value& v,
                   std::string_view operation) {
    open(out, name);
    write_value(out, v, operation);
    shut(out, name);
}

void write_structure(std::string& out, const json::object& from, std::string_view operation) {
    for (const auto& [key, v] : from) {
        const std::string_view name(key);
        const auto c = std::ranges::find(collections, name, &collection::member);
        if (v.is_array()) {
            const std::string element = c != std::end(collections)
                                            ? std::string(c->element)
                                            : std::string(operation) + "ResultEntry";
            for (const json::value& item : v.get_array())
                write_element(out, element, item, operation);
        } else if (v.is_object() && c != std::end(collections)) {
            for (const auto& [k, item] : v.get_object()) {
                open(out, c->element);
                write_element(out, c->key, json::string(k), operation);
                write_element(out, "Value", item, operation);
                shut(out, c->element);
            }
        } else {
            write_element(out, name, v, operation);
        }
    }
}

constexpr std::string_view xml_type = "text/xml", json_type = "application/x-amz-json-1.0";
constexpr std::string_view xml_head = "<?xml version=\"1.0\"?>";

// ---- Errors ----

struct wire_error {
    queue_errc what;
    std::string_view type;        ///< the JSON protocol's
    std::string_view query_code;  ///< the query protocol's
    status code = status::bad_request;
};
// clang-format off
constexpr wire_error errors[] = {
    {queue_errc::queue_does_not_exist, "com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"},
    {queue_errc::queue_name_exists, "com.amazonaws.sqs#QueueNameExists", "QueueAlreadyExists"},
    {queue_errc::invalid_attribute_name, "com.amazonaws.sqs#InvalidAttributeName", "InvalidAttributeName"},
    {queue_errc::invalid_attribute_value, "com.amazonaws.sqs#InvalidAttributeValue", "InvalidAttributeValue"},
    {queue_errc::invalid_parameter_value, "com.amazon.coral.service#InvalidParameterValueException", "InvalidParameterValue"},
    {queue_errc::missing_parameter, "com.amazon.coral.service#MissingRequiredParameterException", "MissingParameter"},
    {queue_errc::invalid_message_contents, "com.amazonaws.sqs#InvalidMessageContents", "InvalidMessageContents"},
    {queue_errc::receipt_handle_is_invalid, "com.amazonaws.sqs#ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid"},
    {queue_errc::message_not_inflight, "com.amazonaws.sqs#MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"},
    {queue_errc::over_limit, "com.amazonaws.sqs#OverLimit", "OverLimit", status::forbidden},
    {queue_errc::purge_queue_in_progress, "com.amazonaws.sqs#PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress", status::forbidden},
    {queue_errc::empty_batch_request, "com.amazonaws.sqs#EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest"},
    {queue_errc::too_many_entries_in_batch_request, "com.amazonaws.sqs#TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"},
    {queue_errc::batch_request_too_long, "com.amazonaws.sqs#BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong"},
    {queue_errc::batch_entry_ids_not_distinct, "com.amazonaws.sqs#BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"},
    {queue_errc::invalid_batch_entry_id, "com.amazonaws.sqs#InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId"},
    {queue_errc::unsupported_operation, "com.amazonaws.sqs#UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation"},
};
// clang-format on

struct found_error {
    std::string_view type, query_code;
    status code;
};

found_error find_error(const error& e) {
    for (const wire_error& each : errors)
        if (e.code() == each.what) return {each.type, each.query_code, each.code};
    if (e == errc::throttled)
        return {"com.amazonaws.sqs#RequestThrottled", "RequestThrottled", status::forbidden};
    if (e == errc::shutting_down)
        return {"com.amazon.coral.service#ServiceUnavailableException", "ServiceUnavailable",
                status::service_unavailable};
    return {"com.amazon.coral.service#InternalFailure", "InternalFailure",
            status::internal_server_error};
}

}  // namespace

std::optional<json::object> read_form(std::string_view text) {
    const auto tree = read_tree(text);
    if (!tree) return std::nullopt;
    return read_structure(*tree);
}

reply write_answer(protocol how,
                   std::string_view operation,
                   bool has_result,
                   const json::object& output,
                   std::string_view request_id) {
    if (how == protocol::json)
        return {.body = json::serialize(output), .content_type = std::string(json_type)};
    const std::string response = std::string(operation) + "Response",
                      result_name = std::string(operation) + "Result";
    std::string out(xml_head);
    out.append("<").append(response).append(" xmlns=\"").append(namespace_url).append("\">");
    if (has_result) {
        open(out, result_name);
        write_structure(out, output, operation);
        shut(out, result_name);
    }
    out.append("<ResponseMetadata><RequestId>").append(request_id);
    out.append("</RequestId></ResponseMetadata>");
    shut(out, response);
    return {.body = std::move(out), .content_type = std::string(xml_type)};
}

reply write_error(protocol how,
                  std::string_view type,
                  std::string_view query_code,
                  std::string_view message,
                  std::string_view request_id,
                  status code) {
    const std::string text = printable(message);
    const bool is_senders = code < status::internal_server_error;
    const std::string fault = is_senders ? "Sender" : "Receiver";
    if (how != protocol::query) {
        reply r{.status = code, .content_type = std::string(json_type)};
        r.body = json::serialize(json::object{{"__type", json_text(type)}, {"message", text}});
        r.headers.emplace_back("x-amzn-query-error", std::string(query_code) + ";" + fault);
        return r;
    }
    std::string out(xml_head);
    out.append("<ErrorResponse xmlns=\"").append(namespace_url).append("\"><Error>");
    out.append("<Type>").append(fault).append("</Type><Code>").append(query_code);
    out.append("</Code><Message>");
    escape(out, text);
    out.append("</Message><Detail/></Error><RequestId>").append(request_id);
    out.append("</RequestId></ErrorResponse>");
    return {.status = code, .body = std::move(out), .content_type = std::string(xml_type)};
}

reply write_error(protocol how, const error& e, std::string_view request_id) {
    const found_error f = find_error(e);
    return write_error(how, f.type, f.query_code, e.message(), request_id, f.code);
}

reply translate(protocol how, const reply& refused, std::string_view request_id) {
    std::string_view type = "ServiceException";
    for (const auto& [name, value] : refused.headers)
        if (name == "x-amzn-ErrorType") type = value;
    std::string message;
    json::error_code ec;
    const json::value document = json::parse(refused.body, ec);
    if (!ec && document.is_object())
        for (const char* key : {"message", "Message"})
            if (const json::value* v = document.get_object().if_contains(key); v && v->is_string())
                message = v->get_string();
    // AWS, "Common Errors" of the query services.
    constexpr std::pair<std::string_view, std::string_view> codes[] = {
        {"InvalidSignatureException", "SignatureDoesNotMatch"},
        {"UnrecognizedClientException", "InvalidClientTokenId"},
        {"AccessDeniedException", "AccessDenied"}};
    std::string_view code = type.substr(0, type.find("Exception"));
    for (const auto& [ours, theirs] : codes)
        if (ours == type) code = theirs;
    return write_error(how, "com.amazon.coral.service#" + std::string(type), code, message,
                       request_id, refused.status);
}

entry_error entry_error_of(const error& e) {
    const found_error f = find_error(e);
    return {f.query_code, f.code < status::internal_server_error};
}

}  // namespace hearth::http::sqs
