#include "http/sqs.hpp"

#include "http/authentication.hpp"
#include "http/invocation.hpp"
#include "http/json_reader.hpp"
#include "http/operations_table.hpp"
#include "http/sqs_wire.hpp"
#include "http/text.hpp"

#include <hearth/queue.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace hearth::http::sqs {

namespace asio = boost::asio;

using done_handler = std::function<void(reply)>;

/// A data operation under way.
struct context {
    control_plane& control;
    call_ptr c;
    asio::any_io_executor executor;
    asio::cancellation_slot slot;
    done_handler done;
};

struct operation_row {
    std::string_view name;
    std::string_view action;  ///< IAM's
    result<json::object> (*manage)(queue_service&, const call&, const std::string& account);
    void (*start)(const context&);  ///< both null: refused by its name
    bool has_result = true;         ///< of XML: without one the answer is its metadata
};

namespace {

error fault(queue_errc code, std::string message) {
    return {make_error_code(code), std::move(message)};
}
error missing(std::string_view parameter) {
    return fault(queue_errc::missing_parameter,
                 "The request must contain the parameter " + std::string(parameter) + ".");
}

std::string url_of(const call& c, std::string_view account, std::string_view name) {
    return c.origin + "/" + std::string(account) + "/" + std::string(name);
}

std::string required(const reader& in, std::string_view name) {
    auto value = in.text(name);
    if (!value) throw missing(name);
    return std::move(*value);
}

std::optional<std::chrono::seconds> seconds(const reader& in, std::string_view name) {
    const auto n = in.number(name);
    if (!n) return std::nullopt;
    // Beyond what a parameter may be, but not beyond what can be counted with.
    return std::chrono::seconds(std::clamp<std::int64_t>(*n, -1'000'000'000, 1'000'000'000));
}

std::map<std::string, std::string, std::less<>> text_map(const reader& in, std::string_view name) {
    std::map<std::string, std::string, std::less<>> to;
    if (auto map = in.text_map(name)) to.insert(map->begin(), map->end());
    return to;
}

message_attributes read_attributes(const reader& in, std::string_view name) {
    message_attributes to;
    const auto members = in.object(name);
    if (!members) return to;
    for (const auto& [key, v] : members->members()) {
        if (!v.is_object()) wrong_type(name, "a map of objects");
        const reader value(v.get_object());
        message_attribute a{.type = value.text("DataType").value_or("")};
        if (a.type.substr(0, a.type.find('.')) == "Binary") {
            const auto bytes = from_base64(value.text("BinaryValue").value_or(""));
            if (!bytes)
                throw fault(queue_errc::invalid_parameter_value,
                            "The message attribute '" + std::string(key) +
                                "' has a BinaryValue that is no base64.");
            a.value = *bytes;
        } else {
            a.value = value.text("StringValue").value_or("");
        }
        to.emplace(key, std::move(a));
    }
    return to;
}

outgoing_message read_message(const reader& in, const call& c) {
    outgoing_message m{.body = in.text("MessageBody").value_or(""),
                       .delay = seconds(in, "DelaySeconds"),
                       .attributes = read_attributes(in, "MessageAttributes"),
                       .trace_header = c.trace_header,
                       .group_id = in.text("MessageGroupId").value_or(""),
                       .deduplication_id = in.text("MessageDeduplicationId").value_or(""),
                       .sender_id = c.sender};
    for (auto& [name, a] : read_attributes(in, "MessageSystemAttributes")) {
        if (name != "AWSTraceHeader" || a.type != "String")
            throw fault(queue_errc::invalid_parameter_value,
                        "The message system attribute '" + name +
                            "' is not one: there is AWSTraceHeader, a String.");
        m.trace_header = std::move(a.value);
    }
    return m;
}

json::object write_sent(const sent_message& m) {
    json::object o{{"MessageId", m.message_id}, {"MD5OfMessageBody", m.body_md5}};
    if (!m.attributes_md5.empty()) o["MD5OfMessageAttributes"] = m.attributes_md5;
    if (!m.system_attributes_md5.empty())
        o["MD5OfMessageSystemAttributes"] = m.system_attributes_md5;
    if (!m.sequence_number.empty()) o["SequenceNumber"] = m.sequence_number;
    return o;
}

/// "All", ".*", "Name" or "prefix.*".
bool is_asked(const std::vector<std::string>& names, std::string_view attribute) {
    return std::ranges::any_of(names, [&](std::string_view name) {
        if (name == "All" || name == ".*" || name == attribute) return true;
        return name.ends_with(".*") && attribute.starts_with(name.substr(0, name.size() - 2));
    });
}

json::object write_message(const queue_message& m,
                           const std::vector<std::string>& system_names,
                           const std::vector<std::string>& names) {
    json::object o{{"MessageId", m.message_id},
                   {"ReceiptHandle", m.receipt_handle},
                   {"MD5OfBody", m.body_md5},
                   {"Body", m.body}};
    json::object system;
    const auto add = [&](std::string_view name, const std::string& value) {
        if (!value.empty() && is_asked(system_names, name)) system[json_text(name)] = value;
    };
    add("SenderId", m.sender_id);
    add("SentTimestamp", std::to_string(m.sent.time_since_epoch().count()));
    add("ApproximateReceiveCount", std::to_string(m.receive_count));
    add("ApproximateFirstReceiveTimestamp",
        std::to_string(m.first_received.time_since_epoch().count()));
    add("SequenceNumber", m.sequence_number);
    add("MessageDeduplicationId", m.deduplication_id);
    add("MessageGroupId", m.group_id);
    add("AWSTraceHeader", m.trace_header);
    add("DeadLetterQueueSourceArn", m.dead_letter_source);
    if (!system.empty()) o["Attributes"] = std::move(system);

    message_attributes shown;
    json::object attributes;
    for (const auto& [name, a] : m.attributes) {
        if (!is_asked(names, name)) continue;
        shown.emplace(name, a);
        const bool is_binary = a.type.substr(0, a.type.find('.')) == "Binary";
        attributes[name] = {
            {"DataType", a.type},
            {is_binary ? "BinaryValue" : "StringValue", is_binary ? to_base64(a.value) : a.value}};
    }
    if (!attributes.empty()) {
        o["MD5OfMessageAttributes"] = md5_of(shown);
        o["MessageAttributes"] = std::move(attributes);
    }
    return o;
}

std::vector<std::string> texts(const reader& in, std::string_view name) {
    return in.texts(name).value_or(std::vector<std::string>());
}

std::size_t page_size(const reader& in) {
    const std::int64_t n = in.number("MaxResults").value_or(1000);
    if (n < 1 || n > 1000)
        throw fault(queue_errc::invalid_parameter_value,
                    "Value " + std::to_string(n) +
                        " for parameter MaxResults is invalid. Reason: Must be between 1 and 1000, "
                        "if provided.");
    return static_cast<std::size_t>(n);
}

json::object write_page(const queue_page& page,
                        const char* member,
                        const call& c,
                        const std::string& account) {
    json::array urls;
    for (const std::string& name : page.names) urls.emplace_back(url_of(c, account, name));
    json::object o;
    if (!urls.empty()) o[member] = std::move(urls);
    if (!page.next_token.empty()) o["NextToken"] = to_base64(page.next_token);
    return o;
}

std::string token_of(const reader& in) {
    const auto given = in.text("NextToken");
    if (!given) return {};
    auto token = from_base64(*given);
    if (!token) throw fault(queue_errc::invalid_parameter_value, "Invalid or expired next token.");
    return std::move(*token);
}

template <class T>
result<json::object> nothing(const result<T>& outcome) {
    if (outcome.has_error()) return outcome.error();
    return json::object();
}

// ---- Operations on queues ----

result<json::object> create_queue(queue_service& q, const call& c, const std::string& account) {
    const reader in(c.input);
    auto tags = text_map(in, "tags");
    tags.merge(text_map(in, "Tags"));
    const auto made = q.create(required(in, "QueueName"), text_map(in, "Attributes"), tags);
    if (made.has_error()) return made.error();
    return json::object{{"QueueUrl", url_of(c, account, made->name())}};
}

result<json::object> get_queue_url(queue_service& q, const call& c, const std::string& account) {
    const reader in(c.input);
    const auto owner = in.text("QueueOwnerAWSAccountId");
    if (owner && *owner != account)
        return fault(queue_errc::queue_does_not_exist, "The specified queue does not exist.");
    const auto found = q.find(required(in, "QueueName"));
    if (found.has_error()) return found.error();
    return json::object{{"QueueUrl", url_of(c, account, found->name())}};
}

result<json::object> list_queues(queue_service& q, const call& c, const std::string& account) {
    const reader in(c.input);
    const auto page = q.list(in.text("QueueNamePrefix").value_or(""), token_of(in), page_size(in));
    if (page.has_error()) return page.error();
    return write_page(*page, "QueueUrls", c, account);
}

result<json::object> list_sources(queue_service& q, const call& c, const std::string& account) {
    const reader in(c.input);
    const auto page = q.list_sources(c.queue, token_of(in), page_size(in));
    if (page.has_error()) return page.error();
    auto o = write_page(*page, "queueUrls", c, account);
    if (!o.contains("queueUrls") && c.how == protocol::json) o["queueUrls"] = json::array();
    return o;
}

result<json::object> delete_queue(queue_service& q, const call& c, const std::string&) {
    return nothing(q.remove(c.queue));
}

result<json::object> get_attributes(queue_service& q, const call& c, const std::string&) {
    const auto names = texts(reader(c.input), "AttributeNames");
    for (const std::string& name : names)
        if (name != "All" && !is_queue_attribute(name))
            return fault(queue_errc::invalid_attribute_name, "Unknown Attribute " + name + ".");
    const auto all = q.attributes(c.queue);
    if (all.has_error()) return all.error();
    json::object shown;
    for (const auto& [name, value] : *all)
        if (is_asked(names, name)) shown[name] = value;
    json::object o;
    if (!shown.empty()) o["Attributes"] = std::move(shown);
    return o;
}

result<json::object> set_attributes(queue_service& q, const call& c, const std::string&) {
    const reader in(c.input);
    if (!in.object("Attributes")) return missing("Attributes");
    return nothing(q.set_attributes(c.queue, text_map(in, "Attributes")));
}

result<json::object> purge_queue(queue_service& q, const call& c, const std::string&) {
    return nothing(q.purge(c.queue));
}

result<json::object> list_tags(queue_service& q, const call& c, const std::string&) {
    const auto tags = q.tags(c.queue);
    if (tags.has_error()) return tags.error();
    json::object map;
    for (const auto& [key, value] : *tags) map[key] = value;
    json::object o;
    if (!map.empty()) o["Tags"] = std::move(map);
    return o;
}

result<json::object> tag_queue(queue_service& q, const call& c, const std::string&) {
    return nothing(q.tag(c.queue, text_map(reader(c.input), "Tags")));
}

result<json::object> untag_queue(queue_service& q, const call& c, const std::string&) {
    return nothing(q.untag(c.queue, texts(reader(c.input), "TagKeys")));
}

// ---- Operations on messages ----

reply answer_of(const call& c, const result<json::object>& outcome) {
    if (outcome.has_error()) return write_error(c.how, outcome.error(), c.request_id);
    return write_answer(c.how, c.row->name, c.row->has_result, *outcome, c.request_id);
}

/// A handler on the call's executor, which makes the answer of what came.
template <class Write>
auto then(const context& x, Write write) {
    return asio::bind_executor(x.executor, [c = x.c, done = x.done, write = std::move(write)](
                                               const error& failed, auto outcome) {
        if (failed.code()) return done(write_error(c->how, failed, c->request_id));
        done(answer_of(*c, write(std::move(outcome))));
    });
}

/// The one outcome of a batch of one.
template <class T>
T only(std::vector<T> all) {
    return std::move(all.front());
}

void send_message(const context& x) {
    const reader in(x.c->input);
    std::vector<outgoing_message> one;
    one.push_back(read_message(in, *x.c));
    x.control.queues().async_send(
        x.c->queue, std::move(one),
        then(x, [](std::vector<result<sent_message>> sent) -> result<json::object> {
            const auto m = only(std::move(sent));
            if (m.has_error()) return m.error();
            return write_sent(*m);
        }));
}

void receive_message(const context& x) {
    const reader in(x.c->input);
    receive_options o{.wait = seconds(in, "WaitTimeSeconds"),
                      .visibility = seconds(in, "VisibilityTimeout")};
    const std::int64_t max = in.number("MaxNumberOfMessages").value_or(1);
    o.max_messages = max < 0 ? 0 : static_cast<std::size_t>(max);
    auto system = texts(in, "AttributeNames");
    for (std::string& name : texts(in, "MessageSystemAttributeNames"))
        system.push_back(std::move(name));
    auto names = texts(in, "MessageAttributeNames");
    x.control.queues().async_receive(
        x.c->queue, o,
        asio::bind_cancellation_slot(
            x.slot, then(x,
                         [system = std::move(system), names = std::move(names)](
                             const std::vector<queue_message>& got) -> result<json::object> {
                             json::array messages;
                             for (const queue_message& m : got)
                                 messages.push_back(write_message(m, system, names));
                             json::object answer;
                             if (!messages.empty()) answer["Messages"] = std::move(messages);
                             return answer;
                         })));
}

result<json::object> first_of(std::vector<result<void>> all) {
    return nothing(only(std::move(all)));
}

void delete_message(const context& x) {
    x.control.queues().async_remove(x.c->queue, {required(reader(x.c->input), "ReceiptHandle")},
                                    then(x, first_of));
}

visibility_change read_change(const reader& in) {
    const auto timeout = seconds(in, "VisibilityTimeout");
    if (!timeout) throw missing("VisibilityTimeout");
    return {required(in, "ReceiptHandle"), *timeout};
}

void change_visibility(const context& x) {
    x.control.queues().async_change_visibility(x.c->queue, {read_change(reader(x.c->input))},
                                               then(x, first_of));
}

/// The entries of a batch: their ids, and what `read` makes of each.
template <class T, class Read>
std::pair<std::vector<std::string>, std::vector<T>> read_entries(const call& c, Read read_entry) {
    const reader in(c.input);
    const json::value* list = in.find("Entries");
    if (!list)
        throw fault(queue_errc::empty_batch_request, "There should be at least one " +
                                                         std::string(c.row->name) +
                                                         "RequestEntry in the request.");
    if (!list->is_array()) wrong_type("Entries", "a list");
    const json::array& entries = list->get_array();
    if (entries.empty())
        throw fault(queue_errc::empty_batch_request, "There should be at least one " +
                                                         std::string(c.row->name) +
                                                         "RequestEntry in the request.");
    if (entries.size() > max_batch_entries)
        throw fault(queue_errc::too_many_entries_in_batch_request,
                    "Maximum number of entries per request are 10. You have sent " +
                        std::to_string(entries.size()) + ".");
    std::vector<std::string> ids;
    std::vector<T> items;
    std::set<std::string> seen;
    for (const json::value& each : entries) {
        if (!each.is_object()) wrong_type("Entries", "a list of objects");
        const reader entry(each.get_object());
        std::string id = required(entry, "Id");
        const bool fits = !id.empty() && id.size() <= 80 && std::ranges::all_of(id, [](char ch) {
            return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                   (ch >= '0' && ch <= '9') || ch == '-' || ch == '_';
        });
        if (!fits)
            throw fault(queue_errc::invalid_batch_entry_id,
                        "A batch entry id can only contain alphanumeric characters, hyphens and "
                        "underscores. It can be at most 80 letters long.");
        if (!seen.insert(id).second)
            throw fault(queue_errc::batch_entry_ids_not_distinct, "Id " + id + " repeated.");
        ids.push_back(std::move(id));
        items.push_back(read_entry(entry));
    }
    return {std::move(ids), std::move(items)};
}

template <class T, class Write>
result<json::object> write_entries(const std::vector<std::string>& ids,
                                   const std::vector<result<T>>& outcomes,
                                   Write write) {
    json::array good, bad;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (outcomes[i].has_error()) {
            const error& e = outcomes[i].error();
            const entry_error code = entry_error_of(e);
            bad.push_back(json::object{{"Id", ids[i]},
                                       {"SenderFault", code.is_senders},
                                       {"Code", json_text(code.code)},
                                       {"Message", printable(e.message())}});
            continue;
        }
        json::object entry = write(outcomes[i]);
        entry["Id"] = ids[i];
        good.push_back(std::move(entry));
    }
    json::object o;
    if (!good.empty()) o["Successful"] = std::move(good);
    if (!bad.empty()) o["Failed"] = std::move(bad);
    return o;
}

