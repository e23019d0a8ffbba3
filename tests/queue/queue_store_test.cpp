// Every rule of queues that needs no waiting, with the clock in the test's hand.

#include "queue/message.hpp"
#include "queue/store.hpp"
#include "temporary_directory.hpp"

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include <fstream>

using namespace hearth;
using namespace hearth::queues;
using namespace std::chrono_literals;
using hearth::test::temporary_directory;

namespace {

const queues::identity here{"eu-west-1", "123456789012"};

/// A store and its time.
struct world {
    explicit world(const std::filesystem::path& file = {}) : s(store::open(file, here).value()) {
        REQUIRE(s->begin().has_value());
    }
    ~world() { (void)s->commit(); }

    void create(const char* name, const queue_attributes& attributes = {}) {
        REQUIRE(s->create(name, attributes, {}, now).has_value());
    }
    sent_message send(const char* name, outgoing_message m) {
        auto sent = s->send(name, m, now);
        INFO((sent.has_error() ? sent.error().message() : ""));
        REQUIRE(sent.has_value());
        return *sent;
    }
    std::vector<queue_message> receive(const char* name, receive_options o = {}) {
        return s->receive(name, o, false, now).value();
    }
    std::vector<std::string> bodies(const char* name, receive_options o = {.max_messages = 10}) {
        std::vector<std::string> all;
        for (const auto& m : receive(name, o)) all.push_back(m.body);
        return all;
    }
    std::string attribute(const char* name, const char* which) {
        return s->attributes(name, now).value()[which];
    }

    std::unique_ptr<store> s;
    queue_time now{std::chrono::milliseconds(1'700'000'000'000)};
};

template <class T>
void refused(const result<T>& r, queue_errc why, const std::string& sentence = {}) {
    REQUIRE(r.has_error());
    CHECK(r.error().code() == why);
    if (!sentence.empty()) CHECK_THAT(r.error().message(), Catch::Contains(sentence));
}

using strings = std::vector<std::string>;

}  // namespace

TEST_CASE("a received message is hidden until its visibility timeout has passed") {
    world w;
    w.create("jobs", {{"VisibilityTimeout", "40"}});
    const auto sent = w.send("jobs", {.body = "one"});
    CHECK(sent.body_md5 == "f97c5d29941bfb1b2fdab0874906ab82");
    const auto first = w.receive("jobs");
    REQUIRE(first.size() == 1);
    CHECK(first[0].message_id == sent.message_id);
    CHECK(first[0].body == "one");
    CHECK(first[0].receive_count == 1);
    CHECK(first[0].sender_id == here.account);
    CHECK(w.attribute("jobs", "ApproximateNumberOfMessagesNotVisible") == "1");
    w.now += 39'999ms;
    CHECK(w.receive("jobs").empty());
    CHECK(w.s->next_due("jobs", w.now).value() == w.now + 1ms);
    w.now += 1ms;
    const auto again = w.receive("jobs", {.visibility = 5s});
    REQUIRE(again.size() == 1);
    CHECK(again[0].receive_count == 2);
    CHECK(again[0].receipt_handle != first[0].receipt_handle);
    CHECK(again[0].first_received == first[0].first_received);
    // The first delivery's handle is worth nothing any more, and that is no error.
    REQUIRE(w.s->remove_message("jobs", first[0].receipt_handle, w.now).has_value());
    w.now += 5s;
    const auto third = w.receive("jobs");
    REQUIRE(third.size() == 1);
    REQUIRE(w.s->remove_message("jobs", third[0].receipt_handle, w.now).has_value());
    w.now += 24h;
    CHECK(w.receive("jobs").empty());
    CHECK(w.attribute("jobs", "ApproximateNumberOfMessages") == "0");
}

