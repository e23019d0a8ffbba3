// Amazon Kinesis over HTTP: the protocol's bytes, who may, and what is too large. What real clients
// make of it is tests/http/clients/kinesis_client.py.

#include "front_fixture.hpp"
#include "http/kinesis.hpp"
#include "http/service.hpp"
#include "http/text.hpp"

#include <hearth/data_stream.hpp>

#include <catch2/catch.hpp>

#include <future>
#include <map>

using namespace hearth;
using namespace hearth::http;
using namespace hearth::test;
namespace json = boost::json;

namespace {

std::string kinesis_request(const char* operation,
                            const std::string& body,
                            const char* type = "application/x-amz-json-1.1") {
    return "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + std::string(type) +
           "\r\nX-Amz-Target: Kinesis_20131202." + operation +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

struct kinesis_world {
    front_fixture f;
    raw_client client{f.front.port()};

    answer ask(const char* operation, const json::object& input) {
        return client.ask(kinesis_request(operation, json::serialize(input)));
    }
    json::value ok(const char* operation, const json::object& input) {
        const answer a = ask(operation, input);
        INFO(operation << " " << a.body);
        REQUIRE(a.status == 200);
        CHECK(a.header("Content-Type") == "application/x-amz-json-1.1");
        return a.json();
    }
};

void fails(const answer& a, const std::string& type, const std::string& sentence = {}) {
    INFO(a.body);
    CHECK(a.status == 400);
    CHECK(a.json().at("__type").as_string() == type);
    CHECK(a.header("x-amzn-ErrorType") == type);
    CHECK(a.header("Content-Type") == "application/x-amz-json-1.1");
    CHECK_THAT(std::string(a.json().at("message").as_string()), Catch::Contains(sentence));
}

constexpr const char* clicks_arn = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks";

}  // namespace

TEST_CASE("Kinesis speaks JSON 1.1") {
    kinesis_world w;
    CHECK(w.ok("CreateStream", {{"StreamName", "clicks"}, {"ShardCount", 1}}) ==
          json::value(json::object()));
    const auto put =
        w.ok("PutRecord", {{"StreamName", "clicks"}, {"PartitionKey", "a"}, {"Data", "AAH/"}});
    CHECK(put.at("ShardId").as_string() == "shardId-000000000000");
    CHECK(put.at("EncryptionType").as_string() == "NONE");
    const auto many =
        w.ok("PutRecords",
             {{"StreamARN", clicks_arn},
              {"Records",
               json::array{{{"PartitionKey", "a"}, {"Data", "Yg=="}},
                           {{"PartitionKey", "b"}, {"Data", ""}, {"ExplicitHashKey", "0"}}}}});
    CHECK(many.at("FailedRecordCount").as_int64() == 0);
    REQUIRE(many.at("Records").as_array().size() == 2);
    CHECK(many.at("Records").at(0).at("SequenceNumber").as_string() >
          put.at("SequenceNumber").as_string());
    const auto at = w.ok("GetShardIterator", {{"StreamName", "clicks"},
                                              {"ShardId", "shardId-000000000000"},
                                              {"ShardIteratorType", "TRIM_HORIZON"}})
                        .at("ShardIterator");
    auto page = w.ok("GetRecords", {{"ShardIterator", at}, {"Limit", 2}});
    REQUIRE(page.at("Records").as_array().size() == 2);
    const auto& record = page.at("Records").at(0);
    CHECK(record.at("Data").as_string() == "AAH/");
    CHECK(record.at("PartitionKey").as_string() == "a");
    CHECK(record.at("SequenceNumber") == put.at("SequenceNumber"));
    CHECK(record.at("ApproximateArrivalTimestamp").as_double() > 1.7e9);
    CHECK(page.at("MillisBehindLatest").as_int64() > 0);
    page = w.ok("GetRecords", {{"ShardIterator", page.at("NextShardIterator")}});
    CHECK(page.at("Records").at(0).at("Data").as_string().empty());
    CHECK(page.at("MillisBehindLatest").as_int64() == 0);
    CHECK(page.as_object().contains("NextShardIterator"));
    // Lists go on where their token says.
    w.ok("SplitShard", {{"StreamName", "clicks"},
                        {"ShardToSplit", "shardId-000000000000"},
                        {"NewStartingHashKey", "7"}});
    auto list = w.ok("ListShards", {{"StreamName", "clicks"}, {"MaxResults", 2}});
    CHECK(list.at("Shards").as_array().size() == 2);
    list = w.ok("ListShards", {{"NextToken", list.at("NextToken")}, {"MaxResults", 2}});
    CHECK(list.at("Shards").at(0).at("ParentShardId").as_string() == "shardId-000000000000");
    CHECK_FALSE(list.as_object().contains("NextToken"));
    const auto end = w.ok("GetRecords", {{"ShardIterator", page.at("NextShardIterator")}});
    CHECK_FALSE(end.as_object().contains("NextShardIterator"));
    CHECK(end.at("ChildShards").at(1).at("HashKeyRange").at("StartingHashKey").as_string() == "7");
}

TEST_CASE("a put of five megabytes is taken, and read again") {
    kinesis_world w;
    w.f.control->streams().create("clicks", {.shards = 1}).value();
    const std::string data = to_base64(std::string(max_record_bytes, 'x'));
    json::array records;
    for (int i = 0; i < 4; ++i) records.push_back({{"PartitionKey", "a"}, {"Data", data}});
    const json::object small{{"PartitionKey", "b"}, {"Data", "YQ=="}};
    while (records.size() < 500) records.push_back(small);
    w.ok("PutRecords", {{"StreamName", "clicks"}, {"Records", records}});
    const auto at = w.ok("GetShardIterator", {{"StreamName", "clicks"},
                                              {"ShardId", "shardId-000000000000"},
                                              {"ShardIteratorType", "TRIM_HORIZON"}})
                        .at("ShardIterator");
    const auto page = w.ok("GetRecords", {{"ShardIterator", at}});
    CHECK(page.at("Records").as_array().size() == 500);
    CHECK(page.at("Records").at(3).at("Data").as_string() == data);
    records.push_back(small);
    fails(w.ask("PutRecords", {{"StreamName", "clicks"}, {"Records", records}}),
          "InvalidArgumentException", "501");
    const answer large =
        w.client.ask(kinesis_request("PutRecords", std::string((std::size_t{10} << 20) + 1, ' ')));
    CHECK(large.status == 413);
}

TEST_CASE("Kinesis says what is wrong") {
    kinesis_world w;
    w.f.control->streams().create("clicks", {.shards = 1}).value();
    const json::object none{{"StreamName", "none"}};
    for (const char* operation : {"DescribeStream", "DescribeStreamSummary", "DeleteStream",
                                  "ListShards", "ListTagsForStream"})
        fails(w.ask(operation, none), "ResourceNotFoundException",
              "Stream none under account 000000000000 not found.");
    fails(w.ask("DescribeStream", {{"StreamARN", "arn:aws:kinesis:us-east-1:1:stream/clicks"}}),
          "ResourceNotFoundException");
    fails(w.ask("CreateStream", {{"StreamName", "clicks"}, {"ShardCount", 1}}),
          "ResourceInUseException", "already exists");
    fails(w.ask("CreateStream", {{"StreamName", "x"}, {"ShardCount", -1}}),
          "InvalidArgumentException");
    fails(w.ask("CreateStream", {{"StreamName", "x"}, {"ShardCount", 10'001}}),
          "LimitExceededException");
    fails(w.ask("CreateStream", {{"StreamName", "x"},
                                 {"ShardCount", 1},
                                 {"StreamModeDetails", {{"StreamMode", "OTHER"}}}}),
          "ValidationException", "enum value set");
    // A stream whose tags are refused is not left behind.
    fails(w.ask("CreateStream", {{"StreamName", "x"}, {"ShardCount", 1}, {"Tags", {{"", "v"}}}}),
          "InvalidArgumentException");
    CHECK(w.f.control->streams().find("x").has_error());
    fails(w.ask("PutRecord", {{"StreamName", "clicks"}, {"PartitionKey", "a"}}),
          "ValidationException", "'data'");
    fails(w.ask("PutRecord", {{"StreamName", "clicks"}, {"PartitionKey", "a"}, {"Data", "?"}}),
          "SerializationException");
    fails(w.ask("PutRecord", {{"StreamName", "clicks"}, {"PartitionKey", ""}, {"Data", ""}}),
          "InvalidArgumentException");
    fails(w.ask("PutRecord", {{"StreamName", 1}}), "SerializationException", "StreamName");
    fails(w.ask("PutRecords", {{"StreamName", "clicks"}, {"Records", json::array{1}}}),
          "SerializationException");
    fails(w.ask("PutRecord", {}), "ValidationException", "'streamName'");
    fails(w.ask("GetRecords", {{"ShardIterator", "x"}}), "InvalidArgumentException",
          "Invalid ShardIterator");
    const json::object asked{{"StreamName", "clicks"}, {"ShardId", "shardId-000000000000"}};
    const auto iterator = [&](const char* type) {
        json::object input = asked;
        input["ShardIteratorType"] = type;
        return w.ask("GetShardIterator", input);
    };
    fails(iterator("SOON"), "ValidationException", "enum value set");
    fails(iterator("AT_TIMESTAMP"), "InvalidArgumentException");
    fails(iterator("AT_SEQUENCE_NUMBER"), "InvalidArgumentException", "StartingSequenceNumber");
    json::object limited{{"ShardIterator", iterator("LATEST").json().at("ShardIterator")}};
    for (const std::int64_t limit : {0, 10'001}) {
        limited["Limit"] = limit;
        fails(w.ask("GetRecords", limited), "ValidationException", "'Limit'");
    }
    // Milliseconds of the year 1970, in base64.
    fails(w.ask("ListShards", {{"NextToken", to_base64(R"(["clicks","",0,0,1])")}}),
          "ExpiredNextTokenException");
    for (const char* wrong : {"?", "", R"(["clicks","",9,0,1])", R"({"a":1})"})
        fails(w.ask("ListShards", {{"NextToken", to_base64(wrong)}}), "InvalidArgumentException");
    fails(w.client.ask(kinesis_request("ListStreams", "{")), "SerializationException");
    fails(w.client.ask(kinesis_request("ListStreams", "[]")), "SerializationException");
    fails(w.ask("Explode", {}), "UnknownOperationException", "Explode");
    fails(w.ask("DisableEnhancedMonitoring", {}), "UnknownOperationException",
          "DisableEnhancedMonitoring is not implemented");
    fails(w.client.ask(kinesis_request("PutRecord", "\xa1", "application/x-amz-cbor-1.1")),
          "SerializationException", "AWS_CBOR_DISABLE");
}

namespace {

/// What an event's frame says, without the checksums: clients check those.
struct frame {
    std::map<std::string, std::string> headers;
    std::string payload;
    [[nodiscard]] json::value document() const { return json::parse(payload); }
};

std::vector<frame> frames_in(std::string_view bytes) {
    const auto number = [&](std::size_t at, std::size_t size) {
        std::size_t n = 0;
        for (std::size_t i = 0; i < size; ++i)
            n = n << 8 | static_cast<unsigned char>(bytes[at + i]);
        return n;
    };
    std::vector<frame> all;
    while (!bytes.empty()) {
        frame one;
        const std::size_t size = number(0, 4), headers = 12 + number(4, 4);
        for (std::size_t at = 12; at < headers;) {
            const std::size_t name = number(at, 1);
            const std::size_t value = at + 1 + name + 1, length = number(value, 2);
            one.headers.emplace(bytes.substr(at + 1, name), bytes.substr(value + 2, length));
            at = value + 2 + length;
        }
        one.payload = bytes.substr(headers, size - headers - 4);
        all.push_back(std::move(one));
        bytes.remove_prefix(size);
    }
    return all;
}

json::object subscription(const std::string& consumer_arn, const char* from = "TRIM_HORIZON") {
    return {{"ConsumerARN", consumer_arn},
            {"ShardId", "shardId-000000000000"},
            {"StartingPosition", {{"Type", from}}}};
}

}  // namespace

TEST_CASE("a subscription is events until the shard's end, which names its children") {
    kinesis_world w;
    stream_service& streams = w.f.control->streams();
    data_stream clicks = streams.create("clicks", {.shards = 1}).value();
    const std::string arn = streams.register_consumer("clicks", "c").value().arn;
    const std::string number =
        clicks.put({.data = "x", .partition_key = "a"}).value().sequence_number;
    streams.split("clicks", "shardId-000000000000", "7").value();
    const answer head = w.ask("SubscribeToShard", subscription(arn));
    CHECK(head.status == 200);
    CHECK(head.header("Content-Type") == "application/vnd.amazon.eventstream");
    bool whole = false;
    const auto frames = frames_in(w.client.receive_chunks(&whole));
    CHECK(whole);
    REQUIRE(frames.size() == 2);
    CHECK(frames[0].headers.at(":event-type") == "initial-response");
    CHECK(frames[1].headers.at(":event-type") == "SubscribeToShardEvent");
    CHECK(frames[1].headers.at(":message-type") == "event");
    const json::value event = frames[1].document();
    CHECK(event.at("Records").at(0).at("SequenceNumber").as_string() == number);
    CHECK(event.at("MillisBehindLatest").as_int64() == 0);
    CHECK(event.at("ChildShards").as_array().size() == 2);
    CHECK_FALSE(event.as_object().contains("ContinuationSequenceNumber"));
    // The connection serves what comes next.
    CHECK(w.ok("DescribeStreamConsumer", {{"ConsumerARN", arn}})
              .at("ConsumerDescription")
              .at("StreamARN")
              .as_string() == clicks_arn);
}

TEST_CASE("a subscription ends with its consumer, with its time and with the server") {
    kinesis_world w;
    stream_service& streams = w.f.control->streams();
    streams.create("clicks", {.shards = 1}).value();
    const std::string arn = streams.register_consumer("clicks", "c").value().arn;
    SECTION("its consumer") {
        CHECK(w.ask("SubscribeToShard", subscription(arn)).status == 200);
        REQUIRE(streams.deregister_consumer("clicks", "c").has_value());
        const auto frames = frames_in(w.client.receive_chunks());
        REQUIRE(frames.size() >= 2);
        CHECK(frames.back().headers.at(":message-type") == "exception");
        CHECK(frames.back().headers.at(":exception-type") == "ResourceNotFoundException");
        CHECK_THAT(std::string(frames.back().document().at("message").as_string()),
                   Catch::Contains("Consumer"));
    }
    SECTION("its time") {
        const auto read = [&](shard_subscription& s) {
            std::promise<std::pair<error_code, std::string>> promise;
            s.async_read(w.f.io.get_executor(), [&](error_code ec, std::string bytes) {
                promise.set_value({ec, std::move(bytes)});
            });
            return promise.get_future().get();
        };
        const std::string at =
            streams.find("clicks").value().iterator("shardId-000000000000").value();
        shard_subscription s(streams, arn, at, std::chrono::milliseconds(1));
        CHECK(frames_in(read(s).second).at(0).headers.at(":event-type") == "initial-response");
        for (auto next = read(s); next.first != boost::asio::error::eof; next = read(s)) {
            REQUIRE_FALSE(next.first);
            CHECK(frames_in(next.second).at(0).document().at("Records").as_array().empty());
        }
    }
    SECTION("the server") {
        CHECK(w.ask("SubscribeToShard", subscription(arn, "LATEST")).status == 200);
        std::promise<void> stopped;
        w.f.front.async_stop([&](error_code) { stopped.set_value(); });
        bool whole = false;
        CHECK(frames_in(w.client.receive_chunks(&whole)).size() >= 1);
        CHECK(whole);
        stopped.get_future().get();
    }
}

TEST_CASE("a subscription says what is wrong before it begins") {
    kinesis_world w;
    stream_service& streams = w.f.control->streams();
    streams.create("clicks", {.shards = 1}).value();
    const std::string arn = streams.register_consumer("clicks", "c").value().arn;
    json::object asked = subscription(arn);
    asked["ShardId"] = "shardId-000000000099";
    fails(w.ask("SubscribeToShard", asked), "ResourceNotFoundException", "shard");
    fails(w.ask("SubscribeToShard", subscription(arn, "SOON")), "ValidationException", "enum");
    fails(w.ask("SubscribeToShard", subscription(arn, "AT_SEQUENCE_NUMBER")),
          "InvalidArgumentException");
    fails(w.ask("SubscribeToShard", subscription(arn + "9")), "ResourceNotFoundException");
    fails(w.ask("SubscribeToShard", subscription("c")), "ResourceNotFoundException");
    fails(w.ask("SubscribeToShard", {}), "ValidationException", "'consumerARN'");
    fails(w.ask("SubscribeToShard", {{"ConsumerARN", arn}, {"ShardId", "shardId-000000000000"}}),
          "ValidationException", "'startingPosition'");
    fails(w.ask("DescribeStreamConsumer", {{"ConsumerName", "c"}}), "ValidationException");
    fails(w.ask("DescribeStreamConsumer", {{"StreamARN", clicks_arn}}), "InvalidArgumentException");
    fails(w.ask("DeregisterStreamConsumer", {{"ConsumerARN", arn}, {"ConsumerName", "other"}}),
          "InvalidArgumentException");
    fails(w.ask("DescribeStreamConsumer",
                {{"ConsumerARN", arn},
                 {"StreamARN", "arn:aws:kinesis:us-east-1:000000000000:stream/other"}}),
          "InvalidArgumentException");
}

TEST_CASE("rules name Kinesis's actions and streams") {
    front_fixture f;
    f.control->streams().create("clicks", {.shards = 1}).value();
    f.control->streams().create("other", {.shards = 1}).value();
    const auto keys = parse_access_keys(
        "[reader]\naws_access_key_id = A\naws_secret_access_key = 0123456789abcdef\n"
        "allow = kinesis:Get*, kinesis:ListShards on clicks\nallow = kinesis:ListStreams\n",
        "rules");
    REQUIRE(keys.has_value());
    const auto ask = [&](const char* operation, const json::object& input) {
        std::promise<reply> promise;
        kinesis::start(
            *f.control,
            {.service = aws_service::kinesis, .how = protocol::json, .operation = operation},
            json::serialize(input), &keys->front(), f.io.get_executor(),
            [&](const kinesis::answer& a) { promise.set_value(a()); }, [](auto) {});
        return promise.get_future().get();
    };
    const auto is_denied = [&](const reply& r) {
        return r.body.find("AccessDeniedException") != r.body.npos;
    };
    const auto at = [&](const char* stream) {
        return f.control->streams().find(stream).value().iterator("shardId-000000000000").value();
    };
    CHECK(ask("GetRecords", {{"ShardIterator", at("clicks")}}).status ==
          boost::beast::http::status::ok);
    CHECK(is_denied(ask("GetRecords", {{"ShardIterator", at("other")}})));
    CHECK(is_denied(ask("PutRecord", {{"StreamName", "clicks"}})));
    CHECK_FALSE(is_denied(ask("ListShards", {{"StreamName", "clicks"}})));
    // A token is of its stream, whatever the request says beside it.
    CHECK(is_denied(
        ask("ListShards", {{"NextToken", to_base64(R"(["other","",0,0,9000000000000000])")}})));
    CHECK_FALSE(is_denied(ask("ListStreams", {})));
    CHECK(is_denied(ask("DeleteStream", {{"StreamName", "none"}})));
    const std::string consumer = f.control->streams().register_consumer("clicks", "c").value().arn;
    CHECK(is_denied(ask("SubscribeToShard", {{"ConsumerARN", consumer}})));
    CHECK(is_denied(ask("DescribeStreamConsumer", {{"ConsumerARN", consumer}})));
    CHECK(parse_access_keys("[w]\naws_access_key_id = A\naws_secret_access_key = 0123456789abcdef\n"
                            "allow = kinesis:Explode\n",
                            "rules")
              .has_error());
}

TEST_CASE("Kinesis is told by its headers") {
    CHECK(find_service("Kinesis_20131202.PutRecord", "application/x-amz-json-1.1").service ==
          aws_service::kinesis);
    CHECK(find_service("Kinesis_20131202.PutRecord", "").operation == "PutRecord");
    CHECK(find_service("Kinesis_20131202.PutRecord", "application/x-amz-cbor-1.1").how ==
          protocol::cbor);
    CHECK(find_service("AmazonSQS.SendMessage", "application/x-amz-cbor-1.1").how ==
          protocol::json);
    CHECK(signing_name(aws_service::kinesis) == "kinesis");
}
