#include "control/directory_watcher.hpp"
#include "control/object_event.hpp"
#include "control_test_support.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <mutex>

using namespace hearth;
using namespace hearth::test;
using control::directory_event;
using control::directory_watcher;
using control::object_states;
namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

void write(const fs::path& file, const std::string& text) { std::ofstream(file) << text; }

/// A directory, what is kept of it, and what its watcher told.
struct watched {
    temporary_directory place;
    const fs::path directory = place.path() / "in box";
    std::unique_ptr<object_states> states =
        object_states::open(place.path() / "watches.db").value();
    std::mutex mutex;
    std::vector<json::object> told;  // under mutex
    std::atomic<bool> refuses = false, holds = false, is_held = false;
    std::atomic<int> refused = 0;
    std::unique_ptr<directory_watcher> watcher;

    watched() { fs::create_directory(directory); }

    void start(const std::string& prefix = {}, const std::string& suffix = {}) {
        watcher = directory_watcher::start(
                      {.directory = directory, .function = "f", .prefix = prefix, .suffix = suffix},
                      *states,
                      {.deliver = [this](std::string payload) -> result<void> {
                           if (refuses)
                               return ++refused, error(errc::not_found, "no such function");
                           is_held = holds.load();
                           holds.wait(true);
                           const std::scoped_lock lock(mutex);
                           told.push_back(
                               json::parse(payload).at("Records").as_array().at(0).as_object());
                           return {};
                       },
                       .tell = [](std::string_view) {},
                       .region = "us-east-1",
                       .account_id = "000000000000"})
                      .value();
    }
    /// It has begun: what is there has been taken down.
    void settle(const std::string& prefix = {}, const std::string& suffix = {}) {
        const std::string id =
            fs::canonical(directory).string() + '\0' + "f" + '\0' + prefix + '\0' + suffix;
        wait([&] { return states->is_known(id).value(); });
    }
    template <class Condition>
    static void wait(Condition reached) {
        for (int i = 0; i < 2000 && !reached(); ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        REQUIRE(reached());
    }
    /// What was told so far, once it is so much: "+key size" or "-key", in order.
    std::vector<std::string> all(std::size_t count) {
        wait([&] {
            const std::scoped_lock lock(mutex);
            return told.size() >= count;
        });
        const std::scoped_lock lock(mutex);
        std::vector<std::string> lines;
        for (const json::object& each : told) {
            const json::object& o = each.at("s3").at("object").as_object();
            const bool gone = each.at("eventName") == "ObjectRemoved:Delete";
            lines.push_back((gone ? "-" : "+") + json::value_to<std::string>(o.at("key")) +
                            (gone ? "" : " " + json::serialize(o.at("size"))));
        }
        return lines;
    }
};

using lines = std::vector<std::string>;

std::string raw_event(int wd, std::uint32_t mask, const std::string& name) {
    inotify_event e{.wd = wd, .mask = mask, .cookie = 0, .len = name.empty() ? 0u : 16u};
    std::string bytes(sizeof e + e.len, '\0');
    std::memcpy(bytes.data(), &e, sizeof e);
    std::memcpy(bytes.data() + sizeof e, name.data(), name.size());
    return bytes;
}

}  // namespace

TEST_CASE("an event is S3's") {
    const auto event = json::parse(control::write_object_event({.bucket = "b",
                                                                .key = "Happy Face+ü.jpg",
                                                                .size = 1024,
                                                                .etag = "abc",
                                                                .sequencer = 255,
                                                                .milliseconds = 1583349317135,
                                                                .configuration_id = "f",
                                                                .request_id = "r",
                                                                .region = "us-east-1",
                                                                .account_id = "a"}));
    CHECK(event == json::parse(R"({"Records":[{"eventVersion":"2.1","eventSource":"aws:s3",
        "awsRegion":"us-east-1","eventTime":"2020-03-04T19:15:17.135Z","eventName":"ObjectCreated:Put",
        "userIdentity":{"principalId":"a"},"requestParameters":{"sourceIPAddress":"127.0.0.1"},
        "responseElements":{"x-amz-request-id":"r","x-amz-id-2":"r"},
        "s3":{"s3SchemaVersion":"1.0","configurationId":"f",
            "bucket":{"name":"b","ownerIdentity":{"principalId":"a"},"arn":"arn:aws:s3:::b"},
            "object":{"key":"Happy+Face%2B%C3%BC.jpg","size":1024,"eTag":"abc",
                "sequencer":"0000000000000000FF"}}}]})"));
    const auto gone = json::parse(control::write_object_event({.removed = true, .key = "a/b"}));
    const auto& record = gone.at("Records").at(0);
    CHECK(record.at("eventName") == "ObjectRemoved:Delete");
    CHECK(record.at("s3").at("object").as_object().size() == 2);
    CHECK(record.at("s3").at("object").at("key") == "a/b");
}

