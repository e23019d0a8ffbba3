// What is written comes back in order; files are rotated, survive a crash, and never hold anybody
// up.

#include "logs/log_store.hpp"

#include "temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

using namespace hearth;
using namespace hearth::logs;
using hearth::test::temporary_directory;

namespace {

constexpr const char* group = "/aws/lambda/f";
constexpr const char* one = "2025/11/27/[$LATEST]01";
constexpr const char* two = "2025/11/27/[1]02";

std::shared_ptr<store> open(const temporary_directory& d, log_options o = {}) {
    o.directory = d.path();
    return store::open(std::move(o), nullptr).value();
}

std::shared_ptr<source> make(const std::string& stream = one, const std::string& of = group) {
    return store::make_source({.group = of, .stream = stream});
}

void put(store& s, const std::shared_ptr<source>& from, std::int64_t ms, const std::string& text) {
    s.write(from, {{ms, text, false}});
}

std::vector<std::string> messages(const log_page& p) {
    std::vector<std::string> all;
    for (const auto& e : p.events) all.push_back(e.message);
    return all;
}

std::vector<std::string> all_messages(const store& s, log_query q = {}) {
    q.group = group;
    std::vector<std::string> all;
    for (;;) {
        const auto page = s.read(q).value();
        for (auto& m : messages(page)) all.push_back(std::move(m));
        if (page.complete) return all;
        q.start = page.next;
    }
}

std::filesystem::path file(const temporary_directory& d, int number) {
    return d.path() / "+aws+lambda+f" / file_name(static_cast<std::uint64_t>(number));
}

using texts = std::vector<std::string>;

}  // namespace

TEST_CASE("output becomes an event for each line, and what has no end one before our next line") {
    const temporary_directory d;
    const auto s = open(d);
    const auto a = make(one), b = make(two);
    put(*s, a, 1, "he");
    put(*s, b, 2, "other\n");
    put(*s, a, 3, "llo\nworld\nunf");
    s->write(a, {{4, "inished", false}, {5, "END\n", true}, {6, "REPORT\n", true}});
    const auto page = s->read({.group = group}).value();
    CHECK(messages(page) ==
          texts{"other\n", "hello\n", "world\n", "unfinished", "END\n", "REPORT\n"});
    CHECK(page.complete);
    CHECK(page.events[1].timestamp_ms == 1);
    CHECK(page.events[3].timestamp_ms == 3);
    CHECK(page.events[1].stream == one);
    CHECK(page.events[0].stream == two);
    const log_metrics m = s->metrics();
    CHECK(m.events == 6);
    CHECK(m.lost == 0);
    CHECK(m.bytes > 6 * 30);
}

TEST_CASE("events are found by stream, time and text, forwards and backwards, a page at a time") {
    const temporary_directory d;
    const auto s = open(d, {.file_size = byte_count(4096)});
    const auto a = make(one), b = make(two);
    texts odd;
    for (int i = 0; i < 200; ++i) {
        const std::string text = "line " + std::to_string(i) + std::string(60, '.') + "\n";
        put(*s, i % 2 ? b : a, 1000 + i, text);
        s->flush();  // else all of them are one write
        if (i % 2) odd.push_back(text);
    }
    REQUIRE(file_numbers(d.path() / "+aws+lambda+f").size() > 3);

    CHECK(all_messages(*s, {.streams = {two}}) == odd);
    CHECK(all_messages(*s, {.streams = {two}, .max_events = 7}) == odd);
    CHECK(all_messages(*s, {.streams = {two}, .max_bytes = byte_count(300)}) == odd);
    CHECK(all_messages(*s, {.stream_prefix = "2025/11/27/[1"}) == odd);
    CHECK(all_messages(*s, {.from_ms = 1195, .to_ms = 1198}).size() == 4);
    CHECK(all_messages(*s, {.matches = [](std::string_view m) {
              return m.find("77") != m.npos;
          }}).size() == 2);

    texts backwards;
    log_query q{.group = group, .streams = {two}, .backward = true, .max_events = 9};
    for (;;) {
        const auto page = s->read(q).value();
        auto some = messages(page);
        CHECK(some.size() <= 9);
        backwards.insert(backwards.begin(), some.begin(), some.end());
        if (page.complete) break;
        q.start = page.next;
    }
    CHECK(backwards == odd);

    // What comes later stands after the end of what was read.
    auto end = s->read({.group = group, .from_ms = 5000}).value();
    CHECK(end.events.empty());
    put(*s, a, 1, "late\n");
    CHECK(messages(s->read({.group = group, .start = end.next}).value()) == texts{"late\n"});
}