TEST_CASE("a visibility timeout is changed while the message is in flight") {
    world w;
    w.create("jobs");
    w.send("jobs", {.body = "one"});
    const std::string handle = w.receive("jobs")[0].receipt_handle;
    REQUIRE(w.s->change_visibility("jobs", {handle, 100s}, w.now).has_value());
    w.now += 31s;
    CHECK(w.receive("jobs").empty());
    REQUIRE(w.s->change_visibility("jobs", {handle, 0s}, w.now).has_value());
    refused(w.s->change_visibility("jobs", {handle, 1s}, w.now), queue_errc::message_not_inflight);
    CHECK(w.receive("jobs").size() == 1);
    refused(w.s->change_visibility("jobs", {handle, 1s}, w.now),
            queue_errc::invalid_parameter_value, "not available for visibility timeout change");
    refused(w.s->change_visibility("jobs", {handle, 43'201s}, w.now),
            queue_errc::invalid_parameter_value);
    for (const char* wrong : {"", "x", "00000000000000010000000000000001000000000000000g"}) {
        refused(w.s->change_visibility("jobs", {wrong, 1s}, w.now),
                queue_errc::receipt_handle_is_invalid);
        refused(w.s->remove_message("jobs", wrong, w.now), queue_errc::receipt_handle_is_invalid);
    }
    w.create("other");
    refused(w.s->remove_message("other", handle, w.now), queue_errc::receipt_handle_is_invalid);
}

TEST_CASE("messages come when their delay is over, and go when their retention is") {
    world w;
    w.create("jobs", {{"DelaySeconds", "10"}, {"MessageRetentionPeriod", "60"}});
    w.send("jobs", {.body = "by the queue"});
    w.send("jobs", {.body = "at once", .delay = 0s});
    w.send("jobs", {.body = "late", .delay = 30s});
    CHECK(w.attribute("jobs", "ApproximateNumberOfMessages") == "1");
    CHECK(w.attribute("jobs", "ApproximateNumberOfMessagesDelayed") == "2");
    CHECK(w.bodies("jobs") == strings{"at once"});
    w.now += 10s;
    CHECK(w.bodies("jobs") == strings{"by the queue"});
    w.now += 20s;
    CHECK(w.bodies("jobs", {.max_messages = 10, .visibility = 0s}) == strings{"late", "at once"});
    w.now += 29s;
    CHECK(w.receive("jobs", {.max_messages = 10, .visibility = 0s}).size() == 3);
    w.now += 1s;
    CHECK(w.receive("jobs").empty());
    REQUIRE(w.s->sweep(w.now).has_value());
    refused(w.s->send("jobs", {.body = "x", .delay = 901s}, w.now),
            queue_errc::invalid_parameter_value, "DelaySeconds must be >= 0 and <= 900");
}

TEST_CASE("what was received too often goes to the dead-letter queue") {
    world w;
    w.create("dead");
    const std::string policy =
        R"({"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:dead","maxReceiveCount":2})";
    w.create("jobs", {{"VisibilityTimeout", "1"}, {"RedrivePolicy", policy}});
    w.send("jobs", {.body = "poison", .attributes = {{"a", {"String", "b"}}}});
    for (unsigned n = 1; n <= 2; ++n) {
        const auto got = w.receive("jobs");
        REQUIRE(got.size() == 1);
        CHECK(got[0].receive_count == n);
        w.now += 1s;
    }
    w.send("jobs", {.body = "good"});
    w.s->take_touched();
    CHECK(w.bodies("jobs") == strings{"good"});
    CHECK(w.s->take_touched().contains("dead"));
    const auto dead = w.receive("dead");
    REQUIRE(dead.size() == 1);
    CHECK(dead[0].body == "poison");
    CHECK(dead[0].dead_letter_source == "arn:aws:sqs:eu-west-1:123456789012:jobs");
    CHECK(dead[0].receive_count == 1);
    CHECK(dead[0].attributes.at("a").value == "b");
    CHECK(w.s->list_sources("dead", {}, 10).value().names == strings{"jobs"});

    refused(
        w.s->set_attributes(
            "jobs",
            {{"RedrivePolicy",
              R"({"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:no","maxReceiveCount":"2"})"}},
            w.now),
        queue_errc::invalid_parameter_value, "Dead letter target does not exist.");
    for (const char* wrong : {"x", "{}", R"({"deadLetterTargetArn":"a","maxReceiveCount":0})",
                              R"({"deadLetterTargetArn":"a","maxReceiveCount":1001})"})
        refused(w.s->set_attributes("jobs", {{"RedrivePolicy", wrong}}, w.now),
                queue_errc::invalid_attribute_value);
    // A target that says who may use it, and one of another kind.
    REQUIRE(w.s->set_attributes(
                   "dead", {{"RedriveAllowPolicy", R"({"redrivePermission":"denyAll"})"}}, w.now)
                .has_value());
    refused(w.s->set_attributes("jobs", {{"RedrivePolicy", policy}}, w.now),
            queue_errc::invalid_parameter_value, "does not have permission");
    refused(w.s->create("f.fifo", {{"FifoQueue", "true"}, {"RedrivePolicy", policy}}, {}, w.now),
            queue_errc::invalid_parameter_value, "same type");
    // Without a policy, and with a target that is gone, messages go on being delivered.
    REQUIRE(w.s->remove("dead").has_value());
    w.send("jobs", {.body = "third time"});
    for (int n = 0; n < 4; ++n) {
        w.now += 1s;
        CHECK(w.receive("jobs", {.max_messages = 10}).size() == 2);
    }
    REQUIRE(w.s->set_attributes("jobs", {{"RedrivePolicy", ""}}, w.now).has_value());
    CHECK(w.attribute("jobs", "RedrivePolicy").empty());
}

TEST_CASE("a FIFO queue keeps the order of each group, one delivery at a time") {
    world w;
    w.create("line.fifo", {{"FifoQueue", "true"}, {"ContentBasedDeduplication", "true"}});
    for (const char* body : {"a1", "b1", "a2", "b2", "a3"})
        w.send("line.fifo", {.body = body, .group_id = std::string(1, body[0])});
    const auto first = w.receive("line.fifo");
    REQUIRE(first.size() == 1);
    CHECK(first[0].body == "a1");
    CHECK(first[0].group_id == "a");
    CHECK(first[0].sequence_number.size() == 20);
    CHECK(first[0].deduplication_id == sha256("a1"));
    // The group waits for its first; the other group goes, its messages together in one answer.
    const auto second = w.receive("line.fifo", {.max_messages = 10});
    REQUIRE(second.size() == 2);
    CHECK(second[0].body == "b1");
    CHECK(second[1].body == "b2");
    CHECK(second[0].sequence_number < second[1].sequence_number);
    CHECK(w.receive("line.fifo").empty());
    w.s->take_touched();
    REQUIRE(w.s->remove_message("line.fifo", first[0].receipt_handle, w.now).has_value());
    CHECK(w.s->take_touched().contains("line.fifo"));
    CHECK(w.bodies("line.fifo") == strings{"a2", "a3"});
    // What comes back comes back in its place, and a late removal is refused.
    w.now += 30s;
    refused(w.s->remove_message("line.fifo", second[0].receipt_handle, w.now),
            queue_errc::invalid_parameter_value, "The receipt handle has expired");
    CHECK(w.bodies("line.fifo") == strings{"b1", "a2", "b2", "a3"});
}

TEST_CASE("a FIFO queue takes a deduplication id once in five minutes") {
    world w;
    w.create("line.fifo", {{"FifoQueue", "true"}});
    const outgoing_message m{.body = "one", .group_id = "g", .deduplication_id = "d"};
    const auto first = w.send("line.fifo", m);
    w.now += 299'999ms;
    auto again = m;
    again.body = "other";
    CHECK(w.send("line.fifo", again).message_id == first.message_id);
    CHECK(w.send("line.fifo", again).sequence_number == first.sequence_number);
    CHECK(w.bodies("line.fifo") == strings{"one"});
    w.now += 1ms;
    REQUIRE(w.s->sweep(w.now).has_value());
    CHECK(w.send("line.fifo", m).message_id != first.message_id);

    refused(w.s->send("line.fifo", {.body = "x", .group_id = "g"}, w.now),
            queue_errc::invalid_parameter_value, "ContentBasedDeduplication");
    refused(w.s->send("line.fifo", {.body = "x", .deduplication_id = "d"}, w.now),
            queue_errc::missing_parameter, "MessageGroupId");
    refused(w.s->send("line.fifo",
                      {.body = "x", .delay = 1s, .group_id = "g", .deduplication_id = "e"}, w.now),
            queue_errc::invalid_parameter_value, "not valid for this queue type");
    w.create("plain");
    refused(w.s->send("plain", {.body = "x", .deduplication_id = "e"}, w.now),
            queue_errc::invalid_parameter_value, "not valid for this queue type");
    w.create("groups.fifo", {{"FifoQueue", "true"},
                             {"DeduplicationScope", "messageGroup"},
                             {"FifoThroughputLimit", "perMessageGroupId"}});
    w.send("groups.fifo", {.body = "1", .group_id = "g", .deduplication_id = "d"});
    w.send("groups.fifo", {.body = "2", .group_id = "h", .deduplication_id = "d"});
    w.send("groups.fifo", {.body = "3", .group_id = "h", .deduplication_id = "d"});
    CHECK(w.bodies("groups.fifo") == strings{"1", "2"});
}

TEST_CASE("queues are made with attributes that make sense, once") {
    world w;
    w.create("jobs", {{"VisibilityTimeout", "40"}});
    w.create("jobs", {{"VisibilityTimeout", "40"}});
    w.create("jobs");
    refused(w.s->create("jobs", {{"VisibilityTimeout", "41"}}, {}, w.now),
            queue_errc::queue_name_exists, "VisibilityTimeout");
    for (const char* name : {"", "a b", "q.fifo", "a.b", "äh"})
        refused(w.s->create(name, {}, {}, w.now), queue_errc::invalid_parameter_value);
    refused(w.s->create(std::string(81, 'x'), {}, {}, w.now), queue_errc::invalid_parameter_value);
    refused(w.s->create("line", {{"FifoQueue", "true"}}, {}, w.now),
            queue_errc::invalid_parameter_value, ".fifo suffix");
    refused(w.s->create("line.fifo", {{"FifoQueue", "false"}}, {}, w.now),
            queue_errc::invalid_attribute_value);
    const std::pair<const char*, const char*> wrong[] = {{"DelaySeconds", "901"},
                                                         {"DelaySeconds", ""},
                                                         {"VisibilityTimeout", "43201"},
                                                         {"VisibilityTimeout", "-1"},
                                                         {"VisibilityTimeout", "1 "},
                                                         {"MaximumMessageSize", "1023"},
                                                         {"MaximumMessageSize", "262145"},
                                                         {"MessageRetentionPeriod", "59"},
                                                         {"ReceiveMessageWaitTimeSeconds", "21"},
                                                         {"SqsManagedSseEnabled", "yes"}};
    for (const auto& [name, value] : wrong)
        refused(w.s->create("new", {{name, value}}, {}, w.now), queue_errc::invalid_attribute_value,
                name);
    for (const char* name : {"Unknown", "QueueArn", "ContentBasedDeduplication"})
        refused(w.s->create("new", {{name, "true"}}, {}, w.now), queue_errc::invalid_attribute_name,
                name);
    refused(w.s->attributes("new", w.now), queue_errc::queue_does_not_exist);
    CHECK(w.attribute("jobs", "QueueArn") == "arn:aws:sqs:eu-west-1:123456789012:jobs");
    CHECK(w.attribute("jobs", "MessageRetentionPeriod") == "345600");
    w.now += 2s;
    REQUIRE(w.s->set_attributes("jobs", {{"DelaySeconds", "7"}}, w.now).has_value());
    CHECK(w.attribute("jobs", "DelaySeconds") == "7");
    CHECK(w.attribute("jobs", "VisibilityTimeout") == "40");
    CHECK(w.attribute("jobs", "LastModifiedTimestamp") == "1700000002");
    refused(w.s->set_attributes("jobs", {{"FifoQueue", "true"}}, w.now),
            queue_errc::invalid_attribute_name);

    for (const char* name : {"alpha", "beta", "beth"}) w.create(name);
    auto page = w.s->list({}, {}, 3).value();
    CHECK(page.names == strings{"alpha", "beta", "beth"});
    CHECK(w.s->list({}, page.next_token, 3).value().names == strings{"jobs"});
    CHECK(w.s->list("bet", {}, 10).value().names == strings{"beta", "beth"});
    CHECK(w.s->list("bet", {}, 2).value().next_token.empty());
}

TEST_CASE("a purge deletes the messages, once in a minute; a removal the queue") {
    world w;
    w.create("jobs");
    w.send("jobs", {.body = "one"});
    REQUIRE(w.s->purge("jobs", w.now).has_value());
    CHECK(w.receive("jobs").empty());
    w.now += 59'999ms;
    refused(w.s->purge("jobs", w.now), queue_errc::purge_queue_in_progress);
    w.now += 1ms;
    CHECK(w.s->purge("jobs", w.now).has_value());
    w.send("jobs", {.body = "two"});
    REQUIRE(w.s->tag("jobs", {{"k", "v"}, {"l", "w"}}).has_value());
    REQUIRE(w.s->untag("jobs", {"l", "none"}).has_value());
    CHECK(w.s->tags("jobs").value() == queue_tags{{"k", "v"}});
    REQUIRE(w.s->remove("jobs").has_value());
    refused(w.s->remove("jobs"), queue_errc::queue_does_not_exist);
    refused(w.s->send("jobs", {.body = "x"}, w.now), queue_errc::queue_does_not_exist);
    w.create("jobs");
    CHECK(w.receive("jobs").empty());
    CHECK(w.s->tags("jobs").value().empty());
}

TEST_CASE("messages are checked and hashed as AWS does") {
    world w;
    w.create("jobs", {{"MaximumMessageSize", "1024"}});
    // By AWS's algorithm, written down again in Python (tests/http/clients/sqs_client.py).
    const message_attributes attributes{{"number", {"Number.int", "42"}},
                                        {"bytes", {"Binary", std::string("\0\1\xff", 3)}},
                                        {"text", {"String", "välue"}}};
    CHECK(md5_of(attributes) == "593cbffb5fb650c168d49626b0d7ab22");
    CHECK(md5_of({}).empty());
    CHECK(decode(encode(attributes)) == attributes);
    CHECK(decode("x") == std::nullopt);
    CHECK(decode(encode(attributes) + std::string("\0\0\0\x9z", 5)) == std::nullopt);
    const auto sent =
        w.send("jobs", {.body = "x", .attributes = attributes, .trace_header = "Root=1"});
    CHECK(sent.attributes_md5 == md5_of(attributes));
    CHECK(sent.system_attributes_md5.size() == 32);
    CHECK(w.receive("jobs")[0].attributes == attributes);

    w.send("jobs", {.body = std::string(1024, 'x')});
    refused(w.s->send("jobs", {.body = std::string(1025, 'x')}, w.now),
            queue_errc::invalid_parameter_value, "shorter than 1024 bytes");
    refused(
        w.s->send("jobs", {.body = std::string(1020, 'x'), .attributes = {{"a", {"String", "b"}}}},
                  w.now),
        queue_errc::invalid_parameter_value);
    refused(w.s->send("jobs", {}, w.now), queue_errc::missing_parameter);
    for (const char* bad :
         {"\x01", "\xff", "\xed\xa0\x80", "\xef\xbf\xbf", "\xc3", "\xf0\x80\x80\x80"})
        refused(w.s->send("jobs", {.body = bad}, w.now), queue_errc::invalid_message_contents);
    for (const char* good : {"\t\r\n", "ä", "\xf0\x9f\x94\xa5", "\xee\x80\x80"})
        CHECK(w.s->send("jobs", {.body = good}, w.now).has_value());
    const std::pair<const char*, message_attribute> wrong[] = {
        {"a", {"String", ""}},      {"a", {"", "x"}},
        {"a", {"Text", "x"}},       {"a", {"Number", "x1"}},
        {".a", {"String", "x"}},    {"a..b", {"String", "x"}},
        {"AWS.a", {"String", "x"}}, {"amazon.a", {"String", "x"}},
        {"a b", {"String", "x"}},   {"", {"String", "x"}}};
    for (const auto& [name, attribute] : wrong) {
        CAPTURE(name);
        refused(w.s->send("jobs", {.body = "x", .attributes = {{name, attribute}}}, w.now),
                queue_errc::invalid_parameter_value);
    }
    outgoing_message many{.body = "x"};
    for (char c = 'a'; c <= 'k'; ++c) many.attributes[std::string(1, c)] = {"String", "x"};
    refused(w.s->send("jobs", many, w.now), queue_errc::invalid_parameter_value, "[11]");
}

TEST_CASE("queues and messages are there when their database is opened again") {
    const temporary_directory dir;
    const auto file = dir.path() / "queues.db";
    std::string handle;
    {
        world w(file);
        w.create("jobs", {{"VisibilityTimeout", "50"}});
        w.send("jobs", {.body = "kept", .attributes = {{"a", {"Binary", std::string("\0z", 2)}}}});
        w.send("jobs", {.body = "second"});
        handle = w.receive("jobs")[0].receipt_handle;
    }
    {
        world w(file);
        CHECK(w.bodies("jobs") == strings{"second"});
        w.now += 50s;
        const auto got = w.receive("jobs", {.max_messages = 10});
        REQUIRE(got.size() == 2);
        CHECK(got[0].body == "kept");
        CHECK(got[0].receive_count == 2);
        CHECK(got[0].attributes.at("a").value == std::string("\0z", 2));
    }
    {
        world w(file);  // what was rolled back never was
        w.send("jobs", {.body = "third"});
        w.create("fleeting");
        w.s->roll_back();
        REQUIRE(w.s->begin().has_value());
        refused(w.s->attributes("fleeting", w.now), queue_errc::queue_does_not_exist);
        CHECK(w.attribute("jobs", "ApproximateNumberOfMessages") == "0");
    }
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(file.c_str(), &db) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, "PRAGMA user_version = 99", nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(db);
    const auto newer = store::open(file, here);
    REQUIRE(newer.has_error());
    CHECK_THAT(newer.error().message(), Catch::Contains("newer Hearth"));
    std::ofstream(dir.path() / "other.db") << "no database at all, whatever its name says";
    CHECK(store::open(dir.path() / "other.db", here).error() == errc::storage_failed);
}
