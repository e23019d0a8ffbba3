#include "control/destination.hpp"

#include "base/system_error.hpp"
#include "base/unique_fd.hpp"
#include "control/control_plane_impl.hpp"

#include <hearth/init_failure.hpp>

#include <boost/json.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>

namespace hearth::control {

namespace json = boost::json;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view s3_prefix = "arn:aws:s3:::", http_prefix = "arn:aws:http:::",
                           sqs_prefix = "arn:aws:sqs:";

bool is_bucket(std::string_view name) {
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    };
    return name.size() >= 3 && name.size() <= 63 && std::ranges::all_of(name, fits) &&
           name.front() != '.' && name.front() != '-' && name.back() != '.' &&
           name.find("..") == name.npos;
}

/// HOST:PORT/PATH, of which nothing could be taken for another line of the request.
std::optional<http_destination> parse_endpoint(std::string_view text) {
    const auto is_plain = [](char c) { return c > ' ' && c < 0x7f; };
    if (!std::ranges::all_of(text, is_plain)) return std::nullopt;
    const std::string_view authority = text.substr(0, text.find('/'));
    const auto colon = authority.rfind(':');
    if (colon == authority.npos) return std::nullopt;
    std::string_view host = authority.substr(0, colon);
    const std::string_view port = authority.substr(colon + 1);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    unsigned number = 0;
    const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (host.empty() || ec != std::errc() || end != port.data() + port.size() || number == 0 ||
        number > 65535)
        return std::nullopt;
    const std::string_view target = text.substr(authority.size());
    return http_destination{std::string(host), std::string(port),
                            target.empty() ? "/" : std::string(target)};
}

std::time_t seconds_of(event_time t) { return std::chrono::system_clock::to_time_t(t); }

/// A document as it is; what is none, as a string.
std::string as_json(std::string_view text) {
    json::error_code failed;
    json::parse_options options;
    options.max_depth = 512;
    (void)json::parse(json::string_view(text.data(), text.size()), failed, {}, options);
    if (!failed) return std::string(text);
    // Bytes that are no UTF-8 would make the record no JSON either.
    std::string clean(text);
    json::value quoted(clean);
    std::string out = json::serialize(quoted);
    (void)json::parse(out, failed, {}, options);
    if (!failed) return out;
    for (char& c : clean)
        if (static_cast<unsigned char>(c) >= 0x80) c = '?';
    return json::serialize(json::value(clean));
}

/// What the function answered, or what stands for it where it did not come to that.
struct answer {
    int status = 200;
    std::string function_error, version, payload;  ///< JSON, or empty
};

answer answer_of(const event_ending& ending) {
    answer a;
    a.version = ending.last.executed_version;
    a.function_error = ending.last.function_error;
    if (!ending.failure.code()) {
        // An event that became too old has no answer that is still known.
        if (ending.how == condition::event_age_exceeded)
            a.status = 0;
        else
            a.payload = as_json(ending.last.payload);
        return a;
    }
    const std::string why = ending.failure.message();
    if (ending.failure == errc::init_failed) {
        a.function_error = "Unhandled";
        const init_failure said = init_failure_in(why);
        a.payload = why.starts_with('{')
                        ? as_json(why)
                        : json::serialize(json::object{{"errorMessage", std::string(said.message)},
                                                       {"errorType", std::string(said.type)}});
        return a;
    }
    a.status = ending.failure == errc::throttled              ? 429
               : ending.failure == errc::not_found            ? 404
               : ending.failure == errc::recursive_invocation ? 400
                                                              : 500;
    a.payload = json::serialize(json::object{{"errorMessage", why}});
    return a;
}

}  // namespace

result<destination> parse_destination(std::string_view arn) {
    if (arn.starts_with("arn:aws:lambda:"))
        return destination(function_destination{std::string(arn)});
    // Lambda's Developer Guide, "Capturing records of Lambda asynchronous invocations": no FIFO
    // queue.
    if (arn.starts_with(sqs_prefix) && !arn.ends_with(".fifo") &&
        std::ranges::count(arn, ':') == 5 && !arn.ends_with(':'))
        return destination(queue_destination{std::string(arn)});
    if (arn.starts_with(s3_prefix)) {
        const std::string_view bucket = arn.substr(s3_prefix.size());
        if (is_bucket(bucket)) return destination(bucket_destination{std::string(bucket)});
    }
    if (arn.starts_with(http_prefix))
        if (auto endpoint = parse_endpoint(arn.substr(http_prefix.size())))
            return destination(std::move(*endpoint));
    return error(errc::invalid_argument,
                 "The destination ARN " + std::string(arn) +
                     " is not served here: what can be are functions "
                     "(arn:aws:lambda:REGION:ACCOUNT:function:NAME), standard queues "
                     "(arn:aws:sqs:REGION:ACCOUNT:NAME), directories of files "
                     "(arn:aws:s3:::BUCKET) and HTTP endpoints (arn:aws:http:::HOST:PORT/PATH)");
}

