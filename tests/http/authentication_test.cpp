// The front with access keys: who is believed, who may do what, and what the others are told.

#include "front_fixture.hpp"

#include <hearth/sigv4.hpp>

#include <catch2/catch.hpp>

#include <string>
#include <vector>

namespace hearth::test {
namespace {

using namespace std::chrono_literals;

const sigv4::credentials all{"AKIAALL", "the secret of the one who may all", ""};
const sigv4::credentials some{"AKIASOME", "the secret of the one who may some", ""};
constexpr sigv4::scope lambda{"eu-north-1", "lambda"};

http::server_options with_keys() {
    http::server_options o{.port = 0};
    o.access_keys = {
        {"all", all.access_key_id, all.secret_access_key, {{{"*"}}}},
        {"some",
         some.access_key_id,
         some.secret_access_key,
         {{{"InvokeFunction", "GetFunction"}, {"echo", "e-*"}}, {{"CreateFunction"}, {"e-*"}}}},
    };
    return o;
}

struct how {
    std::string also{};  ///< headers that are not signed
    bool states_hash =
        true;  ///< else as botocore does it: the body's hash is only in the signature
    std::chrono::seconds off{};
    std::string service = "lambda";
};

/// A signed request, as bytes.
std::string signed_by(const sigv4::credentials& who,
                      std::string_view method,
                      std::string_view target,
                      std::string_view body = {},
                      const how& h = {}) {
    const std::pair<std::string_view, std::string_view> host[] = {{"Host", "localhost:9"}};
    const auto now = std::chrono::system_clock::now() + h.off;
    std::string lines = h.also;
    if (h.states_hash) {
        for (const auto& [name, value] :
             sigv4::sign({method, target, host}, sigv4::payload_hash(body), who,
                         {lambda.region, h.service}, now))
            lines += name + ": " + value + "\r\n";
        return request(method, target, body, lines);
    }
    // A signature without the header: take it from the canonical request by hand.
    const auto dated = sigv4::sign({method, target, host}, "", who, lambda, now).front();
    const std::pair<std::string_view, std::string_view> both[] = {{"host", "localhost:9"}, dated};
    const std::vector<std::string> names{"host", "x-amz-date"};
    sigv4::claim c;
    c.date = dated.second.substr(0, 8), c.timestamp = dated.second;
    c.region = lambda.region, c.service = lambda.service, c.signed_headers = names;
    const auto key = sigv4::make_signing_key(who.secret_access_key, c.date, lambda);
    lines += dated.first + ": " + dated.second +
             "\r\nAuthorization: AWS4-HMAC-SHA256 Credential=" + who.access_key_id + "/" + c.date +
             "/" + c.region + "/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature=" +
             sigv4::signature(c, {method, target, both}, sigv4::payload_hash(body), key) + "\r\n";
    return request(method, target, body, lines);
}

std::string target_of(const std::string& function) {
    return "/2015-03-31/functions/" + function + "/invocations";
}

/// One request on a connection of its own.
answer ask(const front_fixture& f, const std::string& bytes) {
    raw_client client(f.front.port());
    answer a = client.ask(bytes);
    // Whatever is refused, nothing that is secret is in it.
    for (const auto& key : {all, some}) {
        CHECK(a.body.find(key.secret_access_key) == std::string::npos);
        CHECK(a.head.find(key.secret_access_key) == std::string::npos);
    }
    return a;
}

void refused(const answer& a, const std::string& type, const std::string& text) {
    CHECK(a.status == 403);
    CHECK(a.header("x-amzn-ErrorType") == type);
    CHECK_THAT(a.body, Catch::Contains(text));
}

}  // namespace

TEST_CASE("signed requests are answered, on one connection, with and without a stated hash") {
    front_fixture f(with_keys());
    f.create("echo");
    raw_client client(f.front.port());
    for (const bool states : {true, false, true}) {
        const auto a = client.ask(
            signed_by(all, "POST", target_of("echo"), R"({"n":1})", {.states_hash = states}));
        CHECK(a.status == 200);
        CHECK(a.body == R"({"n":1})");
    }
    CHECK(client.ask(signed_by(all, "GET", "/2015-03-31/functions/?MaxItems=5")).status == 200);
}

TEST_CASE("a body that is not the one signed is refused, however it is stated and large") {
    front_fixture f(with_keys());
    f.create("echo");
    for (const std::size_t size : {10u, 1u << 20})
        for (const bool states : {true, false}) {
            const std::string body = "\"" + std::string(size, 'x') + "\"";
            std::string bytes =
                signed_by(all, "POST", target_of("echo"), body, {.states_hash = states});
            CHECK(ask(f, bytes).status == 200);
            bytes[bytes.size() - 2] = 'y';
            refused(ask(f, bytes), "InvalidSignatureException", "signature we calculated");
        }
}

TEST_CASE("whoever is not believed is told why as AWS tells it") {
    front_fixture f(with_keys());
    f.create("echo");
    const std::string target = target_of("echo");
    refused(ask(f, request("POST", target, "{}")), "MissingAuthenticationTokenException",
            R"("message":"Missing Authentication Token")");
    refused(ask(f, request("GET", "/nowhere")), "MissingAuthenticationTokenException", "Missing");
    refused(ask(f, request("GET", "/metrics")), "MissingAuthenticationTokenException", "Missing");
    refused(ask(f, request("POST", target, "{}", "Authorization: Bearer x\r\n")),
            "IncompleteSignatureException", "AWS4-HMAC-SHA256");
    refused(ask(f, request("POST", target, "{}", "Authorization: AWS4-HMAC-SHA256 x=y\r\n")),
            "IncompleteSignatureException", "requires 'Credential' parameter");
    refused(ask(f, signed_by({"AKIAOTHER", "x", ""}, "POST", target, "{}")),
            "UnrecognizedClientException",
            "The security token included in the request is invalid.");
    refused(
        ask(f, signed_by({all.access_key_id, some.secret_access_key, ""}, "POST", target, "{}")),
        "InvalidSignatureException", "signature we calculated does not match");
    refused(ask(f, signed_by({all.access_key_id, all.secret_access_key, "token"}, "POST", target)),
            "UnrecognizedClientException", "AWS_SESSION_TOKEN");
    refused(ask(f, signed_by(all, "POST", target, "{}", {.off = -16min})),
            "InvalidSignatureException", "Signature expired: ");
    refused(ask(f, signed_by(all, "POST", target, "{}", {.off = 16min})),
            "InvalidSignatureException", "Signature not yet current: ");
    refused(ask(f, signed_by(all, "POST", target, "{}", {.service = "sqs"})),
            "InvalidSignatureException", "correct service: 'lambda'");
    refused(ask(f, signed_by(all, "POST", target, "{}", {"X-Amz-Invocation-Type: DryRun\r\n"})),
            "InvalidSignatureException", "not signed: x-amz-invocation-type");
}

TEST_CASE("a large body of somebody unknown is not waited for") {
    front_fixture f(with_keys());
    raw_client client(f.front.port());
    client.send(
        "POST /2015-03-31/functions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000000\r\n\r\n");
    CHECK(client.receive().status == 403);
}

TEST_CASE("a key may do what its rules say, however the function is named") {
    front_fixture f(with_keys());
    f.create("echo");
    f.create("other");
    const std::string encoded = "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3A";
    for (const std::string name : {"echo", "echo%3A%24LATEST"})
        CHECK(ask(f, signed_by(some, "POST", target_of(name), "{}")).status == 200);
    CHECK(ask(f, signed_by(some, "POST", target_of(encoded + "echo"), "{}")).status == 200);
    CHECK(ask(f, signed_by(some, "GET", "/2015-03-31/functions/echo")).status == 200);
    const std::string user =
        "User: arn:aws:iam::000000000000:user/some is not authorized to perform: ";
    for (const std::string& name :
         {std::string("other"), std::string("other%3A%24LATEST"), encoded + "other"})
        refused(ask(f, signed_by(some, "POST", target_of(name), "{}")), "AccessDeniedException",
                R"("Message":")" + user +
                    "lambda:InvokeFunction on resource: "
                    "arn:aws:lambda:us-east-1:000000000000:function:other because no "
                    "identity-based policy allows the lambda:InvokeFunction action\"");
    refused(ask(f, signed_by(some, "DELETE", "/2015-03-31/functions/echo")),
            "AccessDeniedException", user + "lambda:DeleteFunction on resource: arn:aws:lambda:");
    refused(ask(f, signed_by(some, "GET", "/2015-03-31/functions")), "AccessDeniedException",
            user + "lambda:ListFunctions on resource: * because");
    refused(ask(f, signed_by(some, "GET", "/metrics")), "AccessDeniedException",
            "lambda:GetMetrics");
    refused(ask(f, signed_by(some, "GET", "/2017-03-31/tags/" + encoded + "echo")),
            "AccessDeniedException", "lambda:ListTags");
    // A layer is no function, whatever its name.
    refused(ask(f, signed_by(some, "GET", "/2018-10-31/layers/echo/versions/1")),
            "AccessDeniedException", "lambda:GetLayerVersion on resource: *");
    // The name of what is created stands in the body.
    for (const std::string name : {"echo", "x-1"})
        refused(ask(f, signed_by(some, "POST", "/2015-03-31/functions",
                                 R"({"FunctionName":")" + name +
                                     R"(","Runtime":"provided.al2023","Role":"r","Handler":"h",)"
                                     R"("Code":{"ZipFile":"UEs="}})")),
                "AccessDeniedException", "lambda:CreateFunction on resource: arn:");
    const auto made = ask(f, signed_by(some, "POST", "/2015-03-31/functions",
                                       R"({"FunctionName":"e-1","Runtime":"provided.al2023",)"
                                       R"("Role":"r","Handler":"h","Code":{"ZipFile":"UEs="}})"));
    CHECK(made.status == 400);  // it may; the zip is none
}