void send_message_batch(const context& x) {
    auto [ids, messages] = read_entries<outgoing_message>(
        *x.c, [&](const reader& entry) { return read_message(entry, *x.c); });
    x.control.queues().async_send(
        x.c->queue, std::move(messages),
        then(x, [ids = std::move(ids)](const std::vector<result<sent_message>>& all) {
            return write_entries(ids, all,
                                 [](const result<sent_message>& m) { return write_sent(*m); });
        }));
}

/// Of outcomes that say nothing but how they ended.
auto write_ends(std::vector<std::string> ids) {
    return [ids = std::move(ids)](const std::vector<result<void>>& all) {
        return write_entries(ids, all, [](const result<void>&) { return json::object(); });
    };
}

void delete_message_batch(const context& x) {
    auto [ids, handles] = read_entries<std::string>(
        *x.c, [](const reader& entry) { return required(entry, "ReceiptHandle"); });
    x.control.queues().async_remove(x.c->queue, std::move(handles),
                                    then(x, write_ends(std::move(ids))));
}

void change_visibility_batch(const context& x) {
    auto [ids, changes] = read_entries<visibility_change>(*x.c, read_change);
    x.control.queues().async_change_visibility(x.c->queue, std::move(changes),
                                               then(x, write_ends(std::move(ids))));
}

