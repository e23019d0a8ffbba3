#include "http/kinesis.hpp"

#include "http/authentication.hpp"
#include "http/json_protocol.hpp"
#include "http/json_reader.hpp"
#include "http/operations_table.hpp"
#include "http/text.hpp"

#include <hearth/data_stream.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

namespace hearth::http::kinesis {

namespace {

namespace beast_http = boost::beast::http;
using kind = shard_position::kind;
using done_handler = std::function<void(answer)>;
using subscribed_handler = std::function<void(std::unique_ptr<shard_subscription>)>;

/// An operation under way.
struct context {
    stream_service& streams;
    const reader& in;
    const std::string& name;  ///< the stream's; empty: it has none
    const boost::asio::any_io_executor& executor;
    done_handler done;
    subscribed_handler subscribed;
};

/// Of an account: what creating a stream refuses to go beyond.
constexpr int max_open_shards = 10'000;

struct operation_row {
    std::string_view name;
    result<json::object> (*manage)(const context&);
    void (*start)(const context&);  ///< both null: refused by its name
};

json::string_view json_text(std::string_view s) noexcept { return {s.data(), s.size()}; }

error fault(stream_errc code, std::string message) {
    return {make_error_code(code), std::move(message)};
}

reply write_error(const error& e) {
    struct known {
        stream_errc code;
        std::string_view type;
    };
    static constexpr known all[] = {
        {stream_errc::resource_not_found, "ResourceNotFoundException"},
        {stream_errc::resource_in_use, "ResourceInUseException"},
        {stream_errc::invalid_argument, "InvalidArgumentException"},
        {stream_errc::limit_exceeded, "LimitExceededException"},
        {stream_errc::expired_iterator, "ExpiredIteratorException"},
        {stream_errc::expired_next_token, "ExpiredNextTokenException"},
    };
    for (const known& each : all)
        if (e.code() == each.code) return json_protocol::fault(each.type, e.message());
    if (e == errc::invalid_argument)
        return json_protocol::fault("ValidationException", e.message());
    if (e == errc::throttled)
        return json_protocol::fault("ProvisionedThroughputExceededException", e.message());
    if (e == errc::shutting_down)
        return json_protocol::fault("ServiceUnavailable", e.message(),
                                    beast_http::status::service_unavailable);
    return json_protocol::fault("InternalFailure", e.message(),
                                beast_http::status::internal_server_error);
}

// ---- Members ----

double write_time(stream_time t) {
    return static_cast<double>(t.time_since_epoch().count()) / 1000.0;
}

std::optional<stream_time> read_time(const reader& in, std::string_view name) {
    const json::value* v = in.find(name);
    if (!v) return std::nullopt;
    if (!v->is_number()) wrong_type(name, "a timestamp");
    // Beyond what happens, but not beyond what can be counted with.
    const double ms = std::clamp(std::round(v->to_number<double>() * 1000.0), 0.0, 1e17);
    return stream_time(std::chrono::milliseconds(static_cast<std::int64_t>(ms)));
}

std::size_t read_limit(const reader& in,
                       std::string_view name,
                       std::int64_t standard,
                       std::int64_t most) {
    const std::int64_t n = in.number(name).value_or(standard);
    if (n < 1 || n > most)
        refuse(errc::invalid_argument,
               "1 validation error detected: Value '" + std::to_string(n) + "' at '" +
                   std::string(name) + "' failed to satisfy constraint: Member must have value " +
                   (n < 1 ? "greater than or equal to 1"
                          : "less than or equal to " + std::to_string(most)));
    return static_cast<std::size_t>(n);
}

[[noreturn]] void not_among(std::string_view name,
                            std::string_view value,
                            std::string_view values) {
    refuse(errc::invalid_argument,
           "1 validation error detected: Value '" + std::string(value) + "' at '" +
               std::string(name) +
               "' failed to satisfy constraint: Member must satisfy enum value set: [" +
               std::string(values) + "]");
}

bool read_on_demand(const reader& in) {
    const auto mode = in.object("StreamModeDetails");
    if (!mode) return false;
    const std::string text = mode->required_text("StreamMode", "streamModeDetails.streamMode");
    if (text != "ON_DEMAND" && text != "PROVISIONED")
        not_among("streamModeDetails.streamMode", text, "PROVISIONED, ON_DEMAND");
    return text == "ON_DEMAND";
}

json::object write_mode(const stream_description& d) {
    return {{"StreamMode", d.on_demand ? "ON_DEMAND" : "PROVISIONED"}};
}

json::object write_shard(const stream_shard& s) {
    json::object sequence{{"StartingSequenceNumber", s.first_sequence_number}};
    if (!s.is_open()) sequence["EndingSequenceNumber"] = s.last_sequence_number;
    json::object o{{"ShardId", s.id},
                   {"HashKeyRange",
                    {{"StartingHashKey", s.first_hash_key}, {"EndingHashKey", s.last_hash_key}}},
                   {"SequenceNumberRange", std::move(sequence)}};
    if (!s.parent_id.empty()) o["ParentShardId"] = s.parent_id;
    if (!s.adjacent_parent_id.empty()) o["AdjacentParentShardId"] = s.adjacent_parent_id;
    return o;
}

json::array write_shards(const std::vector<stream_shard>& shards) {
    json::array list;
    for (const stream_shard& each : shards) list.push_back(write_shard(each));
    return list;
}

json::object write_description(const stream_description& d) {
    return {{"StreamName", d.name},
            {"StreamARN", d.arn},
            {"StreamStatus", "ACTIVE"},
            {"StreamModeDetails", write_mode(d)},
            {"RetentionPeriodHours", d.retention.count()},
            {"StreamCreationTimestamp", write_time(d.created)},
            {"EnhancedMonitoring", json::array{{{"ShardLevelMetrics", json::array()}}}},
            {"EncryptionType", "NONE"}};
}

stream_tags read_tags(const reader& in) {
    stream_tags tags;
    if (auto map = in.text_map("Tags")) tags.insert(map->begin(), map->end());
    return tags;
}

outgoing_record read_record(const reader& in) {
    const auto data = from_base64(in.required_text("Data", "data"));
    if (!data) wrong_type("Data", "base64");
    return {.data = *data,
            .partition_key = in.required_text("PartitionKey", "partitionKey"),
            .explicit_hash_key = in.text("ExplicitHashKey").value_or("")};
}

json::object write_stored(const stored_record& r) {
    return {{"SequenceNumber", r.sequence_number}, {"ShardId", r.shard_id}};
}

// ---- Which shards a list goes on with: base64 of a document ----

struct shard_list {
    std::string name;
    shard_filter filter;
    std::size_t max = 0;
};

std::int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::string write_token(const shard_list& l) {
    return to_base64(json::serialize(
        json::array{l.name, l.filter.after_id, static_cast<std::int64_t>(l.filter.which),
                    l.filter.time.time_since_epoch().count(), now_ms()}));
}

shard_list read_token(const std::string& token) {
    const auto text = from_base64(token);
    json::error_code ec;
    const json::value v = json::parse(json_text(text.value_or("")), ec);
    const auto* a = ec ? nullptr : v.if_array();
    const bool is_one =
        a && a->size() == 5 && a->at(0).is_string() && a->at(1).is_string() &&
        a->at(2).is_int64() && a->at(3).is_int64() && a->at(4).is_int64() &&
        a->at(2).get_int64() >= 0 &&
        a->at(2).get_int64() <= static_cast<std::int64_t>(shard_filter::kind::open_since);
    if (!is_one) throw fault(stream_errc::invalid_argument, "The NextToken is invalid.");
    constexpr std::int64_t validity = std::chrono::milliseconds(iterator_validity).count();
    if (now_ms() - std::clamp<std::int64_t>(a->at(4).get_int64(), 0, INT64_MAX) > validity)
        throw fault(stream_errc::expired_next_token,
                    "The NextToken is older than 300 seconds: begin anew.");
    return {.name = std::string(a->at(0).get_string()),
            .filter = {.which = static_cast<shard_filter::kind>(a->at(2).get_int64()),
                       .time = stream_time(std::chrono::milliseconds(a->at(3).get_int64())),
                       .after_id = std::string(a->at(1).get_string())}};
}

shard_filter read_filter(const reader& in) {
    using filter_kind = shard_filter::kind;
    shard_filter f{.after_id = in.text("ExclusiveStartShardId").value_or("")};
    const auto given = in.object("ShardFilter");
    if (!given) return f;
    const std::string type = given->required_text("Type", "shardFilter.type");
    if (type == "AFTER_SHARD_ID") {
        f.after_id = given->required_text("ShardId", "shardFilter.shardId");
    } else if (type == "AT_LATEST") {
        f.which = filter_kind::open;
    } else if (type == "AT_TRIM_HORIZON") {
        f.which = filter_kind::open_at;
    } else if (type == "AT_TIMESTAMP" || type == "FROM_TIMESTAMP") {
        f.which = type == "AT_TIMESTAMP" ? filter_kind::open_at : filter_kind::open_since;
        const auto time = read_time(*given, "Timestamp");
        if (!time)
            throw fault(stream_errc::invalid_argument,
                        "A ShardFilter of " + type + " has a Timestamp.");
        f.time = *time;
    } else if (type != "FROM_TRIM_HORIZON") {
        not_among("shardFilter.type", type,
                  "AFTER_SHARD_ID, AT_TRIM_HORIZON, FROM_TRIM_HORIZON, AT_LATEST, AT_TIMESTAMP, "
                  "FROM_TIMESTAMP");
    }
    return f;
}

// ---- Operations on streams ----

json::object nothing() { return {}; }

result<json::object> create_stream(const context& x) {
    stream_options options{.on_demand = read_on_demand(x.in)};
    if (const auto shards = x.in.number("ShardCount"))
        options.shards = static_cast<std::size_t>(std::max<std::int64_t>(*shards, 0));
    const stream_tags tags = read_tags(x.in);
    taken(x.streams.create(x.name, options));
    if (!tags.empty())
        if (const auto tagged = x.streams.tag(x.name, tags); tagged.has_error()) {
            taken(x.streams.remove(x.name));
            return tagged.error();
        }
    return nothing();
}

result<json::object> delete_stream(const context& x) {
    taken(x.streams.remove(x.name, x.in.flag("EnforceConsumerDeletion")));
    return nothing();
}

result<json::object> describe_stream(const context& x) {
    const std::size_t limit = read_limit(x.in, "Limit", 100, 10'000);
    json::object o = write_description(taken(x.streams.describe(x.name)));
    const shard_page page = taken(x.streams.shards(
        x.name, {.after_id = x.in.text("ExclusiveStartShardId").value_or("")}, limit));
    o["Shards"] = write_shards(page.shards);
    o["HasMoreShards"] = page.has_more;
    return json::object{{"StreamDescription", std::move(o)}};
}

result<json::object> describe_summary(const context& x) {
    const stream_description d = taken(x.streams.describe(x.name));
    json::object o = write_description(d);
    o["OpenShardCount"] = d.open_shards;
    o["ConsumerCount"] = d.consumers;
    return json::object{{"StreamDescriptionSummary", std::move(o)}};
}

result<json::object> describe_limits(const context& x) {
    std::size_t on_demand = 0;
    for (std::string after;;) {
        const stream_page page = taken(x.streams.list(after, 1000));
        for (const std::string& each : page.names)
            if (const auto d = x.streams.describe(each); d.has_value() && d->on_demand) ++on_demand;
        if (!page.has_more) break;
        after = page.names.back();
    }
    // What bounds streams on demand are their shards.
    return json::object{{"ShardLimit", max_open_shards},
                        {"OpenShardCount", taken(x.streams.open_shards())},
                        {"OnDemandStreamCount", on_demand},
                        {"OnDemandStreamCountLimit", max_open_shards}};
}

result<json::object> list_streams(const context& x) {
    const std::size_t limit = read_limit(x.in, "Limit", 100, 10'000);
    const auto token = x.in.text("NextToken");
    const stream_page page = taken(
        x.streams.list(token ? *token : x.in.text("ExclusiveStartStreamName").value_or(""), limit));
    json::array names;
    for (const std::string& each : page.names) names.emplace_back(each);
    json::object o{{"StreamNames", std::move(names)}, {"HasMoreStreams", page.has_more}};
    if (page.has_more) o["NextToken"] = page.names.back();
    return o;
}

result<json::object> list_shards(const context& x) {
    shard_list l{.name = x.name, .filter = {}, .max = read_limit(x.in, "MaxResults", 1000, 10'000)};
    if (const auto token = x.in.text("NextToken"))
        l.filter = read_token(*token).filter;
    else
        l.filter = read_filter(x.in);
    const shard_page page = taken(x.streams.shards(l.name, l.filter, l.max));
    json::object o{{"Shards", write_shards(page.shards)}};
    if (page.has_more) {
        l.filter.after_id = page.shards.back().id;
        o["NextToken"] = write_token(l);
    }
    return o;
}

result<json::object> split_shard(const context& x) {
    taken(x.streams.split(x.name, x.in.required_text("ShardToSplit", "shardToSplit"),
                          x.in.required_text("NewStartingHashKey", "newStartingHashKey")));
    return nothing();
}

result<json::object> update_shard_count(const context& x) {
    const std::size_t target =
        read_limit(x.in, "TargetShardCount", 0, std::numeric_limits<std::int32_t>::max());
    const std::string how = x.in.required_text("ScalingType", "scalingType");
    if (how != "UNIFORM_SCALING") not_among("scalingType", how, "UNIFORM_SCALING");
    const std::size_t before = taken(x.streams.set_shard_count(x.name, target));
    return json::object{{"StreamName", x.name},
                        {"StreamARN", x.streams.arn_of(x.name)},
                        {"CurrentShardCount", before},
                        {"TargetShardCount", target}};
}

result<json::object> merge_shards(const context& x) {
    taken(x.streams.merge(x.name, x.in.required_text("ShardToMerge", "shardToMerge"),
                          x.in.required_text("AdjacentShardToMerge", "adjacentShardToMerge")));
    return nothing();
}

template <result<void> (stream_service::*set)(std::string_view, std::chrono::hours)>
result<json::object> set_retention(const context& x) {
    const auto hours = x.in.number("RetentionPeriodHours");
    if (!hours) must_not_be_null("retentionPeriodHours");
    const auto asked = std::chrono::hours(std::clamp<std::int64_t>(*hours, -1, 1'000'000'000));
    taken((x.streams.*set)(x.name, asked));
    return nothing();
}

result<json::object> update_mode(const context& x) {
    if (!x.in.object("StreamModeDetails")) must_not_be_null("streamModeDetails");
    taken(x.streams.set_on_demand(x.name, read_on_demand(x.in)));
    return nothing();
}

result<json::object> add_tags(const context& x) {
    if (!x.in.object("Tags")) must_not_be_null("tags");
    taken(x.streams.tag(x.name, read_tags(x.in)));
    return nothing();
}

result<json::object> remove_tags(const context& x) {
    const auto keys = x.in.texts("TagKeys");
    if (!keys) must_not_be_null("tagKeys");
    taken(x.streams.untag(x.name, *keys));
    return nothing();
}

json::object write_tag(const stream_tags::value_type& tag) {
    return {{"Key", tag.first}, {"Value", tag.second}};
}

result<json::object> list_tags(const context& x) {
    const std::size_t limit = read_limit(x.in, "Limit", 50, 50);
    const stream_tags tags = taken(x.streams.tags(x.name));
    auto at = tags.upper_bound(x.in.text("ExclusiveStartTagKey").value_or(""));
    json::array list;
    for (; at != tags.end() && list.size() < limit; ++at) list.push_back(write_tag(*at));
    return json::object{{"Tags", std::move(list)}, {"HasMoreTags", at != tags.end()}};
}

result<json::object> list_resource_tags(const context& x) {
    json::array list;
    for (const auto& each : taken(x.streams.tags(x.name))) list.push_back(write_tag(each));
    return json::object{{"Tags", std::move(list)}};
}

// ---- Consumers ----

json::object write_consumer(const stream_consumer& c) {
    return {{"ConsumerName", c.name},
            {"ConsumerARN", c.arn},
            {"ConsumerStatus", "ACTIVE"},
            {"ConsumerCreationTimestamp", write_time(c.created)}};
}

/// By its ARN, or its name and its stream's ARN; by all of them where they agree.
stream_consumer find_consumer(const context& x) {
    const auto name = x.in.text("ConsumerName"), arn = x.in.text("ConsumerARN");
    if (!arn && !(name && x.in.says_something("StreamARN")))
        throw fault(stream_errc::invalid_argument,
                    "A consumer is told by its ConsumerARN, or by StreamARN and ConsumerName.");
    stream_consumer found =
        taken(arn ? x.streams.find_consumer(*arn) : x.streams.find_consumer(x.name, *name));
    if (found.stream != x.name || (name && *name != found.name))
        throw fault(stream_errc::invalid_argument,
                    "ConsumerARN is not of the consumer that StreamARN and ConsumerName tell.");
    return found;
}

result<json::object> register_consumer(const context& x) {
    return json::object{
        {"Consumer", write_consumer(taken(x.streams.register_consumer(
                         x.name, x.in.required_text("ConsumerName", "consumerName"))))}};
}

result<json::object> describe_consumer(const context& x) {
    const stream_consumer c = find_consumer(x);
    json::object o = write_consumer(c);
    o["StreamARN"] = x.streams.arn_of(c.stream);
    return json::object{{"ConsumerDescription", std::move(o)}};
}

result<json::object> list_consumers(const context& x) {
    const std::size_t limit =
        std::min<std::size_t>(read_limit(x.in, "MaxResults", 100, 10'000), 100);
    shard_list l{.name = x.name, .filter = {}, .max = limit};
    if (const auto token = x.in.text("NextToken")) {
        if (x.in.find("StreamCreationTimestamp"))
            throw fault(stream_errc::invalid_argument,
                        "NextToken and StreamCreationTimestamp cannot be provided together.");
        l.filter = read_token(*token).filter;
    }
    const consumer_page page = taken(x.streams.consumers(x.name, l.filter.after_id, limit));
    json::array list;
    for (const stream_consumer& each : page.consumers) list.push_back(write_consumer(each));
    json::object o{{"Consumers", std::move(list)}};
    if (page.has_more) {
        l.filter.after_id = page.consumers.back().name;
        o["NextToken"] = write_token(l);
    }
    return o;
}

result<json::object> deregister_consumer(const context& x) {
    taken(x.streams.deregister_consumer(x.name, find_consumer(x).name));
    return nothing();
}

// ---- Operations on records ----

reply answer_of(const result<json::object>& outcome) {
    return outcome.has_error() ? write_error(outcome.error()) : json_protocol::answer(*outcome);
}

/// A handler that has the answer written of what came.
template <class Outcome, class Write>
auto then(const context& x, Write write) {
    return boost::asio::bind_executor(
        x.executor, [done = x.done, write](const error& failed, Outcome outcome) {
            if (failed.code()) return done([failed] { return write_error(failed); });
            done([write, o = std::make_shared<const Outcome>(std::move(outcome))] {
                return json_protocol::answer(write(*o));
            });
        });
}

using stored_records = std::vector<stored_record>;

void put_record(const context& x) {
    std::vector<outgoing_record> one;
    one.push_back(read_record(x.in));
    x.streams.async_put(x.name, std::move(one), x.in.text("SequenceNumberForOrdering").value_or(""),
                        then<stored_records>(x, [](const stored_records& stored) {
                            json::object o = write_stored(stored.front());
                            o["EncryptionType"] = "NONE";
                            return o;
                        }));
}

void put_records(const context& x) {
    const json::value* list = x.in.find("Records");
    if (!list) must_not_be_null("records");
    if (!list->is_array()) wrong_type("Records", "a list");
    std::vector<outgoing_record> records;
    for (const json::value& each : list->get_array()) {
        if (!each.is_object()) wrong_type("Records", "a list of objects");
        records.push_back(read_record(reader(each.get_object())));
    }
    x.streams.async_put(x.name, std::move(records), {},
                        then<stored_records>(x, [](const stored_records& stored) {
                            json::array entries;
                            for (const stored_record& r : stored)
                                entries.push_back(write_stored(r));
                            return json::object{{"FailedRecordCount", 0},
                                                {"Records", std::move(entries)},
                                                {"EncryptionType", "NONE"}};
                        }));
}

/// Members of these names; `shown` is what AWS's sentences put before them.
shard_position read_position(const reader& in,
                             std::string_view type_name,
                             std::string_view number_name,
                             const std::string& shown) {
    struct known {
        std::string_view type;
        kind from;
    };
    static constexpr known all[] = {{"AT_SEQUENCE_NUMBER", kind::at_sequence_number},
                                    {"AFTER_SEQUENCE_NUMBER", kind::after_sequence_number},
                                    {"TRIM_HORIZON", kind::trim_horizon},
                                    {"LATEST", kind::latest},
                                    {"AT_TIMESTAMP", kind::at_time}};
    const std::string type = in.required_text(type_name, shown);
    const auto* row = std::ranges::find(all, type, &known::type);
    if (row == std::end(all))
        not_among(shown, type,
                  "AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON");
    shard_position from{.from = row->from, .sequence_number = in.text(number_name).value_or("")};
    if (const auto time = read_time(in, "Timestamp"))
        from.time = *time;
    else if (row->from == kind::at_time)
        throw fault(stream_errc::invalid_argument,
                    "Must specify timestampInSeconds for iterator of type AT_TIMESTAMP.");
    return from;
}

void get_iterator(const context& x) {
    x.streams.async_iterator(
        x.name, x.in.required_text("ShardId", "shardId"),
        read_position(x.in, "ShardIteratorType", "StartingSequenceNumber", "shardIteratorType"),
        then<std::string>(x, [](const std::string& iterator) {
            return json::object{{"ShardIterator", iterator}};
        }));
}

json::object write_page(const record_page& page) {
    json::object o = write_records(page);
    if (!page.next_iterator.empty()) o["NextShardIterator"] = page.next_iterator;
    return o;
}

void get_records(const context& x) {
    x.streams.async_read(
        x.in.required_text("ShardIterator", "shardIterator"),
        {.max_records = read_limit(x.in, "Limit", max_read_records, max_read_records)},
        then<record_page>(x, write_page));
}

void subscribe(const context& x) {
    const std::string shard_id = x.in.required_text("ShardId", "shardId");
    const auto start = x.in.object("StartingPosition");
    if (!start) must_not_be_null("startingPosition");
    shard_position from = read_position(*start, "Type", "SequenceNumber", "startingPosition.type");
    std::string arn = taken(x.streams.find_consumer(*x.in.text("ConsumerARN"))).arn;
    x.streams.async_iterator(
        x.name, shard_id, std::move(from),
        boost::asio::bind_executor(
            x.executor, [streams = x.streams, done = x.done, subscribed = x.subscribed,
                         arn = std::move(arn)](const error& failed, std::string iterator) mutable {
                if (failed.code()) return done([failed] { return write_error(failed); });
                subscribed(std::make_unique<shard_subscription>(std::move(streams), std::move(arn),
                                                                std::move(iterator)));
            }));
}

constexpr operation_row rows[] = {
    {"AddTagsToStream", add_tags, nullptr},
    {"CreateStream", create_stream, nullptr},
    {"DecreaseStreamRetentionPeriod", set_retention<&stream_service::decrease_retention>, nullptr},
    {"DeleteResourcePolicy", nullptr, nullptr},
    {"DeleteStream", delete_stream, nullptr},
    {"DeregisterStreamConsumer", deregister_consumer, nullptr},
    {"DescribeAccountSettings", nullptr, nullptr},
    {"DescribeLimits", describe_limits, nullptr},
    {"DescribeStream", describe_stream, nullptr},
    {"DescribeStreamConsumer", describe_consumer, nullptr},
    {"DescribeStreamSummary", describe_summary, nullptr},
    {"DisableEnhancedMonitoring", nullptr, nullptr},
    {"EnableEnhancedMonitoring", nullptr, nullptr},
    {"GetRecords", nullptr, get_records},
    {"GetResourcePolicy", nullptr, nullptr},
    {"GetShardIterator", nullptr, get_iterator},
    {"IncreaseStreamRetentionPeriod", set_retention<&stream_service::increase_retention>, nullptr},
    {"ListShards", list_shards, nullptr},
    {"ListStreamConsumers", list_consumers, nullptr},
    {"ListStreams", list_streams, nullptr},
    {"ListTagsForResource", list_resource_tags, nullptr},
    {"ListTagsForStream", list_tags, nullptr},
    {"MergeShards", merge_shards, nullptr},
    {"PutRecord", nullptr, put_record},
    {"PutRecords", nullptr, put_records},
    {"PutResourcePolicy", nullptr, nullptr},
    {"RegisterStreamConsumer", register_consumer, nullptr},
    {"RemoveTagsFromStream", remove_tags, nullptr},
    {"SplitShard", split_shard, nullptr},
    {"StartStreamEncryption", nullptr, nullptr},
    {"StopStreamEncryption", nullptr, nullptr},
    {"SubscribeToShard", nullptr, subscribe},
    {"TagResource", add_tags, nullptr},
    {"UntagResource", remove_tags, nullptr},
    {"UpdateAccountSettings", nullptr, nullptr},
    {"UpdateMaxRecordSize", nullptr, nullptr},
    {"UpdateShardCount", update_shard_count, nullptr},
    {"UpdateStreamMode", update_mode, nullptr},
    {"UpdateStreamWarmThroughput", nullptr, nullptr},
};

/// The stream that is asked for. Empty: the operation is about none.
std::string stream_in(const stream_service& streams, const operation_row& row, const reader& in) {
    if (row.name == "ListStreams" || row.name == "DescribeLimits") return {};
    if (row.name == "GetRecords") {
        std::string name =
            stream_service::stream_of(in.required_text("ShardIterator", "shardIterator"));
        if (name.empty()) throw fault(stream_errc::invalid_argument, "Invalid ShardIterator.");
        return name;
    }
    const auto token = row.name == "ListShards" ? in.text("NextToken") : std::nullopt;
    if (token && in.says_something("StreamName"))
        throw fault(stream_errc::invalid_argument,
                    "NextToken and StreamName cannot be provided together.");
    if (token) return read_token(*token).name;
    if (const auto arn = in.text("ConsumerARN")) {
        std::string name = streams.stream_of_consumer(*arn);
        if (name.empty())
            throw fault(stream_errc::resource_not_found, "Consumer " + *arn + " not found.");
        if (const auto stream = in.text("StreamARN"); stream && *stream != streams.arn_of(name))
            throw fault(stream_errc::invalid_argument,
                        "ConsumerARN is not of a consumer of the stream that StreamARN tells.");
        return name;
    }
    if (row.name == "SubscribeToShard") must_not_be_null("consumerARN");
    for (const std::string_view member : {"StreamARN", "ResourceARN"}) {
        const auto arn = in.text(member);
        if (!arn || in.says_something("StreamName")) continue;
        std::string name = streams.name_of(*arn);
        if (name.empty())
            throw fault(stream_errc::resource_not_found, "Stream " + *arn + " not found.");
        return name;
    }
    std::string name = in.required_text("StreamName", "streamName");
    if (name.empty()) throw fault(stream_errc::invalid_argument, "StreamName is empty.");
    return name;
}

}  // namespace

void start(control_plane& control,
           const service_call& what,
           std::string_view body,
           const access_key* by,
           const boost::asio::any_io_executor& executor,
           done_handler done,
           subscribed_handler subscribed) {
    const auto refuse_with = [&](reply r) { done([r = std::move(r)] { return r; }); };
    if (what.how == protocol::cbor)
        return refuse_with(json_protocol::fault(
            "SerializationException",
            "This server speaks Kinesis in JSON, not in CBOR (application/x-amz-cbor-1.1): tell "
            "the SDK so, of Java by AWS_CBOR_DISABLE=true or the property aws.cborEnabled=false"));
    const auto row = std::ranges::find(rows, what.operation, &operation_row::name);
    if (row == std::end(rows))
        return refuse_with(json_protocol::fault(
            "UnknownOperationException",
            "Kinesis has no operation " + std::string(what.operation.substr(0, 128))));
    json::error_code ec;
    const json::value document = json::parse(json_text(body.empty() ? "{}" : body), ec);
    if (ec || !document.is_object())
        return refuse_with(json_protocol::fault("SerializationException",
                                                ec ? json_fault(body) : "not an object"));
    try {
        const reader in(document.get_object());
        const bool is_there = row->manage || row->start;
        const std::string name = is_there ? stream_in(control.streams(), *row, in) : std::string();
        const std::string action = "kinesis:" + std::string(row->name);
        if (const auto no = denied(by, control.account_id(), action, name,
                                   name.empty() ? "*" : control.streams().arn_of(name)))
            return refuse_with(json_protocol::translate(*no));
        if (!is_there)
            return refuse_with(json_protocol::fault(
                "UnknownOperationException",
                std::string(row->name) + " is not implemented by this server yet"));
        const context x{control.streams(), in, name, executor, done, subscribed};
        if (row->start) return row->start(x);
        refuse_with(answer_of(row->manage(x)));
    } catch (const error& e) {
        refuse_with(write_error(e));
    } catch (const fault_thrown& thrown) {
        const error& why = thrown.fault.why;
        refuse_with(thrown.fault.what == shape_fault::kind::refused
                        ? write_error(why)
                        : json_protocol::fault("SerializationException", why.message()));
    }
}

std::vector<std::string> action_names() {
    std::vector<std::string> names;
    for (const operation_row& each : rows) names.push_back("kinesis:" + std::string(each.name));
    return names;
}

std::string operations_table() {
    std::vector<std::string_view> served, absent;
    for (const operation_row& each : rows)
        (each.manage || each.start ? served : absent).push_back(each.name);
    return make_operations_table(
        "operations of Amazon Kinesis",
        {{"served", served}, {"answer `UnknownOperationException` with their name", absent}});
}

}  // namespace hearth::http::kinesis