TEST_CASE("the link to a package is signed for ten minutes, by whom it is given to") {
    front_fixture f(with_keys());
    f.create("echo");
    const auto got = ask(f, signed_by(some, "GET", "/2015-03-31/functions/echo"));
    const std::string link(got.json().at("Code").at("Location").as_string());
    CHECK_THAT(link, Catch::StartsWith("http://localhost:9/_hearth/functions/echo/code.zip?X-Amz-") &&
                         Catch::Contains("X-Amz-Expires=600"));
    const std::string target = link.substr(link.find("/_hearth"));
    CHECK(ask(f, request("GET", target)).status == 200);
    refused(ask(f, request("GET", "/_hearth/functions/echo/code.zip")),
            "MissingAuthenticationTokenException", "Missing");
    std::string other = target;
    other.replace(other.find("echo"), 4, "ecno");
    refused(ask(f, request("GET", other)), "InvalidSignatureException", "calculated");
    refused(ask(f, request("HEAD", target)), "InvalidSignatureException", "");
}

TEST_CASE("a function URL is for whom its type and the rules say") {
    front_fixture f(with_keys());
    f.create("echo");
    f.create("e-1");
    const auto url_of = [&](const std::string& name, const std::string& type) {
        const auto url =
            f.control->create_function_url_config({.function_name = name, .auth_type = type});
        return "/_hearth/url/" + url.value().url_id + "/";
    };
    CHECK(ask(f, request("GET", url_of("echo", "NONE"))).status == 200);
    const std::string guarded = url_of("e-1", "AWS_IAM");
    refused(ask(f, request("GET", guarded)), "MissingAuthenticationTokenException", "Missing");
    refused(ask(f, request("OPTIONS", guarded)), "AccessDeniedException", "Forbidden");
    refused(ask(f, signed_by(some, "GET", guarded)), "AccessDeniedException",
            "lambda:InvokeFunctionUrl on resource: arn:");
    CHECK(ask(f, signed_by(all, "POST", guarded, "{}")).status == 200);
    std::string forged = signed_by(all, "POST", guarded, "{}");
    forged.back() = '1';
    refused(ask(f, forged), "InvalidSignatureException", "calculated");
}