TEST_CASE("streams and groups are told with their times and sizes") {
    const temporary_directory d;
    const auto s = open(d);
    CHECK(s->groups().value().empty());
    CHECK(s->read({.group = group}).error() == errc::not_found);
    CHECK(s->streams("no such name!").error() == errc::not_found);
    put(*s, make(one), 10, "a\n");
    put(*s, make(one), 30, "b\n");
    put(*s, make(two), 20, "c\n");
    const std::string deep = std::string(300, 'g') + "/x";
    put(*s, make(one, deep), 1, "d\n");
    const auto streams = s->streams(group).value();
    REQUIRE(streams.size() == 2);
    CHECK(streams[0].name == one);
    CHECK(streams[0].first_event_ms == 10);
    CHECK(streams[0].last_event_ms == 30);
    CHECK(streams[1].stored.bytes() > 0);
    const auto groups = s->groups().value();
    REQUIRE(groups.size() == 2);
    CHECK(groups[0].name == group);
    CHECK(groups[1].name == deep);
    CHECK(groups[0].stored.bytes() > 100);
    CHECK(groups[0].created_ms > 1'600'000'000'000);
}

TEST_CASE("a group keeps its newest files, and a reader that fell behind goes on with the oldest") {
    const temporary_directory d;
    const auto s = open(d, {.file_size = byte_count(4096), .files_per_group = 3});
    const auto a = make();
    put(*s, a, 1, "first\n");
    const auto early = s->read({.group = group}).value();
    for (int i = 0; i < 100; ++i) {
        put(*s, a, 2, std::to_string(i) + std::string(500, 'x') + "\n");
        s->flush();
    }
    const auto numbers = file_numbers(d.path() / "+aws+lambda+f");
    REQUIRE(numbers.size() == 3);
    CHECK(numbers.back() > 8);
    for (const auto n : numbers)
        CHECK(std::filesystem::file_size(file(d, static_cast<int>(n))) < 8192);
    const auto page = s->read({.group = group, .start = early.next}).value();
    REQUIRE(!page.events.empty());
    CHECK(page.events.front().at.file == numbers.front());
    CHECK(page.events.back().message.starts_with("99x"));
}

TEST_CASE("after a crash within a record the rest is read, and what follows stands by itself") {
    const temporary_directory d;
    put(*open(d), make(), 1, "whole\n");
    const auto size = std::filesystem::file_size(file(d, 1));
    {
        std::ofstream out(file(d, 1), std::ios::app);
        out << R"({"t":2,"s":"2025/11/27/[$LATEST]01","m":"cut o)";
    }
    const auto s = open(d);
    CHECK(all_messages(*s) == texts{"whole\n"});
    put(*s, make(), 3, "later\n");
    CHECK(all_messages(*s) == texts{"whole\n", "later\n"});
    CHECK(std::filesystem::file_size(file(d, 1)) > size);

    std::ofstream(file(d, 2)).flush();  // made, and no header written
    const auto again = open(d);
    put(*again, make(), 4, "last\n");
    CHECK(all_messages(*again) == texts{"whole\n", "later\n", "last\n"});
    std::filesystem::remove_all(d.path() / "+aws+lambda+f");  // somebody tidies up
    put(*again, make(), 5, "anew\n");
    CHECK(all_messages(*again) == texts{"anew\n"});
}

TEST_CASE("with JSON, lines below the level are left out, and our own never") {
    const temporary_directory d;
    const auto s = open(d);
    const auto from = store::make_source(
        {.group = group, .stream = one, .is_json = true, .application = level::warn});
    put(*s, from, 1, "text\n{\"level\":\"INFO\"}\n{\"level\":\"ERROR\",\"m\":1}\n{\"level\":\"wa");
    s->write(from, {{2, "rn\"}", false}, {3, "{\"type\":\"platform.report\"}\n", true}});
    CHECK(all_messages(*s) == texts{"{\"level\":\"ERROR\",\"m\":1}\n", "{\"level\":\"warn\"}",
                                    "{\"type\":\"platform.report\"}\n"});
}

