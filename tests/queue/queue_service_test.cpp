// The queues' thread: long polls, group commit, and what a killed process leaves.

#include "killed_process.hpp"
#include "queue/service.hpp"
#include "temporary_directory.hpp"

#include <hearth/queue.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <catch2/catch.hpp>

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <future>
#include <set>
#include <thread>

using namespace hearth;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using hearth::test::run_until_killed;
using hearth::test::temporary_directory;

namespace {

struct service {
    explicit service(const std::filesystem::path& file = {})
        : body(queues::open_service(file, {"us-east-1", "000000000000"}, wall_now).value()) {}
    ~service() { body->stop(); }
    std::shared_ptr<queue_service::impl> body;
    queue_service queues{body};
};

using received = std::vector<queue_message>;

/// A receive under way.
std::future<received> start(queue_service& q, const char* name, receive_options o) {
    auto promise = std::make_shared<std::promise<received>>();
    q.async_receive(name, o, [promise](const error& failed, received got) {
        if (failed.code())
            promise->set_exception(std::make_exception_ptr(
                boost::system::system_error(failed.code(), failed.message())));
        else
            promise->set_value(std::move(got));
    });
    return promise->get_future();
}

}  // namespace

TEST_CASE("a long poll ends with the first message that is sent") {
    service s;
    queue jobs = s.queues.create("jobs").value();
    auto waiting = start(s.queues, "jobs", {.wait = 20s});
    auto second = start(s.queues, "jobs", {.wait = 20s});
    // A call of its own: what comes after it comes after the poll.
    REQUIRE(s.queues.find("jobs").has_value());
    CHECK(waiting.wait_for(0s) == std::future_status::timeout);
    jobs.send({.body = "one"}).value();
    CHECK(waiting.get().at(0).body == "one");
    CHECK(second.wait_for(0s) == std::future_status::timeout);
    jobs.send({.body = "two"}).value();
    CHECK(second.get().at(0).body == "two");
}

TEST_CASE("a long poll ends when a message becomes visible, or with nothing") {
    service s;
    queue jobs = s.queues.create("jobs", {{"ReceiveMessageWaitTimeSeconds", "20"}}).value();
    jobs.send({.body = "late", .delay = 1s}).value();
    CHECK(jobs.receive().value().at(0).body == "late");  // waits as the queue says
    CHECK(jobs.receive({.wait = 0s}).value().empty());
    const auto from = std::chrono::steady_clock::now();
    CHECK(jobs.receive({.wait = 1s}).value().empty());
    CHECK(std::chrono::steady_clock::now() - from >= 1s);
}

TEST_CASE("a long poll hears of a removed group, a moved message, a deleted queue") {
    service s;
    queue line =
        s.queues.create("line.fifo", {{"FifoQueue", "true"}, {"ContentBasedDeduplication", "true"}})
            .value();
    line.send({.body = "1", .group_id = "g"}).value();
    line.send({.body = "2", .group_id = "g"}).value();
    const auto first = line.receive().value();
    auto next = start(s.queues, "line.fifo", {.wait = 20s});
    line.remove(first.at(0).receipt_handle).value();
    CHECK(next.get().at(0).body == "2");

    queue dead = s.queues.create("dead").value();
    queue jobs = s.queues
                     .create("jobs", {{"VisibilityTimeout", "0"},
                                      {"RedrivePolicy", R"({"deadLetterTargetArn":")" + dead.arn() +
                                                            R"(","maxReceiveCount":1})"}})
                     .value();
    auto buried = start(s.queues, "dead", {.wait = 20s});
    jobs.send({.body = "poison"}).value();
    CHECK(jobs.receive().value().size() == 1);
    CHECK(jobs.receive().value().empty());
    CHECK(buried.get().at(0).body == "poison");

    auto lost = start(s.queues, "dead", {.wait = 20s});
    REQUIRE(s.queues.remove("dead").has_value());
    CHECK_THROWS_WITH(lost.get(), Catch::Contains("does not exist"));
    CHECK(dead.send({.body = "x"}).error().code() == queue_errc::queue_does_not_exist);
}

TEST_CASE("a long poll is cancelled, and ends with the service") {
    service s;
    REQUIRE(s.queues.create("jobs").has_value());
    asio::cancellation_signal signal;
    std::promise<received> promise;
    s.queues.async_receive(
        "jobs", {.wait = 20s},
        asio::bind_cancellation_slot(signal.slot(), [&](const error& failed, received got) {
            CHECK(!failed.code());
            promise.set_value(std::move(got));
        }));
    signal.emit(asio::cancellation_type::all);
    CHECK(promise.get_future().get().empty());

    auto waiting = start(s.queues, "jobs", {.wait = 20s});
    REQUIRE(s.queues.find("jobs").has_value());
    s.body->stop();
    CHECK_THROWS(waiting.get());
    CHECK(s.queues.find("jobs").error() == errc::shutting_down);
    CHECK(queue(s.queues, "jobs").send({.body = "x"}).error() == errc::shutting_down);
}

