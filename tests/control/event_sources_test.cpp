// Event source mappings: what they refuse, how they are kept, and messages that come from a queue
// to a function and back.

#include "control/sqs_event.hpp"
#include "control_test_support.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include <mutex>
#include <set>

using namespace hearth;
using namespace hearth::test;
using namespace std::chrono_literals;
namespace json = boost::json;

namespace {

struct mapping_world : control_fixture {
    queue_service& queues() { return control->queues(); }
    std::string count(const std::string& queue, const char* which = "") {
        return queues().attributes(queue).value().at("ApproximateNumberOfMessages" +
                                                     std::string(which));
    }
    bool becomes_empty(const std::string& queue) {
        return eventually([&] { return count(queue) == "0" && count(queue, "NotVisible") == "0"; });
    }
    void deploy(const std::string& name, in_process_handler handler) {
        control->deploy({.name = name, .package = package::in_process(std::move(handler))}).value();
    }
    event_source_mapping map(create_event_source_mapping_request r) {
        if (r.event_source_arn.empty()) r.event_source_arn = queues().arn_of("jobs");
        if (r.function_name.empty()) r.function_name = "f";
        return control->create_event_source_mapping(r).value();
    }
    error refusal(create_event_source_mapping_request r) {
        if (r.event_source_arn.empty()) r.event_source_arn = queues().arn_of("jobs");
        if (r.function_name.empty()) r.function_name = "f";
        const auto made = control->create_event_source_mapping(r);
        REQUIRE(made.has_error());
        return made.error();
    }
    event_source_metrics metrics_of(const std::string& uuid) {
        for (const auto& each : control->metrics().event_sources)
            if (each.uuid == uuid) return each;
        throw std::runtime_error("no metrics of " + uuid);
    }
};

json::object records_of(std::string_view payload) {
    return json::parse({payload.data(), payload.size()}).as_object();
}

/// A function may do so with what it fails, rather than to let it wait for its visibility timeout.
void show_again(queue& from, const json::value& record) {
    from.change_visibility(std::string(record.at("receiptHandle").as_string()), 0s).value();
}

}  // namespace

TEST_CASE("a message as a function sees it") {
    queue_message m{.message_id = "id",
                    .receipt_handle = "handle",
                    .body = "{\"a\":1}",
                    .body_md5 = "md5",
                    .attributes = {{"n", {"Number.int", "7"}}, {"b", {"Binary", "\x01\xFF"}}},
                    .trace_header = "Root=1",
                    .group_id = "g",
                    .deduplication_id = "d",
                    .sequence_number = "18",
                    .sender_id = "me",
                    .sent = queue_time(1234ms),
                    .first_received = queue_time(5678ms),
                    .receive_count = 2};
    const json::object record = control::sqs_record(m, "arn:aws:sqs:r:a:q.fifo", "r");
    CHECK(record == json::value{{"messageId", "id"},
                                {"receiptHandle", "handle"},
                                {"body", "{\"a\":1}"},
                                {"attributes",
                                 {{"ApproximateReceiveCount", "2"},
                                  {"SentTimestamp", "1234"},
                                  {"SenderId", "me"},
                                  {"ApproximateFirstReceiveTimestamp", "5678"},
                                  {"SequenceNumber", "18"},
                                  {"MessageGroupId", "g"},
                                  {"MessageDeduplicationId", "d"},
                                  {"AWSTraceHeader", "Root=1"}}},
                                {"messageAttributes",
                                 {{"b",
                                   {{"binaryValue", "Af8="},
                                    {"stringListValues", json::array()},
                                    {"binaryListValues", json::array()},
                                    {"dataType", "Binary"}}},
                                  {"n",
                                   {{"stringValue", "7"},
                                    {"stringListValues", json::array()},
                                    {"binaryListValues", json::array()},
                                    {"dataType", "Number.int"}}}}},
                                {"md5OfBody", "md5"},
                                {"eventSource", "aws:sqs"},
                                {"eventSourceARN", "arn:aws:sqs:r:a:q.fifo"},
                                {"awsRegion", "r"},
                                {"md5OfMessageAttributes", md5_of(m.attributes)}}
                        .as_object());
    CHECK(control::filtered_form(record).at("body").at("a").as_int64() == 1);
    m.attributes.clear();
    for (const char* plain : {"plain", "7", "\"x\"", "{", ""}) {
        m.body = plain;
        const auto form = control::filtered_form(control::sqs_record(m, "arn", "r"));
        CHECK(form.at("body").as_string() == plain);
        CHECK(form.at("messageAttributes").as_object().empty());
        CHECK(!form.contains("md5OfMessageAttributes"));
    }
}

