// SigV4 against AWS's published vectors, and what is not believed.
//
// The vectors are those of AWS's Signature Version 4 test suite (aws-sig-v4-test-suite), as
// github.com/awslabs/aws-c-auth carries it: tests/aws-signing-test-suite/v4/NAME, commits 4ec99f2
// (header), b081db5 (query) and 71a25bd (post-x-www-form-urlencoded); each here under its NAME,
// with the request and the signature of NAME/{header,query}-signed-request.txt. Left out:
// get-header-value-multiline, a folded header, which HTTP/1.1 gave up (RFC 9112, 5.2).

#include <hearth/sigv4.hpp>

#include <catch2/catch.hpp>

#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace hearth::sigv4 {
namespace {

using namespace std::chrono_literals;
using headers = std::vector<std::pair<std::string_view, std::string_view>>;

// Of the suite's context.json.
const credentials key{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""};
constexpr scope where{"us-east-1", "service"};
constexpr std::string_view timestamp = "20150830T123600Z";
const time_point then = std::chrono::sys_days(std::chrono::year(2015) / 8 / 30) + 12h + 36min;

struct vector {
    const char* name;
    std::string_view target;
    headers also;  ///< beside host and x-amz-date
    std::string_view signed_headers;
    std::string_view signature;
};

const vector in_headers[] = {
    {"get-vanilla-query-order-key-case",
     "/?Param2=value2&Param1=value1",
     {},
     "host;x-amz-date",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-vanilla-query-order-encoded",
     "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
     {},
     "host;x-amz-date",
     "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
    {"get-utf8",
     "/\u1234",
     {},
     "host;x-amz-date",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-vanilla-utf8-query",
     "/?\u1234=bar",
     {},
     "host;x-amz-date",
     "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
    {"get-unreserved",
     "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
     {},
     "host;x-amz-date",
     "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    {"get-slashes-normalized",
     "//example//",
     {},
     "host;x-amz-date",
     "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"},
    {"get-relative-relative-normalized",
     "/example1/example2/../..",
     {},
     "host;x-amz-date",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-space-normalized",
     "/example space/",
     {},
     "host;x-amz-date",
     "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
    {"get-header-value-trim",
     "/",
     {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
     "host;my-header1;my-header2;x-amz-date",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-header-key-duplicate",
     "/",
     {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
     "host;my-header1;x-amz-date",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"get-vanilla-with-session-token",
     "/",
     {{"X-Amz-Security-Token", "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"}},
     "host;x-amz-date;x-amz-security-token",
     "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
};

struct link {
    const char* name;
    std::string_view target;
    std::string_view signature;
};
const link in_queries[] = {
    {"get-vanilla-query-order-key-case", "/?Param2=value2&Param1=value1",
     "86012e2c9ad4d77369f5d81c11f75158aae4f895a085212cc6d3f923d300bed5"},
    {"get-slash-pointless-dot-normalized", "/./example",
     "35034b1a0bdd969f346975386daf8aedfd4976573b8348cf4f67eaa41c5857de"},
};

/// A request that owns what it is made of.
struct owned {
    std::string method, target;
    std::vector<std::pair<std::string, std::string>> fields;
    mutable headers views{};

    [[nodiscard]] request view() const {
        views.assign(fields.begin(), fields.end());
        return {method, target, views};
    }
    std::string& operator[](std::string_view name) {
        for (auto& [n, value] : fields)
            if (n == name) return value;
        return fields.emplace_back(std::string(name), "").second;
    }
};

owned made_from(const vector& v) {
    owned r{"GET", std::string(v.target), {{"Host", "example.amazonaws.com"}}};
    for (const auto& [name, value] : v.also) r.fields.emplace_back(name, value);
    r["Authorization"] = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/" +
                         std::string("aws4_request, SignedHeaders=") +
                         std::string(v.signed_headers) + ", Signature=" + std::string(v.signature);
    r["X-Amz-Date"] = timestamp;
    return r;
}

/// Signed by our own signer.
owned signed_request(const std::string& target = "/2015-03-31/functions/f/invocations",
                     const std::string& body = "{}") {
    owned r{"POST", target, {{"Host", "h:9"}, {"X-Amz-Invocation-Type", "Event"}}};
    for (auto& [name, value] : sign(r.view(), payload_hash(body), key, where, then))
        r.fields.emplace_back(std::move(name), std::move(value));
    return r;
}

claim claim_of(const owned& r) {
    auto read = read_claim(r.view());
    if (auto* no = std::get_if<refusal>(&read)) FAIL(no->message);
    return std::get<claim>(std::move(read));
}

std::string refused(const owned& r, refusal::kind what) {
    const auto read = read_claim(r.view());
    const auto* no = std::get_if<refusal>(&read);
    REQUIRE(no);
    CHECK(no->what == what);
    CHECK(no->message.find(key.secret_access_key) == std::string::npos);
    return no->message;
}

bool is_believed(const owned& r, std::string_view hash, std::string_view secret) {
    const claim c = claim_of(r);
    return verify(c, r.view(), hash, make_signing_key(secret, c.date, {c.region, c.service}));
}

}  // namespace

TEST_CASE("AWS's vectors verify in headers, and with no other key") {
    for (const vector& v : in_headers) {
        INFO(v.name);
        const owned r = made_from(v);
        CHECK(is_believed(r, payload_hash(""), key.secret_access_key));
        CHECK_FALSE(is_believed(r, payload_hash(""), "another"));
        CHECK_FALSE(check_scope(claim_of(r), "service", then));
    }
}

TEST_CASE("AWS's vectors verify in queries, and are what presigning gives") {
    for (const link& v : in_queries) {
        INFO(v.name);
        const headers host{{"Host", "example.amazonaws.com"}};
        const std::string target = presign({"GET", v.target, host}, key, where, then, 1h);
        CHECK(target.ends_with("&X-Amz-Signature=" + std::string(v.signature)));
        // The suite's order of parameters, and a header that is not signed.
        const std::string given =
            std::string(v.target) + (v.target.find('?') == v.target.npos ? "?" : "&") +
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1"
            "%2Fservice%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&"
            "X-Amz-Expires=3600&X-Amz-Signature=" +
            std::string(v.signature);
        const owned r{"GET",
                      given,
                      {{"Host", "example.amazonaws.com"}, {"X-Amz-Date", std::string(timestamp)}}};
        CHECK(is_believed(r, payload_hash(""), key.secret_access_key));
        CHECK(claim_of(r).life == 1h);
    }
}

TEST_CASE("AWS's vector of a body is what signing gives") {
    // post-x-www-form-urlencoded
    owned r{"POST",
            "/",
            {{"Content-Type", "application/x-www-form-urlencoded"},
             {"Host", "example.amazonaws.com"},
             {"Content-Length", "13"}}};
    const auto added = sign(r.view(), payload_hash("Param1=value1"), key, where, then);
    CHECK(added.back().first == "authorization");
    CHECK(added.back().second ==
          "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
          "SignedHeaders=content-length;content-type;host;x-amz-content-sha256;x-amz-date, "
          "Signature=d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b");
    r.fields.insert(r.fields.end(), added.begin(), added.end());
    CHECK(claim_of(r).stated_hash == payload_hash("Param1=value1"));
}

TEST_CASE("a path that the client encoded is encoded again") {
    const std::string host[] = {"host"};
    const headers h{{"host", "a"}};
    CHECK(
        canonical_request({"GET", "/2015-03-31/functions/arn%3Aaws?b=%2f+c&a", h}, host, "HASH") ==
        "GET\n/2015-03-31/functions/arn%253Aaws\na=&b=%2F%2Bc\nhost:a\n\nhost\nHASH");
    CHECK(canonical_request({"GET", "http://a/b/./c/../d/", h}, host, "HASH") ==
          "GET\n/b/d/\n\nhost:a\n\nhost\nHASH");
}

TEST_CASE("whatever is changed in a signed request, it is not believed") {
    const owned r = signed_request("/2015-03-31/functions/f/invocations?Qualifier=1");
    REQUIRE(is_believed(r, payload_hash("{}"), key.secret_access_key));
    const auto differs = [&](auto change) {
        owned other = r;
        change(other);
        const auto read = read_claim(other.view());
        if (std::holds_alternative<refusal>(read)) return true;
        return !is_believed(other, payload_hash("{}"), key.secret_access_key);
    };
    CHECK(differs([](owned& o) { o.method = "PUT"; }));
    CHECK(differs([](owned& o) { o.target = "/2015-03-31/functions/g/invocations?Qualifier=1"; }));
    CHECK(differs([](owned& o) { o.target.back() = '2'; }));
    CHECK(differs([](owned& o) { o.target += "&Qualifier=2"; }));
    CHECK(differs([](owned& o) { o["Host"] = "other"; }));
    CHECK(differs([](owned& o) { o["X-Amz-Invocation-Type"] = "DryRun"; }));
    CHECK(differs([](owned& o) { o.fields.emplace_back("X-Amz-Invocation-Type", "DryRun"); }));
    CHECK(differs([](owned& o) { o["x-amz-date"] = "20150830T123601Z"; }));
    CHECK(differs([](owned& o) { o["X-Amz-Tenant-Id"] = "another"; }));
    CHECK_FALSE(is_believed(r, payload_hash("{ }"), key.secret_access_key));
    const std::string authorization = owned(r)["authorization"];
    for (std::size_t i = authorization.find("Signature=") + 10; i < authorization.size(); ++i)
        CHECK(differs([&](owned& o) {
            char& c = o["authorization"][i];
            c = c == '0' ? '1' : '0';
        }));
    // What is not signed may change: proxies add headers.
    CHECK_FALSE(differs([](owned& o) { o["User-Agent"] = "other"; }));
}

TEST_CASE("a clock may be a quarter of an hour off, a link lives as long as it says") {
    const claim c = claim_of(signed_request());
    CHECK_FALSE(check_scope(c, "service", then + 15min));
    CHECK_FALSE(check_scope(c, "service", then - 15min));
    CHECK(check_scope(c, "service", then + 15min + 1s)->message ==
          "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z "
          "(20150830T125101Z - 15 min.)");
    CHECK(check_scope(c, "service", then - 15min - 1s)->message ==
          "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z "
          "(20150830T122059Z + 15 min.)");

    const headers host{{"Host", "h"}};
    const owned link{
        "GET", presign({"GET", "/a?b=c", host}, key, where, then, 1h), {{"Host", "h"}}};
    CHECK(is_believed(link, payload_hash(""), key.secret_access_key));
    CHECK_FALSE(check_scope(claim_of(link), "service", then + 1h));
    CHECK(check_scope(claim_of(link), "service", then + 1h + 1s)->what == refusal::kind::invalid);
    CHECK(check_scope(claim_of(link), "service", then - 16min));
}

TEST_CASE("a signature is for one service and for the day of its time") {
    const claim c = claim_of(signed_request());
    CHECK(check_scope(c, "lambda", then)->message ==
          "Credential should be scoped to correct service: 'lambda'. ");
    owned r = signed_request();
    std::string& a = r["authorization"];
    a.replace(a.find("20150830"), 8, "20150831");
    CHECK_THAT(check_scope(claim_of(r), "service", then)->message,
               Catch::StartsWith("Date in Credential scope does not match YYYYMMDD"));
}

TEST_CASE("what is not signed, or not in a way that can be read, is told apart") {
    using kind = refusal::kind;
    using Catch::Contains;
    const auto with = [](std::string authorization) {
        owned r = signed_request();
        r["authorization"] = std::move(authorization);
        return r;
    };
    owned bare{"GET", "/", {{"Host", "h"}}};
    CHECK(refused(bare, kind::missing) == "Missing Authentication Token");
    CHECK(refused(with(""), kind::missing) == "Missing Authentication Token");
    CHECK_THAT(refused(with("Bearer x"), kind::incomplete), Contains("AWS4-HMAC-SHA256"));
    CHECK_THAT(refused(with("AWS4-ECDSA-P256-SHA256 x"), kind::incomplete),
               Contains("AWS4-HMAC-SHA256"));
    CHECK(refused(with("AWS4-HMAC-SHA256"), kind::incomplete) ==
          "Authorization header requires 'Credential' parameter. Authorization header requires "
          "'Signature' parameter. Authorization header requires 'SignedHeaders' parameter.");
    CHECK_THAT(refused(with("AWS4-HMAC-SHA256 nonsense"), kind::incomplete),
               Contains("missing equal-sign"));
    const std::string good = signed_request()["authorization"];
    const auto replaced = [&](const std::string& from, const std::string& to) {
        std::string text = good;
        return with(text.replace(text.find(from), from.size(), to));
    };
    CHECK_THAT(refused(with(good + ", Signature=a"), kind::incomplete), Contains("twice"));
    CHECK_THAT(refused(replaced("AKIDEXAMPLE/", ""), kind::incomplete), Contains("5 slash"));
    CHECK_THAT(refused(replaced("AKIDEXAMPLE/", "/"), kind::incomplete), Contains("access key id"));
    CHECK_THAT(refused(replaced("aws4_request", "aws5_request"), kind::invalid),
               Contains("valid terminator"));
    CHECK_THAT(refused(replaced("host;", "hosts;"), kind::invalid), Contains("'Host'"));
    CHECK_THAT(refused(replaced("host;", "HOST;"), kind::incomplete), Contains("lower case"));
    CHECK_THAT(refused(replaced("x-amz-invocation-type", "x-other"), kind::invalid),
               Contains("not signed: x-amz-"));
    CHECK_THAT(refused(replaced("Signature=", "Signature=g"), kind::incomplete),
               Contains("64 hexadecimal"));
    std::string many;
    for (int i = 100; i < 300; ++i) many += "h" + std::to_string(i) + ";";
    CHECK_THAT(refused(replaced("host;", many + "host;"), kind::incomplete), Contains("128"));

    for (const char* date :
         {"20150830T1236Z", "20151330T123600Z", "20150830T243600Z", "20150830 123600Z",
          "99990830T123600Z", "-0150830T123600Z", "2015083-T123600Z", "now"}) {
        owned r = signed_request();
        r["x-amz-date"] = date;
        CHECK_THAT(refused(r, kind::incomplete), Contains("ISO-8601"));
    }
    owned dateless = signed_request();
    std::erase_if(dateless.fields, [](const auto& f) { return f.first == "x-amz-date"; });
    CHECK_THAT(refused(dateless, kind::incomplete), Contains("'X-Amz-Date'"));
    for (const char* hash : {"UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0"}) {
        owned r = signed_request();
        r["x-amz-content-sha256"] = hash;
        CHECK_THAT(refused(r, kind::invalid), Contains("x-amz-content-sha256"));
    }
}

TEST_CASE("a link that cannot be read is refused") {
    using kind = refusal::kind;
    using Catch::Contains;
    const headers host{{"Host", "h"}};
    const std::string good = presign({"GET", "/a", host}, key, where, then, 1h);
    const auto linked = [](std::string target) {
        return owned{"GET", std::move(target), {{"Host", "h"}}};
    };
    const auto replaced = [&](const std::string& from, const std::string& to) {
        std::string text = good;
        return linked(text.replace(text.find(from), from.size(), to));
    };
    for (const char* life : {"X-Amz-Expires=0", "X-Amz-Expires=604801", "X-Amz-Expires=-1",
                             "X-Amz-Expires=", "X-Amz-Expires=99999999999999999999", "X=1"})
        CHECK_THAT(refused(replaced("X-Amz-Expires=3600", life), kind::incomplete),
                   Contains("604800"));
    CHECK_THAT(refused(linked(good + "&X-Amz-Signature=0"), kind::incomplete), Contains("once"));
    CHECK_THAT(refused(replaced("AWS4-HMAC-SHA256", "AWS4"), kind::incomplete),
               Contains("X-Amz-Algorithm"));
    CHECK_THAT(refused(linked("/a?X-Amz-Algorithm=AWS4-HMAC-SHA256"), kind::incomplete),
               Contains("'X-Amz-Credential'") && Contains("'X-Amz-Date'"));
    owned both = linked(good);
    both["Authorization"] = "AWS4-HMAC-SHA256 x";
    CHECK_THAT(refused(both, kind::incomplete), Contains("Only one"));
}

}  // namespace hearth::sigv4
