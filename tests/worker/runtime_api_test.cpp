#include "worker/runtime_api.hpp"

#include <catch2/catch.hpp>

#include <string>

using hearth::worker::runtime_api;

namespace {

hearth::guest::native_event event(std::string id, std::string payload) {
    hearth::guest::native_event e;
    e.request_id = std::move(id);
    e.payload = std::move(payload);
    e.deadline_ms = 1234;
    e.function_arn = "arn:aws:lambda:us-east-1:000000000000:function:f";
    e.trace_id = "Root=1-a";
    return e;
}

/// Feeds bytes and gives back what was answered on that connection.
std::string talk(runtime_api& api, std::string bytes, runtime_api::connection c = 1) {
    api.receive(c, bytes);
    CHECK(bytes.empty());
    std::string out;
    for (auto& o : api.take_output())
        if (o.to == c) out += o.bytes + (o.close ? "<close>" : "");
    return out;
}

const std::string next = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";

const std::string restore_next = "GET /2018-06-01/runtime/restore/next HTTP/1.1\r\nHost: x\r\n\r\n";

std::string post(const std::string& path,
                 const std::string& body,
                 const std::string& headers = {}) {
    return "POST /2018-06-01/runtime/" + path + " HTTP/1.1\r\nHost: x\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

const std::string invoke_only = R"({"events":["INVOKE"]})";

std::string extension_request(const std::string& line,
                              const std::string& headers,
                              const std::string& body = {}) {
    return line + " HTTP/1.1\r\nHost: x\r\n" + headers +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
std::string enroll(const std::string& name,
                   const std::string& body,
                   const std::string& headers = {}) {
    return extension_request("POST /2020-01-01/extension/register",
                             "Lambda-Extension-Name: " + name + "\r\n" + headers, body);
}
std::string extension_next(const std::string& identifier) {
    return extension_request("GET /2020-01-01/extension/event/next",
                             "Lambda-Extension-Identifier: " + identifier + "\r\n");
}
std::string extension_error(const std::string& phase,
                            const std::string& identifier,
                            const std::string& type) {
    return extension_request("POST /2020-01-01/extension/" + phase + "/error",
                             "Lambda-Extension-Identifier: " + identifier +
                                 "\r\nLambda-Extension-Function-Error-Type: " + type + "\r\n",
                             "{}");
}
std::string identifier_in(const std::string& answer) {
    const std::string name = "Lambda-Extension-Identifier: ";
    const auto at = answer.find(name);
    return at == std::string::npos ? std::string() : answer.substr(at + name.size(), 36);
}

}  // namespace

TEST_CASE("next waits until an event is offered and then carries Lambda's headers") {
    runtime_api api;
    CHECK(talk(api, next).empty());
    CHECK(api.waiting());
    api.offer(event("id-1", "{\"a\":1}"));
    CHECK_FALSE(api.waiting());
    const auto out = api.take_output();
    REQUIRE(out.size() == 1);
    const std::string& text = out[0].bytes;
    CHECK(text.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(text.find("Lambda-Runtime-Aws-Request-Id: id-1\r\n") != std::string::npos);
    CHECK(text.find("Lambda-Runtime-Deadline-Ms: 1234\r\n") != std::string::npos);
    CHECK(text.find("Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda") != std::string::npos);
    CHECK(text.find("Lambda-Runtime-Trace-Id: Root=1-a\r\n") != std::string::npos);
    CHECK(text.find("Client-Context") == std::string::npos);
    CHECK(text.ends_with("Content-Length: 7\r\n\r\n{\"a\":1}"));
}

TEST_CASE("an event offered before next is asked for is delivered at once") {
    runtime_api api;
    (void)talk(api, next);
    api.offer(event("a", "1"));
    (void)api.take_output();
    CHECK(talk(api, post("invocation/a/response", "r")).find(" 202 ") != std::string::npos);
    (void)api.take_reply();
    api.offer(event("b", "2"));
    CHECK(api.take_output().empty());
    CHECK(talk(api, next).ends_with("\r\n\r\n2"));
}

TEST_CASE("a response is taken once and answered with 202") {
    runtime_api api;
    (void)talk(api, next);
    api.offer(event("id", "e"));
    (void)api.take_output();
    const auto answer = talk(api, post("invocation/id/response", "hello"));
    CHECK(answer.starts_with("HTTP/1.1 202 Accepted\r\n"));
    CHECK(answer.ends_with("{\"status\":\"OK\"}"));
    const auto reply = api.take_reply();
    REQUIRE(reply);
    CHECK_FALSE(reply->failed);
    CHECK(reply->payload == "hello");
    SECTION("a second one is a transition that is not allowed") {
        const auto again = talk(api, post("invocation/id/response", "hello"));
        CHECK(again.starts_with("HTTP/1.1 403 "));
        CHECK(again.find("InvalidStateTransition") != std::string::npos);
        CHECK_FALSE(api.take_reply());
    }
    SECTION("and then next waits for another event") {
        CHECK(talk(api, next).empty());
        CHECK(api.waiting());
    }
}

TEST_CASE("a wrong request id is refused and the right one still works") {
    runtime_api api;
    (void)talk(api, next);
    api.offer(event("id", "e"));
    (void)api.take_output();
    const auto wrong = talk(api, post("invocation/other/response", "x"));
    CHECK(wrong.starts_with("HTTP/1.1 400 "));
    CHECK(wrong.find(R"("errorType":"InvalidRequestID")") != std::string::npos);
    CHECK_FALSE(api.take_reply());
    CHECK(talk(api, post("invocation/id/response", "x")).starts_with("HTTP/1.1 202 "));
}

TEST_CASE("a response before any event was taken is refused") {
    runtime_api api;
    CHECK(talk(api, post("invocation/id/response", "x")).starts_with("HTTP/1.1 403 "));
}

TEST_CASE("an error carries its type") {
    runtime_api api;
    (void)talk(api, next);
    api.offer(event("id", "e"));
    (void)api.take_output();
    (void)talk(api, post("invocation/id/error", R"({"errorMessage":"m"})",
                         "Lambda-Runtime-Function-Error-Type: My.Error\r\n"));
    const auto reply = api.take_reply();
    REQUIRE(reply);
    CHECK(reply->failed);
    CHECK(reply->error_type == "My.Error");
    CHECK(reply->payload == R"({"errorMessage":"m"})");
}

TEST_CASE("init/error is taken before the first next and never after") {
    runtime_api api;
    SECTION("before") {
        CHECK(talk(api, post("init/error", "oops")).find(" 202 ") != std::string::npos);
        REQUIRE(api.take_init_error());
        CHECK(talk(api, next).starts_with("HTTP/1.1 403 "));
    }
    SECTION("after") {
        (void)talk(api, next);
        CHECK(talk(api, post("init/error", "oops"), 2).starts_with("HTTP/1.1 403 "));
        CHECK_FALSE(api.take_init_error());
    }
}

TEST_CASE("bytes may come one at a time") {
    runtime_api api;
    std::string all;
    for (char c : next) all += talk(api, std::string(1, c));
    CHECK(all.empty());
    REQUIRE(api.waiting());
    api.offer(event("id", "e"));
    (void)api.take_output();
    for (char c : post("invocation/id/response", "drop by drop"))
        all += talk(api, std::string(1, c));
    CHECK(all.starts_with("HTTP/1.1 202 "));
    CHECK(api.take_reply()->payload == "drop by drop");
}

TEST_CASE("a chunked body is put together, wherever it is cut") {
    const std::string head =
        "POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\n";
    const std::string body = "5\r\nhello\r\n7;ext=1\r\n, world\r\n0\r\nTrailer: t\r\n\r\n";
    const auto step = GENERATE(1u, 2u, 3u, 7u, 1000u);
    runtime_api api;
    (void)talk(api, next);
    api.offer(event("id", "e"));
    (void)api.take_output();
    std::string answer;
    const std::string whole = head + body;
    for (std::size_t i = 0; i < whole.size(); i += step) answer += talk(api, whole.substr(i, step));
    CHECK(answer.starts_with("HTTP/1.1 202 "));
    CHECK(api.take_reply()->payload == "hello, world");
}

TEST_CASE("a streamed response that ends with an error's trailers is that error") {
    const std::string head =
        "POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\n4\r\nhalf\r\n0\r\nLambda-Runtime-Function-Error-Type: Oops\r\n";
    runtime_api api;
    (void)talk(api, next);
    api.offer(event("id", "e"));
    (void)api.take_output();
    std::string trailer, payload;
    SECTION("with a document") {
        trailer = "lambda-runtime-function-error-body: eyJlcnJvclR5cGUiOiJPb3BzIn0=\r\n";
        payload = R"({"errorType":"Oops"})";
    }
    SECTION("with none, or what is no base64") {
        trailer = GENERATE("", "Lambda-Runtime-Function-Error-Body: !!!=\r\n",
                           "Lambda-Runtime-Function-Error-Body: \r\n");
        payload = R"({"errorType":"Oops","errorMessage":"the response ended with an error"})";
    }
    SECTION("with one as long as a head") {
        const std::string zeroes(12'000, 'A');  // base64 of zero bytes
        trailer = "Lambda-Runtime-Function-Error-Body: " + zeroes + "\r\n";
        payload = std::string(9'000, '\0');
    }
    CHECK(talk(api, head + trailer + "\r\n").starts_with("HTTP/1.1 202 "));
    const auto reply = api.take_reply();
    REQUIRE(reply);
    CHECK(reply->failed);
    CHECK(reply->error_type == "Oops");
    CHECK(reply->payload == payload);
}

TEST_CASE("a streaming response is had while it comes, where the caller asked for that") {
    const std::string head =
        "POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nHost: x\r\nContent-Type: "
        "text/x\r\nlambda-runtime-function-response-mode: streaming\r\nTransfer-Encoding: "
        "chunked\r\n\r\n";
    runtime_api api;
    (void)talk(api, next);
    const bool asked = GENERATE(true, false);
    api.offer(event("id", "e"), asked);
    (void)api.take_output();
    SECTION("piece by piece") {
        (void)talk(api, head + "3\r\nab");
        CHECK(api.streamed_type() == (asked ? "text/x" : ""));
        CHECK(api.take_streamed() == (asked ? "ab" : ""));
        // A second answer on another connection meanwhile is one in one piece.
        (void)talk(api, head + "1\r\nX", 2);
        (void)talk(api, "c\r\n");
        CHECK(api.take_streamed() == (asked ? "c" : ""));
        CHECK(talk(api, "0\r\n\r\n").starts_with("HTTP/1.1 202 "));
        const auto reply = api.take_reply();
        REQUIRE(reply);
        CHECK_FALSE(reply->failed);
        CHECK(reply->payload == (asked ? "" : "abc"));
        // Too late.
        CHECK(talk(api, "\r\n1\r\nY\r\n0\r\n\r\n", 2).starts_with("HTTP/1.1 403 "));
        CHECK(api.take_streamed().empty());
    }
    SECTION("up to a limit of its own") {
        (void)talk(api, head);
        const std::size_t piece = 1u << 20;
        const auto pieces = runtime_api::max_streamed / piece;
        for (std::uint64_t i = 0; i < pieces; ++i) {
            (void)talk(api, "100000\r\n" + std::string(piece, 'x') + "\r\n");
            CHECK(api.take_streamed().size() == (asked ? piece : 0));
        }
        (void)talk(api, "1\r\nx\r\n");
        CHECK(api.take_streamed().empty());
        CHECK(talk(api, "0\r\n\r\n").starts_with("HTTP/1.1 413 "));
        CHECK(api.take_reply()->payload.find(asked ? "(209715200 bytes)" : "(6291556 bytes)") !=
              std::string::npos);
    }
    // The next event's caller is another.
    api.offer(event("id", "e"));
    (void)talk(api, next);
    (void)talk(api, head + "2\r\nok\r\n0\r\n\r\n");
    CHECK(api.take_streamed().empty());
    CHECK(api.take_reply()->payload == "ok");
}

TEST_CASE("a trailer without end is refused") {
    runtime_api api;
    (void)talk(api, next);
    api.offer(event("id", "e"));
    (void)api.take_output();
    (void)talk(api,
               "POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nHost: "
               "x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
    CHECK(talk(api, std::string(runtime_api::max_head + 1, 'x')).ends_with("<close>"));
}

TEST_CASE("requests may be pipelined") {
    runtime_api api;
    (void)talk(api, next);
    api.offer(event("a", "1"));
    (void)api.take_output();
    CHECK(talk(api, post("invocation/a/response", "x") + next).starts_with("HTTP/1.1 202 "));
    CHECK(api.waiting());
}

TEST_CASE("Expect: 100-continue is answered before the body comes") {
    runtime_api api;
    (void)talk(api, next);
    api.offer(event("id", "e"));
    (void)api.take_output();
    CHECK(talk(api,
               "POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nHost: x\r\nExpect: "
               "100-continue\r\nContent-Length: 2\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(talk(api, "ok").starts_with("HTTP/1.1 202 "));
}

TEST_CASE("a connection is closed for HTTP/1.0 and Connection: close") {
    runtime_api api;
    CHECK(talk(api, "GET /nowhere HTTP/1.0\r\n\r\n").ends_with("<close>"));
    CHECK(talk(api, "GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 2)
              .ends_with("<close>"));
    CHECK_FALSE(talk(api, "GET /nowhere HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 3)
                    .ends_with("<close>"));
}

TEST_CASE("unknown paths are 404 and wrong methods 405") {
    runtime_api api;
    CHECK(talk(api, "GET /2018-06-01/runtime/nothing HTTP/1.1\r\nHost: x\r\n\r\n")
              .starts_with("HTTP/1.1 404 "));
    CHECK(talk(api,
               "POST /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\nContent-Length: "
               "0\r\n\r\n")
              .starts_with("HTTP/1.1 405 "));
    CHECK(talk(api, post("invocation//response", "x")).starts_with("HTTP/1.1 404 "));
}

TEST_CASE("malformed requests are 400 and the connection is over") {
    const std::string bad =
        GENERATE(as<std::string>(), "rubbish\r\n\r\n", "GET\r\n\r\n",
                 "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                 "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                 "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
                 "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n");
    runtime_api api;
    const auto answer = talk(api, bad);
    CHECK(answer.starts_with("HTTP/1.1 400 "));
    CHECK(answer.ends_with("<close>"));
    CHECK(talk(api, next).empty());
    CHECK_FALSE(api.waiting());
}

TEST_CASE("an endless head is cut off") {
    runtime_api api;
    CHECK(
        talk(api, "GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x')).starts_with("HTTP/1.1 431 "));
}

TEST_CASE("a response of 6 MB passes, one over the limit fails the invocation") {
    runtime_api api;
    (void)talk(api, next);
    api.offer(event("id", "e"));
    (void)api.take_output();
    SECTION("at the limit") {
        CHECK(talk(api, post("invocation/id/response", std::string(runtime_api::max_payload, 'x')))
                  .starts_with("HTTP/1.1 202 "));
        CHECK(api.take_reply()->payload.size() == runtime_api::max_payload);
    }
    SECTION("over it") {
        const auto answer = talk(
            api, post("invocation/id/response", std::string(runtime_api::max_payload + 1, 'x')));
        CHECK(answer.starts_with("HTTP/1.1 413 "));
        CHECK(answer.find("RequestEntityTooLarge") != std::string::npos);
        const auto reply = api.take_reply();
        REQUIRE(reply);
        CHECK(reply->failed);
        CHECK(reply->payload ==
              R"({"errorMessage":"Response payload size exceeded maximum allowed payload size )"
              R"((6291556 bytes).","errorType":"Function.ResponseSizeTooLarge"})");
    }
}

TEST_CASE("bodies nobody wants are read past, not kept") {
    runtime_api api;
    std::string answer;
    // 40 MB to a path that is not there, on one connection.
    (void)talk(api, "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 41943040\r\n\r\n");
    for (int i = 0; i < 40; ++i) answer += talk(api, std::string(1 << 20, 'x'));
    CHECK(answer.starts_with("HTTP/1.1 404 "));
}

TEST_CASE("bodies on many connections together are bounded") {
    runtime_api api;
    (void)talk(api, next);
    api.offer(event("id", "e"));
    (void)api.take_output();
    int refused = 0;
    for (runtime_api::connection c = 10; c < 20; ++c) {
        (void)talk(api,
                   "POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nHost: "
                   "x\r\nContent-Length: "
                   "6000000\r\n\r\n",
                   c);
        if (talk(api, std::string(5'000'000, 'x'), c).starts_with("HTTP/1.1 503 ")) ++refused;
    }
    CHECK(refused == 7);
}

TEST_CASE("a header cannot be injected through the event") {
    runtime_api api;
    (void)talk(api, next);
    auto e = event("id", "e");
    e.client_context = "a\r\nX-Evil: 1";
    e.tenant_id = "blue\r\nX-Evil: 2";
    api.offer(std::move(e));
    const std::string text = api.take_output()[0].bytes;
    CHECK(text.find("\r\nX-Evil") == std::string::npos);
    CHECK(text.find("\r\nLambda-Runtime-Aws-Tenant-Id: blueX-Evil: 2\r\n") != std::string::npos);
}

TEST_CASE("a closed connection takes its pending next along") {
    runtime_api api;
    (void)talk(api, next);
    api.closed(1);
    CHECK_FALSE(api.waiting());
    api.offer(event("id", "e"));
    CHECK(talk(api, next, 2).find("id") != std::string::npos);
}

TEST_CASE("a blocked connection that is closed for too much input takes its next along") {
    runtime_api api;
    (void)talk(api, next);
    CHECK(talk(api, std::string(70'000, 'x')).starts_with("HTTP/1.1 400 "));
    CHECK_FALSE(api.waiting());
    api.offer(event("id", "e"));
    CHECK(api.take_output().empty());
    CHECK(talk(api, next, 2).starts_with("HTTP/1.1 200 "));
}

TEST_CASE("a blocked connection that is closed for others' bodies takes its next along") {
    runtime_api api;
    (void)talk(api, next);
    api.offer(event("id", "e"));
    (void)api.take_output();
    for (runtime_api::connection c = 10; c < 13; ++c) {
        (void)talk(api,
                   "POST /2018-06-01/runtime/invocation/id/response HTTP/1.1\r\nHost: x\r\n"
                   "Content-Length: 6000000\r\n\r\n",
                   c);
        CHECK(talk(api, std::string(5'590'000, 'x'), c).empty());
    }
    CHECK(talk(api, post("invocation/id/response", "r"), 2).starts_with("HTTP/1.1 202 "));
    (void)talk(api, next, 2);
    CHECK(api.waiting());
    CHECK(talk(api, std::string(60'000, 'x'), 2).starts_with("HTTP/1.1 503 "));
    CHECK_FALSE(api.waiting());
}

// -- restore
// ------------------------------------------------------------------------------------

TEST_CASE("restore/next waits for the snapshot and is answered, empty, after it") {
    runtime_api api;
    CHECK(talk(api, restore_next).empty());
    CHECK(api.waiting_for_restore());
    CHECK_FALSE(api.waiting());
    api.restored();
    CHECK_FALSE(api.waiting_for_restore());
    CHECK(api.restoring());
    const auto out = api.take_output();
    REQUIRE(out.size() == 1);
    CHECK(out[0] == runtime_api::output{1, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false});
    SECTION("then the runtime asks for an event on the same connection") {
        CHECK(talk(api, next).empty());
        CHECK(api.waiting());
        CHECK_FALSE(api.restoring());
        api.offer(event("id", "e"));
        CHECK(api.running());
        (void)api.take_output();
        CHECK(talk(api, post("invocation/id/response", "r")).starts_with("HTTP/1.1 202 "));
    }
    SECTION("it is answered once") {
        api.restored();
        CHECK(api.take_output().empty());
        CHECK(api.restoring());
    }
}

TEST_CASE("every copy of a state that waits for its restore is answered on the same connection") {
    runtime_api api;
    (void)talk(api, restore_next, 7);
    const runtime_api snapshot = api;
    for (int i = 0; i < 2; ++i) {
        runtime_api clone = snapshot;
        clone.restored();
        const auto out = clone.take_output();
        REQUIRE(out.size() == 1);
        CHECK(out[0].to == 7);
        CHECK(out[0].bytes.starts_with("HTTP/1.1 200 "));
        CHECK(talk(clone, next, 7).empty());
        CHECK(clone.waiting());
    }
    CHECK(api == snapshot);
    CHECK(api.waiting_for_restore());
}

TEST_CASE("an event may be offered before the runtime is restored, or while its hooks run") {
    runtime_api api;
    (void)talk(api, restore_next);
    if (GENERATE(true, false)) {
        api.offer(event("id", "e"));
        CHECK(api.take_output().empty());
        CHECK(api.waiting_for_restore());
        api.restored();
    } else {
        api.restored();
        api.offer(event("id", "e"));
    }
    CHECK(api.take_output().size() == 1);
    CHECK(api.restoring());
    SECTION("and is handed out when it asks") {
        CHECK(talk(api, next).ends_with("\r\n\r\ne"));
        CHECK(api.running());
    }
    SECTION("and is not when the hooks failed") {
        CHECK(talk(api, post("restore/error", "{}")).starts_with("HTTP/1.1 202 "));
        CHECK(talk(api, next).starts_with("HTTP/1.1 403 "));
        CHECK_FALSE(api.running());
    }
}

TEST_CASE("restore/error carries the document and its type and ends the environment") {
    runtime_api api;
    (void)talk(api, restore_next);
    api.restored();
    (void)api.take_output();
    // init/error is another name for it here, as Lambda's emulator has it.
    const std::string path = GENERATE(as<std::string>(), "restore/error", "init/error");
    const auto answer =
        talk(api, post(path, R"({"errorMessage":"m"})",
                       "Lambda-Runtime-Function-Error-Type: Runtime.AfterRestoreError\r\n"));
    CHECK(answer.starts_with("HTTP/1.1 202 Accepted\r\n"));
    CHECK(answer.ends_with("{\"status\":\"OK\"}"));
    CHECK_FALSE(api.restoring());
    CHECK_FALSE(api.take_init_error());
    const auto error = api.take_restore_error();
    REQUIRE(error);
    CHECK(error->failed);
    CHECK(error->error_type == "Runtime.AfterRestoreError");
    CHECK(error->payload == R"({"errorMessage":"m"})");
    CHECK_FALSE(api.take_restore_error());
    for (const auto& request : {next, restore_next, post("restore/error", "x"),
                                post("init/error", "x"), post("invocation/id/response", "x")})
        CHECK(talk(api, request).find("from RuntimeRestoreErrorState to ") != std::string::npos);
    CHECK_FALSE(api.take_restore_error());
}

TEST_CASE("a restore error too large is taken without its document") {
    runtime_api api;
    (void)talk(api, restore_next);
    api.restored();
    (void)api.take_output();
    CHECK(talk(api, post("restore/error", std::string(runtime_api::max_payload + 1, 'x')))
              .starts_with("HTTP/1.1 202 "));
    const auto error = api.take_restore_error();
    REQUIRE(error);
    CHECK(error->payload.empty());
}

TEST_CASE("transitions around restore that make no sense are refused") {
    runtime_api api;
    const auto refused = [&](const std::string& request, std::string_view from,
                             std::string_view to) {
        const auto before = api.waiting_for_restore();
        const auto answer = talk(api, request, 9);
        INFO(answer);
        CHECK(answer.starts_with("HTTP/1.1 403 "));
        CHECK(answer.ends_with("{\"errorMessage\":\"State transition from " + std::string(from) +
                               " to " + std::string(to) +
                               " failed for runtime. Error: State transition is not allowed\","
                               "\"errorType\":\"InvalidStateTransition\"}"));
        CHECK(api.waiting_for_restore() == before);
        CHECK_FALSE(api.take_restore_error());
        CHECK_FALSE(api.take_init_error());
        CHECK_FALSE(api.take_reply());
    };
    SECTION("an error without a restore") {
        refused(post("restore/error", "x"), "Started", "RuntimeRestoreErrorState");
    }
    SECTION("anything while it waits") {
        (void)talk(api, restore_next);
        refused(restore_next, "RestoreReady", "Ready");
        refused(next, "RestoreReady", "Ready");
        refused(post("restore/error", "x"), "RestoreReady", "RuntimeRestoreErrorState");
        refused(post("init/error", "x"), "RestoreReady", "InitError");
        refused(post("invocation/id/response", "x"), "RestoreReady", "InvocationResponse");
        api.restored();
        CHECK(api.take_output().size() == 1);
    }
    SECTION("once more while it restores") {
        (void)talk(api, restore_next);
        api.restored();
        (void)api.take_output();
        refused(restore_next, "Restoring", "Ready");
        refused(post("invocation/id/error", "x"), "Restoring", "InvocationErrorResponse");
    }
    SECTION("after the first next") {
        (void)talk(api, next);
        refused(restore_next, "Ready", "Ready");
        refused(post("restore/error", "x"), "Ready", "RuntimeRestoreErrorState");
        api.restored();  // says nothing to one that did not ask
        CHECK(api.take_output().empty());
        CHECK(api.waiting());
    }
    SECTION("after an init error") {
        (void)talk(api, post("init/error", "x"));
        (void)api.take_init_error();
        refused(restore_next, "InitError", "Ready");
        api.restored();
        refused(next, "InitError", "Ready");
    }
}

TEST_CASE("restore's wrong methods are 405, and without restore its paths are not there") {
    runtime_api api;
    CHECK(talk(api, post("restore/next", "")).starts_with("HTTP/1.1 405 "));
    CHECK(talk(api, "GET /2018-06-01/runtime/restore/error HTTP/1.1\r\nHost: x\r\n\r\n")
              .starts_with("HTTP/1.1 405 "));
    runtime_api plain(false);
    CHECK(talk(plain, restore_next).starts_with("HTTP/1.1 404 "));
    CHECK(talk(plain, post("restore/error", "x")).starts_with("HTTP/1.1 404 "));
    CHECK_FALSE(plain.waiting_for_restore());
    CHECK(talk(plain, next).empty());
    CHECK(plain.waiting());
}

TEST_CASE("restore/next honours its connection: keep-alive, close, HTTP/1.0, what is behind it") {
    runtime_api api;
    SECTION("Connection: close") {
        (void)talk(api,
                   "GET /2018-06-01/runtime/restore/next HTTP/1.1\r\nHost: x\r\n"
                   "Connection: close\r\n\r\n");
        api.restored();
        const auto out = api.take_output();
        REQUIRE(out.size() == 1);
        CHECK(out[0].close);
        CHECK(out[0].bytes.find("Connection: close\r\n") != std::string::npos);
        CHECK(talk(api, next, 2).empty());
        CHECK(api.waiting());
    }
    SECTION("HTTP/1.0 kept alive") {
        (void)talk(
            api, "GET /2018-06-01/runtime/restore/next HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        api.restored();
        const auto out = api.take_output();
        REQUIRE(out.size() == 1);
        CHECK_FALSE(out[0].close);
        CHECK(out[0].bytes.find("Connection: keep-alive\r\n") != std::string::npos);
    }
    SECTION("a next pipelined behind it waits its turn") {
        CHECK(talk(api, restore_next + next).empty());
        CHECK_FALSE(api.waiting());
        const runtime_api snapshot = api;
        runtime_api clone = snapshot;
        clone.restored();
        CHECK(clone.take_output().size() == 1);
        CHECK(clone.waiting());
    }
    SECTION("a query is no part of the path") {
        (void)talk(api, "GET /2018-06-01/runtime/restore/next?x=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        CHECK(api.waiting_for_restore());
    }
}

TEST_CASE("a restore whose connection is gone can be asked for again on another") {
    runtime_api api;
    (void)talk(api, restore_next);
    if (GENERATE(true, false))
        api.closed(1);
    else  // for what was sent behind it
        CHECK(talk(api, std::string(70'000, 'x')).ends_with("<close>"));
    CHECK_FALSE(api.waiting_for_restore());
    api.restored();  // nobody to tell
    CHECK(api.take_output().empty());
    SECTION("for a restore") {
        CHECK(talk(api, restore_next, 2).empty());
        CHECK(api.waiting_for_restore());
        api.restored();
        CHECK(api.take_output().at(0).to == 2);
    }
    SECTION("or for an event that was offered meanwhile") {
        api.offer(event("id", "e"));
        CHECK(talk(api, next, 2).ends_with("\r\n\r\ne"));
    }
}

TEST_CASE("a guest that asks for restores without end is cut off") {
    runtime_api api;
    (void)talk(api, restore_next);
    std::string many;
    for (int i = 0; i < 10'000; ++i) many += restore_next;
    const auto answer = talk(api, many, 2);
    CHECK(answer.ends_with("<close>"));
    CHECK(answer.size() < 40'000);
    CHECK(api.waiting_for_restore());
}

TEST_CASE("an extension registers under a name it may have, for events there are") {
    runtime_api api;
    auto& ext = api.participants();
    CHECK(talk(api, enroll("outer", invoke_only)).find("Extension.RegistrationClosed") !=
          std::string::npos);
    ext.open({"f", "7", "h.\"x", "123456789012"});
    ext.expect("outer", 2);
    CHECK(ext.missing() == "outer");
    const auto refused = [&](const std::string& request, const std::string& type) {
        const auto answer = talk(api, request);
        INFO(answer);
        CHECK(answer.starts_with("HTTP/1.1 403 "));
        CHECK(answer.find("{\"errorType\":\"" + type + "\"") != std::string::npos);
    };
    refused(enroll("", invoke_only), "Extension.InvalidExtensionName");
    refused(enroll("outer", "{\"events\":[\"INVOKE\""), "InvalidRequestFormat");
    refused(enroll("outer", "[]"), "InvalidRequestFormat");
    refused(enroll("outer", "{\"events\":7}"), "InvalidRequestFormat");
    refused(enroll("outer", "{\"events\":[7]}"), "InvalidRequestFormat");
    refused(enroll("outer", "{\"events\":[\"START\"]}"), "Extension.InvalidEventType");
    refused(enroll("inner", "{\"events\":[\"SHUTDOWN\"]}"), "Extension.InvalidEventType");
    CHECK_FALSE(ext.all_registered());

    const auto outer = talk(api, enroll("outer", "{\"events\":[\"SHUTDOWN\"]}",
                                        "Lambda-Extension-Accept-Feature: accountId\r\n"));
    CHECK(outer.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(
        outer.ends_with("{\"functionName\":\"f\",\"functionVersion\":\"7\",\"handler\":\"h.\\\"x\","
                        "\"accountId\":\"123456789012\"}"));
    CHECK(identifier_in(outer).size() == 36);
    CHECK(ext.all_registered());
    refused(enroll("outer", invoke_only), "Extension.InvalidExtensionState");
    for (int i = 1; i < 10; ++i)
        CHECK(talk(api, enroll("inner" + std::to_string(i), invoke_only)).find("accountId") ==
              std::string::npos);
    refused(enroll("inner1", invoke_only), "Extension.InvalidExtensionState");
    refused(enroll("inner10", invoke_only), "Extension.TooManyExtensions");
    ext.close();
    refused(enroll("late", invoke_only), "Extension.RegistrationClosed");

    refused(extension_next(""), "Extension.MissingExtensionIdentifier");
    refused(extension_next("nobody"), "Extension.UnknownExtensionIdentifier");
    refused(extension_error("exit", identifier_in(outer), ""), "Extension.MissingHeader");
    CHECK(talk(api, "GET /2020-01-01/extension/register HTTP/1.1\r\n\r\n")
              .starts_with("HTTP/1.1 405 "));
    CHECK(
        talk(api, "GET /2020-01-01/extension/other HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
}

TEST_CASE("an event reaches the extensions that wait, and the others when they ask") {
    runtime_api api;
    auto& ext = api.participants();
    ext.open({"f", "1", "h", "0"});
    ext.expect("a", 2);
    ext.expect("b", 3);
    ext.expect("c", 4);
    const auto a = identifier_in(talk(api, enroll("a", invoke_only)));
    const auto b = identifier_in(talk(api, enroll("b", invoke_only)));
    const auto c = identifier_in(talk(api, enroll("c", "{}")));
    CHECK(talk(api, extension_next(a), 11).empty());
    CHECK(talk(api, extension_next(b), 12).empty());
    CHECK_FALSE(ext.all_wait());
    CHECK(talk(api, extension_next(c), 13).empty());
    CHECK(ext.all_wait());
    CHECK(talk(api, extension_next(a), 14).find("Extension.InvalidExtensionState") !=
          std::string::npos);
    api.closed(12);
    CHECK_FALSE(ext.all_wait());

    const runtime_api before = api;
    api.tell_of_invocation(event("id-1", "not shown"));
    const auto out = api.take_output();
    REQUIRE(out.size() == 1);
    CHECK(out[0].to == 11);
    const std::string document =
        "{\"eventType\":\"INVOKE\",\"deadlineMs\":1234,\"requestId\":\"id-1\","
        "\"invokedFunctionArn\":"
        "\"arn:aws:lambda:us-east-1:000000000000:function:f\",\"tracing\":{\"type\":"
        "\"X-Amzn-Trace-Id\",\"value\":\"Root=1-a\"}}";
    CHECK(out[0].bytes.ends_with("\r\n\r\n" + document));
    using enum hearth::worker::extensions::event;
    CHECK_FALSE(ext.done_with(invoke));
    CHECK(talk(api, extension_next(b), 15).ends_with("\r\n\r\n" + document));  // what it was owed
    CHECK(talk(api, extension_next(b), 15).empty());
    CHECK_FALSE(ext.done_with(invoke));
    CHECK(talk(api, extension_next(a), 11).empty());
    CHECK(ext.done_with(invoke));
    CHECK(before.participants().any_for(invoke));
    CHECK_FALSE(before.participants().any_for(shutdown));
    CHECK_FALSE(before == api);
}

TEST_CASE("an extension's error is a failure once, and its process's end too") {
    runtime_api api;
    auto& ext = api.participants();
    ext.open({"f", "1", "h", "0"});
    ext.expect("a", 2);
    const auto a = identifier_in(talk(api, enroll("a", invoke_only)));
    CHECK(talk(api, extension_error("init", a, "My.Error")).find(" 202 ") != std::string::npos);
    CHECK(talk(api, extension_next(a)).find(" 403 ") != std::string::npos);
    const auto failed = ext.take_failure();
    REQUIRE(failed);
    CHECK(failed->type == "Extension.InitError");
    CHECK(failed->message == "extension a: My.Error");
    CHECK_FALSE(ext.take_failure());
    CHECK_FALSE(ext.ended(9, {}));
    const auto crashed = ext.ended(2, {.code = 0, .signal = 11});
    REQUIRE(crashed);
    CHECK(crashed->type == "Extension.Crash");
    CHECK(crashed->message == "extension a: signal: segmentation fault");
}

TEST_CASE("the Telemetry and Logs APIs say that they are not there, in the emulator's words") {
    runtime_api api;
    const auto put = [&](const std::string& path) {
        return talk(api, extension_request("PUT " + path, "", "{}"));
    };
    const auto telemetry = put("/2022-07-01/telemetry"), logs = put("/2020-08-15/logs");
    CHECK(telemetry.starts_with("HTTP/1.1 202 "));
    CHECK(
        telemetry.ends_with("{\"errorMessage\":\"Telemetry API is not supported\","
                            "\"errorType\":\"Telemetry.NotSupported\"}"));
    CHECK(logs.starts_with("HTTP/1.1 202 "));
    CHECK(logs.ends_with(
        "{\"errorMessage\":\"Logs API is not supported\",\"errorType\":\"Logs.NotSupported\"}"));
    CHECK(talk(api, "GET /2022-07-01/telemetry HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
}

TEST_CASE("credentials are given to who shows the token") {
    runtime_api api;
    const auto get = [](const std::string& token) {
        return "GET /2021-04-23/credentials HTTP/1.1\r\nAuthorization: " + token + "\r\n\r\n";
    };
    CHECK(talk(api, get("")).starts_with("HTTP/1.1 404 "));
    api.set_credentials_token("token");
    CHECK(talk(api, get("tokem")).starts_with("HTTP/1.1 404 "));
    CHECK_FALSE(api.wants_credentials());
    CHECK(talk(api, get("token")).empty());
    CHECK(api.wants_credentials());
    api.give_credentials("{\"AccessKeyId\":\"x\"}");
    CHECK_FALSE(api.wants_credentials());
    const auto out = api.take_output();
    REQUIRE(out.size() == 1);
    CHECK(out[0].bytes.ends_with("\r\n\r\n{\"AccessKeyId\":\"x\"}"));
    CHECK(talk(api, get("token"), 2).empty());
    api.closed(2);
    CHECK_FALSE(api.wants_credentials());
}

TEST_CASE("the state is a value: a copy goes on by itself") {
    runtime_api api;
    (void)talk(api, next);
    runtime_api copy = api;
    CHECK(copy == api);
    api.offer(event("id", "e"));
    CHECK_FALSE(copy == api);
    CHECK(copy.waiting());
}

TEST_CASE("a guest that never reads cannot pile up answers") {
    runtime_api api;
    SECTION("of refused requests") {
        std::string many;
        for (int i = 0; i < 10'000; ++i) many += "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n";
        const auto answer = talk(api, many);
        CHECK(answer.ends_with("<close>"));
        CHECK(answer.size() < 20'000);
    }
    SECTION("of events") {
        (void)talk(api, next);
        api.offer(event("id", std::string(100'000, 'x')));
        (void)api.take_output();
        std::string many;
        for (int i = 0; i < 10'000; ++i) many += next;
        CHECK(talk(api, many).size() < 1'000'000);
    }
}
