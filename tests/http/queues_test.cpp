// Amazon SQS over HTTP: both protocols' bytes, who may, and what ends a long poll. What real
// clients make of it is tests/http/clients/sqs_client.py.

#include "front_fixture.hpp"
#include "http/service.hpp"
#include "http/sqs.hpp"
#include "http/sqs_wire.hpp"

#include <hearth/queue.hpp>

#include <catch2/catch.hpp>

#include <chrono>
#include <optional>

using namespace hearth;
using namespace hearth::http;
using namespace hearth::test;
using namespace std::chrono_literals;
namespace json = boost::json;

namespace {

std::string post(const std::string& headers, const std::string& body, const char* path = "/") {
    return std::string("POST ") + path + " HTTP/1.1\r\nHost: queues.localhost:9001\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string by_json(const char* operation, const std::string& body) {
    return post("Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS." +
                    std::string(operation) + "\r\n",
                body);
}

std::string by_form(const std::string& body, const char* path = "/") {
    return post("Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n", body, path);
}

constexpr const char* url = "http://queues.localhost:9001/000000000000/jobs";
const std::string with_url = R"({"QueueUrl":")" + std::string(url) + "\"";

void fails(const answer& a, int status, const std::string& type, const std::string& query_error) {
    INFO(a.body);
    CHECK(a.status == status);
    CHECK(a.json().at("__type").as_string() == type);
    CHECK(!a.json().at("message").as_string().empty());
    CHECK(a.header("x-amzn-query-error") == query_error);
    CHECK(a.header("Content-Type") == "application/x-amz-json-1.0");
}

}  // namespace

TEST_CASE("SQS speaks JSON 1.0") {
    front_fixture f;
    raw_client client(f.front.port());
    auto a = client.ask(by_json(
        "CreateQueue",
        R"({"QueueName":"jobs","Attributes":{"VisibilityTimeout":"60"},"tags":{"k":"v"}})"));
    INFO(a.body);
    REQUIRE(a.status == 200);
    CHECK(a.header("Content-Type") == "application/x-amz-json-1.0");
    CHECK(a.json() == json::value{{"QueueUrl", url}});
    a = client.ask(by_json(
        "SendMessage",
        with_url +
            R"(,"MessageBody":"one","MessageAttributes":{"n":{"DataType":"Number","StringValue":"1"},"b":{"DataType":"Binary","BinaryValue":"AAE="}},"MessageSystemAttributes":{"AWSTraceHeader":{"DataType":"String","StringValue":"Root=1"}}})"));
    REQUIRE(a.status == 200);
    CHECK(a.json().at("MD5OfMessageBody").as_string() == "f97c5d29941bfb1b2fdab0874906ab82");
    const auto md5 = a.json().at("MD5OfMessageAttributes");
    CHECK(md5.as_string().size() == 32);
    a = client.ask(by_json(
        "ReceiveMessage",
        with_url +
            R"(,"MessageSystemAttributeNames":["All"],"MessageAttributeNames":["All"],"MaxNumberOfMessages":10})"));
    REQUIRE(a.status == 200);
    const auto received = a.json();
    const auto& m = received.at("Messages").at(0);
    CHECK(m.at("Body").as_string() == "one");
    CHECK(m.at("Attributes").at("ApproximateReceiveCount").as_string() == "1");
    CHECK(m.at("Attributes").at("AWSTraceHeader").as_string() == "Root=1");
    CHECK(m.at("MessageAttributes").at("b").at("BinaryValue").as_string() == "AAE=");
    CHECK(m.at("MD5OfMessageAttributes") == md5);
    const std::string handle(m.at("ReceiptHandle").as_string());
    a = client.ask(by_json(
        "ChangeMessageVisibilityBatch",
        with_url + R"(,"Entries":[{"Id":"a","ReceiptHandle":")" + handle +
            R"(","VisibilityTimeout":5},{"Id":"b","ReceiptHandle":"x","VisibilityTimeout":5}]})"));
    REQUIRE(a.status == 200);
    CHECK(a.json().at("Successful") == json::value(json::array{{{"Id", "a"}}}));
    CHECK(a.json().at("Failed").at(0).at("Code").as_string() == "ReceiptHandleIsInvalid");
    CHECK(a.json().at("Failed").at(0).at("SenderFault").as_bool());
    a = client.ask(by_json("DeleteMessage", with_url + R"(,"ReceiptHandle":")" + handle + "\"}"));
    CHECK(a.status == 200);
    CHECK(client.ask(by_json("ReceiveMessage", with_url + "}")).json() ==
          json::value(json::object()));
    a = client.ask(by_json("GetQueueAttributes",
                           with_url + R"(,"AttributeNames":["VisibilityTimeout","QueueArn"]})"));
    CHECK(a.json() == json::value{{"Attributes",
                                   {{"QueueArn", "arn:aws:sqs:us-east-1:000000000000:jobs"},
                                    {"VisibilityTimeout", "60"}}}});
    CHECK(client.ask(by_json("ListQueueTags", with_url + "}")).json() ==
          json::value{{"Tags", {{"k", "v"}}}});
    CHECK(client.ask(by_json("ListQueues", "{}")).json() ==
          json::value{{"QueueUrls", json::array{url}}});
}