// clang-format off
constexpr operation_row rows[] = {
    {"SendMessage", "SendMessage", nullptr, send_message},
    {"ReceiveMessage", "ReceiveMessage", nullptr, receive_message},
    {"DeleteMessage", "DeleteMessage", nullptr, delete_message, false},
    {"ChangeMessageVisibility", "ChangeMessageVisibility", nullptr, change_visibility, false},
    {"SendMessageBatch", "SendMessage", nullptr, send_message_batch},
    {"DeleteMessageBatch", "DeleteMessage", nullptr, delete_message_batch},
    {"ChangeMessageVisibilityBatch", "ChangeMessageVisibility", nullptr, change_visibility_batch},
    {"CreateQueue", "CreateQueue", create_queue, nullptr},
    {"GetQueueUrl", "GetQueueUrl", get_queue_url, nullptr},
    {"ListQueues", "ListQueues", list_queues, nullptr},
    {"ListDeadLetterSourceQueues", "ListDeadLetterSourceQueues", list_sources, nullptr},
    {"DeleteQueue", "DeleteQueue", delete_queue, nullptr, false},
    {"GetQueueAttributes", "GetQueueAttributes", get_attributes, nullptr},
    {"SetQueueAttributes", "SetQueueAttributes", set_attributes, nullptr, false},
    {"PurgeQueue", "PurgeQueue", purge_queue, nullptr, false},
    {"ListQueueTags", "ListQueueTags", list_tags, nullptr},
    {"TagQueue", "TagQueue", tag_queue, nullptr, false},
    {"UntagQueue", "UntagQueue", untag_queue, nullptr, false},
    {"AddPermission", "AddPermission", nullptr, nullptr},
    {"RemovePermission", "RemovePermission", nullptr, nullptr},
    {"StartMessageMoveTask", "StartMessageMoveTask", nullptr, nullptr},
    {"CancelMessageMoveTask", "CancelMessageMoveTask", nullptr, nullptr},
    {"ListMessageMoveTasks", "ListMessageMoveTasks", nullptr, nullptr},
};
// clang-format on

