// Asynchronous invocations through the control plane: accepted, delivered, retried, dropped, kept.

#include "control/lineage.hpp"
#include "control_test_support.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>
#include <future>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

using namespace hearth;
using namespace hearth::test;
using namespace std::chrono_literals;

namespace {

/// Minutes are milliseconds.
event_policy quick() { return {.retry_delay = 1ms, .min_backoff = 1ms, .max_backoff = 10ms}; }

struct event_fixture {
    explicit event_fixture(control_options options = {}) {
        if (options.events.retry_delay == event_policy().retry_delay) options.events = quick();
        control = control_plane::create(options, worker).value();
    }
    ~event_fixture() { worker.release(); }
    void create(const std::string& name, const std::string& mode = "echo") {
        control->create_function(creation(name, mode)).value();
        settle(*control, name);
    }
    [[nodiscard]] async_metrics counted(const std::string& name) const {
        for (const function_metrics& m : control->metrics().by_function)
            if (m.name == name) return m.async;
        return {};
    }
    [[nodiscard]] std::uint64_t queued() const { return control->metrics().async_events_queued; }
    fake_worker worker;
    std::unique_ptr<control_plane> control;
};

void configure(control_plane& c, std::optional<std::uint64_t> retries, std::string qualifier = {}) {
    event_invoke_request r{.function_name = "f", .qualifier = std::move(qualifier)};
    r.maximum_retry_attempts = retries;
    c.put_event_invoke_config(r).value();
}

}  // namespace

TEST_CASE("an event is accepted with its request id, and the function gets it") {
    event_fixture f;
    f.create("f");
    const std::string id =
        f.control->enqueue("f", R"({"a":1})", {.trace_id = "Root=1", .tenant_id = "t"}).value();
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    const std::scoped_lock lock(f.worker.last_mutex);
    CHECK(f.worker.last.payload == R"({"a":1})");
    CHECK(f.worker.last.request_id == id);
    CHECK(f.worker.last.trace_id == control::with_visit("Root=1", arn));
    CHECK(f.worker.last.tenant_id == "t");
    CHECK(f.worker.last.invoked_arn == arn);
    CHECK(f.worker.events.size() == 1);
    CHECK(f.counted("f").received == 1);
    CHECK(f.counted("f").dropped == 0);
    CHECK(f.counted("f").age.count() == 1);
}

TEST_CASE("events that cannot be accepted are refused at once") {
    event_fixture f;
    f.create("f");
    CHECK(f.control->enqueue("g", "{}").error() == errc::not_found);
    CHECK(f.control->enqueue("f", "{}", {}, "7").error() == errc::not_found);
    CHECK(f.control->enqueue("f", "{}", {}, "no good").error() == errc::invalid_argument);
    CHECK(f.control->enqueue("f", std::string(1 << 20, ' ')).has_value());
    const auto large = f.control->enqueue("f", std::string((1 << 20) + 1, ' '));
    CHECK(large.error() == errc::payload_too_large);
    CHECK(large.error().message() ==
          "1048577 byte payload is too large for the Event invocation "
          "type (limit 1048576 bytes)");
    f.control->create_function(creation("init", "init_slow")).value();
    CHECK(f.control->enqueue("init", "{}").error() == errc::not_ready);
    std::promise<error> told;
    f.control->async_enqueue("g", "{}", {}, "", [&](error e, const std::string& id) {
        CHECK(id.empty());
        told.set_value(std::move(e));
    });
    CHECK(told.get_future().get() == errc::not_found);
    f.control->drain();
    CHECK(f.control->enqueue("f", "{}").error() == errc::shutting_down);
}

TEST_CASE("many events are accepted at once and each delivered") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    o.events = quick();
    o.events.max_in_flight = 8;
    event_fixture f(o);
    f.create("f"), f.create("g");
    constexpr int n = 500;
    std::atomic<int> accepted = 0;
    for (int i = 0; i < n; ++i)
        f.control->async_enqueue(i % 2 ? "f" : "g", std::to_string(i), {}, "",
                                 [&](const error& e, const std::string& id) {
                                     if (!e.code() && !id.empty()) ++accepted;
                                 });
    REQUIRE(eventually([&] { return accepted == n && f.queued() == 0; }));
    const std::scoped_lock lock(f.worker.last_mutex);
    CHECK(std::set<std::string>(f.worker.events.begin(), f.worker.events.end()).size() == n);
    CHECK(f.worker.events.size() == n);
}