TEST_CASE("SQS says in JSON what is wrong") {
    front_fixture f;
    raw_client client(f.front.port());
    f.control->queues().create("jobs").value();
    const auto ask = [&](const char* operation, const std::string& body) {
        return client.ask(by_json(operation, body));
    };
    fails(ask("SendMessage", R"({"QueueUrl":"http://h/000000000000/none","MessageBody":"x"})"), 400,
          "com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue;Sender");
    for (const char* other : {"jobs", "/jobs", "http://h/123456789012/jobs", ""})
        fails(ask("DeleteQueue", R"({"QueueUrl":")" + std::string(other) + "\"}"), 400,
              "com.amazonaws.sqs#QueueDoesNotExist",
              "AWS.SimpleQueueService.NonExistentQueue;Sender");
    fails(ask("SendMessage", with_url + "}"), 400,
          "com.amazon.coral.service#MissingRequiredParameterException", "MissingParameter;Sender");
    fails(ask("SendMessage", "{}"), 400,
          "com.amazon.coral.service#MissingRequiredParameterException", "MissingParameter;Sender");
    fails(ask("SendMessage", "{"), 400, "com.amazon.coral.service#SerializationException",
          "MalformedInput;Sender");
    fails(ask("SendMessage", with_url + R"(,"MessageBody":1})"), 400,
          "com.amazon.coral.service#SerializationException", "MalformedInput;Sender");
    fails(ask("SendMessage", with_url + R"(,"MessageBody":"x","DelaySeconds":99999999999999})"),
          400, "com.amazon.coral.service#InvalidParameterValueException",
          "InvalidParameterValue;Sender");
    fails(ask("Explode", "{}"), 400, "com.amazon.coral.service#UnknownOperationException",
          "InvalidAction;Sender");
    const auto absent = ask("StartMessageMoveTask", R"({"SourceArn":"x"})");
    fails(absent, 400, "com.amazonaws.sqs#UnsupportedOperation",
          "AWS.SimpleQueueService.UnsupportedOperation;Sender");
    CHECK_THAT(absent.body, Catch::Contains("StartMessageMoveTask is not implemented"));
    fails(ask("GetQueueAttributes", with_url + R"(,"AttributeNames":["None"]})"), 400,
          "com.amazonaws.sqs#InvalidAttributeName", "InvalidAttributeName;Sender");
    fails(ask("DeleteMessageBatch", with_url + R"(,"Entries":[]})"), 400,
          "com.amazonaws.sqs#EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest;Sender");
    fails(ask("DeleteMessageBatch",
              with_url +
                  R"(,"Entries":[{"Id":"a","ReceiptHandle":"x"},{"Id":"a","ReceiptHandle":"y"}]})"),
          400, "com.amazonaws.sqs#BatchEntryIdsNotDistinct",
          "AWS.SimpleQueueService.BatchEntryIdsNotDistinct;Sender");
    fails(ask("DeleteMessageBatch", with_url + R"(,"Entries":[{"Id":"a b","ReceiptHandle":"x"}]})"),
          400, "com.amazonaws.sqs#InvalidBatchEntryId",
          "AWS.SimpleQueueService.InvalidBatchEntryId;Sender");
    CHECK(f.control->queues().purge("jobs").has_value());
    fails(ask("PurgeQueue", with_url + "}"), 403, "com.amazonaws.sqs#PurgeQueueInProgress",
          "AWS.SimpleQueueService.PurgeQueueInProgress;Sender");
    // A page's request is refused here too.
    const auto page =
        client.ask(post("Origin: http://evil.example\r\nX-Amz-Target: "
                        "AmazonSQS.ListQueues\r\n",
                        "{}"));
    fails(page, 403, "com.amazon.coral.service#AccessDeniedException", "AccessDenied;Sender");
}