/// ".../ACCOUNT/NAME"; empty where it is not of this account.
std::string name_in_url(std::string_view url, std::string_view account) {
    const auto slash = url.rfind('/');
    if (slash == url.npos || slash == 0) return {};
    const std::string_view before = url.substr(0, slash);
    if (before.substr(before.rfind('/') + 1) != account) return {};
    return std::string(url.substr(slash + 1));
}

bool has_queue_url(std::string_view operation) {
    return operation != "CreateQueue" && operation != "GetQueueUrl" && operation != "ListQueues" &&
           !operation.ends_with("MessageMoveTask") && !operation.ends_with("MessageMoveTasks");
}

reply unknown(protocol how, std::string_view operation, std::string_view request_id) {
    return write_error(how, "com.amazon.coral.service#UnknownOperationException", "InvalidAction",
                       "The action " + std::string(operation) + " is not valid for this endpoint.",
                       request_id);
}

reply unreadable(protocol how, std::string_view why, std::string_view request_id) {
    return write_error(how, "com.amazon.coral.service#SerializationException", "MalformedInput",
                       why, request_id);
}

/// What reading the input throws, as an answer.
template <class Do>
std::optional<reply> reading(const call& c, Do something) {
    try {
        something();
    } catch (const error& e) {
        return write_error(c.how, e, c.request_id);
    } catch (const fault_thrown& thrown) {
        return unreadable(c.how, thrown.fault.why.message(), c.request_id);
    }
    return std::nullopt;
}

}  // namespace

