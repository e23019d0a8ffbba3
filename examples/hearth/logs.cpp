#include "remote.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <limits>
#include <optional>
#include <string>
#include <thread>

namespace hearth::cli {
namespace {

namespace json = boost::json;
using boost::beast::http::verb;
using namespace std::chrono_literals;

/// Between two looks of --follow.
constexpr auto look_again = 500ms;
/// Lines of several environments are a little out of their order in time.
constexpr std::int64_t disorder_ms = 10'000;

struct logs_settings {
    std::string function;
    std::string since = "10m";
    std::string filter;
    bool is_following = false;
    remote_settings of;
};

/// "90s", "10m", "3h", "2d", "1w" in milliseconds.
std::optional<std::int64_t> parse_age(const std::string& text) {
    std::int64_t n = 0;
    const char* const last = text.data() + text.size();
    const auto [end, ec] = std::from_chars(text.data(), last, n);
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / (7 * 86'400'000ll);
    if (ec != std::errc() || end + 1 != last || n < 0 || n > most) return std::nullopt;
    switch (*end) {
        case 's':
            return n * 1000;
        case 'm':
            return n * 60'000;
        case 'h':
            return n * 3'600'000;
        case 'd':
            return n * 86'400'000;
        case 'w':
            return n * 7 * 86'400'000;
        default:
            return std::nullopt;
    }
}

/// As a filter pattern: one phrase.
std::string phrase(const std::string& text) {
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') quoted += '\\';
        quoted += c;
    }
    return quoted + '"';
}

bool print(const json::object& event) {
    const auto* at = event.if_contains("timestamp");
    const auto* message = event.if_contains("message");
    if (!at || !at->is_int64() || !message || !message->is_string()) return true;
    const auto seconds = static_cast<std::time_t>(at->as_int64() / 1000);
    std::tm utc{};
    ::gmtime_r(&seconds, &utc);
    char day[32] = "";
    std::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc);
    std::string line(message->as_string());
    while (line.ends_with('\n')) line.pop_back();
    return std::printf("%s.%03dZ %s\n", day, static_cast<int>(at->as_int64() % 1000),
                       line.c_str()) >= 0;
}

class log_reader {
  public:
    log_reader(const remote& server, const logs_settings& settings)
        : server_(server), settings_(settings) {}

    /// Whose group it is: a function with a LoggingConfig may have another than its own.
    result<void> find_group() {
        if (settings_.function.starts_with('/')) {
            group_ = settings_.function;
            return {};
        }
        // An ARN or a qualifier says more than the group's name has.
        std::string name = settings_.function;
        if (const auto at = name.find(":function:"); at != name.npos) name.erase(0, at + 10);
        name = name.substr(0, name.find(':'));
        group_ = "/aws/lambda/" + name;
        auto answered = server_.ask(verb::get, path_of(name) + "/configuration");
        if (!answered) return answered.error();
        boost::system::error_code ec;
        const auto document = json::parse(answered->body, ec);
        is_function_ = answered->ok();
        if (!is_function_ || ec || !document.is_object()) return {};  // its logs may still be there
        if (const auto* logging = document.as_object().if_contains("LoggingConfig");
            logging && logging->is_object())
            if (const auto* named = logging->as_object().if_contains("LogGroup");
                named && named->is_string())
                group_ = std::string(named->as_string());
        return {};
    }

    void start_at(std::int64_t ms) { from_ms_ = ms; }

    /// Prints what there is beyond what was printed. @return false: nobody reads it
    result<bool> look() {
        std::string next_token;
        std::int64_t latest = 0;
        do {
            json::object asked{
                {"logGroupName", group_},
                {"startTime", from_ms_},
                {"filterPattern", settings_.filter.empty() ? "" : phrase(settings_.filter)}};
            if (!next_token.empty()) asked["nextToken"] = next_token;
            auto answered =
                server_.ask(verb::post, "/", json::serialize(asked),
                            {{"X-Amz-Target", "Logs_20140328.FilterLogEvents"}}, {}, "logs");
            if (!answered) return answered.error();
            // A function that has written nothing has no group.
            const auto type = answered->headers.find("x-amzn-errortype");
            const bool is_absent =
                type != answered->headers.end() && type->second == "ResourceNotFoundException";
            if (is_absent && is_function_) return true;
            if (!answered->ok()) return answered->failure();
            boost::system::error_code ec;
            const auto document = json::parse(answered->body, ec);
            const auto* events =
                !ec && document.is_object() ? document.as_object().if_contains("events") : nullptr;
            if (!events || !events->is_array())
                return error(errc::invalid_argument, "the server's answer cannot be read");
            for (const auto& each : events->as_array()) {
                if (!each.is_object()) continue;
                const auto* id = each.as_object().if_contains("eventId");
                const auto* at = each.as_object().if_contains("timestamp");
                if (!id || !id->is_string() || !at || !at->is_int64()) continue;
                // Ids grow in the order of writing.
                std::string known(id->as_string());
                if (known <= last_id_) continue;
                last_id_ = std::move(known);
                latest = std::max(latest, at->as_int64());
                if (!print(each.as_object())) return false;
            }
            const auto* next = document.as_object().if_contains("nextToken");
            next_token = next && next->is_string() ? std::string(next->as_string()) : std::string();
        } while (!next_token.empty());
        from_ms_ = std::max(from_ms_, latest - disorder_ms);
        return std::fflush(stdout) == 0;
    }

  private:
    const remote& server_;
    const logs_settings& settings_;
    std::string group_, last_id_;
    bool is_function_ = false;
    std::int64_t from_ms_ = 0;
};

int logs(const logs_settings& settings) {
    const auto age = parse_age(settings.since);
    if (!age)
        return complain("--since '" + settings.since + "' is no age such as 90s, 10m, 3h or 2d");
    auto server = remote::create(settings.of);
    if (!server) return complain(server.error());
    log_reader reader(*server, settings);
    if (auto found = reader.find_group(); !found) return complain(found.error());
    const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
    reader.start_at(std::max<std::int64_t>(0, now - *age));
    for (;;) {
        const auto written = reader.look();
        if (!written) return complain(written.error());
        if (!*written) return complain("the logs could not be written to stdout");
        if (!settings.is_following) return 0;
        std::this_thread::sleep_for(look_again);
    }
}

}  // namespace

command add_logs(CLI::App& app) {
    auto settings = std::make_shared<logs_settings>();
    app.add_option("FUNCTION", settings->function,
                   "The function's name or ARN, or a log group, which begins with '/'")
        ->required();
    app.add_flag("-f,--follow", settings->is_following, "Go on with what is written from now on");
    app.add_option("--since", settings->since, "Lines as old as this: 90s, 10m, 3h, 2d, 1w")
        ->type_name("AGE")
        ->capture_default_str();
    app.add_option("--filter", settings->filter, "Only lines with this text in them")
        ->type_name("TEXT");
    add_remote_options(app, settings->of);
    app.footer(
        "Reads what the functions of a running server wrote, with START, END and REPORT of each "
        "invocation.\n"
        "Requests are signed when AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set.\n"
        "\nExamples:\n"
        "  hearth logs hello\n"
        "  hearth logs hello --follow --since 1h\n"
        "  hearth logs hello --filter ERROR\n"
        "  aws --endpoint-url http://127.0.0.1:9000 logs tail /aws/lambda/hello --follow");
    return [settings] { return logs(*settings); };
}

}  // namespace hearth::cli