TEST_CASE("SQS speaks the query protocol") {
    front_fixture f;
    raw_client client(f.front.port());
    auto a = client.ask(by_form(
        "Action=CreateQueue&Version=2012-11-05&QueueName=jobs&Attribute.1.Name=DelaySeconds&"
        "Attribute.1.Value=0&Tag.1.Key=k&Tag.1.Value=v+%26"));
    INFO(a.body);
    REQUIRE(a.status == 200);
    CHECK(a.header("Content-Type") == "text/xml");
    CHECK_THAT(a.body, Catch::Contains("<CreateQueueResult><QueueUrl>" + std::string(url) +
                                       "</QueueUrl></CreateQueueResult>"));
    CHECK_THAT(a.body, Catch::Contains("<RequestId>" + a.header("x-amzn-RequestId")));
    CHECK(f.control->queues().tags("jobs").value() == queue_tags{{"k", "v &"}});
    // Older clients post to the queue's own URL.
    a =
        client.ask(by_form("Action=SendMessage&MessageBody=a%3Cb%3E%0D%26&MessageAttribute.1.Name="
                           "n&MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value."
                           "StringValue=x",
                           "/000000000000/jobs"));
    REQUIRE(a.status == 200);
    a =
        client.ask(by_form("Action=ReceiveMessage&MaxNumberOfMessages=10&AttributeName.1=All&"
                           "MessageAttributeName.1=All&QueueUrl=" +
                           std::string(url)));
    REQUIRE(a.status == 200);
    CHECK_THAT(a.body, Catch::Contains("<Body>a&lt;b&gt;&#xD;&amp;</Body>"));
    CHECK_THAT(a.body, Catch::Contains("<Attribute><Name>ApproximateReceiveCount</Name><Value>1"
                                       "</Value></Attribute>"));
    CHECK_THAT(a.body, Catch::Contains("<MessageAttribute><Name>n</Name><Value><DataType>String"
                                       "</DataType><StringValue>x</StringValue></Value>"));
    const auto from = a.body.find("<ReceiptHandle>") + 15;
    const std::string handle = a.body.substr(from, a.body.find('<', from) - from);
    a =
        client.ask(by_form("Action=DeleteMessageBatch&DeleteMessageBatchRequestEntry.1.Id=a&"
                           "DeleteMessageBatchRequestEntry.1.ReceiptHandle=" +
                               handle +
                               "&DeleteMessageBatchRequestEntry.2.Id=b&"
                               "DeleteMessageBatchRequestEntry.2.ReceiptHandle=x",
                           "/000000000000/jobs"));
    REQUIRE(a.status == 200);
    CHECK_THAT(a.body, Catch::Contains("<DeleteMessageBatchResultEntry><Id>a</Id>"));
    CHECK_THAT(a.body, Catch::Contains("<BatchResultErrorEntry><Id>b</Id><SenderFault>true"));
    a = client.ask(by_form("Action=DeleteQueue", "/000000000000/jobs"));
    CHECK(a.status == 200);
    for (const char* wrong : {"Action=Explode", "", "Action", "a.b.c.d.e.f.g.h.i=1", "%zz=1",
                              "Action.1=x", "Action=SendMessage&QueueUrl.1.2=x"}) {
        CAPTURE(wrong);
        a = client.ask(by_form(wrong));
        CHECK(a.status == 400);
        CHECK_THAT(a.body, Catch::StartsWith("<?xml version=\"1.0\"?><ErrorResponse"));
    }
    a = client.ask(by_form("Action=GetQueueUrl&QueueName=jobs"));
    CHECK_THAT(a.body, Catch::Contains("<Type>Sender</Type><Code>AWS.SimpleQueueService."
                                       "NonExistentQueue</Code>"));
}