TEST_CASE("keys are replaced while requests are under way") {
    front_fixture f(with_keys());
    f.create("echo");
    const sigv4::credentials next{"AKIANEXT", "the secret of the one who comes next", ""};
    const std::string body = "\"" + std::string(1 << 20, 'x') + "\"";
    const std::string large =
        signed_by(all, "POST", target_of("echo"), body, {.states_hash = false});
    const std::string small = signed_by(all, "GET", "/2015-03-31/functions");
    raw_client client(f.front.port());
    REQUIRE(client.send("GET /2015"));
    // By its headers this one is to be believed; its body is still to come.
    raw_client begun(f.front.port());
    const std::size_t headers = large.find("\r\n\r\n") + 4;
    REQUIRE(begun.send(large.substr(0, headers - 2) + "Expect: 100-continue\r\n\r\n"));
    CHECK(begun.receive().status == 100);

    const auto keep = [&](std::vector<http::access_key> keys, const char* why) {
        const auto r = f.front.replace_access_keys(std::move(keys));
        REQUIRE(r.has_error());
        CHECK(r.error() == errc::invalid_argument);
        CHECK_THAT(r.error().message(), Catch::Contains(why));
        CHECK(ask(f, small).status == 200);
    };
    keep({}, "everybody");
    keep({{.name = "n", .access_key_id = "A"}}, "secret_access_key");
    REQUIRE(f.front
                .replace_access_keys({{.name = "next",
                                       .access_key_id = next.access_key_id,
                                       .secret_access_key = next.secret_access_key,
                                       .allow = {{{"*"}}}}})
                .has_value());
    REQUIRE(begun.send(large.substr(headers)));
    CHECK(begun.receive().status == 200);
    refused(begun.ask(small), "UnrecognizedClientException", "invalid");
    refused(client.ask(small.substr(9)), "UnrecognizedClientException", "invalid");
    CHECK(ask(f, signed_by(next, "GET", "/2015-03-31/functions")).status == 200);
}