std::string record_time(event_time t) {
    const auto since = t.time_since_epoch() % std::chrono::seconds(1);
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds_of(t)), since.count());
}

std::string invocation_record(const queued_event& e,
                              const event_ending& ending,
                              std::string_view qualified_arn,
                              event_time now) {
    json::object context{
        {"requestId", e.request_id},
        {"functionArn", json::string_view(qualified_arn.data(), qualified_arn.size())},
        {"condition", to_string(ending.how).data()},
        {"approximateInvokeCount", ending.deliveries}};
    const answer a = answer_of(ending);
    std::string record =
        fmt::format(R"({{"version":"1.0","timestamp":"{}","requestContext":{},"requestPayload":{})",
                    record_time(now), json::serialize(context), as_json(e.payload));
    if (a.status != 0) {
        json::object response{{"statusCode", a.status}};
        if (!a.version.empty()) response["executedVersion"] = a.version;
        if (!a.function_error.empty()) response["functionError"] = a.function_error;
        record += ",\"responseContext\":" + json::serialize(response);
    }
    if (!a.payload.empty()) record += ",\"responsePayload\":" + a.payload;
    return record + "}";
}

outgoing_message dead_letter_message(const queued_event& e, const event_ending& ending) {
    const answer a = answer_of(ending);
    std::string why = ending.how == condition::event_age_exceeded
                          ? "The event is older than its function's MaximumEventAgeInSeconds"
                          : a.payload;
    // AWS: the first KB, here cut where a character begins.
    std::size_t cut = std::min<std::size_t>(why.size(), 1024);
    while (cut < why.size() && cut > 0 && (static_cast<unsigned char>(why[cut]) & 0xc0) == 0x80)
        --cut;
    why.resize(cut);
    outgoing_message m{.body = e.payload};
    m.attributes["RequestID"] = {"String", e.request_id};
    m.attributes["ErrorCode"] = {"Number", std::to_string(a.status ? a.status : 200)};
    m.attributes["ErrorMessage"] = {"String", why};
    return m;
}

std::string dead_letter_record(const queued_event& e,
                               const event_ending& ending,
                               std::string_view target_arn) {
    const outgoing_message m = dead_letter_message(e, ending);
    json::object attributes;
    for (const char* name : {"RequestID", "ErrorCode", "ErrorMessage"})
        attributes[name] = {{"stringValue", m.attributes.at(name).value},
                            {"dataType", m.attributes.at(name).type}};
    const std::string quoted = as_json(json::serialize(json::value(m.body)));
    std::string record = R"({"Records":[{"messageId":)" +
                         json::serialize(json::value(make_uuid())) + ",\"body\":" + quoted;
    record += ",\"messageAttributes\":" + json::serialize(attributes);
    record += R"(,"eventSource":"aws:sqs","eventSourceARN":)" +
              json::serialize(json::value(json::string_view(target_arn.data(), target_arn.size())));
    return record + "}]}";
}

result<void> write_record(const fs::path& directory,
                          std::string_view place,
                          std::string_view record,
                          event_time now) {
    const std::tm utc = fmt::gmtime(seconds_of(now));
    const fs::path day = directory / place / fmt::format("{:%Y/%m/%d}", utc);
    const auto failed = [&](const fs::path& what) {
        return system_failure(errc::storage_failed, "cannot write " + what.string());
    };
    std::error_code ec;
    const bool is_new = fs::create_directories(day, ec);
    if (ec)
        return error(errc::storage_failed, "cannot create " + day.string() + ": " + ec.message());
    const std::string name = fmt::format("{:%Y-%m-%dT%H.%M.%S}-{}", utc, make_uuid());
    const fs::path temporary = day / ("." + name);
    {
        const unique_fd file(
            ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
        if (!file) return failed(temporary);
        while (!record.empty()) {
            const ssize_t n = ::write(file.get(), record.data(), record.size());
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) {
                const error e = failed(temporary);
                ::unlink(temporary.c_str());
                return e;
            }
            record.remove_prefix(static_cast<std::size_t>(n));
        }
        if (::fsync(file.get()) < 0) return failed(temporary);
    }
    // The name appears when the content is on disk.
    if (::rename(temporary.c_str(), (day / name).c_str()) < 0) return failed(day / name);
    const fs::path last = is_new ? directory.parent_path() : day;
    for (fs::path each = day; each.has_relative_path(); each = each.parent_path()) {
        const unique_fd entry(::open(each.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!entry || ::fsync(entry.get()) < 0) return failed(each);
        if (each == last) break;
    }
    return {};
}

}  // namespace hearth::control
