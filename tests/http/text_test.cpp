#include "http/text.hpp"

#include <catch2/catch.hpp>

using namespace hearth::http;

TEST_CASE("base64 goes there and back, and takes nothing else") {
    // RFC 4648, section 10
    const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                           {"f", "Zg=="},
                                                           {"fo", "Zm8="},
                                                           {"foo", "Zm9v"},
                                                           {"foob", "Zm9vYg=="},
                                                           {"fooba", "Zm9vYmE="},
                                                           {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, coded] : vectors) {
        CHECK(to_base64(plain) == coded);
        CHECK(from_base64(coded).value() == plain);
    }
    std::string all;
    for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
    CHECK(from_base64(to_base64(all)).value() == all);
    for (const char* bad : {"Z", "Zg", "Zg=", "=", "====", "Z===", "Zm9v\n", "Zm-_",
                            "Zg==Zg==", "Zm 9", "\xC3\xBC=="})
        CHECK_FALSE(from_base64(bad));
}

TEST_CASE("percent escapes are decoded, malformed ones refused") {
    CHECK(percent_decode("a%20b%2Fc+d").value() == "a b/c+d");
    CHECK(percent_decode("%00").value() == std::string(1, '\0'));
    for (const char* bad : {"%", "%4", "%zz", "a%2"}) CHECK_FALSE(percent_decode(bad));
}

TEST_CASE("JSON is told from what is not, at any depth") {
    for (const char* good : {"{}", "[]", "1", "-1.5e3", "\"x\"", "null", " true ",
                             R"({"a":[1,{"b":"\u00fc\ud83d\ude00"}]})"})
        CHECK(json_fault(good).empty());
    for (const char* bad : {"", " ", "{", "nul", "{a:1}", "[1,]", "'x'", "1 2", "{}}", "\"\x01\"",
                            "\"\xff\"", "\"\\ud800\"", "01"})
        CHECK_FALSE(json_fault(bad).empty());
    CHECK(json_fault(std::string(900, '[') + std::string(900, ']')).empty());
    CHECK_FALSE(json_fault(std::string(1000000, '[')).empty());
}

TEST_CASE("a message keeps its UTF-8 and loses what is none") {
    CHECK(printable("gr\xC3\xBC\xC3\x9F") == "gr\xC3\xBC\xC3\x9F");
    CHECK(printable("a\xff") == "a?");
    CHECK(printable("\xC0\xAF") == "??");       // overlong
    CHECK(printable("\xED\xA0\x80") == "???");  // a surrogate
    CHECK(printable("\xF0\x9F\x98\x80") == "\xF0\x9F\x98\x80");
}