TEST_CASE("a function error is retried twice, and then the event is dropped") {
    event_fixture f;
    f.create("f", "flaky");
    f.worker.to_fail = 2;
    f.control->enqueue("f", "1").value();
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    CHECK(f.worker.runs() == 3);
    CHECK(f.counted("f").dropped == 0);
    f.worker.to_fail = 100;
    f.control->enqueue("f", "2").value();
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    CHECK(f.worker.runs() == 6);
    CHECK(f.counted("f").dropped == 1);
    CHECK(f.counted("f").received == 2);
    CHECK(f.counted("f").age.count() == 6);
}

TEST_CASE("MaximumRetryAttempts holds for the version or alias it was given to") {
    event_fixture f;
    f.create("f", "fail");
    f.control->publish_version({.function_name = "f"}).value();
    settle(*f.control, "f:1");
    f.control->create_alias({.function_name = "f", .name = "live", .function_version = "1"})
        .value();
    configure(*f.control, 0);
    configure(*f.control, 1, "live");
    const auto runs_of = [&](const char* qualifier) {
        const std::size_t before = f.worker.runs();
        f.control->enqueue("f", "{}", {}, qualifier).value();
        REQUIRE(eventually([&] { return f.queued() == 0; }));
        return f.worker.runs() - before;
    };
    CHECK(runs_of("") == 1);
    CHECK(runs_of("live") == 2);
    CHECK(runs_of("1") == 3);
}

TEST_CASE("throttles and system errors are tried again and again, and count as no retry") {
    for (const char* mode : {"busy", "broken"}) {
        event_fixture f;
        f.create("f", mode);
        configure(*f.control, 0);
        f.worker.to_refuse = 7;
        f.control->enqueue("f", "{}").value();
        REQUIRE(eventually([&] { return f.queued() == 0; }));
        CHECK(f.worker.runs() == 8);
        CHECK(f.counted("f").dropped == 0);
    }
}

TEST_CASE("an event that always meets a system error does not hold up those behind it") {
    control_options o;
    o.events = quick();
    o.events.min_backoff = o.events.max_backoff = 1h;
    event_fixture f(o);
    f.create("f", "broken");
    f.worker.to_refuse = 1;
    f.control->enqueue("f", "unlucky").value();
    REQUIRE(eventually([&] { return f.worker.runs() == 1; }));
    f.control->enqueue("f", "behind").value();
    REQUIRE(eventually([&] { return f.worker.runs() == 2; }));
    REQUIRE(eventually([&] { return f.queued() == 1; }));
}

TEST_CASE("an event that has become too old is dropped without another delivery") {
    control_options o;
    o.events = {.retry_delay = 30ms, .max_age = 10ms};
    event_fixture f(o);
    f.create("f", "fail");
    f.control->enqueue("f", "{}").value();
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    CHECK(f.worker.runs() <= 1);
    CHECK(f.counted("f").dropped == 1);
}

TEST_CASE("with a reserved concurrency of zero events are dropped unrun") {
    event_fixture f;
    f.create("f");
    f.control->put_function_concurrency("f", 0).value();
    f.control->enqueue("f", "{}").value();
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    CHECK(f.worker.runs() == 0);
    CHECK(f.counted("f").dropped == 1);
}

TEST_CASE("events that wait are there after a restart, and only those") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    std::string id;
    {
        event_fixture f(o);
        f.create("f", "busy"), f.create("g");
        f.worker.to_refuse = 1'000'000;
        id = f.control->enqueue("f", "waits").value();
        f.control->enqueue("g", "done").value();
        REQUIRE(eventually([&] { return f.queued() == 1 && f.worker.runs() >= 3; }));
    }
    event_fixture f(o);
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    const std::scoped_lock lock(f.worker.last_mutex);
    CHECK(f.worker.events == std::vector<std::string>{"waits"});
    CHECK(f.worker.last.request_id == id);
}

