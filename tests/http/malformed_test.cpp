#include "front_fixture.hpp"

#include <catch2/catch.hpp>

using namespace hearth::test;

namespace {

void check_still_serving(front_fixture& f) {
    raw_client c(f.front.port());
    CHECK(c.ask(request("GET", "/2015-03-31/functions/")).status == 200);
}

}  // namespace

TEST_CASE("malformed HTTP is answered with 400 and the connection closed") {
    front_fixture f;
    for (const char* text : {
             "nonsense\r\n\r\n",
             "GET\r\n\r\n",
             "GET /\r\n\r\n",
             "GET / HTTP/9.9\r\n\r\n",
             "GET / HTTP/1.1\r\nno colon\r\n\r\n",
             "GET / HTTP/1.1\r\nA : b\r\n\r\n",
             "G\x01T / HTTP/1.1\r\n\r\n",
             "GET /\x01 HTTP/1.1\r\n\r\n",
             "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
             "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
             "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
             "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
             "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
             "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
             "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS hello\r\n\r\n",
         }) {
        INFO(text);
        raw_client c(f.front.port());
        const answer a = c.ask(text);
        CHECK(a.status == 400);
        CHECK(a.header("x-amzn-ErrorType") == "InvalidRequestContentException");
        c.finish_sending();
        CHECK(c.closed());
    }
    check_still_serving(f);
}

TEST_CASE(
    "every prefix of a request, and every request with a byte changed, leaves the server serving") {
    front_fixture f;
    f.create("f");
    const std::string whole = invocation("f", R"({"a":1})", "X-Amz-Log-Type: Tail\r\n");
    for (std::size_t n = 0; n < whole.size(); n += 3) {
        raw_client c(f.front.port());
        c.send(whole.substr(0, n));
        c.finish_sending();
        CHECK(c.closed());
    }
    for (std::size_t i = 0; i < whole.size(); i += 2) {
        std::string changed = whole;
        changed[i] = static_cast<char>(changed[i] ^ 0x15);
        raw_client c(f.front.port());
        c.send(changed);
        c.finish_sending();
        c.closed();
    }
    check_still_serving(f);
}

TEST_CASE("endless headers are refused") {
    front_fixture f;
    raw_client c(f.front.port());
    c.send("GET / HTTP/1.1\r\n");
    const std::string line = "X-Filler: " + std::string(1000, 'x') + "\r\n";
    for (int i = 0; i < 60 && c.send(line); ++i) {
    }
    CHECK(c.receive().status == 431);
    check_still_serving(f);
}

TEST_CASE("a body over the limit is refused before it is taken, and its sender can read why") {
    front_fixture f;
    f.create("f");
    raw_client c(f.front.port());
    const std::string big(7u << 20, ' ');
    c.send(invocation("f", big));
    const answer a = c.receive();
    CHECK(a.status == 413);
    CHECK(a.header("x-amzn-ErrorType") == "RequestTooLargeException");
    CHECK(a.json().at("message").as_string() ==
          "Request must be smaller than 6291456 bytes for the InvokeFunction operation");

    raw_client code(f.front.port());
    code.send(
        "POST /2015-03-31/functions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n");
    const answer b = code.receive();
    CHECK(b.status == 413);
    CHECK(b.header("x-amzn-ErrorType") == "RequestEntityTooLargeException");

    raw_client chunked(f.front.port());
    chunked.send(
        "POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
        "chunked\r\n\r\n");
    const std::string chunk = "100000\r\n" + std::string(0x100000, ' ') + "\r\n";
    for (int i = 0; i < 8 && chunked.send(chunk); ++i) {
    }
    CHECK(chunked.receive().status == 413);
}

TEST_CASE("malformed JSON and wrong types are told apart as AWS tells them") {
    front_fixture f;
    const auto create = [&](std::string_view body) {
        raw_client c(f.front.port());
        return c.ask(request("POST", "/2015-03-31/functions", body));
    };
    for (const char* body : {"{", "[]", "nonsense", "{}x", R"({"a":"\ud800"})"}) {
        INFO(body);
        const answer a = create(body);
        CHECK(a.status == 400);
        CHECK(a.header("x-amzn-ErrorType") == "InvalidRequestContentException");
    }
    const std::string start =
        R"({"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Runtime":"provided",)"
        R"("Handler":"h","Code":{"ZipFile":"UEs="})";
    for (const char* rest :
         {R"(,"Timeout":"3"})", R"(,"Timeout":1.5})", R"(,"Environment":[]})",
          R"(,"Environment":{"Variables":{"AA":1}}})", R"(,"Tags":"x"})", R"(,"Publish":1})"}) {
        INFO(rest);
        const answer a = create(start + rest);
        CHECK(a.status == 400);
        CHECK(a.header("x-amzn-ErrorType") == "SerializationException");
    }
    CHECK(create(R"({"Role":"r"})").header("x-amzn-ErrorType") == "ValidationException");
    CHECK(create(start + R"(,"MemorySize":-5})").header("x-amzn-ErrorType") ==
          "ValidationException");
    CHECK(create(start + R"(,"Timeout":99999999999})").header("x-amzn-ErrorType") ==
          "ValidationException");
    const std::string deep(100000, '[');
    CHECK(create(deep).status == 400);
    check_still_serving(f);
}

TEST_CASE("a client that says nothing, or stops halfway, is let go") {
    front_fixture f({.port = 0, .idle_timeout = std::chrono::milliseconds(200)});
    raw_client silent(f.front.port()), halfway(f.front.port());
    halfway.send("POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Len");
    CHECK(silent.closed());
    CHECK(halfway.closed());
    check_still_serving(f);
}

TEST_CASE("a client that waits for its answer is not idle") {
    front_fixture f({.port = 0, .idle_timeout = std::chrono::milliseconds(200)});
    f.control->queues().create("jobs").value();
    raw_client client(f.front.port());
    const std::string body =
        R"({"QueueUrl":"http://localhost/000000000000/jobs","WaitTimeSeconds":1})";
    client.send(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\n"
        "X-Amz-Target: AmazonSQS.ReceiveMessage\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
    CHECK(client.receive().status == 200);
    CHECK(client.closed());  // then it is
}