TEST_CASE("a long poll over HTTP ends with a message, and with the server") {
    std::optional<raw_client> other;
    std::chrono::steady_clock::time_point from;
    {
        front_fixture f;
        queue jobs = f.control->queues().create("jobs").value();
        raw_client client(f.front.port());
        client.send(by_json("ReceiveMessage", with_url + R"(,"WaitTimeSeconds":20})"));
        jobs.send({.body = "one"}).value();
        CHECK(client.receive().json().at("Messages").at(0).at("Body").as_string() == "one");
        other.emplace(f.front.port());
        other->send(by_json("ReceiveMessage", with_url + R"(,"WaitTimeSeconds":20})"));
        // The poll has been taken when the queue's thread has answered somebody who came after.
        raw_client third(f.front.port());
        for (int i = 0; i < 20; ++i)
            CHECK(third.ask(by_json("GetQueueAttributes", with_url + "}")).status == 200);
        from = std::chrono::steady_clock::now();
    }
    const answer a = other->receive();
    // Nothing came; whether the server had taken the request when it stopped is a matter of luck.
    CHECK((a.status == 200 || a.status == 0));
    CHECK(std::chrono::steady_clock::now() - from < 10s);
}

TEST_CASE("rules name SQS's actions and queues") {
    const auto keys = parse_access_keys(
        "[worker]\naws_access_key_id = A\naws_secret_access_key = 0123456789abcdef\n"
        "allow = sqs:ReceiveMessage, sqs:Delete* on jobs, line.fifo\nallow = Get*\n",
        "rules");
    REQUIRE(keys.has_value());
    const access_key& worker = keys->front();
    CHECK(allows(worker, "sqs:ReceiveMessage", "jobs"));
    CHECK(allows(worker, "sqs:DeleteMessage", "line.fifo"));
    CHECK(!allows(worker, "sqs:SendMessage", "jobs"));
    CHECK(!allows(worker, "sqs:ReceiveMessage", "other"));
    CHECK(!allows(worker, "sqs:GetQueueUrl", "jobs"));  // Get* is Lambda's
    CHECK(allows(worker, "GetFunction", "jobs"));
    CHECK(!allows(worker, "DeleteFunction", "jobs"));
    CHECK(allows({.allow = {{{"*"}}}}, "sqs:SendMessage", "jobs"));
    CHECK(parse_access_keys("[w]\naws_access_key_id = A\naws_secret_access_key = 0123456789abcdef\n"
                            "allow = sqs:Explode\n",
                            "rules")
              .has_error());
}

TEST_CASE("services are told apart by their headers") {
    CHECK(find_service("AmazonSQS.SendMessage", "application/x-amz-json-1.0").service ==
          aws_service::sqs);
    CHECK(find_service("AmazonSQS.SendMessage", "").operation == "SendMessage");
    CHECK(find_service("", "application/x-www-form-urlencoded").how == protocol::query);
    CHECK(find_service("Other.SendMessage", "application/x-www-form-urlencoded").service ==
          aws_service::lambda);
    CHECK(find_service("", "application/json").service == aws_service::lambda);
}