TEST_CASE("a line that never ends becomes events of a bounded size") {
    const temporary_directory d;
    const auto s = open(d);
    const auto a = make();
    std::string sent;
    for (int i = 0; i < 40; ++i) {
        const std::string chunk(20'000, static_cast<char>('a' + i % 26));
        put(*s, a, 1, chunk);
        sent += chunk;
    }
    s->write(a, {{2, "END\n", true}});
    texts got = all_messages(*s);
    REQUIRE(got.size() > 3);
    CHECK(got.back() == "END\n");
    got.pop_back();
    std::string together;
    for (const auto& m : got) {
        CHECK(m.size() <= store::max_message);
        together += m;
    }
    CHECK(together == sent);
}

namespace {

class listener final : public observer {
  public:
    void on_log(const log_record& r) override {
        if (r.room == "logs") ++told, last = r.message;
    }
    std::atomic<int> told = 0;
    std::string last;  ///< the thread's that tells; read when the store is gone
};

}  // namespace

TEST_CASE("a disk that takes nothing costs the lines, counted, and the observer hears it once") {
    const temporary_directory d;
    std::ofstream(d.path() / "+aws+lambda+f") << "no directory";
    const auto hears = std::make_shared<listener>();
    {
        const auto s = store::open({.directory = d.path()}, hears).value();
        const auto a = make();
        for (int i = 0; i < 3; ++i) {
            put(*s, a, 1, "gone\n");
            s->flush();
        }
        CHECK(s->metrics().lost == 3);
        CHECK(s->metrics().events == 0);
        put(*s, make(one, "other"), 1, "kept\n");  // other groups go on
        s->flush();
        CHECK(s->metrics().events == 1);
    }
    CHECK(hears->told == 1);
    CHECK(hears->last.find("+aws+lambda+f") != std::string::npos);
}

TEST_CASE("a disk that is slow holds nobody up: what finds the queue full is lost and counted") {
    const temporary_directory d;
    std::filesystem::create_directories(d.path() / "+aws+lambda+f");
    // A pipe nobody reads takes 64 KiB and then nothing more, like a disk that hangs.
    REQUIRE(::mkfifo(file(d, 1).c_str(), 0600) == 0);
    const auto hears = std::make_shared<listener>();
    auto s =
        store::open({.directory = d.path(), .queue_size = byte_count(256 << 10)}, hears).value();
    const auto a = make();
    const std::string line = std::string(999, 'x') + "\n";
    // One queue's worth is with the thread, one waits, the rest is too much.
    std::uint64_t sent = 0;
    while (s->metrics().lost < 100) put(*s, a, 1, line), ++sent;
    std::thread reading([&] {
        const int fd = ::open(file(d, 1).c_str(), O_RDONLY | O_CLOEXEC);
        char buffer[65536];
        while (::read(fd, buffer, sizeof buffer) > 0) {
        }
        ::close(fd);
    });
    log_metrics m;
    do s->flush(), m = s->metrics();
    while (m.events + m.lost < sent);
    CHECK(m.events + m.lost == sent);
    CHECK(m.lost >= 100);
    s.reset();
    reading.join();
    CHECK(hears->told == 1);
}

TEST_CASE("several threads write while one reads") {
    const temporary_directory d;
    const auto s = open(d, {.file_size = byte_count(16 << 10), .files_per_group = 100});
    constexpr int threads = 4, lines = 500;
    std::vector<std::thread> writing;
    for (int t = 0; t < threads; ++t)
        writing.emplace_back([&, t] {
            const auto a = make("s/" + std::to_string(t));
            for (int i = 0; i < lines; ++i) put(*s, a, i, std::to_string(i) + "\n");
        });
    std::map<std::string, int> next;
    log_position at;
    int seen = 0;
    while (seen < threads * lines) {
        const auto page = s->read({.group = group, .start = at});
        if (page.has_error()) continue;  // there is no such group yet
        for (const auto& e : page->events)
            CHECK(e.message == std::to_string(next[e.stream]++) + "\n");
        seen += static_cast<int>(page->events.size());
        at = page->next;
    }
    for (auto& t : writing) t.join();
    CHECK(seen == threads * lines);
    CHECK(s->metrics().lost == 0);
}

TEST_CASE("names that are none of CloudWatch's are not written, and nonsensical options refused") {
    const temporary_directory d;
    CHECK(!make(one, "a b"));
    CHECK(!make("a\nb"));
    const auto s = open(d);
    put(*s, nullptr, 1, "nothing\n");
    s->flush();
    CHECK(s->groups().value().empty());
    CHECK(store::open({.directory = d.path(), .files_per_group = 1}, nullptr).error() ==
          errc::invalid_argument);
    std::ofstream(d.path() / "file") << "x";
    CHECK(store::open({.directory = d.path() / "file" / "logs"}, nullptr).error() ==
          errc::storage_failed);
}