TEST_CASE("what inotify reads is what matters of it") {
    using kind = directory_event::kind;
    const std::string bytes =
        raw_event(1, IN_CREATE, "new") + raw_event(1, IN_CLOSE_WRITE, "written") +
        raw_event(2, IN_MOVED_TO, "moved") + raw_event(1, IN_DELETE, "deleted") +
        raw_event(1, IN_MOVED_FROM, "left") + raw_event(1, IN_CREATE | IN_ISDIR, "dir") +
        raw_event(1, IN_MOVED_FROM | IN_ISDIR, "old") +
        raw_event(1, IN_DELETE | IN_ISDIR, "empty") + raw_event(3, IN_IGNORED, "") +
        raw_event(-1, IN_Q_OVERFLOW, "") + raw_event(1, IN_DELETE_SELF, "");
    const auto events = control::read_directory_events(std::as_bytes(std::span(bytes)));
    const std::vector<directory_event> expected = {
        {kind::written, 1, "written"},   {kind::written, 2, "moved"},
        {kind::gone, 1, "deleted"},      {kind::gone, 1, "left"},
        {kind::new_directory, 1, "dir"}, {kind::lost_directory, 1, "old"},
        {kind::unwatched, 3, ""},        {kind::overflow, -1, ""},
        {kind::root_gone, 1, ""}};
    CHECK(events == expected);
    CHECK(control::read_directory_events(std::as_bytes(std::span(bytes).first(20))).empty());
}

TEST_CASE("files that are written, moved in and deleted are told of, below new directories too") {
    watched w;
    write(w.directory / "before", "x");
    w.start();
    w.settle();
    write(w.directory / "a b", "hello");
    CHECK(w.all(1) == lines{"+a+b 5"});
    write(w.place.path() / "outside", "123");
    fs::rename(w.place.path() / "outside", w.directory / "c");
    CHECK(w.all(2).back() == "+c 3");
    fs::create_directories(w.directory / "d/e");
    write(w.directory / "d/e/f", "12");
    CHECK(w.all(3).back() == "+d/e/f 2");
    write(w.directory / "before", "xy");
    CHECK(w.all(4).back() == "+before 2");
    fs::remove(w.directory / "c");
    CHECK(w.all(5).back() == "-c");
    fs::rename(w.directory / "d", w.place.path() / "d");
    CHECK(w.all(6).back() == "-d/e/f");
    const std::scoped_lock lock(w.mutex);
    const auto& s3 = w.told[0].at("s3").as_object();
    CHECK(s3.at("bucket").at("name") == "in box");
    CHECK(s3.at("object").at("eTag") == "5d41402abc4b2a76b9719d911017c592");
    std::string last;
    for (const json::object& each : w.told) {
        const auto next = json::value_to<std::string>(each.at("s3").at("object").at("sequencer"));
        CHECK(last < next);
        last = next;
    }
}

TEST_CASE("a file counts when its writer closes it; links and other things do not") {
    watched w;
    w.start();
    w.settle();
    {
        std::ofstream half(w.directory / "half");
        half << "ha" << std::flush;
        fs::create_symlink("/etc/passwd", w.directory / "link");
        REQUIRE(::mkfifo((w.directory / "fifo").c_str(), 0600) == 0);
        write(w.directory / "whole", "1");
        CHECK(w.all(1) == lines{"+whole 1"});
        half << "lf";
    }
    CHECK(w.all(2).back() == "+half 4");
}

TEST_CASE("what changed while nobody watched is told of at the next start") {
    watched w;
    for (const char* name : {"same", "changed", "gone", "touched"}) write(w.directory / name, name);
    w.start();
    w.settle();
    w.watcher.reset();
    write(w.directory / "changed", "otherwise");
    write(w.directory / "new", "1");
    fs::remove(w.directory / "gone");
    w.start();
    auto told = w.all(3);
    std::ranges::sort(told);
    CHECK(told == lines{"+changed 9", "+new 1", "-gone"});
    // The same content under a new time is not told of again.
    w.watcher.reset();
    const auto later = fs::last_write_time(w.directory / "new") + std::chrono::hours(1);
    fs::last_write_time(w.directory / "new", later);
    w.start();
    write(w.directory / "end", "");
    told = w.all(4);
    CHECK(told.size() == 4);
    CHECK(told.back() == "+end 0");
}

TEST_CASE("what cannot be delivered is kept in the directory, across a restart") {
    watched w;
    w.start();
    w.settle();
    w.refuses = true;
    write(w.directory / "a", "1");
    watched::wait([&] { return w.refused > 0; });
    w.watcher.reset();
    w.refuses = false;
    w.start();
    CHECK(w.all(1) == lines{"+a 1"});
    w.refuses = true;
    write(w.directory / "b", "2");
    const int before = w.refused;
    watched::wait([&] { return w.refused > before; });
    w.refuses = false;
    CHECK(w.all(2).back() == "+b 1");
}

