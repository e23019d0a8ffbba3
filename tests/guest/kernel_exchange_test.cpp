#include "guest/sys/exchange.hpp"
#include "kernel_world.hpp"

#include <hearth/guest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

using namespace kernel_test;

namespace {

constexpr std::uint64_t at = world::data + 0x1000, buffer = world::data + 0x4000,
                        reply = world::data + 0x8000;

hearth_exchange ask(std::uint64_t capacity, std::uint32_t flags = 0, std::uint64_t length = 0) {
    hearth_exchange x{};
    x.size = sizeof x, x.flags = flags, x.buffer = buffer, x.capacity = capacity, x.reply = reply,
    x.reply_length = length;
    return x;
}
step exchange(world& w, const hearth_exchange& x) {
    w.put(at, x);
    return w.step(HEARTH_SYS_EXCHANGE, {at});
}
std::int64_t answer(world& w, const hearth_exchange& x) {
    const auto s = exchange(w, x);
    REQUIRE(s.what == kind::return_value);
    return static_cast<std::int64_t>(w.regs.rax);
}
native_event event(std::string payload) {
    return {.request_id = "req-1",
            .deadline_ms = 1234567,
            .function_arn = "arn:aws:lambda:x",
            .trace_id = "Root=1",
            .client_context = "{\"c\":1}",
            .payload = std::move(payload)};
}

}  // namespace

TEST_CASE("an exchange waits for an event, takes it, and replies with the next call") {
    world w;
    REQUIRE(exchange(w, ask(100)).what == kind::parked);
    CHECK(w.kernel->native().waiting);
    CHECK(w.kernel->resume(w.regs).what == kind::parked);
    w.kernel->native().event = event("hello");
    REQUIRE(w.kernel->resume(w.regs).what == kind::set_registers);
    CHECK(w.regs.rax == 5);
    CHECK_FALSE(w.kernel->native().waiting);
    CHECK(w.kernel->native().busy);
    CHECK_FALSE(w.kernel->native().event);
    const auto x = w.get<hearth_exchange>(at);
    CHECK(x.event_length == 5);
    CHECK(x.deadline_ms == 1234567);
    CHECK(std::string(x.request_id) == "req-1");
    CHECK(std::string(x.trace_id) == "Root=1");
    CHECK(std::string(x.function_arn) == "arn:aws:lambda:x");
    CHECK(w.get_text(buffer, 14) == std::string("hello\0{\"c\":1}\0", 14));
    CHECK(x.client_context == 6);
    CHECK(x.client_context_length == 7);

    w.put_text(reply, "world");
    REQUIRE(exchange(w, ask(100, HEARTH_EXCHANGE_REPLY, 5)).what == kind::parked);
    REQUIRE(w.kernel->native().reply);
    CHECK(w.kernel->native().reply->payload == "world");
    CHECK_FALSE(w.kernel->native().reply->failed);
    CHECK(w.get<hearth_exchange>(at).flags == 0);  // the call may be made again
    w.kernel->native().event = event("two");
    REQUIRE(w.kernel->resume(w.regs).what == kind::set_registers);
    CHECK(w.kernel->native().reply->payload == "world");  // taken once
    CHECK(w.get_text(buffer, 3) == "two");
}

TEST_CASE("a buffer too small says how large, and the event stays") {
    world w;
    w.kernel->native().event = event("0123456789");
    CHECK(answer(w, ask(10)) == -ENOBUFS);
    CHECK(w.get<hearth_exchange>(at).needed == 10 + 1 + 7 + 1);
    REQUIRE(w.kernel->native().event);
    CHECK(answer(w, ask(19)) == 10);
}

