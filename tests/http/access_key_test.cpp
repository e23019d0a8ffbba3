// Credentials files and their rules.

#include "../support/temporary_directory.hpp"

#include <hearth/http/access_key.hpp>

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <fstream>
#include <string>

namespace hearth::http {
namespace {

const std::string secret = "wJalrXUtnFEMI/K7MDENG#bPxRfiCYzEXAMPLEKEY=";
const std::string whole =
    "[a]\naws_access_key_id = AKIAA\naws_secret_access_key = " + secret + "\nallow = *\n";

std::string fault(const std::string& text) {
    const auto read = parse_access_keys(text, "FILE");
    REQUIRE(read.has_error());
    CHECK(read.error() == errc::invalid_argument);
    CHECK(read.error().message().find(secret) == std::string::npos);
    return read.error().message();
}

}  // namespace

TEST_CASE("a credentials file is read with comments, blanks and rules") {
    const auto keys = parse_access_keys(
                          "# ours\r\n\n  [deployer]  ; who deploys\r\n"
                          "aws_access_key_id=AKIAD\n"
                          "aws_secret_access_key =\t" +
                              secret +
                              "  # \n"
                              "allow = *\n"
                              "[front@home]\naws_secret_access_key = " +
                              secret +
                              "2\n"
                              "aws_access_key_id = AKIAF\n"
                              "allow = lambda:InvokeFunction,GetMetrics on hello,\tt-?*\n"
                              "allow = get*",
                          "FILE")
                          .value();
    REQUIRE(keys.size() == 2);
    CHECK(keys[0].name == "deployer");
    CHECK(keys[0].access_key_id == "AKIAD");
    CHECK(keys[0].secret_access_key == secret);
    CHECK(keys[1].name == "front@home");
    REQUIRE(keys[1].allow.size() == 2);
    CHECK(keys[1].allow[0].actions == std::vector<std::string>{"InvokeFunction", "GetMetrics"});
    CHECK(keys[1].allow[0].functions == std::vector<std::string>{"hello", "t-?*"});
    CHECK(keys[1].allow[1].functions == std::vector<std::string>{"*"});
}

TEST_CASE("a key is given to the functions that it names, the first of several") {
    const std::string plain =
        "[b]\naws_access_key_id = AKIAB\naws_secret_access_key = " + secret + "\nallow = *\n";
    CHECK_FALSE(keys_for_functions(parse_access_keys(whole, "FILE").value()));
    const auto source = keys_for_functions(
        parse_access_keys(
            whole + "functions = resize, t-?*\n" + plain + "functions = t-1\nfunctions=x\n", "FILE")
            .value());
    REQUIRE(source);
    CHECK(source("resize").access_key_id == "AKIAA");
    CHECK(source("resize").secret_access_key == secret);
    CHECK(source("resize").session_token.empty());
    CHECK(source("t-1").access_key_id == "AKIAA");
    CHECK(source("x").access_key_id == "AKIAB");
    CHECK(source("t-").access_key_id.empty());
    CHECK(source("Resize").access_key_id.empty());
    for (const char* wrong : {"", "a b,", "a:b", ","})
        CHECK(fault(whole + "functions = " + wrong).find("'functions = resize, thumb-*'") !=
              std::string::npos);
}

TEST_CASE("rules allow what they name and nothing else") {
    const access_key key{.allow = {{{"InvokeFunction"}, {"hello", "t-?*-x"}},
                                   {{"Get*"}, {"*"}},
                                   {{"List*"}, {"hello"}}}};
    CHECK(allows(key, "InvokeFunction", "hello"));
    CHECK(allows(key, "InvokeFunction", "t-ab-x"));
    CHECK_FALSE(allows(key, "InvokeFunction", "t--x"));
    CHECK_FALSE(allows(key, "InvokeFunction", "Hello"));
    CHECK_FALSE(allows(key, "InvokeFunction", "hello2"));
    CHECK_FALSE(allows(key, "InvokeFunction", "*"));
    CHECK_FALSE(allows(key, "DeleteFunction", "hello"));
    CHECK(allows(key, "GetFunction", "other"));
    CHECK(allows(key, "GetAccountSettings", "*"));
    // A pattern is for one service's actions.
    CHECK_FALSE(allows(key, "logs:GetLogEvents", "/aws/lambda/hello"));
    const access_key logs{.allow = {{{"logs:*"}, {"/aws/lambda/h*"}}}};
    CHECK(allows(logs, "logs:GetLogEvents", "/aws/lambda/hello"));
    CHECK_FALSE(allows(logs, "logs:GetLogEvents", "/aws/lambda/other"));
    CHECK_FALSE(allows(logs, "logs:DescribeLogGroups", "*"));
    CHECK_FALSE(allows(logs, "GetFunction", "/aws/lambda/hello"));
    CHECK(allows({.allow = {{{"*"}, {"*"}}}}, "logs:DescribeLogGroups", "*"));
    CHECK(allows(key, "ListAliases", "hello"));
    CHECK_FALSE(allows(key, "ListFunctions", "*"));
    CHECK_FALSE(allows({}, "InvokeFunction", "hello"));
    // What is compared backs up to the last star only.
    const access_key wide{.allow = {{{"*"}, {"*a*a*a*a*a*a*a*a*b"}}}};
    CHECK_FALSE(allows(wide, "InvokeFunction", std::string(4000, 'a')));
}

TEST_CASE("what is wrong in a credentials file is said with its line and what mends it") {
    using Catch::Contains;
    using Catch::StartsWith;
    CHECK_THAT(fault(""), StartsWith("FILE holds no key") && Contains("[NAME]"));
    CHECK_THAT(fault("aws_access_key_id = A\n"), StartsWith("FILE, line 1: "));
    CHECK_THAT(fault("[a\n"), StartsWith("FILE, line 1: "));
    CHECK_THAT(fault("[a b]\n"), StartsWith("FILE, line 1: "));
    CHECK_THAT(fault(whole + "[a]\n"), StartsWith("FILE, line 5: ") && Contains("second [a]"));
    CHECK_THAT(fault("[a]\n\n" + secret.substr(0, 41) + "\n"), StartsWith("FILE, line 3: "));
    CHECK_THAT(fault("[a]\n" + secret + "\n"), StartsWith("FILE, line 2: "));
    CHECK_THAT(fault("[a]\nregion = x\n"), Contains("line 2") && Contains("'region'"));
    CHECK_THAT(fault("[a]\naws_session_token = x\n"), Contains("line 2") && Contains("remove"));
    CHECK_THAT(fault("[a]\naws_secret_access_key = short\n"),
               Contains("line 2") && Contains("openssl rand"));
    CHECK_THAT(fault("[a]\naws_access_key_id = A/B\n"), Contains("line 2"));
    CHECK_THAT(fault("[a]\n[b]\n"), Contains("line 1") && Contains("no aws_access_key_id"));
    CHECK_THAT(fault("[a]\naws_access_key_id = A\n"), Contains("no aws_secret_access_key"));
    CHECK_THAT(fault(whole.substr(0, whole.find("allow"))),
               Contains("line 1") && Contains("'allow = *'"));
    std::string same = whole;
    CHECK_THAT(fault(whole + same.replace(1, 1, "b")), Contains("line 6") && Contains("line 2"));
    CHECK_THAT(fault(whole + "aws_access_key_id = B\n"), Contains("second aws_access_key_id"));
    CHECK_THAT(fault(whole + "aws_secret_access_key = " + secret + "\n"), Contains("second"));
    for (const char* rule : {"", "on a", "* on", "*,", ", *", "a,,b on c", "* on a,"})
        CHECK_THAT(fault(whole + "allow = " + rule + "\n"), StartsWith("FILE, line 5: "));
    CHECK_THAT(fault(whole + "allow = Invoke\n"),
               Contains("'Invoke'") && Contains("InvokeFunction"));
    CHECK_THAT(fault(whole + "allow = * on a:1\n"), Contains("'a:1'") && Contains("qualifier"));
}

TEST_CASE("a credentials file that others can read is refused") {
    const test::temporary_directory dir;
    const std::string file = dir.path() / "credentials";
    using Catch::Contains;
    CHECK_THAT(read_access_keys(file).error().message(),
               Contains(file) && Contains("No such file"));
    std::ofstream(file) << whole;
    for (const mode_t mode : {0644, 0640, 0604, 0620}) {
        ::chmod(file.c_str(), mode);
        const auto read = read_access_keys(file);
        REQUIRE(read.has_error());
        CHECK_THAT(read.error().message(), Contains("chmod 600 " + file));
    }
    ::chmod(file.c_str(), 0600);
    CHECK(read_access_keys(file).value().size() == 1);
    ::chmod(file.c_str(), 0400);
    CHECK(read_access_keys(file).value().size() == 1);
    CHECK_THAT(read_access_keys(dir.path()).error().message(), Contains("regular file"));
}

}  // namespace hearth::http
