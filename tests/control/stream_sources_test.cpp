// Event source mappings of streams: records that come from a stream to a function, and how far a
// mapping has come.

#include "control/kinesis_event.hpp"
#include "control_test_support.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include <atomic>
#include <map>
#include <mutex>
#include <set>

using namespace hearth;
using namespace hearth::test;
using namespace std::chrono_literals;
namespace json = boost::json;

namespace {

using lines = std::vector<std::string>;

/// What a function was given, and what it makes of a batch's data.
struct record_log {
    std::function<std::string(const json::array&)> answer = [](const json::array&) {
        return "null";
    };

    std::string operator()(std::string_view payload) {
        const json::value event = json::parse({payload.data(), payload.size()});
        const json::array& records = event.at("Records").as_array();
        const std::scoped_lock lock(mutex);
        ++batches;
        for (const json::value& each : records)
            by_key[std::string(each.at("kinesis").at("partitionKey").as_string())].push_back(
                std::string(each.at("kinesis").at("data").as_string()));
        return answer(records);
    }
    lines of(const std::string& key) {
        const std::scoped_lock lock(mutex);
        return by_key[key];
    }
    std::size_t count() {
        const std::scoped_lock lock(mutex);
        std::size_t n = 0;
        for (const auto& [key, all] : by_key) n += all.size();
        return n;
    }

    std::mutex mutex;
    std::map<std::string, lines> by_key;
    int batches = 0;
};

struct stream_mapping_world {
    explicit stream_mapping_world(const std::filesystem::path& data = {}) : directory(data) {
        open();
    }
    ~stream_mapping_world() { worker.release(); }

    void open() {
        control.reset();
        control_options o;
        o.data_directory = directory;
        control = control_plane::create(std::move(o), worker).value();
        control
            ->deploy({.name = "f", .package = package::in_process([this](std::string_view payload) {
                                       return log(payload);
                                   })})
            .value();
    }
    data_stream clicks() { return control->streams().find("clicks").value(); }
    void put(const std::string& data, const std::string& key = "k") {
        clicks().put({.data = data, .partition_key = key}).value();
    }
    event_source_mapping map(create_event_source_mapping_request r) {
        r.event_source_arn = control->streams().arn_of("clicks");
        r.function_name = "f";
        if (r.starting_position.empty()) r.starting_position = "TRIM_HORIZON";
        return control->create_event_source_mapping(r).value();
    }
    event_source_metrics metrics_of(const std::string& uuid) {
        for (const auto& each : control->metrics().event_sources)
            if (each.uuid == uuid) return each;
        throw std::runtime_error("no metrics of " + uuid);
    }

    std::filesystem::path directory;
    record_log log;
    fake_worker worker;
    std::unique_ptr<control_plane> control;
};

// Base64 of one digit.
const lines coded{"MA==", "MQ==", "Mg==", "Mw==", "NA==", "NQ=="};

}  // namespace

TEST_CASE("a mapping reads as a registered consumer for as long as it is one") {
    const temporary_directory data;
    stream_mapping_world w(data.path());
    w.control->streams().create("clicks", {.shards = 1}).value();
    const stream_consumer c = w.control->streams().register_consumer("clicks", "c").value();
    w.put("1");
    const auto create = [&](const std::string& arn) {
        return w.control->create_event_source_mapping(
            {.event_source_arn = arn, .function_name = "f", .starting_position = "TRIM_HORIZON"});
    };
    const std::string uuid = create(c.arn).value().uuid;
    // Beside one of the stream itself.
    const std::string other = create(w.clicks().arn()).value().uuid;
    REQUIRE(eventually([&] { return w.log.count() == 2; }));
    {
        // A chain of requests of its own begins with each batch.
        const std::scoped_lock lock(w.worker.last_mutex);
        CHECK_THAT(w.worker.last.trace_id, Catch::StartsWith("Root=1-") && Catch::EndsWith(":0"));
    }
    w.control->delete_event_source_mapping(other).value();
    w.open();
    w.put("2");
    REQUIRE(eventually([&] { return w.log.count() == 3; }));
    REQUIRE(w.control->streams().deregister_consumer("clicks", "c").has_value());
    REQUIRE(eventually([&] {
        const auto m = w.control->get_event_source_mapping(uuid).value();
        return m.last_processing_result.find("not found") != std::string::npos;
    }));
    w.put("3");
    CHECK(create(c.arn).error() == errc::invalid_argument);
    CHECK(w.log.count() == 3);
}