TEST_CASE("a retry keeps its count and its time over a restart") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    o.events = {.retry_delay = 1h};
    {
        event_fixture f(o);
        f.create("f", "flaky");
        f.worker.to_fail = 1;
        f.control->enqueue("f", "{}").value();
        REQUIRE(eventually([&] { return f.worker.runs() == 1; }));
    }
    {
        event_fixture f(o);
        CHECK(f.queued() == 1);
        CHECK(f.worker.runs() == 0);  // not before its hour
    }
}

TEST_CASE("a deleted function's events go with it, in this process and before the next") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    {
        event_fixture f(o);
        f.create("f", "busy"), f.create("ff", "busy");
        f.worker.to_refuse = 1'000'000;
        f.control->enqueue("f", "{}").value();
        f.control->enqueue("f:$LATEST", "{}").value();
        f.control->enqueue("ff", "{}").value();
        CHECK(f.queued() == 3);
        f.control->delete_function("f").value();
        REQUIRE(eventually([&] { return f.queued() == 1; }));
        f.create("f");  // another of the name has none of them
        f.control->enqueue("f", "new").value();
        REQUIRE(eventually([&] { return f.queued() == 1; }));
    }
    event_fixture f(o);
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    CHECK(f.worker.runs() == 1);
}

TEST_CASE("events of a function that only deploy knows wait for it to be deployed again") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    function_config c;
    c.name = "f";
    c.package = package::in_process([](std::string_view event) { return std::string(event); });
    c.environment = {{"MODE", "busy"}};
    {
        event_fixture f(o);
        f.control->deploy(c).value();
        f.worker.to_refuse = 1'000'000;
        f.control->enqueue("f", "waits").value();
        REQUIRE(eventually([&] { return f.worker.runs() > 0; }));
    }
    event_fixture f(o);
    CHECK(f.queued() == 1);
    f.create("other");  // nothing to do with it
    f.control->enqueue("other", "{}").value();
    REQUIRE(eventually([&] { return f.worker.runs() == 1; }));
    CHECK(f.queued() >= 1);
    f.control->deploy(c).value();
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    CHECK(f.worker.runs() == 2);
}

namespace {

void send_to(control_plane& c, const std::string& success, const std::string& failure) {
    event_invoke_request r{.function_name = "f"};
    r.maximum_retry_attempts = 1;
    r.has_destinations = true;
    r.on_success = success;
    r.on_failure = failure;
    c.put_event_invoke_config(r).value();
}

/// All regular files below, in order of their paths.
std::map<std::string, boost::json::value> documents(const std::filesystem::path& below) {
    std::map<std::string, boost::json::value> found;
    if (!std::filesystem::exists(below)) return found;
    for (const auto& each : std::filesystem::recursive_directory_iterator(below)) {
        if (!each.is_regular_file()) continue;
        std::ifstream in(each.path());
        const std::string text(std::istreambuf_iterator<char>(in), {});
        found[each.path().lexically_relative(below).string()] = boost::json::parse(text);
    }
    return found;
}

}  // namespace