TEST_CASE("what the kernel had no room to tell of is found by looking at all there is") {
    watched w;
    w.states = object_states::open({}).value();
    for (const char* name : {"gone", "changed", "a", "b"}) write(w.directory / name, "");
    w.start();
    w.settle();
    w.holds = true;
    write(w.directory / "first", "1");
    watched::wait([&] { return w.is_held.load(); });
    // The watcher reads no more. Another's queue, of the same length, says when its own is full.
    const unique_fd also = control::open_inotify().value();
    REQUIRE(control::watch_directory(also.get(), w.directory).has_value());
    std::size_t room = 0;
    std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> room;
    REQUIRE(room != 0);
    // By turns, for the kernel tells only once of what happens twice in a row.
    for (std::size_t i = 0; i <= room; ++i) write(w.directory / (i % 2 ? "a" : "b"), "");
    for (int i = 0; i < 50; ++i) write(w.directory / ("new" + std::to_string(i)), "12");
    fs::create_directories(w.directory / "d/e");
    write(w.directory / "d/e/f", "123");
    write(w.directory / "changed", "1234");
    fs::remove(w.directory / "gone");
    std::vector<std::byte> bytes(room * 64);
    const ssize_t n = ::read(also.get(), bytes.data(), bytes.size());
    REQUIRE(n > 0);
    const auto seen =
        control::read_directory_events(std::span(bytes).first(static_cast<std::size_t>(n)));
    REQUIRE(seen.back().what == directory_event::kind::overflow);
    REQUIRE(std::ranges::none_of(seen, [](const auto& e) { return e.name.starts_with("new"); }));

    w.holds = false;
    w.holds.notify_all();
    lines expected{"+changed 4", "+d/e/f 3", "+first 1", "-gone"};
    for (int i = 0; i < 50; ++i) expected.push_back("+new" + std::to_string(i) + " 2");
    const auto is_ours = [](const std::string& line) {
        return !line.starts_with("+a ") && !line.starts_with("+b ");
    };
    lines told;
    watched::wait([&] {
        told = w.all(0);
        std::erase_if(told, std::not_fn(is_ours));
        return told.size() >= expected.size();
    });
    std::ranges::sort(told);
    std::ranges::sort(expected);
    CHECK(told == expected);
}

TEST_CASE("keys are filtered by what they begin and end with") {
    watched w;
    fs::create_directory(w.directory / "in");
    w.start("in/", ".jpg");
    w.settle("in/", ".jpg");
    for (const char* name : {"a.jpg", "in/a.txt", "in/a.jpg"}) write(w.directory / name, "1");
    CHECK(w.all(1) == lines{"+in/a.jpg 1"});
    write(w.directory / "in/z.jpg", "12");
    CHECK(w.all(2) == lines{"+in/a.jpg 1", "+in/z.jpg 2"});
}

TEST_CASE("a directory that goes away is waited for, and its files are not taken for deleted") {
    watched w;
    write(w.directory / "a", "1");
    w.start();
    w.settle();
    fs::rename(w.directory, w.place.path() / "away");
    fs::rename(w.place.path() / "away", w.directory);
    write(w.directory / "b", "2");
    CHECK(w.all(1) == lines{"+b 1"});
}

TEST_CASE("what is no directory is refused") {
    watched w;
    write(w.directory / "file", "");
    for (const char* bad : {"file", "absent"})
        CHECK(directory_watcher::start({.directory = w.directory / bad, .function = "f"}, *w.states,
                                       {})
                  .error() == errc::invalid_argument);
}

TEST_CASE("a watched directory's files invoke its function") {
    const temporary_directory dir;
    fs::create_directory(dir.path() / "bucket");
    fake_worker worker;
    control_options options;
    options.data_directory = dir.path() / "data";
    const auto control = control_plane::create(options, worker).value();
    control->create_function(creation("f")).value();
    settle(*control, "f");
    std::vector<directory_watch> watches{{.directory = dir.path() / "bucket", .function = "f"}};
    const auto watching =
        directory_watches::start(*control, watches, dir.path() / "data/watches.db").value();
    for (int i = 0; i < 2000 && worker.runs() == 0; ++i) {
        write(dir.path() / "bucket/a", std::to_string(i));
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    const std::scoped_lock lock(worker.last_mutex);
    REQUIRE_FALSE(worker.events.empty());
    const auto event = json::parse(worker.events[0]);
    CHECK(event.at("Records").at(0).at("s3").at("bucket").at("name") == "bucket");
    // A chain of requests of its own begins with it.
    CHECK_THAT(worker.last.trace_id, Catch::StartsWith("Root=1-") && Catch::EndsWith(":0"));
    watches[0].function = "a b";
    CHECK(directory_watches::start(*control, watches).error() == errc::invalid_argument);
    watches[0] = {.directory = "/absent", .function = "f"};
    CHECK(directory_watches::start(*control, watches).error() == errc::invalid_argument);
}