TEST_CASE("an exchange refuses what makes no sense and loses nothing") {
    world w;
    CHECK(answer(w, ask(10, HEARTH_EXCHANGE_REPLY, 1)) == -EINVAL);  // nothing to reply to
    CHECK(answer(w, ask(10, HEARTH_EXCHANGE_FAILED)) == -EINVAL);
    CHECK(answer(w, ask(10, 8)) == -EINVAL);  // no such flag
    auto x = ask(10);
    x.size = 8;
    CHECK(answer(w, x) == -EINVAL);
    CHECK(w.step(HEARTH_SYS_EXCHANGE, {8}).rax == static_cast<std::uint64_t>(-EFAULT));

    w.kernel->native().event = event("e");
    REQUIRE(answer(w, ask(100)) == 1);
    CHECK(answer(w, ask(100)) == -EBUSY);
    CHECK(answer(w, ask(100, HEARTH_EXCHANGE_REPLY, HEARTH_REPLY_LIMIT + 1ull)) == -E2BIG);
    CHECK(answer(w, ask(100, HEARTH_EXCHANGE_REPLY, ~0ull)) == -E2BIG);
    x = ask(100, HEARTH_EXCHANGE_REPLY, 100);
    x.reply = 0x7000'0000'0000;
    CHECK(answer(w, x) == -EFAULT);
    CHECK_FALSE(w.kernel->native().reply);
    CHECK(w.kernel->native().busy);
    // A buffer that leads nowhere leaves the event where it is.
    REQUIRE(exchange(w, ask(100, HEARTH_EXCHANGE_REPLY | HEARTH_EXCHANGE_FAILED, 0)).what ==
            kind::parked);
    CHECK(w.kernel->native().reply->failed);
    w.kernel->native().event = event("e");
    x = w.get<hearth_exchange>(at);
    x.buffer = 0x7000'0000'0000;
    w.put(at, x);
    REQUIRE(w.kernel->resume(w.regs).what == kind::set_registers);
    CHECK(static_cast<std::int64_t>(w.regs.rax) == -EFAULT);
    CHECK(w.kernel->native().event);
}

TEST_CASE("the first event after a restore says so, and only that one") {
    world w;
    const auto restore = [&] {
        renew_identity(w.kernel->state(), w.memory, [](std::span<std::byte> out) {
            std::fill(out.begin(), out.end(), std::byte{7});
        });
    };
    SECTION("a plain start does not") {
        w.kernel->native().event = event("e");
        REQUIRE(answer(w, ask(100)) == 1);
        CHECK(w.get<hearth_exchange>(at).flags == 0);
    }
    SECTION("a clone of one that waited does") {
        REQUIRE(exchange(w, ask(100)).what == kind::parked);
        restore();
        CHECK(w.kernel->native().restored);
        w.kernel->native().event = event("e");
        REQUIRE(w.kernel->resume(w.regs).what == kind::set_registers);
        CHECK(w.regs.rax == 1);
        CHECK(w.get<hearth_exchange>(at).flags == HEARTH_EXCHANGE_RESTORED);
        CHECK_FALSE(w.kernel->native().restored);
        // What the call left in the flags may stand there.
        REQUIRE(exchange(w, ask(100, HEARTH_EXCHANGE_REPLY | HEARTH_EXCHANGE_RESTORED, 0)).what ==
                kind::parked);
        w.kernel->native().event = event("two");
        REQUIRE(w.kernel->resume(w.regs).what == kind::set_registers);
        CHECK(w.get<hearth_exchange>(at).flags == 0);
    }
    SECTION("with a reply given in the same call") {
        w.kernel->native().event = event("e");
        REQUIRE(answer(w, ask(100)) == 1);
        REQUIRE(exchange(w, ask(100, HEARTH_EXCHANGE_REPLY, 0)).what == kind::parked);
        restore();
        w.kernel->native().event = event("two");
        REQUIRE(w.kernel->resume(w.regs).what == kind::set_registers);
        CHECK(w.get<hearth_exchange>(at).flags == HEARTH_EXCHANGE_RESTORED);
    }
    SECTION("not before the event has really been handed out") {
        restore();
        w.kernel->native().event = event("0123456789");
        CHECK(answer(w, ask(10)) == -ENOBUFS);
        CHECK(w.get<hearth_exchange>(at).flags == 0);
        auto x = ask(100);
        x.buffer = 0x7000'0000'0000;
        CHECK(answer(w, x) == -EFAULT);
        CHECK(w.kernel->native().restored);
        CHECK(answer(w, ask(100)) == 10);
        CHECK(w.get<hearth_exchange>(at).flags == HEARTH_EXCHANGE_RESTORED);
    }
    SECTION("the flag alone asks for nothing") {
        w.kernel->native().event = event("e");
        CHECK(answer(w, ask(100, HEARTH_EXCHANGE_RESTORED)) == 1);
        CHECK(w.get<hearth_exchange>(at).flags == 0);
    }
}