TEST_CASE("a success and a failure go to a function as AWS's record") {
    event_fixture f;
    f.create("f", "flaky"), f.create("g");
    const std::string g = "arn:aws:lambda:us-east-1:000000000000:function:g";
    send_to(*f.control, g, g + ":$LATEST");
    const std::string id = f.control->enqueue("f", R"({"n":1.50})").value();
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    REQUIRE(f.worker.runs() == 2);
    f.worker.to_fail = 2;
    f.control->enqueue("f", "no JSON \xff").value();
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    const std::scoped_lock lock(f.worker.last_mutex);
    REQUIRE(f.worker.events.size() == 5);
    const std::string& text = f.worker.events[1];
    CHECK_THAT(text, Catch::Contains(R"("requestPayload":{"n":1.50})"));  // byte for byte
    const auto good = boost::json::parse(text).as_object();
    CHECK(good.at("version") == "1.0");
    CHECK(good.at("timestamp").as_string().size() ==
          std::string("2019-11-14T18:16:05.568Z").size());
    const auto& context = good.at("requestContext").as_object();
    CHECK(context.at("requestId") == id.c_str());
    CHECK(context.at("functionArn") == (arn + ":$LATEST").c_str());
    CHECK(context.at("condition") == "Success");
    CHECK(context.at("approximateInvokeCount") == 1);
    CHECK(good.at("responseContext") ==
          boost::json::parse(R"({"statusCode":200,"executedVersion":"$LATEST"})"));
    CHECK(good.at("responsePayload") == boost::json::parse(R"({"n":1.50})"));

    const auto bad = boost::json::parse(f.worker.events[4]).as_object();
    CHECK(bad.at("requestContext").at("condition") == "RetriesExhausted");
    CHECK(bad.at("requestContext").at("approximateInvokeCount") == 2);
    CHECK(bad.at("requestPayload") == "no JSON ?");
    CHECK(bad.at("responseContext") ==
          boost::json::parse(
              R"({"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"})"));
    CHECK(bad.at("responsePayload").at("errorMessage") == "boom");
    CHECK(f.counted("g").received == 2);
    CHECK(f.counted("f").destination_delivery_failures == 0);
}

TEST_CASE("outcomes and dead letters go to files") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    event_fixture f(o);
    auto creating = creation("f", "flaky");
    creating.settings.dead_letter_target_arn = "arn:aws:s3:::letters";
    f.control->create_function(std::move(creating)).value();
    settle(*f.control, "f");
    send_to(*f.control, "arn:aws:s3:::good", "arn:aws:s3:::bad");
    f.control->enqueue("f", "1").value();
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    f.worker.to_fail = 2;
    const std::string id = f.control->enqueue("f", "\"two\"").value();
    REQUIRE(eventually([&] { return f.queued() == 0; }));

    const auto below = [&](const char* bucket) {
        return documents(data.path() / "destinations" / bucket);
    };
    const auto good = below("good"), bad = below("bad"), letters = below("letters");
    REQUIRE((good.size() == 1 && bad.size() == 1 && letters.size() == 1));
    // aws/lambda/async/f/2026/11/27/2026-11-27T08.00.00-UUID
    CHECK(good.begin()->first.starts_with("aws/lambda/async/f/20"));
    CHECK(good.begin()->first.size() ==
          std::string("aws/lambda/async/f/2026/11/27/2026-11-27T08.00.00-").size() + 36);
    CHECK(good.begin()->second.at("requestPayload") == 1);
    CHECK(bad.begin()->second.at("requestContext").at("requestId") == id.c_str());
    const auto& letter = letters.begin()->second.at("Records").at(0);
    CHECK(letter.at("body") == "\"two\"");
    CHECK(letter.at("messageAttributes").at("RequestID").at("stringValue") == id.c_str());
    CHECK(letter.at("messageAttributes").at("ErrorCode").at("stringValue") == "200");
    CHECK_THAT(std::string(
                   letter.at("messageAttributes").at("ErrorMessage").at("stringValue").as_string()),
               Catch::Contains("boom"));
    CHECK(f.counted("f").dead_letter_errors == 0);
}

TEST_CASE("what was never run says so in its record") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    o.events = quick();
    event_fixture f(o);
    f.create("f");
    send_to(*f.control, "", "arn:aws:s3:::bad");
    f.control->put_function_concurrency("f", 0).value();
    f.control->enqueue("f", "1").value();
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    const auto bad = documents(data.path() / "destinations/bad");
    REQUIRE(bad.size() == 1);
    const auto& record = bad.begin()->second;
    CHECK(record.at("requestContext").at("condition") == "RetriesExhausted");
    CHECK(record.at("requestContext").at("approximateInvokeCount") == 0);
    CHECK(record.at("responseContext") == boost::json::parse(R"({"statusCode":429})"));
}