std::variant<call_ptr, reply> read(const control_plane& control,
                                   const envelope& e,
                                   std::string_view body) {
    auto c = std::make_shared<call>();
    c->how = e.service.how;
    c->request_id = e.request_id;
    c->origin = e.origin;
    if (e.by) c->sender = e.by->name;
    if (e.trace_header.size() <= max_trace_id) c->trace_header = e.trace_header;
    std::string operation(e.service.operation);
    if (c->how == protocol::query) {
        auto form = read_form(body);
        if (!form) return unreadable(c->how, "The form is malformed.", e.request_id);
        c->input = std::move(*form);
        if (const json::value* action = c->input.if_contains("Action");
            action && action->is_string())
            operation = action->get_string();
        if (!c->input.contains("QueueUrl") && !name_in_url(e.path, control.account_id()).empty())
            c->input["QueueUrl"] = json_text(e.path);
    } else if (!body.empty()) {
        json::error_code ec;
        json::value document = json::parse(json_text(body), ec);
        if (ec || !document.is_object())
            return unreadable(c->how, ec ? json_fault(body) : "not an object", e.request_id);
        c->input = std::move(document.get_object());
    }
    const auto row = std::ranges::find(rows, operation, &operation_row::name);
    if (row == std::end(rows)) return unknown(c->how, operation, e.request_id);
    c->row = row;
    error no_queue;
    auto bad = reading(*c, [&] {
        const reader in(c->input);
        if (has_queue_url(operation)) {
            c->queue = name_in_url(required(in, "QueueUrl"), control.account_id());
            if (c->queue.empty())
                no_queue =
                    fault(queue_errc::queue_does_not_exist, "The specified queue does not exist.");
        } else {
            c->queue = in.text("QueueName").value_or("");
        }
    });
    if (bad) return std::move(*bad);
    if (auto refused = denied(e.by, control.account_id(), "sqs:" + std::string(row->action),
                              c->queue, c->queue.empty() ? "*" : control.queues().arn_of(c->queue)))
        return translate(c->how, *refused, e.request_id);
    if (no_queue.code()) return write_error(c->how, no_queue, e.request_id);
    if (!row->manage && !row->start)
        return write_error(c->how,
                           fault(queue_errc::unsupported_operation,
                                 operation + " is not implemented by this server yet"),
                           e.request_id);
    return call_ptr(std::move(c));
}

bool waits_for_disk(const call& c) noexcept { return c.row->manage != nullptr; }

reply answer(control_plane& control, const call& c) {
    reply r;
    auto bad = reading(
        c, [&] { r = answer_of(c, c.row->manage(control.queues(), c, control.account_id())); });
    return bad ? std::move(*bad) : std::move(r);
}

void start(control_plane& control,
           const call_ptr& c,
           const asio::any_io_executor& executor,
           asio::cancellation_slot slot,
           done_handler done) {
    auto bad = reading(*c, [&] { c->row->start({control, c, executor, slot, done}); });
    if (bad) done(std::move(*bad));
}

std::vector<std::string> action_names() {
    std::vector<std::string> names;
    for (const operation_row& each : rows) names.push_back("sqs:" + std::string(each.action));
    return names;
}

std::string operations_table() {
    std::vector<std::string_view> served, absent;
    for (const operation_row& each : rows)
        (each.manage || each.start ? served : absent).push_back(each.name);
    return make_operations_table(
        "operations of Amazon SQS",
        {{"served", served}, {"answer `UnsupportedOperation` with their name", absent}});
}

}  // namespace hearth::http::sqs
