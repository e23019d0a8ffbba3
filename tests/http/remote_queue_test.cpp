// Queues at another server, over connections that are used again: a real server is on their other
// side, behind a relay that counts connections and may cut them.

#include "control/queue_client.hpp"
#include "front_fixture.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <future>
#include <list>

using namespace hearth;
using namespace hearth::test;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

class relay {
  public:
    explicit relay(std::uint16_t to)
        : to_(asio::ip::make_address("127.0.0.1"), to),
          acceptor_(io_, {asio::ip::make_address("127.0.0.1"), 0}) {
        accept();
        thread_ = std::thread([this] { io_.run(); });
    }
    ~relay() {
        io_.stop();
        thread_.join();
    }
    std::uint16_t port() { return acceptor_.local_endpoint().port(); }
    /// Closes all connections, as a server does with those that are idle.
    void cut() {
        std::promise<void> done;
        asio::post(io_, [&] {
            for (const auto& each : pairs_) each->close();
            done.set_value();
        });
        done.get_future().get();
    }

    std::atomic<int> accepted{0}, open{0};

  private:
    using tcp = asio::ip::tcp;
    struct pair {
        explicit pair(asio::io_context& io) : near(io), far(io) {}
        void close() {
            error_code ignored;
            near.close(ignored), far.close(ignored);
        }
        tcp::socket near, far;
        std::array<char, 65536> out{}, in{};
    };
    using pair_ptr = std::shared_ptr<pair>;

    void accept() {
        const auto p = std::make_shared<pair>(io_);
        acceptor_.async_accept(p->near, [this, p](error_code ec) {
            if (ec) return;
            ++accepted, ++open;
            pairs_.push_back(p);
            if (p->far.connect(to_, ec)) return end(p), accept();
            copy(p, p->near, p->far, p->out);
            copy(p, p->far, p->near, p->in);
            accept();
        });
    }
    void copy(const pair_ptr& p,
              tcp::socket& from,
              tcp::socket& to,
              std::array<char, 65536>& with) {
        from.async_read_some(
            asio::buffer(with), [this, p, &from, &to, &with](error_code ec, std::size_t n) {
                if (ec) return end(p);
                asio::async_write(to, asio::buffer(with.data(), n),
                                  [this, p, &from, &to, &with](error_code failed, std::size_t) {
                                      failed ? end(p) : copy(p, from, to, with);
                                  });
            });
    }
    void end(const pair_ptr& p) {
        p->close();
        if (pairs_.remove(p) > 0) --open;
    }

    const tcp::endpoint to_;
    asio::io_context io_{1};
    tcp::acceptor acceptor_;
    std::list<pair_ptr> pairs_;
    std::thread thread_;
};

struct remote_world {
    remote_world() : thread([this] { io.run(); }) {
        f.control->queues().create("jobs").value();
        queue = control::make_remote_queue(
            io.get_executor(),
            {.region = "us-east-1", .url = "http://127.0.0.1:" + std::to_string(way.port())},
            f.control->queues().arn_of("jobs"));
    }
    ~remote_world() {
        // Its connections are the run loop's.
        asio::post(io, [this] { queue.reset(); });
        work.reset();
        thread.join();
    }

    void send(const std::string& body) {
        f.control->queues().find("jobs").value().send({.body = body}).value();
    }
    using messages = std::vector<queue_message>;
    std::future<messages> start(std::chrono::seconds wait, asio::cancellation_slot slot = {}) {
        const auto promise = std::make_shared<std::promise<messages>>();
        asio::post(io, [this, wait, slot, promise] {
            queue->async_receive(
                {.max_messages = 1, .wait = wait},
                asio::bind_cancellation_slot(slot, [promise](const error& failed, messages got) {
                    if (failed.code())
                        promise->set_exception(
                            std::make_exception_ptr(std::runtime_error(failed.message())));
                    else
                        promise->set_value(std::move(got));
                }));
        });
        return promise->get_future();
    }
    messages receive(std::chrono::seconds wait = 0s) { return start(wait).get(); }
    void remove(const std::string& handle) {
        std::promise<error> promise;
        asio::post(io, [&] {
            queue->async_remove({handle}, [&](const error& failed, auto each) {
                promise.set_value(failed.code() || !each.at(0).has_error() ? failed
                                                                           : each.at(0).error());
            });
        });
        const error failed = promise.get_future().get();
        INFO(failed.message());
        REQUIRE_FALSE(failed.code());
    }

    front_fixture f;
    relay way{f.front.port()};
    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> work = asio::make_work_guard(io);
    std::thread thread;
    std::unique_ptr<control::queue_client> queue;
};

}  // namespace

TEST_CASE("calls to a queue elsewhere share a connection") {
    remote_world w;
    CHECK(w.receive().empty());
    for (const char* body : {"one", "two", "three"}) {
        w.send(body);
        const auto got = w.receive(20s);
        REQUIRE(got.size() == 1);
        CHECK(got[0].body == body);
        w.remove(got[0].receipt_handle);
    }
    CHECK(w.way.accepted == 1);
    // Of a connection of its own, which is closed with the call.
    CHECK(w.queue->attributes().value().at("VisibilityTimeout") == "30");
    CHECK(w.way.accepted == 2);
}

TEST_CASE("a connection that was closed meanwhile is replaced, and nobody hears of it") {
    remote_world w;
    for (int i = 0; i < 3; ++i) {
        w.send("message");
        const auto got = w.receive(20s);
        REQUIRE(got.size() == 1);
        w.way.cut();
        w.remove(got[0].receipt_handle);
        w.way.cut();
    }
    CHECK(w.way.accepted > 3);
    // One that has just been made is not tried again.
    w.way.cut();
    std::promise<void> stopped;
    w.f.front.async_stop([&](error_code) { stopped.set_value(); });
    stopped.get_future().get();
    CHECK_THROWS_WITH(w.receive(), Catch::Contains("does not answer"));
}

TEST_CASE("a call that is cancelled leaves no connection on which another's answer comes") {
    remote_world w;
    CHECK(w.receive().empty());
    asio::cancellation_signal cancel;
    auto waiting = w.start(20s, cancel.slot());
    asio::post(w.io, [&] { cancel.emit(asio::cancellation_type::all); });
    CHECK(waiting.get().empty());
    CHECK(w.receive().empty());
    CHECK(w.way.accepted == 2);
}

TEST_CASE("not all of the connections that were needed at once are kept") {
    remote_world w;
    CHECK(w.receive().empty());
    std::vector<std::future<remote_world::messages>> many;
    for (int i = 0; i < 12; ++i) many.push_back(w.start(20s));
    for (int i = 0; i < 12; ++i) w.send("message");
    for (auto& each : many) CHECK(each.get().size() == 1);
    CHECK(eventually([&] { return w.way.open == 8; }));
}