TEST_CASE("a tumbling window's state is there after a restart") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    fake_worker worker;
    std::mutex mutex;
    std::map<std::string, std::int64_t> sums;  // by window, when it has ended
    std::atomic<int> invocations = 0;
    const auto add_up = [&](std::string_view payload) {
        const json::value event = json::parse({payload.data(), payload.size()});
        const json::value& state = event.at("state");
        std::int64_t sum = state.is_object() ? 0 : state.as_int64();
        for (const json::value& each : event.at("Records").as_array())
            sum += each.at("kinesis").at("data").as_string() == "MQ==" ? 1 : 1000;
        if (event.at("isFinalInvokeForWindow").as_bool()) {
            const std::scoped_lock lock(mutex);
            sums[std::string(event.at("window").at("start").as_string())] += sum;
        }
        ++invocations;
        return json::serialize(json::object{{"state", sum}});
    };
    const auto open = [&] {
        auto control = control_plane::create(o, worker).value();
        control->deploy({.name = "f", .package = package::in_process(add_up)}).value();
        return control;
    };
    auto control = open();
    data_stream clicks = control->streams().create("clicks", {.shards = 1}).value();
    // The longest there is: the test's records are in one, or in two where another begins
    // meanwhile.
    const auto made = control
                          ->create_event_source_mapping({.event_source_arn = clicks.arn(),
                                                         .function_name = "f",
                                                         .batch_size = 1,
                                                         .starting_position = "TRIM_HORIZON",
                                                         .tumbling_window = 900})
                          .value();
    CHECK(made.tumbling_window == 900);
    for (int i = 0; i < 3; ++i) clicks.put({.data = "1", .partition_key = "k"}).value();
    const auto metrics = [&] { return control->metrics().event_sources.at(0); };
    REQUIRE(eventually([&] { return metrics().invoked == 3 && metrics().in_flight == 0; }));
    control.reset();
    control = open();
    clicks = control->streams().find("clicks").value();
    clicks.put({.data = "1", .partition_key = "k"}).value();
    // The end of the shard is the end of the window.
    control->streams().split("clicks", "shardId-000000000000", "7").value();
    const auto total = [&] {
        const std::scoped_lock lock(mutex);
        std::int64_t sum = 0;
        for (const auto& [window, each] : sums) sum += each;
        return sum;
    };
    REQUIRE(eventually([&] { return total() == 4; }));
    {
        const std::scoped_lock lock(mutex);
        CHECK(sums.size() <= 2);
        CHECK(sums.begin()->first.ends_with(":00Z"));
    }
    CHECK(invocations >= 5);
    control->drain();
}

TEST_CASE("a record as a function and its filters see it") {
    const stream_record r{.sequence_number = "49",
                          .data = R"({"a":1})",
                          .partition_key = "k",
                          .arrived = stream_time(1'545'084'650'987ms)};
    const json::object record = control::kinesis_record(
        r,
        {.stream_arn = "arn", .shard_id = "shardId-000000000006", .region = "r", .role = "role"});
    CHECK(record == json::value{{"kinesis",
                                 {{"kinesisSchemaVersion", "1.0"},
                                  {"partitionKey", "k"},
                                  {"sequenceNumber", "49"},
                                  {"data", "eyJhIjoxfQ=="},
                                  {"approximateArrivalTimestamp", 1545084650.987}}},
                                {"eventSource", "aws:kinesis"},
                                {"eventVersion", "1.0"},
                                {"eventID", "shardId-000000000006:49"},
                                {"eventName", "aws:kinesis:record"},
                                {"invokeIdentityArn", "role"},
                                {"awsRegion", "r"},
                                {"eventSourceARN", "arn"}}
                        .as_object());
    CHECK(control::filtered_form(record, r.data).at("data").at("a").as_int64() == 1);
    CHECK(control::filtered_form(record, r.data).at("partitionKey").as_string() == "k");
    for (const char* plain : {"plain", "7", "\"x\"", "{", "", "\xff"})
        CHECK(control::filtered_form(record, plain).at("data").as_string() == plain);
}