TEST_CASE("a destination that does not take a record is counted, and the event ends") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    event_fixture f(o);
    f.create("f"), f.create("g");
    send_to(*f.control, "arn:aws:lambda:us-east-1:000000000000:function:g", "");
    f.control->delete_function("g").value();
    f.control->enqueue("f", "1").value();
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    CHECK(f.counted("f").destination_delivery_failures == 1);
    send_to(*f.control, "arn:aws:s3:::good", "");
    std::ofstream(data.path() / "destinations") << "no directory";
    f.control->enqueue("f", "1").value();
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    CHECK(f.counted("f").destination_delivery_failures == 2);
    CHECK(f.counted("f").dropped == 0);
}

TEST_CASE("a dead-letter target is checked when it is given") {
    event_fixture f;
    f.create("f"), f.create("g");
    auto creating = creation("h");
    creating.settings.dead_letter_target_arn = "arn:aws:sqs:us-east-1:000000000000:q";
    const auto made = f.control->create_function(std::move(creating));
    CHECK_THAT(made.error().message(), Catch::Contains("names no queue here"));
    const auto with = [&](const std::string& target) {
        update_function_configuration_request u;
        u.function_name = "f";
        u.dead_letter_target_arn = target;
        return f.control->update_function_configuration(std::move(u));
    };
    CHECK_THAT(with(arn).error().message(), Catch::Contains("destination for itself"));
    CHECK_THAT(with("arn:aws:s3:::b.c").error().message(), Catch::Contains("no data directory"));
    CHECK_THAT(with(arn + "x").error().message(), Catch::Contains("names no function"));
    CHECK(with("arn:aws:lambda:us-east-1:000000000000:function:g").has_value());
    settle(*f.control, "f");
    f.control->queues().create("q").value();
    f.control->queues().create("q.fifo", {{"FifoQueue", "true"}}).value();
    CHECK_THAT(with("arn:aws:sqs:us-east-1:000000000000:q.fifo").error().message(),
               Catch::Contains("is not served here"));
    CHECK_THAT(with("arn:aws:sqs:eu-west-1:000000000000:q").error().message(),
               Catch::Contains("names no queue here"));
    CHECK(with("arn:aws:sqs:us-east-1:000000000000:q").has_value());
    settle(*f.control, "f");
    CHECK(with("").has_value());
}

TEST_CASE("outcomes and dead letters go to queues") {
    event_fixture f;
    queue ends = f.control->queues().create("ends").value();
    queue letters = f.control->queues().create("letters").value();
    auto creating = creation("f", "flaky");
    creating.settings.dead_letter_target_arn = letters.arn();
    f.control->create_function(std::move(creating)).value();
    settle(*f.control, "f");
    send_to(*f.control, "", ends.arn());
    f.worker.to_fail = 2;
    const std::string id = f.control->enqueue("f", "\"two\"").value();
    const auto letter = letters.receive({.wait = std::chrono::seconds(20)}).value();
    REQUIRE(letter.size() == 1);
    CHECK(letter[0].body == "\"two\"");
    CHECK(letter[0].attributes.at("RequestID") == message_attribute{"String", id});
    CHECK(letter[0].attributes.at("ErrorCode") == message_attribute{"Number", "200"});
    CHECK_THAT(letter[0].attributes.at("ErrorMessage").value, Catch::Contains("boom"));
    const auto end = ends.receive({.wait = std::chrono::seconds(20)}).value();
    REQUIRE(end.size() == 1);
    const auto record = boost::json::parse(end[0].body);
    CHECK(record.at("requestPayload") == "two");
    CHECK(record.at("requestContext").at("requestId") == id.c_str());
    // A queue that is gone takes nothing, and that is counted.
    f.control->queues().remove("ends").value();
    f.worker.to_fail = 2;
    f.control->enqueue("f", "3").value();
    CHECK(letters.receive({.wait = std::chrono::seconds(20)}).value().size() == 1);
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    CHECK(f.counted("f").destination_delivery_failures == 1);
    CHECK(f.counted("f").dead_letter_errors == 0);
}

