#include "http/cloudwatch_logs.hpp"

#include "http/authentication.hpp"
#include "http/aws_error.hpp"
#include "http/json_protocol.hpp"
#include "http/json_reader.hpp"
#include "http/log_filter.hpp"

#include <hearth/logs.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

namespace hearth::http::cloudwatch_logs {
namespace {

namespace beast_http = boost::beast::http;

constexpr std::string_view invalid_parameter = "InvalidParameterException";
constexpr std::string_view no_such_resource = "ResourceNotFoundException";
constexpr std::int64_t max_described = 50, max_events = 10'000;
constexpr std::size_t max_named_streams = 100;

/// What a handler says no with; caught by `answer`.
struct refusal {
    reply said;
};

using json_protocol::fault;
using json_protocol::translate;

[[noreturn]] void refuse_with(std::string_view type, std::string_view message) {
    throw refusal{fault(type, message)};
}

template <class T>
T of_logs(result<T> outcome) {
    if (outcome.has_value()) return std::move(*outcome);
    if (outcome.error() == errc::not_found)
        refuse_with(no_such_resource, "The specified log group does not exist.");
    if (outcome.error() == errc::invalid_argument)
        refuse_with(invalid_parameter, outcome.error().detail());
    throw refusal{translate(make_error(outcome.error()))};
}

struct request {
    const control_plane& control;
    const function_logs* logs;  ///< null: none are kept
    const reader& in;
    const access_key* by;
    std::string_view action;  ///< "logs:GetLogEvents"
};

std::string arn_of(const request& r, const std::string& rest) {
    // arn:aws:lambda:REGION:ACCOUNT:…
    std::string arn = r.control.function_arn("f").value();
    arn.resize(arn.rfind(":function:"));
    return arn.replace(arn.find("lambda"), 6, "logs") + ":log-group:" + rest;
}

void must_be_allowed(const request& r, const std::string& group) {
    if (auto no = denied(r.by, r.control.account_id(), std::string(r.action), group,
                         group.empty() ? arn_of(r, "") : arn_of(r, group + ":*")))
        throw refusal{translate(*no)};
}

/// The group by its name or ARN, which `by` may ask for.
std::string group_of(const request& r) {
    auto group = r.in.text("logGroupName").value_or("");
    if (group.empty()) {
        group = r.in.text("logGroupIdentifier").value_or("");
        if (const std::string_view before = ":log-group:"; group.starts_with("arn:")) {
            const auto at = group.find(before);
            group = at == group.npos ? "" : group.substr(at + before.size());
            if (group.ends_with(":*")) group.resize(group.size() - 2);
        }
    }
    if (group.empty())
        refuse_with(invalid_parameter,
                    "1 validation error detected: Value null at 'logGroupName' "
                    "failed to satisfy constraint: Member must not be null");
    must_be_allowed(r, group);
    if (!r.logs) refuse_with(no_such_resource, "This server keeps no logs.");
    return group;
}

std::size_t limit_of(const request& r, std::int64_t most) {
    const std::int64_t n = r.in.number("limit").value_or(most);
    if (n < 1 || n > most)
        refuse_with(invalid_parameter,
                    "1 validation error detected: Value '" + std::to_string(n) +
                        "' at 'limit' failed to satisfy constraint: Member must have value " +
                        (n < 1 ? "greater than or equal to 1"
                               : "less than or equal to " + std::to_string(most)));
    return static_cast<std::size_t>(n);
}

std::int64_t time_of(const request& r, std::string_view member, std::int64_t otherwise) {
    const std::int64_t ms = r.in.number(member).value_or(otherwise);
    if (ms < 0) refuse_with(invalid_parameter, std::string(member) + " must not be negative");
    return ms;
}

// -- tokens: "DIRECTION/FILE/OFFSET"

std::string token_of(char direction, const log_position& at) {
    return std::string(1, direction) + "/" + std::to_string(at.file) + "/" +
           std::to_string(at.offset);
}

[[noreturn]] void refuse_token() {
    refuse_with(invalid_parameter, "The specified nextToken is invalid.");
}

std::pair<char, log_position> read_token(std::string_view token) {
    log_position at;
    if (token.size() < 5 || token[1] != '/') refuse_token();
    const char* const last = token.data() + token.size();
    const auto file = std::from_chars(token.data() + 2, last, at.file);
    if (file.ec != std::errc() || file.ptr == last || *file.ptr != '/') refuse_token();
    const auto offset = std::from_chars(file.ptr + 1, last, at.offset);
    if (offset.ec != std::errc() || offset.ptr != last) refuse_token();
    return {token[0], at};
}

/// Forty digits, in the order of the events.
std::string event_id(const log_position& at) {
    const auto padded = [](std::uint64_t n) {
        const std::string digits = std::to_string(n);
        return std::string(20 - digits.size(), '0') + digits;
    };
    return padded(at.file) + padded(at.offset);
}

json::object event_of(const log_event& e) {
    return {
        {"timestamp", e.timestamp_ms}, {"message", e.message}, {"ingestionTime", e.timestamp_ms}};
}

/// The first `limit` of those after the token, and the token of what follows. `key` of one is its
/// token.
template <class T, class Key, class Write>
json::object page_of(const request& r,
                     const char* member,
                     const std::vector<T>& all,
                     std::size_t limit,
                     Key key,
                     Write write) {
    auto at = all.begin();
    if (const auto token = r.in.text("nextToken")) {
        at = std::ranges::find(all, *token, key);
        if (at == all.end()) refuse_token();
        ++at;
    }
    json::array page;
    for (; at != all.end() && page.size() < limit; ++at) page.push_back(write(*at));
    json::object out{{member, std::move(page)}};
    if (at != all.end() && at != all.begin()) out["nextToken"] = key(*(at - 1));
    return out;
}

json::object describe_log_groups(const request& r) {
    must_be_allowed(r, {});
    const std::size_t limit = limit_of(r, max_described);
    const std::string prefix = r.in.text("logGroupNamePrefix").value_or("");
    const std::string pattern = r.in.text("logGroupNamePattern").value_or("");
    if (!prefix.empty() && !pattern.empty())
        refuse_with(invalid_parameter,
                    "LogGroup name prefix and LogGroup name pattern are mutually exclusive "
                    "parameters.");
    std::vector<log_group> all;
    if (r.logs) all = of_logs(r.logs->groups());
    std::erase_if(all, [&](const log_group& g) {
        return !g.name.starts_with(prefix) || g.name.find(pattern) == g.name.npos;
    });
    return page_of(
        r, "logGroups", all, limit, [](const log_group& g) { return g.name; },
        [&](const log_group& g) {
            return json::object{{"logGroupName", g.name},
                                {"creationTime", g.created_ms},
                                {"metricFilterCount", 0},
                                {"arn", arn_of(r, g.name + ":*")},
                                {"storedBytes", g.stored.bytes()}};
        });
}

json::object describe_log_streams(const request& r) {
    const std::string group = group_of(r);
    const std::size_t limit = limit_of(r, max_described);
    const std::string prefix = r.in.text("logStreamNamePrefix").value_or("");
    const std::string order = r.in.text("orderBy").value_or("LogStreamName");
    const bool by_time = order == "LastEventTime";
    if (!by_time && order != "LogStreamName")
        refuse_with(invalid_parameter, "orderBy is LogStreamName or LastEventTime");
    if (by_time && !prefix.empty())
        refuse_with(invalid_parameter, "Cannot order by LastEventTime with a logStreamNamePrefix.");
    auto all = of_logs(r.logs->streams(group));
    std::erase_if(all, [&](const log_stream& s) { return !s.name.starts_with(prefix); });
    if (by_time) std::ranges::stable_sort(all, {}, &log_stream::last_event_ms);
    if (r.in.flag("descending")) std::ranges::reverse(all);
    return page_of(
        r, "logStreams", all, limit, [](const log_stream& s) { return s.name; },
        [&](const log_stream& s) {
            return json::object{{"logStreamName", s.name},
                                {"creationTime", s.first_event_ms},
                                {"firstEventTimestamp", s.first_event_ms},
                                {"lastEventTimestamp", s.last_event_ms},
                                {"lastIngestionTime", s.last_event_ms},
                                {"arn", arn_of(r, group + ":log-stream:" + s.name)},
                                {"storedBytes", s.stored.bytes()}};
        });
}

json::object get_log_events(const request& r) {
    log_query q;
    q.group = group_of(r);
    const auto stream = r.in.text("logStreamName");
    if (!stream || stream->empty())
        refuse_with(invalid_parameter,
                    "1 validation error detected: Value null at 'logStreamName' "
                    "failed to satisfy constraint: Member must not be null");
    q.streams = {*stream};
    q.max_events = limit_of(r, max_events);
    q.from_ms = time_of(r, "startTime", 0);
    if (r.in.find("endTime")) q.to_ms = time_of(r, "endTime", 0) - 1;  // exclusive
    q.backward = !r.in.flag("startFromHead");
    const auto token = r.in.text("nextToken");
    if (token) {
        const auto [direction, at] = read_token(*token);
        if (direction != 'f' && direction != 'b') refuse_token();
        q.backward = direction == 'b';
        q.start = at;
    }
    const auto page = of_logs(r.logs->read(q));
    if (page.events.empty() && !token) {
        const auto streams = of_logs(r.logs->streams(q.group));
        if (std::ranges::find(streams, *stream, &log_stream::name) == streams.end())
            refuse_with(no_such_resource, "The specified log stream does not exist.");
    }
    json::array events;
    for (const log_event& e : page.events) events.push_back(event_of(e));
    // At an end the token stays what it was: that is how clients know.
    std::string forward, backward;
    if (!q.backward) {
        forward = token && page.events.empty() && page.complete ? *token : token_of('f', page.next);
        backward = token_of(
            'b', page.events.empty() ? q.start.value_or(log_position{}) : page.events.front().at);
    } else {
        backward =
            token && page.events.empty() && page.complete ? *token : token_of('b', page.next);
        log_position after = q.start.value_or(log_position{});
        if (!page.events.empty()) {
            // Forward from the last one: itself has been seen.
            after = page.events.back().at;
            ++after.offset;
        }
        forward = token_of('f', after);
    }
    return {{"events", std::move(events)},
            {"nextForwardToken", forward},
            {"nextBackwardToken", backward}};
}

json::object filter_log_events(const request& r) {
    log_query q;
    q.group = group_of(r);
    q.streams = r.in.texts("logStreamNames").value_or(std::vector<std::string>());
    q.stream_prefix = r.in.text("logStreamNamePrefix").value_or("");
    if (!q.streams.empty() && !q.stream_prefix.empty())
        refuse_with(invalid_parameter,
                    "logStreamNames and logStreamNamePrefix are mutually exclusive parameters.");
    if (q.streams.size() > max_named_streams)
        refuse_with(invalid_parameter, "logStreamNames are at most 100");
    q.max_events = limit_of(r, max_events);
    q.from_ms = time_of(r, "startTime", 0);
    q.to_ms = time_of(r, "endTime", q.to_ms);
    const auto filter = of_logs(log_filter::parse(r.in.text("filterPattern").value_or("")));
    if (!filter.is_empty())
        q.matches = [&filter](std::string_view message) { return filter.matches(message); };
    if (const auto token = r.in.text("nextToken")) {
        const auto [direction, at] = read_token(*token);
        if (direction != 'f') refuse_token();
        q.start = at;
    }
    const auto page = of_logs(r.logs->read(q));
    json::array events;
    for (const log_event& e : page.events) {
        json::object o = event_of(e);
        o["logStreamName"] = e.stream;
        o["eventId"] = event_id(e.at);
        events.push_back(std::move(o));
    }
    json::object out{{"events", std::move(events)}, {"searchedLogStreams", json::array()}};
    if (!page.complete) out["nextToken"] = token_of('f', page.next);
    return out;
}

struct row {
    std::string_view action;
    json::object (*handle)(const request&);
};
constexpr row rows[] = {
    {"logs:DescribeLogGroups", describe_log_groups},
    {"logs:DescribeLogStreams", describe_log_streams},
    {"logs:FilterLogEvents", filter_log_events},
    {"logs:GetLogEvents", get_log_events},
};

}  // namespace

reply answer(const control_plane& control,
             std::string_view operation,
             std::string_view body,
             const access_key* by) {
    const auto* found = std::ranges::find_if(
        rows, [&](const row& each) { return each.action.substr(5) == operation; });
    if (found == std::end(rows))
        return fault("UnknownOperationException",
                     "This server does not serve " + std::string(operation.substr(0, 128)) +
                         " of CloudWatch Logs: DescribeLogGroups, DescribeLogStreams, "
                         "FilterLogEvents and GetLogEvents are there");
    try {
        auto out = read_document(body.empty() ? "{}" : body, [&](const reader& in) {
            return found->handle({control, control.logs(), in, by, found->action});
        });
        if (out.has_error()) return fault("SerializationException", out.error().why.message());
        return json_protocol::answer(*out);
    } catch (refusal& r) {
        return std::move(r.said);
    }
}

std::vector<std::string_view> action_names() {
    std::vector<std::string_view> names;
    for (const row& each : rows) names.push_back(each.action);
    return names;
}

}  // namespace hearth::http::cloudwatch_logs