TEST_CASE("a scraper may give its key by HTTP's Basic scheme, for the metrics only") {
    front_fixture f(with_keys());
    const auto basic = [](const std::string& text) {
        return "Authorization: Basic " + text + "\r\n";
    };
    // base64 of "AKIAALL:the secret of the one who may all"
    const std::string right = "QUtJQUFMTDp0aGUgc2VjcmV0IG9mIHRoZSBvbmUgd2hvIG1heSBhbGw=";
    CHECK(ask(f, request("GET", "/metrics", {}, basic(right))).status == 200);
    for (const char* wrong : {"!", "QUtJQUFMTA==", "QUtJQUFMTDo=", "eDp5"})
        refused(ask(f, request("GET", "/metrics", {}, basic(wrong))), "UnrecognizedClientException",
                "");
    refused(ask(f, request("GET", "/2015-03-31/functions", {}, basic(right))),
            "IncompleteSignatureException", "AWS4-HMAC-SHA256");
}

TEST_CASE("without keys anything is taken but a signature that is none") {
    front_fixture f;
    f.create("echo");
    for (const char* given :
         {"", "Authorization: Bearer x\r\n", "X-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\n"})
        CHECK(ask(f, invocation("echo", "{}", given)).status == 200);
    CHECK(ask(f, signed_by({"any", "any", "token"}, "POST", target_of("echo"), "{}", {.off = -24h}))
              .status == 200);
    refused(ask(f, invocation("echo", "{}", "Authorization: AWS4-HMAC-SHA256 x=y\r\n")),
            "IncompleteSignatureException", "requires 'Credential'");
}

}  // namespace hearth::test