// -- the SDK, natively: here the system call does not exist, so it speaks HTTP
// ------------------------------------

namespace {

/// Just enough of a Runtime API: gives the events, collects what is posted. One connection after
/// another.
class runtime_api {
  public:
    explicit runtime_api(std::vector<std::string> events,
                         bool chunked,
                         bool closing,
                         std::string restore = "404 Not Found")
        : events_(std::move(events)),
          chunked_(chunked),
          closing_(closing),
          restore_(std::move(restore)) {
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t n = sizeof a;
        REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&a), n) == 0);
        REQUIRE(::listen(listener_, 4) == 0);
        REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&a), &n) == 0);
        ::setenv("AWS_LAMBDA_RUNTIME_API",
                 ("127.0.0.1:" + std::to_string(ntohs(a.sin_port))).c_str(), 1);
        thread_ = std::thread([this] { serve(); });
    }
    ~runtime_api() { join(); }
    void join() {
        if (thread_.joinable()) thread_.join();
    }
    std::vector<std::pair<std::string, std::string>> posted;  // path, body
    std::vector<std::string> got;

  private:
    void serve() {
        while (next_ <= events_.size()) {
            const int c = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (c < 0) break;
            std::string in;
            while (one(c, in)) {
            }
            ::close(c);
        }
        ::close(listener_);  // who connects now is refused
    }
    bool one(int c, std::string& in) {
        std::size_t end;
        char part[4096];
        while ((end = in.find("\r\n\r\n")) == std::string::npos) {
            const auto n = ::recv(c, part, sizeof part, 0);
            if (n <= 0) return false;
            in.append(part, static_cast<std::size_t>(n));
        }
        const auto head = in.substr(0, end);
        const auto field = head.find("Content-Length: ");
        const auto length = field == std::string::npos ? 0 : std::stoul(head.substr(field + 16));
        while (in.size() < end + 4 + length) {
            const auto n = ::recv(c, part, sizeof part, 0);
            if (n <= 0) return false;
            in.append(part, static_cast<std::size_t>(n));
        }
        const auto body = in.substr(end + 4, length);
        in.erase(0, end + 4 + length);
        if (head.starts_with("POST ")) {
            posted.emplace_back(head.substr(5, head.find(' ', 5) - 5), body);
            return send(c,
                        "HTTP/1.1 202 Accepted\r\nContent-Length: 15\r\n\r\n{\"status\":\"OK\"}");
        }
        got.push_back(head.substr(4, head.find(' ', 4) - 4));
        if (got.back().ends_with("/restore/next"))
            return send(c, "HTTP/1.1 " + restore_ + "\r\nContent-Length: 0\r\n\r\n");
        if (next_ == events_.size()) {  // the end: the SDK's run gives up
            ++next_;
            return false;
        }
        const auto& e = events_[next_++];
        std::string out =
            "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: id-" + std::to_string(next_) +
            "\r\nLambda-Runtime-Deadline-Ms: 1700000000123\r\nLambda-Runtime-Trace-Id: Root=1-2\r\n"
            "Lambda-Runtime-Invoked-Function-Arn: arn:f\r\nLambda-Runtime-Client-Context:  "
            "{\"k\":2} \r\n";
        if (closing_) out += "Connection: close\r\n";
        if (chunked_) {
            out += "Transfer-Encoding: chunked\r\n\r\n";
            for (std::size_t i = 0; i < e.size(); i += 1000) {
                const auto piece = e.substr(i, 1000);
                char size[16];
                std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
                out += size + piece + "\r\n";
            }
            out += "0\r\n\r\n";
        } else {
            out += "Content-Length: " + std::to_string(e.size()) + "\r\n\r\n" + e;
        }
        return send(c, out) && !closing_;
    }
    static bool send(int c, const std::string& s) {
        return ::send(c, s.data(), s.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(s.size());
    }
    std::vector<std::string> events_;
    bool chunked_, closing_;
    std::string restore_;
    std::size_t next_ = 0;
    int listener_ = -1;
    std::thread thread_;
};

