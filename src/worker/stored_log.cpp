#include "worker/stored_log.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <sys/random.h>

#include <ctime>
#include <utility>

namespace hearth::worker {
namespace {

namespace json = boost::json;
using std::chrono::system_clock;

std::int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               system_clock::now().time_since_epoch())
        .count();
}

double milliseconds(std::chrono::nanoseconds t) {
    // Two digits, as AWS shows them.
    return static_cast<double>(t.count() / 10'000) / 100;
}

/// {"time":…,"type":"platform.…","record":…}
std::string platform_record(std::int64_t at_ms, const char* type, json::object record) {
    const auto seconds = static_cast<std::time_t>(at_ms / 1000);
    json::object o{
        {"time", fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), at_ms % 1000)},
        {"type", type},
        {"record", std::move(record)}};
    return json::serialize(o) + '\n';
}

void add_outcome(json::object& record, std::string_view status, std::string_view error_type) {
    record["status"] = json::string(status.data(), status.size());
    if (!error_type.empty())
        record["errorType"] = json::string(error_type.data(), error_type.size());
}

}  // namespace

std::string make_log_stream_name(const std::string& version) {
    std::uint64_t bits[2] = {};
    (void)!::getrandom(bits, sizeof bits, 0);
    return fmt::format("{:%Y/%m/%d}/[{}]{:016x}{:016x}", fmt::gmtime(std::time(nullptr)), version,
                       bits[0], bits[1]);
}

void stored_log::open_stream(std::string name) {
    stream_ = std::move(name);
    if (store_)
        source_ = logs::store::make_source(
            {.group =
                 spec_.log_group.empty() ? "/aws/lambda/" + spec_.function_name : spec_.log_group,
             .stream = stream_,
             .is_json = spec_.json_logs,
             .application = logs::parse_level(spec_.application_log_level)});
}

/// Of Lambda's own records, which Text shows as if the level were INFO.
bool stored_log::shows(logs::level of) const noexcept {
    return of >= (spec_.json_logs ? logs::parse_level(spec_.system_log_level) : logs::level::info);
}

void stored_log::put(std::string_view text) {
    store_->write(source_, {{start_ms_, start_, true}, {now_ms(), text, true}});
    start_.clear();
}

void stored_log::output(std::string_view text) {
    if (!source_) return;
    store_->write(source_, {{start_ms_, start_, true}, {now_ms(), text, false}});
    start_.clear();
}

void stored_log::begin(std::string_view request_id) {
    if (!source_ || !shows(logs::level::info)) return;
    start_ms_ = now_ms();
    if (!spec_.json_logs) {
        start_.assign("START RequestId: ").append(request_id);
        start_.append(" Version: ").append(spec_.version).append("\n");
        return;
    }
    start_ = platform_record(start_ms_, "platform.start",
                             {{"requestId", json::string(request_id.data(), request_id.size())},
                              {"version", spec_.version}});
}

void stored_log::settle() {
    if (!source_ || start_.empty()) return;
    store_->write(source_, {{start_ms_, start_, true}});
    start_.clear();
}

void stored_log::failed(std::string_view text) {
    if (source_ && !spec_.json_logs) put(text);
}

void stored_log::end(const invocation_report& report,
                     std::string_view report_line,
                     std::string_view status,
                     std::string_view error_type) {
    if (!source_) return;
    const std::int64_t now = now_ms();
    const bool is_success = status == "success";
    if (!spec_.json_logs) {
        std::string end = "END RequestId: " + report.request_id + '\n';
        std::string last = std::string(report_line) + '\n';
        store_->write(source_, {{start_ms_, start_, true}, {now, end, true}, {now, last, true}});
        start_.clear();
        return;
    }
    std::string done, last;
    if (shows(is_success ? logs::level::debug : logs::level::warn)) {
        json::object record{{"requestId", report.request_id}};
        add_outcome(record, status, error_type);
        record["metrics"] = {{"durationMs", milliseconds(report.duration)}};
        done = platform_record(now, "platform.runtimeDone", std::move(record));
    }
    if (shows(is_success ? logs::level::info : logs::level::warn)) {
        const auto used_mb = (report.max_memory_used.bytes() + (1 << 20) - 1) >> 20;
        json::object metrics{{"durationMs", milliseconds(report.duration)},
                             {"billedDurationMs", report.billed.count()},
                             {"memorySizeMB", report.memory_size.mebibytes()},
                             {"maxMemoryUsedMB", used_mb}};
        if (report.start == start_kind::cold)
            metrics["initDurationMs"] = milliseconds(report.boot + report.init);
        if (report.start == start_kind::restored)
            metrics["restoreDurationMs"] = milliseconds(report.boot + report.init);
        json::object record{{"requestId", report.request_id}, {"metrics", std::move(metrics)}};
        add_outcome(record, status, error_type);
        last = platform_record(now, "platform.report", std::move(record));
    }
    store_->write(source_, {{start_ms_, start_, true}, {now, done, true}, {now, last, true}});
    start_.clear();
}

void stored_log::init_ended(std::chrono::nanoseconds duration,
                            std::string_view phase,
                            std::string_view status,
                            std::string_view error_type) {
    if (!source_) return;
    const bool is_success = status == "success";
    if (!shows(!is_success      ? logs::level::warn
               : spec_.snapshot ? logs::level::info
                                : logs::level::debug))
        return;
    if (!spec_.json_logs) {
        std::string line =
            fmt::format("INIT_REPORT Init Duration: {:.2f} ms\tPhase: {}\tStatus: {}",
                        milliseconds(duration), phase, status);
        if (!error_type.empty()) line.append("\tError Type: ").append(error_type);
        return put(line += '\n');
    }
    json::object record{{"initializationType", spec_.snapshot ? "snap-start" : "on-demand"},
                        {"phase", json::string(phase.data(), phase.size())}};
    add_outcome(record, status, error_type);
    record["metrics"] = {{"durationMs", milliseconds(duration)}};
    put(platform_record(now_ms(), "platform.initReport", std::move(record)));
}

}  // namespace hearth::worker