TEST_CASE("what event source mappings refuse") {
    mapping_world w;
    w.queues().create("jobs").value();
    w.queues().create("jobs.fifo", {{"FifoQueue", "true"}}).value();
    w.queues().create("hasty", {{"VisibilityTimeout", "2"}}).value();
    w.create("f");
    const std::string fifo = w.queues().arn_of("jobs.fifo");
    const auto is = [](const error& e, errc code, const char* text) {
        INFO(e.message());
        CHECK(e == code);
        CHECK_THAT(e.message(), Catch::Contains(text));
    };
    is(w.refusal({.event_source_arn = w.queues().arn_of("hasty")}), errc::invalid_argument,
       "Queue visibility timeout: 2 seconds is less than Function timeout: 3 seconds");
    is(w.refusal({.event_source_arn = w.queues().arn_of("none")}), errc::invalid_argument,
       "SQS Error Code: AWS.SimpleQueueService.NonExistentQueue");
    is(w.refusal({.event_source_arn = "arn:aws:sqs:eu-west-1:000000000000:jobs"}),
       errc::invalid_argument, "NonExistentQueue");
    is(w.refusal({.event_source_arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s",
                  .starting_position = "LATEST"}),
       errc::invalid_argument, "Stream not found");
    is(w.refusal(
           {.event_source_arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1",
            .starting_position = "LATEST"}),
       errc::invalid_argument, "Consumer not found");
    is(w.refusal({.event_source_arn = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/1"}),
       errc::unsupported, "Amazon DynamoDB");
    is(w.refusal({.event_source_arn = "arn:aws:kafka:us-east-1:000000000000:cluster/c/1"}),
       errc::unsupported, "Amazon MSK");
    is(w.refusal({.event_source_arn = "arn:aws:mq:us-east-1:000000000000:broker:b:1"}),
       errc::unsupported, "Amazon MQ");
    for (const char* odd : {"jobs", "arn:", "arn:aws", "arn:aws:s3:::b"})
        is(w.refusal({.event_source_arn = odd}), errc::invalid_argument,
           "Unrecognized event source");
    is(w.refusal({.function_name = "none"}), errc::invalid_argument, "Function does not exist");
    is(w.refusal({.function_name = "f:none"}), errc::invalid_argument, "Function does not exist");
    is(w.refusal({.function_name = "f g"}), errc::invalid_argument, "regular expression");
    is(w.refusal({.batch_size = 0}), errc::invalid_argument, "greater than or equal to 1");
    is(w.refusal({.batch_size = 10'001}), errc::invalid_argument, "less than or equal to 10000");
    is(w.refusal({.batch_size = 11}), errc::invalid_argument,
       "Maximum batch window in seconds must be greater than 0");
    is(w.refusal({.maximum_batching_window = 301}), errc::invalid_argument,
       "less than or equal to 300");
    is(w.refusal({.event_source_arn = fifo, .batch_size = 11, .maximum_batching_window = 1}),
       errc::invalid_argument, "FIFO");
    is(w.refusal({.event_source_arn = fifo, .maximum_batching_window = 1}), errc::invalid_argument,
       "Batching window is not supported for FIFO queues");
    is(w.refusal({.maximum_concurrency = 1}), errc::invalid_argument, "greater than or equal to 2");
    is(w.refusal({.maximum_concurrency = 1001}), errc::invalid_argument, "equal to 1000");
    is(w.refusal({.function_response_types = {"Other"}}), errc::invalid_argument,
       "[ReportBatchItemFailures]");
    is(w.refusal({.filters = {R"({"a":1})"}}), errc::invalid_argument,
       "Invalid filter pattern definition.");
    is(w.refusal({.filters = std::vector<std::string>(6, R"({"a":[1]})")}), errc::invalid_argument,
       "Invalid filter pattern definition.");
    is(w.refusal({.starting_position = "LATEST"}), errc::invalid_argument,
       "StartingPosition is not valid for SQS event sources.");
    is(w.refusal({.starting_position_timestamp = 1}), errc::invalid_argument,
       "StartingPosition is not valid for SQS event sources.");
    is(w.refusal({.parallelization_factor = 2}), errc::invalid_argument,
       "Unsupported ParallelizationFactor parameter");
    is(w.refusal({.maximum_retry_attempts = 2}), errc::invalid_argument,
       "Unsupported MaximumRetryAttempts parameter");
    is(w.refusal({.maximum_record_age = 60}), errc::invalid_argument,
       "Unsupported MaximumRecordAgeInSeconds parameter");
    is(w.refusal({.bisect_batch_on_function_error = true}), errc::invalid_argument,
       "Unsupported BisectBatchOnFunctionError parameter");
    is(w.refusal({.on_failure = w.queues().arn_of("jobs")}), errc::invalid_argument,
       "Unsupported DestinationConfig parameter");
    const auto made = w.map({});
    is(w.refusal({}), errc::already_exists,
       ("already exists. Please update or delete the existing mapping with UUID " + made.uuid)
           .c_str());
    is(w.control->get_event_source_mapping("none").error(), errc::not_found,
       "The resource you requested does not exist.");
    is(w.control->delete_event_source_mapping("none").error(), errc::not_found, "not exist");
    is(w.control->update_event_source_mapping({.uuid = "none"}).error(), errc::not_found,
       "not exist");
    is(w.control->update_event_source_mapping({.uuid = made.uuid, .batch_size = 11}).error(),
       errc::invalid_argument, "Maximum batch window");
    is(w.control->update_event_source_mapping({.uuid = made.uuid, .function_name = "none"}).error(),
       errc::invalid_argument, "Function does not exist");
}

TEST_CASE("a stream with a FIFO queue's name is none") {
    mapping_world w;
    data_stream clicks = w.control->streams().create("clicks.fifo", {.shards = 1}).value();
    w.create("f");
    const auto made = w.map({.event_source_arn = clicks.arn(),
                             .maximum_batching_window = 1,
                             .starting_position = "LATEST"});
    CHECK(made.batch_size == 100);
}

TEST_CASE("mappings are made, listed, changed and deleted") {
    mapping_world w;
    for (const char* name : {"jobs", "more"}) w.queues().create(name).value();
    w.create("f");
    w.create("g");
    const auto made = w.map({.batch_size = 20,
                             .maximum_batching_window = 1,
                             .maximum_concurrency = 7,
                             .filters = {R"({"body":["x"]})"},
                             .function_response_types = {"ReportBatchItemFailures"},
                             .tags = {{"k", "v"}}});
    CHECK(made.state == event_source_state::creating);
    CHECK(made.function_arn == arn);
    CHECK(made.arn == "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:" + made.uuid);
    auto expected = made;
    expected.state = event_source_state::enabled;
    CHECK(w.control->get_event_source_mapping(made.uuid).value() == expected);

    const auto second = w.map({.function_name = "g", .enabled = false});
    CHECK(w.control->get_event_source_mapping(second.uuid).value().state ==
          event_source_state::disabled);
    w.map({.event_source_arn = w.queues().arn_of("more")});
    const auto list = [&](const std::string& source, const std::string& function,
                          std::string_view marker = {}, std::size_t most = 50) {
        return w.control->list_event_source_mappings(source, function, marker, most).value();
    };
    CHECK(list({}, {}).mappings.size() == 3);
    CHECK(list(made.event_source_arn, {}).mappings.size() == 2);
    CHECK(list({}, "f").mappings.size() == 2);
    CHECK(list({}, arn).mappings.size() == 2);
    CHECK(list(made.event_source_arn, "g").mappings.size() == 1);
    CHECK(list({}, "h").mappings.empty());
    const auto page = list({}, {}, {}, 2);
    CHECK(page.mappings.size() == 2);
    CHECK(list({}, {}, page.next_marker, 2).mappings.size() == 1);

    auto changed = w.control
                       ->update_event_source_mapping(
                           {.uuid = made.uuid, .function_name = "g", .enabled = false})
                       .error();
    CHECK(changed == errc::already_exists);
    auto next =
        w.control
            ->update_event_source_mapping({.uuid = made.uuid,
                                           .batch_size = 5,
                                           .maximum_batching_window = 0,
                                           .maximum_concurrency = 0,
                                           .filters = std::vector<std::string>(),
                                           .function_response_types = std::vector<std::string>()})
            .value();
    CHECK(next.state == event_source_state::updating);
    CHECK(next.batch_size == 5);
    CHECK(!next.maximum_concurrency);
    CHECK(next.filters.empty());
    CHECK(next.function_response_types.empty());
    CHECK(next.tags == made.tags);
    next = w.control->update_event_source_mapping({.uuid = made.uuid, .enabled = false}).value();
    CHECK(next.state == event_source_state::disabling);
    CHECK(eventually([&] {
        return w.control->get_event_source_mapping(made.uuid).value().state ==
               event_source_state::disabled;
    }));
    next = w.control->update_event_source_mapping({.uuid = made.uuid, .enabled = true}).value();
    CHECK(next.state == event_source_state::enabling);
    CHECK(w.control->get_event_source_mapping(made.uuid).value().state ==
          event_source_state::enabled);

    CHECK(w.control->list_tags(made.arn).value() == made.tags);
    CHECK(w.control->tag_resource(made.arn, {{"l", "w"}}).has_value());
    CHECK(w.control->untag_resource(made.arn, {"k"}).has_value());
    CHECK(w.control->list_tags(made.arn).value() == std::map<std::string, std::string>{{"l", "w"}});
    CHECK(w.control->list_tags(made.arn + "0").error() == errc::not_found);

    CHECK(w.control->delete_event_source_mapping(made.uuid).value().state ==
          event_source_state::deleting);
    CHECK(eventually([&] { return w.control->get_event_source_mapping(made.uuid).has_error(); }));
    CHECK(w.map({}).uuid != made.uuid);
}

TEST_CASE("messages come to the function and are deleted") {
    std::mutex mutex;
    std::vector<std::string> bodies;
    mapping_world w;
    queue jobs = w.queues().create("jobs").value();
    w.deploy("f", [&](std::string_view payload) -> std::string {
        const std::scoped_lock lock(mutex);
        const json::object event = records_of(payload);
        for (const json::value& each : event.at("Records").as_array())
            bodies.emplace_back(each.at("body").as_string());
        return "null";
    });
    for (int i = 0; i < 25; ++i) jobs.send({.body = std::to_string(i)}).value();
    const auto made = w.map({});
    REQUIRE(w.becomes_empty("jobs"));
    {
        const std::scoped_lock lock(mutex);
        CHECK(std::set(bodies.begin(), bodies.end()).size() == 25);
    }
    // And one that comes while the mapping waits.
    jobs.send({.body = "late"}).value();
    REQUIRE(eventually([&] { return w.metrics_of(made.uuid).deleted == 26; }));
    const auto m = w.metrics_of(made.uuid);
    CHECK(m.polled == 26);
    CHECK(m.invoked == 26);
    CHECK(m.failed_invoke == 0);
    CHECK(m.filtered_out == 0);
    CHECK(w.control->get_event_source_mapping(made.uuid).value().last_processing_result == "OK");
}

TEST_CASE("messages that the function fails go to the dead-letter queue, and only those") {
    std::atomic<int> good = 0;
    mapping_world w;
    w.queues().create("dead").value();
    queue jobs =
        w.queues()
            .create("jobs",
                    {{"VisibilityTimeout", "600"},
                     {"RedrivePolicy", R"({"deadLetterTargetArn":")" + w.queues().arn_of("dead") +
                                           R"(","maxReceiveCount":"1"})"}})
            .value();
    w.deploy("f", [&](std::string_view payload) -> std::string {
        json::array failures;
        const json::object event = records_of(payload);
        for (const json::value& each : event.at("Records").as_array())
            if (each.at("body").as_string() == "bad") {
                failures.push_back(json::object{{"itemIdentifier", each.at("messageId")}});
                show_again(jobs, each);
            } else {
                ++good;
            }
        return json::serialize(json::object{{"batchItemFailures", std::move(failures)}});
    });
    for (const char* body : {"good", "bad", "good", "bad", "good"})
        jobs.send({.body = body}).value();
    const auto made = w.map({.function_response_types = {"ReportBatchItemFailures"}});
    REQUIRE(eventually([&] { return w.count("dead") == "2"; }));
    CHECK(w.becomes_empty("jobs"));
    CHECK(good == 3);
    CHECK(w.metrics_of(made.uuid).failed_invoke == 2);
    for (const queue_message& m :
         w.queues().find("dead").value().receive({.max_messages = 10}).value())
        CHECK(m.body == "bad");
}

TEST_CASE("what no filter wants is deleted, and no function sees it") {
    mapping_world w;
    queue jobs = w.queues().create("jobs").value();
    w.create("f");
    const auto made = w.map({.filters = {R"({"body":{"kind":["a"]}})", R"({"body":["plain"]})"}});
    for (const char* body : {R"({"kind":"a"})", R"({"kind":"b"})", "plain", "other", "[1]"})
        jobs.send({.body = body}).value();
    REQUIRE(eventually([&] { return w.metrics_of(made.uuid).deleted == 5; }));
    CHECK(w.metrics_of(made.uuid).filtered_out == 3);
    CHECK(w.metrics_of(made.uuid).invoked == 2);
}

TEST_CASE("a FIFO queue's messages come in order, also past one that failed") {
    std::mutex mutex;
    std::map<std::string, std::vector<std::string>> seen;
    std::set<std::string> at_work;
    bool failed = false, overlapped = false;
    mapping_world w;
    queue jobs = w.queues()
                     .create("jobs.fifo", {{"FifoQueue", "true"},
                                           {"VisibilityTimeout", "600"},
                                           {"ContentBasedDeduplication", "true"}})
                     .value();
    w.deploy("f", [&](std::string_view payload) -> std::string {
        std::set<std::string> groups;
        const json::object event = records_of(payload);
        {
            const std::scoped_lock lock(mutex);
            for (const json::value& each : event.at("Records").as_array())
                groups.emplace(each.at("attributes").at("MessageGroupId").as_string());
            for (const std::string& each : groups) overlapped |= !at_work.insert(each).second;
        }
        std::string reply = "null";
        const std::scoped_lock lock(mutex);
        for (const json::value& each : event.at("Records").as_array()) {
            const std::string group(each.at("attributes").at("MessageGroupId").as_string());
            const std::string body(each.at("body").as_string());
            if (body == "a1" && !std::exchange(failed, true)) {
                reply = "no JSON";  // the whole batch fails
                show_again(jobs, each);
                break;
            }
            seen[group].push_back(body);
        }
        for (const std::string& each : groups) at_work.erase(each);
        return reply;
    });
    for (int i = 0; i < 6; ++i)
        for (const char* group : {"a", "b"})
            jobs.send({.body = group + std::to_string(i), .group_id = group}).value();
    w.map({.event_source_arn = jobs.arn(),
           .batch_size = 1,
           .function_response_types = {"ReportBatchItemFailures"}});
    REQUIRE(w.becomes_empty("jobs.fifo"));
    CHECK(failed);
    CHECK(!overlapped);
    CHECK(seen["a"] == std::vector<std::string>{"a0", "a1", "a2", "a3", "a4", "a5"});
    CHECK(seen["b"] == std::vector<std::string>{"b0", "b1", "b2", "b3", "b4", "b5"});
}

TEST_CASE("a throttled function loses no message and uses none up") {
    mapping_world w;
    queue jobs = w.queues().create("jobs").value();
    w.worker.to_refuse = 3;
    w.create("f", "busy");
    jobs.send({.body = "x"}).value();
    w.map({});
    REQUIRE(w.becomes_empty("jobs"));
    const std::scoped_lock lock(w.worker.last_mutex);
    CHECK(w.worker.events.size() == 4);
    CHECK(json::parse(w.worker.events.back())
              .at("Records")
              .at(0)
              .at("attributes")
              .at("ApproximateReceiveCount")
              .as_string() == "1");
}

TEST_CASE("nothing is received while the function cannot be invoked") {
    mapping_world w;
    queue jobs = w.queues().create("jobs").value();
    w.create("f");
    const auto made = w.map({.enabled = false});
    w.control->delete_function("f").value();
    jobs.send({.body = "x"}).value();
    w.control->update_event_source_mapping({.uuid = made.uuid, .enabled = true}).value();
    REQUIRE(eventually([&] {
        return w.control->get_event_source_mapping(made.uuid)
            .value()
            .last_processing_result.starts_with("PROBLEM: Function not found");
    }));
    CHECK(w.count("jobs") == "1");
    w.create("f");  // again
    REQUIRE(w.becomes_empty("jobs"));
    CHECK(w.metrics_of(made.uuid).polled == 1);
}

TEST_CASE("a queue that is made again is received from again") {
    mapping_world w;
    w.queues().create("jobs").value();
    w.create("f");
    const auto made = w.map({});
    REQUIRE(w.queues().remove("jobs").has_value());
    REQUIRE(eventually([&] {
        return w.control->get_event_source_mapping(made.uuid)
            .value()
            .last_processing_result.starts_with("PROBLEM");
    }));
    CHECK(w.control->get_event_source_mapping(made.uuid).value().state ==
          event_source_state::enabled);
    w.queues().create("jobs").value().send({.body = "x"}).value();
    CHECK(w.becomes_empty("jobs"));
}

TEST_CASE("mappings and what they had not finished outlive the process") {
    const temporary_directory data;
    fake_worker worker;
    std::string uuid;
    const auto open = [&] {
        control_options o;
        o.data_directory = data.path();
        return control_plane::create(std::move(o), worker).value();
    };
    {
        auto control = open();
        control->create_function(creation("f", "slow")).value();
        settle(*control, "f");
        queue jobs = control->queues().create("jobs", {{"VisibilityTimeout", "3"}}).value();
        const auto made = control->create_event_source_mapping(
            {.event_source_arn = jobs.arn(), .function_name = "f", .batch_size = 1});
        uuid = made.value().uuid;
        for (int i = 0; i < 10; ++i) jobs.send({.body = std::to_string(i)}).value();
        REQUIRE(eventually([&] { return worker.runs() > 0; }));
    }
    auto control = open();
    CHECK(control->get_event_source_mapping(uuid).value().batch_size == 1);
    std::set<std::string> seen;
    CHECK(eventually([&] {
        const auto attributes = control->queues().attributes("jobs").value();
        return attributes.at("ApproximateNumberOfMessages") == "0" &&
               attributes.at("ApproximateNumberOfMessagesNotVisible") == "0";
    }));
    const std::scoped_lock lock(worker.last_mutex);
    for (const std::string& each : worker.events) {
        const json::object event = records_of(each);
        for (const json::value& record : event.at("Records").as_array())
            seen.emplace(record.at("body").as_string());
    }
    CHECK(seen.size() == 10);
}

TEST_CASE("what drains receives nothing more") {
    mapping_world w;
    queue jobs = w.queues().create("jobs").value();
    w.create("f");
    const auto made = w.map({});
    w.control->drain();
    jobs.send({.body = "x"}).value();
    // Had the mapping just got it, it gives it back.
    const auto got = jobs.receive({.wait = 20s}).value();
    REQUIRE(got.size() == 1);
    CHECK(w.control->delete_event_source_mapping(made.uuid).error() == errc::shutting_down);
}