int handle(struct hearth_session* h, const struct hearth_event* e, void* user) {
    auto& seen = *static_cast<std::vector<std::string>*>(user);
    seen.push_back(std::string(e->request_id) + "|" + e->client_context + "|" + e->trace_id + "|" +
                   e->function_arn + "|" + std::to_string(e->deadline_ms));
    const std::string_view payload(e->payload, e->length);
    if (payload == "raise") return hearth_fail(h, "My\"Error", "line\nbreak");
    if (payload == "code") return 3;
    if (payload == "silent") return 0;
    return hearth_reply(h, e->payload, e->length);
}

}  // namespace

TEST_CASE("the guest SDK speaks the Runtime API where the system call is not there") {
    const bool chunked = GENERATE(false, true), closing = GENERATE(false, true);
    std::string large(3'000'000, 'x');
    large.back() = 'y';
    std::vector<std::string> seen;
    int ended = 0;
    std::vector<std::pair<std::string, std::string>> posted;
    {
        runtime_api api({"\"small\"", large, "raise", "code", "silent"}, chunked, closing);
        // The server stops when it has been asked once more than it has events.
        ended = hearth_run(handle, &seen);
        api.join();
        posted = api.posted;
    }
    CHECK(ended < 0);
    REQUIRE(seen.size() == 5);
    CHECK(seen[0] == "id-1|{\"k\":2}|Root=1-2|arn:f|1700000000123");
    REQUIRE(posted.size() == 5);
    const std::string base = "/2018-06-01/runtime/invocation/";
    CHECK(posted[0] == std::pair{base + "id-1/response", std::string("\"small\"")});
    CHECK((posted[1].first == base + "id-2/response" && posted[1].second == large));
    CHECK(posted[2] ==
          std::pair{base + "id-3/error",
                    std::string(R"({"errorType":"My\"Error","errorMessage":"line\u000abreak"})")});
    CHECK(posted[3].first == base + "id-4/error");
    CHECK(posted[3].second.find("the handler returned 3") != std::string::npos);
    CHECK(posted[4] == std::pair{base + "id-5/response", std::string("null")});
}

TEST_CASE("the guest SDK waits for a restore with SnapStart and says so of the first event") {
    const std::string type = GENERATE(as<std::string>(), "snap-start", "on-demand", "");
    const std::string status = GENERATE(as<std::string>(), "200 OK", "404 Not Found");
    const bool closing = GENERATE(false, true);
    if (type.empty())
        ::unsetenv("AWS_LAMBDA_INITIALIZATION_TYPE");
    else
        ::setenv("AWS_LAMBDA_INITIALIZATION_TYPE", type.c_str(), 1);
    std::vector<int> restored;
    runtime_api api({"1", "2", "3"}, false, closing, status);
    const int ended = hearth_run(
        [](hearth_session* h, const hearth_event*, void* user) {
            static_cast<std::vector<int>*>(user)->push_back(hearth_restored(h));
            return 0;
        },
        &restored);
    api.join();
    ::unsetenv("AWS_LAMBDA_INITIALIZATION_TYPE");
    CHECK(ended < 0);
    const bool asks = type == "snap-start", is = asks && status == "200 OK";
    CHECK(restored == std::vector<int>{is, 0, 0});
    REQUIRE(api.got.size() == (asks ? 5u : 4u));
    CHECK((api.got[0] == "/2018-06-01/runtime/restore/next") == asks);
    for (std::size_t i = asks; i < api.got.size(); ++i)
        CHECK(api.got[i] == "/2018-06-01/runtime/invocation/next");
    CHECK(api.posted.size() == 3);
}

TEST_CASE("the guest SDK stops when its restore is refused") {
    ::setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start", 1);
    runtime_api api({}, false, false, "403 Forbidden");
    struct hearth_session h;
    struct hearth_event e;
    hearth_init(&h);
    CHECK(hearth_next(&h, &e) == -EPROTO);
    CHECK_FALSE(hearth_restored(&h));
    ::unsetenv("AWS_LAMBDA_INITIALIZATION_TYPE");
    CHECK(hearth_next(&h, &e) < 0);  // the server's end
    hearth_close(&h);
    api.join();
}

TEST_CASE("the guest SDK says what is missing") {
    ::unsetenv("AWS_LAMBDA_RUNTIME_API");
    struct hearth_session h;
    struct hearth_event e;
    hearth_init(&h);
    CHECK(hearth_next(&h, &e) == -EDESTADDRREQ);
    CHECK(hearth_reply(&h, "x", 1) == -EINVAL);  // there is no event
    hearth_close(&h);
}
