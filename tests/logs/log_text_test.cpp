// A record and a group's name as they stand on disk.

#include "logs/log_text.hpp"

#include "logs/level.hpp"

#include <boost/json/parse.hpp>
#include <catch2/catch.hpp>

#include <random>
#include <string>

using namespace hearth::logs;

namespace {

std::string escaped(std::string_view text) {
    std::string out;
    append_escaped(out, text);
    return out;
}

std::string record(std::string_view message) {
    std::string out;
    append_record(out, 1764244800123, "2025/11/27/[$LATEST]00ff", message);
    return out;
}

}  // namespace

TEST_CASE("a record is a JSON line that reads back as it was") {
    for (const std::string& message :
         {std::string("plain\n"), std::string("quotes \" and \\ and / \t\r\n"),
          std::string("\x01\x1f\x7f"), std::string("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\xa5"),
          std::string("a\0b", 3), std::string()}) {
        const std::string line = record(message);
        REQUIRE(line.ends_with("\"}\n"));
        CHECK(line.find('\n') == line.size() - 1);
        const auto read = parse_record(std::string_view(line).substr(0, line.size() - 1));
        REQUIRE(read);
        CHECK(read->timestamp_ms == 1764244800123);
        CHECK(read->stream == "2025/11/27/[$LATEST]00ff");
        CHECK(unescaped(read->message) == message);
        const auto json = boost::json::parse(line).as_object();
        CHECK(json.at("m").as_string() == boost::json::string(message));
        CHECK(json.at("t").as_int64() == 1764244800123);
    }
}

TEST_CASE("what is not UTF-8 is replaced, so that every line is JSON") {
    CHECK(escaped("a\xff z") == "a\xef\xbf\xbd z");
    CHECK(escaped("\xc3") == "\xef\xbf\xbd");                                  // cut
    CHECK(escaped("\xed\xa0\x80") == "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");  // a surrogate
    CHECK(escaped("\xc0\xaf") == "\xef\xbf\xbd\xef\xbf\xbd");                  // overlong
    std::mt19937 random(7);
    for (int i = 0; i < 2000; ++i) {
        std::string noise(random() % 40, '\0');
        for (char& c : noise) c = static_cast<char>(random());
        boost::system::error_code ec;
        (void)boost::json::parse(record(noise), ec);
        CHECK(!ec);
    }
}

TEST_CASE("a record that was cut anywhere is none") {
    std::string line = record("say \"}\" and go\n");
    line.pop_back();
    for (std::size_t size = 0; size < line.size(); ++size) {
        INFO(size);
        const auto cut = parse_record(std::string_view(line).substr(0, size));
        // Only where the message itself shows a record's end could a part be taken for the whole.
        if (cut) CHECK(unescaped(cut->message).size() < 16);
    }
    CHECK(!parse_record(""));
    CHECK(!parse_record("{}"));
    CHECK(!parse_record(make_header("/a", 1).substr(0, make_header("/a", 1).size() - 1)));
}

TEST_CASE("a file's header tells when it was begun") {
    const std::string line = make_header("/aws/lambda/hello", 1764244800000);
    CHECK(parse_header(std::string_view(line).substr(0, line.size() - 1)) == 1764244800000);
    CHECK(!parse_header(R"({"hearth":"log","format":2,"group":"/a","created":1})"));
    CHECK(!parse_header(R"({"hearth":"log","format":1,"group":"/a","created":1)"));
}

TEST_CASE("a group has a directory of its own, within that of all logs") {
    CHECK(directory_of_group("/aws/lambda/hello") == "+aws+lambda+hello");
    for (const std::string& group :
         {std::string("/aws/lambda/a-b_c"), std::string(".."), std::string("."), std::string("a.b"),
          std::string("#x"), std::string(512, 'x'), std::string(200, '.') + "/..",
          std::string(400, '.')}) {
        REQUIRE(is_group_name(group));
        const std::string path = directory_of_group(group);
        CHECK(group_of_directory(path) == group);
        std::string rest = path + '/';
        while (!rest.empty()) {
            const auto slash = rest.find('/');
            const std::string part = rest.substr(0, slash);
            CHECK((!part.empty() && part.size() <= 255 && part != "." && part != ".."));
            rest.erase(0, slash + 1);
        }
    }
    CHECK(!is_group_name(""));
    CHECK(!is_group_name("a b"));
    CHECK(!is_group_name("a+b"));
    CHECK(!is_group_name(std::string(513, 'x')));
    CHECK(is_stream_name("2025/11/27/[$LATEST]0123456789abcdef"));
    CHECK(!is_stream_name("a\"b"));
}

TEST_CASE("a text is not cut within a character") {
    CHECK(cut_at("abc", 3) == 3);
    CHECK(cut_at("abcd", 3) == 3);
    CHECK(cut_at("ab\xe2\x82\xac", 3) == 2);
    CHECK(cut_at("ab\xe2\x82\xac", 4) == 2);
    CHECK(cut_at("\x80\x80\x80\x80\x80\x80", 4) == 4);  // no text at all: cut anywhere
}

TEST_CASE("a line's level is its JSON's; all else is INFO") {
    CHECK(level_of_line("text\n") == level::info);
    CHECK(level_of_line(R"({"level":"debug","msg":"x"})") == level::debug);
    CHECK(level_of_line("{\"level\":\"ERROR\"}\n") == level::error);
    CHECK(level_of_line(R"({"level":"Warning"})") == level::warn);
    CHECK(level_of_line(R"({"level":7})") == level::info);
    CHECK(level_of_line(R"({"level":"loud"})") == level::info);
    CHECK(level_of_line(R"({"msg":"x"})") == level::info);
    CHECK(level_of_line(R"({"level":"debug")") == level::info);
    CHECK(level_of_line("{" + std::string(100'000, '[')) == level::info);
    CHECK(parse_level("TRACE") < parse_level("FATAL"));
}