TEST_CASE("handlers run on their executor; completion tokens are taken") {
    service s;
    queue jobs = s.queues.create("jobs").value();
    asio::io_context io;
    const auto home = std::this_thread::get_id();
    std::string handle;
    jobs.async_send({.body = "one"},
                    asio::bind_executor(io, [&](error_code failed, const sent_message& m) {
                        CHECK(!failed);
                        CHECK(m.body_md5 == "f97c5d29941bfb1b2fdab0874906ab82");
                        CHECK(std::this_thread::get_id() == home);
                    }));
    jobs.async_receive({.wait = 20s}, asio::bind_executor(io, [&](error_code failed, received got) {
                           CHECK(!failed);
                           REQUIRE(got.size() == 1);
                           CHECK(std::this_thread::get_id() == home);
                           handle = got[0].receipt_handle;
                       }));
    io.run();
    CHECK_NOTHROW(jobs.async_remove(handle, asio::use_future).get());
    CHECK_THROWS(jobs.async_remove("nonsense", asio::use_future).get());
}

TEST_CASE("of a batch each message has its own outcome") {
    service s;
    queue jobs = s.queues.create("jobs", {{"MaximumMessageSize", "262144"}}).value();
    const auto sent =
        jobs.send_batch({{.body = "good"}, {.body = "\x01"}, {.body = "fine"}}).value();
    REQUIRE(sent.size() == 3);
    CHECK(sent[0].has_value());
    CHECK(sent[1].error().code() == queue_errc::invalid_message_contents);
    CHECK(sent[2].has_value());
    CHECK(jobs.receive({.max_messages = 10}).value().size() == 2);
    CHECK(jobs.send_batch(std::vector<outgoing_message>()).error().code() ==
          queue_errc::empty_batch_request);
    CHECK(jobs.send_batch(std::vector<outgoing_message>(11, {.body = "x"})).error().code() ==
          queue_errc::too_many_entries_in_batch_request);
    CHECK(jobs.send_batch({{.body = std::string(200'000, 'x')}, {.body = std::string(62'145, 'x')}})
              .error()
              .code() == queue_errc::batch_request_too_long);
    CHECK(jobs.send({.body = std::string(262'144, 'x')}).has_value());
    CHECK(jobs.receive({.max_messages = 11}).error().code() == queue_errc::invalid_parameter_value);
    CHECK(jobs.receive({.wait = 21s}).error().code() == queue_errc::invalid_parameter_value);
}

TEST_CASE("many senders and receivers lose nothing and get nothing twice") {
    const temporary_directory dir;
    service s(dir.path() / "queues.db");
    queue jobs = s.queues.create("jobs").value();
    constexpr int senders = 4, each = 50;
    std::vector<std::thread> threads;
    std::mutex mutex;
    std::multiset<std::string> got;
    for (int t = 0; t < senders; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < each; ++i)
                jobs.send({.body = std::to_string(t) + "." + std::to_string(i)}).value();
        });
        threads.emplace_back([&] {
            for (;;) {
                for (const auto& m : jobs.receive({.max_messages = 10, .wait = 1s}).value()) {
                    jobs.remove(m.receipt_handle).value();
                    const std::scoped_lock lock(mutex);
                    got.insert(m.body);
                }
                const std::scoped_lock lock(mutex);
                if (got.size() >= senders * each) return;
            }
        });
    }
    for (auto& t : threads) t.join();
    CHECK(got.size() == senders * each);
    CHECK(std::set<std::string>(got.begin(), got.end()).size() == senders * each);
    CHECK(s.queues.attributes("jobs").value()["ApproximateNumberOfMessages"] == "0");
    CHECK(s.queues.attributes("jobs").value()["ApproximateNumberOfMessagesNotVisible"] == "0");
}

/// The process that is killed: this program again, told by HEARTH_TEST_QUEUES where its database
/// is. It says on its standard output what it has been promised.
TEST_CASE("sends and removes until it is killed", "[.to-be-killed]") {
    const char* file = std::getenv("HEARTH_TEST_QUEUES");
    REQUIRE(file);
    service s(file);
    queue jobs = s.queues.create("jobs", {{"VisibilityTimeout", "0"}}).value();
    for (int i = 0;; ++i) {
        const std::string id = jobs.send({.body = "x"}).value().message_id;
        REQUIRE(::write(STDOUT_FILENO, ("+" + id).data(), 37) == 37);
        if (i % 3 != 0) continue;
        const auto m = jobs.receive().value();
        jobs.remove(m.at(0).receipt_handle).value();
        REQUIRE(::write(STDOUT_FILENO, ("-" + m[0].message_id).data(), 37) == 37);
    }
}

TEST_CASE("what was accepted is there after kill -9, what was removed is not") {
    const temporary_directory dir;
    const auto file = dir.path() / "queues.db";
    ::setenv("HEARTH_TEST_QUEUES", file.c_str(), 1);
    std::set<std::string> accepted, removed;
    for (int round = 0; round < 5; ++round) {
        run_until_killed<37>(21 + round, [&](std::string_view said) {
            (said[0] == '+' ? accepted : removed).emplace(said.substr(1));
        });
    }
    ::unsetenv("HEARTH_TEST_QUEUES");
    service s(file);
    queue jobs = s.queues.find("jobs").value();
    std::set<std::string> there;
    for (;;) {
        const auto got = jobs.receive({.max_messages = 10, .visibility = 3600s}).value();
        if (got.empty()) break;
        for (const auto& m : got) there.insert(m.message_id);
    }
    CHECK(accepted.size() > 50);
    CHECK(!removed.empty());
    for (const std::string& id : removed) CHECK(!there.contains(id));
    // The last one of a round may have been removed without a word: the kill came between.
    std::size_t missing = 0;
    for (const std::string& id : accepted)
        if (!removed.contains(id) && !there.contains(id)) ++missing;
    CHECK(missing <= 5);
}