namespace {

/// Answers each request with the next of `statuses`, and then with the last one again and again.
class endpoint {
  public:
    explicit endpoint(std::vector<int> statuses) : statuses_(std::move(statuses)) {
        thread_ = std::thread([this] {
            while (serve()) {
            }
        });
    }
    ~endpoint() {
        stop_ = true;
        error_code ignored;
        tcp::socket wake(io_);
        wake.connect(acceptor_.local_endpoint(), ignored);
        thread_.join();
    }
    [[nodiscard]] std::string arn(const std::string& path) const {
        return "arn:aws:http:::127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()) +
               path;
    }
    [[nodiscard]] std::vector<std::string> requests() {
        const std::scoped_lock lock(mutex_);
        return requests_;
    }

  private:
    using tcp = boost::asio::ip::tcp;
    bool serve() {
        tcp::socket peer = acceptor_.accept();
        if (stop_) return false;
        std::string in;
        error_code ignored;
        const std::size_t head =
            boost::asio::read_until(peer, boost::asio::dynamic_buffer(in), "\r\n\r\n", ignored);
        const auto length = in.find("Content-Length: ");
        if (length == in.npos) return true;
        const std::size_t whole = head + std::stoul(in.substr(length + 16));
        if (in.size() < whole)
            boost::asio::read(peer, boost::asio::dynamic_buffer(in),
                              boost::asio::transfer_exactly(whole - in.size()), ignored);
        int status = 0;
        {
            const std::scoped_lock lock(mutex_);
            status = statuses_[std::min(requests_.size(), statuses_.size() - 1)];
            requests_.push_back(in);
        }
        boost::asio::write(peer,
                           boost::asio::buffer("HTTP/1.1 " + std::to_string(status) +
                                               " X\r\nContent-Length: 0\r\n\r\n"),
                           ignored);
        return true;
    }

    boost::asio::io_context io_;
    tcp::acceptor acceptor_{io_, {boost::asio::ip::make_address("127.0.0.1"), 0}};
    std::atomic<bool> stop_ = false;
    std::mutex mutex_;
    const std::vector<int> statuses_;
    std::vector<std::string> requests_;  // under mutex_
    std::thread thread_;
};

}  // namespace

TEST_CASE("outcomes are posted to an HTTP endpoint, three times at most") {
    endpoint second_time({503, 204}), never({500});
    event_fixture f;
    f.create("f", "flaky");
    send_to(*f.control, second_time.arn("/events?of=f"), never.arn(""));
    f.control->enqueue("f", "1", {.trace_id = "Root=1"}).value();
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    const auto posts = second_time.requests();
    REQUIRE(posts.size() == 2);
    CHECK(posts[0] == posts[1]);
    CHECK(posts[1].starts_with("POST /events?of=f HTTP/1.1\r\n"));
    CHECK_THAT(posts[1], Catch::Contains("Content-Type: application/json\r\n") &&
                             Catch::Contains(R"("condition":"Success")") &&
                             Catch::Contains("\r\nX-Amzn-Trace-Id: " +
                                             control::with_visit("Root=1", arn) + "\r\n"));
    CHECK(f.counted("f").destination_delivery_failures == 0);
    f.worker.to_fail = 2;
    f.control->enqueue("f", "2").value();
    REQUIRE(eventually([&] { return f.queued() == 0; }));
    REQUIRE(never.requests().size() == 3);
    CHECK(never.requests()[0].starts_with("POST / HTTP/1.1\r\n"));
    CHECK(f.counted("f").destination_delivery_failures == 1);
    for (const char* bad :
         {"h", "h:", ":80", "h:0/", "h:65536", "h:80x/", "h:80/a b", "h:80/\r\nX: y"}) {
        event_invoke_request r{.function_name = "f"};
        r.has_destinations = true;
        r.on_success = std::string("arn:aws:http:::") + bad;
        CHECK_THAT(f.control->put_event_invoke_config(r).error().message(),
                   Catch::Contains("is not served here"));
    }
}