TEST_CASE("what mappings of streams refuse") {
    stream_mapping_world w;
    w.control->streams().create("clicks", {.shards = 1}).value();
    const auto is = [&](create_event_source_mapping_request r, errc code, const char* text) {
        r.event_source_arn = w.control->streams().arn_of("clicks");
        if (r.function_name.empty()) r.function_name = "f";
        const auto made = w.control->create_event_source_mapping(r);
        REQUIRE(made.has_error());
        INFO(made.error().message());
        CHECK(made.error() == code);
        CHECK_THAT(made.error().message(), Catch::Contains(text));
    };
    const auto bad = errc::invalid_argument;
    is({}, bad, "StartingPosition must not be null");
    is({.starting_position = "EARLIEST"}, bad, "[LATEST, AT_TIMESTAMP, TRIM_HORIZON]");
    is({.starting_position = "AT_TIMESTAMP"}, bad, "Need to specify a timestamp");
    is({.starting_position = "LATEST", .starting_position_timestamp = 1}, bad,
       "Timestamp only valid with StartingPosition AT_TIMESTAMP");
    is({.function_name = "none", .starting_position = "LATEST"}, bad, "Function does not exist");
    is({.batch_size = 10'001, .starting_position = "LATEST"}, bad, "less than or equal to 10000");
    is({.maximum_batching_window = 301, .starting_position = "LATEST"}, bad, "equal to 300");
    is({.maximum_concurrency = 2, .starting_position = "LATEST"}, bad,
       "Unsupported ScalingConfig parameter");
    for (const std::uint64_t n : {0, 11})
        is({.starting_position = "LATEST", .parallelization_factor = n}, bad,
           "parallelizationFactor");
    for (const std::int64_t n : {-2, 10'001})
        is({.starting_position = "LATEST", .maximum_retry_attempts = n}, bad,
           "maximumRetryAttempts");
    for (const std::int64_t n : {-2, 604'801})
        is({.starting_position = "LATEST", .maximum_record_age = n}, bad,
           "maximumRecordAgeInSeconds");
    is({.starting_position = "LATEST", .maximum_record_age = 59}, bad, "from 60 to 604800");
    is({.starting_position = "LATEST", .on_failure = arn}, bad, "names a function");
    is({.starting_position = "LATEST", .on_failure = "arn:aws:sns:r:a:t"}, bad, "not served here");
    is({.starting_position = "LATEST", .on_failure = w.control->queues().arn_of("none")}, bad,
       "names no queue here");
    is({.starting_position = "LATEST", .filters = {R"({"a":1})"}}, bad,
       "Invalid filter pattern definition.");
    const auto made = w.map({.batch_size = 10'000, .maximum_record_age = 60});
    CHECK(w.control->get_event_source_mapping(made.uuid).value().batch_size == 10'000);
    is({.starting_position = "LATEST"}, errc::already_exists, made.uuid.c_str());
    const auto changed = w.control->update_event_source_mapping(
        {.uuid = made.uuid, .maximum_retry_attempts = 10'001});
    CHECK(changed.error() == bad);
}

TEST_CASE("a stream's records come to the function, in order") {
    stream_mapping_world w;
    w.control->streams().create("clicks", {.shards = 3}).value();
    for (int i = 0; i < 3; ++i)
        for (const char* key : {"a", "b", "c", "d"}) w.put(std::to_string(i), key);
    const auto made = w.map({.batch_size = 2});
    REQUIRE(eventually([&] { return w.log.count() == 12; }));
    // And those that come while the mapping waits.
    for (int i = 3; i < 6; ++i)
        for (const char* key : {"a", "b", "c", "d"}) w.put(std::to_string(i), key);
    REQUIRE(eventually([&] { return w.log.count() == 24; }));
    for (const char* key : {"a", "b", "c", "d"}) CHECK(w.log.of(key) == coded);
    REQUIRE(eventually([&] { return w.metrics_of(made.uuid).in_flight == 0; }));
    const auto m = w.metrics_of(made.uuid);
    CHECK(m.polled == 24);
    CHECK(m.invoked == 24);
    CHECK(m.failed_invoke == 0);
    CHECK(m.dropped == 0);
    CHECK(w.control->get_event_source_mapping(made.uuid).value().last_processing_result == "OK");
}

TEST_CASE("a mapping begins where it is told to") {
    stream_mapping_world w;
    w.control->streams().create("clicks", {.shards = 1}).value();
    w.put("0");
    w.map({.starting_position = "LATEST"});
    w.put("1");
    REQUIRE(eventually([&] { return w.log.count() == 1; }));
    CHECK(w.log.of("k") == lines{coded[1]});
    w.control
        ->deploy({.name = "g", .package = package::in_process([&](std::string_view payload) {
                                   return w.log(payload);
                               })})
        .value();
    w.control
        ->create_event_source_mapping({.event_source_arn = w.control->streams().arn_of("clicks"),
                                       .function_name = "g",
                                       .starting_position = "AT_TIMESTAMP",
                                       .starting_position_timestamp = 0})
        .value();
    REQUIRE(eventually([&] { return w.log.count() == 3; }));
}

TEST_CASE("shards that were split and merged are read after those they come from") {
    stream_mapping_world w;
    stream_service& streams = w.control->streams();
    streams.create("clicks", {.shards = 1}).value();
    w.put("0");
    streams.split("clicks", "shardId-000000000000", "170141183460469231731687303715884105728")
        .value();
    w.put("1");
    streams.merge("clicks", "shardId-000000000001", "shardId-000000000002").value();
    w.put("2");
    w.map({});
    REQUIRE(eventually([&] { return w.log.count() == 3; }));
    // And while it is read.
    streams.split("clicks", "shardId-000000000003", "170141183460469231731687303715884105728")
        .value();
    for (const char* each : {"3", "4", "5"}) w.put(each);
    REQUIRE(eventually([&] { return w.log.count() == 6; }));
    CHECK(w.log.of("k") == coded);
}

TEST_CASE("a mapping goes on where it was after a restart") {
    const temporary_directory data;
    stream_mapping_world w(data.path());
    w.control->streams().create("clicks", {.shards = 1}).value();
    w.put("0");
    const auto made = w.map({.batch_size = 1, .parallelization_factor = 3});
    REQUIRE(eventually([&] { return w.log.count() == 1; }));
    w.open();
    w.put("1");
    w.put("2");
    REQUIRE(eventually([&] { return w.log.count() == 3; }));
    // What is not enabled reads nothing, and what it was not given is not lost.
    w.control->update_event_source_mapping({.uuid = made.uuid, .enabled = false}).value();
    REQUIRE(eventually([&] {
        return w.control->get_event_source_mapping(made.uuid).value().state ==
               event_source_state::disabled;
    }));
    w.put("3");
    w.open();
    w.put("4");
    w.control->update_event_source_mapping({.uuid = made.uuid, .enabled = true}).value();
    REQUIRE(eventually([&] { return w.log.count() == 5; }));
    w.control->update_event_source_mapping({.uuid = made.uuid, .parallelization_factor = 1})
        .value();
    w.put("5");
    REQUIRE(eventually([&] { return w.log.count() == 6; }));
    CHECK(w.log.of("k") == coded);
    const auto kept = w.control->get_event_source_mapping(made.uuid).value();
    CHECK(kept.starting_position == "TRIM_HORIZON");
    CHECK(kept.parallelization_factor == 1);
    // One that is made anew begins anew.
    w.control->delete_event_source_mapping(made.uuid).value();
    REQUIRE(eventually([&] { return w.control->get_event_source_mapping(made.uuid).has_error(); }));
    w.map({});
    REQUIRE(eventually([&] { return w.log.count() == 12; }));
}

TEST_CASE("a bad record is found, given up, and told of") {
    stream_mapping_world w;
    w.control->streams().create("clicks", {.shards = 1}).value();
    queue dead = w.control->queues().create("dead").value();
    w.log.answer = [](const json::array& records) -> std::string {
        for (const json::value& each : records)
            if (each.at("kinesis").at("data").as_string() == coded[3])
                throw std::runtime_error("bad record");
        return "null";
    };
    for (int i = 0; i < 6; ++i) w.put(std::to_string(i));
    const auto made = w.map({.maximum_retry_attempts = 1,
                             .bisect_batch_on_function_error = true,
                             .on_failure = dead.arn()});
    std::vector<queue_message> told;
    REQUIRE(eventually([&] {
        for (auto& each : dead.receive({}).value()) told.push_back(std::move(each));
        return !told.empty();
    }));
    REQUIRE(told.size() == 1);
    const json::value record = json::parse(told[0].body);
    CHECK(record.at("version").as_string() == "1.0");
    CHECK(record.at("requestContext").at("functionArn").as_string() == arn);
    CHECK(record.at("requestContext").at("condition").as_string() == "RetryAttemptsExhausted");
    CHECK(record.at("responseContext").at("functionError").as_string() == "Unhandled");
    CHECK(record.at("responseContext").at("statusCode").as_int64() == 200);
    const json::value& batch = record.at("KinesisBatchInfo");
    CHECK(batch.at("batchSize").as_int64() == 1);
    CHECK(batch.at("shardId").as_string() == "shardId-000000000000");
    CHECK(batch.at("startSequenceNumber") == batch.at("endSequenceNumber"));
    CHECK(batch.at("streamArn").as_string() == made.event_source_arn);
    const auto at = w.clicks().iterator(
        "shardId-000000000000",
        {.from = shard_position::kind::at_sequence_number,
         .sequence_number = std::string(batch.at("startSequenceNumber").as_string())});
    CHECK(w.clicks().read(at.value()).value().records.at(0).data == "3");
    REQUIRE(eventually([&] { return w.metrics_of(made.uuid).dropped == 1; }));
    // Those behind it were answered.
    REQUIRE(eventually([&] { return w.log.of("k").back() == coded[5]; }));
}

TEST_CASE("a function may name where a batch failed") {
    stream_mapping_world w;
    w.control->streams().create("clicks", {.shards = 1}).value();
    std::atomic<bool> mended = false;
    w.log.answer = [&](const json::array& records) -> std::string {
        json::array failed;
        for (const json::value& each : records)
            if (!mended && each.at("kinesis").at("data").as_string() == coded[2])
                failed.push_back(
                    json::object{{"itemIdentifier", each.at("kinesis").at("sequenceNumber")}});
        return json::serialize(json::object{{"batchItemFailures", failed}});
    };
    for (int i = 0; i < 4; ++i) w.put(std::to_string(i));
    w.map({.function_response_types = {"ReportBatchItemFailures"}});
    REQUIRE(eventually([&] { return w.log.count() >= 8; }));
    mended = true;
    w.put("4");
    REQUIRE(eventually([&] { return w.log.of("k").back() == coded[4]; }));
    const lines seen = w.log.of("k");
    CHECK(std::ranges::count(seen, coded[0]) == 1);
    CHECK(std::ranges::count(seen, coded[1]) == 1);
    CHECK(std::ranges::count(seen, coded[2]) > 1);
    CHECK(std::ranges::count(seen, coded[2]) == std::ranges::count(seen, coded[3]));
}

TEST_CASE("records that no filter wants are passed over") {
    stream_mapping_world w;
    w.control->streams().create("clicks", {.shards = 1}).value();
    const auto made =
        w.map({.filters = {R"({"data":{"kind":["a"]}})", R"({"partitionKey":["all"]})"}});
    w.put(R"({"kind":"a"})");
    w.put(R"({"kind":"b"})");
    w.put("plain");
    w.put("plain", "all");
    REQUIRE(eventually([&] { return w.metrics_of(made.uuid).polled == 4; }));
    REQUIRE(eventually([&] { return w.log.count() == 2; }));
    CHECK(w.metrics_of(made.uuid).filtered_out == 2);
}

TEST_CASE("a stream that is made again is read again") {
    stream_mapping_world w;
    w.control->streams().create("clicks", {.shards = 1}).value();
    const auto made = w.map({});
    w.put("0");
    REQUIRE(eventually([&] { return w.log.count() == 1; }));
    REQUIRE(w.control->streams().remove("clicks").has_value());
    REQUIRE(eventually([&] {
        return w.control->get_event_source_mapping(made.uuid)
            .value()
            .last_processing_result.starts_with("PROBLEM");
    }));
    w.control->streams().create("clicks", {.shards = 2}).value();
    w.put("1");
    REQUIRE(eventually([&] { return w.log.count() == 2; }));
}

TEST_CASE("a mapping of a stream that drains reads nothing more") {
    stream_mapping_world w;
    w.control->streams().create("clicks", {.shards = 1}).value();
    const auto made = w.map({});
    w.put("0");
    REQUIRE(eventually([&] { return w.log.count() == 1; }));
    w.control->drain();
    REQUIRE(eventually([&] { return w.metrics_of(made.uuid).in_flight == 0; }));
    w.put("1");
    std::this_thread::sleep_for(200ms);
    CHECK(w.log.count() == 1);
}
