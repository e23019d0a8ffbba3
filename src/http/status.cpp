#include "http/status.hpp"

#include "http/handlers.hpp"
#include "http/text.hpp"

#include <hearth/version.hpp>

#include <boost/json.hpp>

#include <charconv>
#include <chrono>
#include <map>

namespace hearth::http {
namespace {

namespace json = boost::json;
using milliseconds = std::chrono::duration<double, std::milli>;

json::string_view word(std::string_view s) { return {s.data(), s.size()}; }
double ms(std::chrono::nanoseconds t) { return milliseconds(t).count(); }

double seconds(std::chrono::system_clock::time_point t) {
    return std::chrono::duration<double>(t.time_since_epoch()).count();
}

json::value quantile(const histogram& h, double p) {
    const auto value = h.quantile(p);
    return value ? json::value(ms(*value)) : json::value();
}

json::object distribution(const histogram& h) {
    json::array buckets;
    buckets.reserve(histogram::bucket_count);
    for (std::size_t i = 0; i < histogram::bucket_count; ++i) buckets.push_back(h.bucket(i));
    return {{"count", h.count()},
            {"p50_ms", quantile(h, 0.5)},
            {"p99_ms", quantile(h, 0.99)},
            {"max_ms", ms(h.max())},
            {"buckets", std::move(buckets)}};
}

json::object of(const start_metrics& m) {
    return {{"duration", distribution(m.duration)}, {"start", distribution(m.start)}};
}

json::object of(const environment_metrics& e) {
    return {{"starting", e.starting},
            {"starting_ahead", e.starting_ahead},
            {"running", e.running},
            {"idle_attached", e.idle_attached},
            {"idle_detached", e.idle_detached},
            {"ending", e.ending},
            {"provisioned", e.provisioned}};
}

json::array bounds() {
    json::array all;
    for (const auto bound : histogram::bounds()) all.push_back(ms(bound));
    return all;
}

/// The end of a log may begin within a character.
std::string whole_characters(std::string_view log) {
    while (!log.empty() && (static_cast<unsigned char>(log.front()) & 0xC0) == 0x80)
        log.remove_prefix(1);
    return printable(log);
}

json::object of(const recent_invocation& i) {
    const invocation_report& r = i.report;
    return {{"number", i.number},
            {"function", i.function_name},
            {"version", i.executed_version},
            {"ended", seconds(i.ended)},
            {"request_id", printable(r.request_id)},
            {"error", printable(i.function_error)},
            {"start", word(to_string(r.start))},
            {"why", explain_start(r)},
            {"reattached", r.reattached},
            {"vm_ms", ms(r.vm)},
            {"boot_ms", ms(r.boot)},
            {"init_ms", ms(r.init)},
            {"snapshot_ms", ms(r.snapshot)},
            {"duration_ms", ms(r.duration)},
            {"billed_ms", r.billed.count()},
            {"memory_mb", r.memory_size.mebibytes()},
            {"max_memory_bytes", r.max_memory_used.bytes()},
            {"system_calls", r.system_calls},
            {"report", printable(to_string(r))},
            {"log", whole_characters(i.log_tail)}};
}

json::array functions(const control_plane& control, const metrics& m) {
    std::map<std::string_view, const function_metrics*> counted;
    for (const function_metrics& f : m.by_function) counted.emplace(f.name, &f);
    const function_metrics none;
    json::array all;
    std::string marker;
    do {
        auto page = control.list_functions(marker, 1000);
        if (page.has_error()) break;
        for (const function_configuration& c : page->functions) {
            const auto at = counted.find(c.function_name);
            const function_metrics& f = at == counted.end() ? none : *at->second;
            all.push_back(json::object{{"name", c.function_name},
                                       {"runtime", c.settings.runtime},
                                       {"memory_mb", c.settings.memory.mebibytes()},
                                       {"timeout_s", ms(c.settings.timeout) / 1000},
                                       {"state", word(to_string(c.state))},
                                       {"state_reason", printable(c.state_reason)},
                                       {"last_update", word(to_string(c.last_update))},
                                       {"invocations", f.invocations},
                                       {"errors", f.errors + f.init_failures},
                                       {"throttles", f.throttles.total()},
                                       {"cold", f.cold},
                                       {"restored", f.restored},
                                       {"warm", f.warm},
                                       {"running", f.concurrent_executions},
                                       {"environments", of(f.environments)},
                                       {"p50_ms", quantile(f.duration, 0.5)},
                                       {"p99_ms", quantile(f.duration, 0.99)},
                                       {"max_memory_bytes", f.max_memory_used.bytes()}});
        }
        marker = page->next_marker;
    } while (!marker.empty());
    return all;
}

}  // namespace

std::string write_status(const control_plane& control, std::uint64_t after) {
    const metrics m = control.metrics();
    json::array recent;
    std::uint64_t last = after;
    for (const recent_invocation& i : control.recent_invocations(after)) {
        recent.push_back(of(i));
        last = i.number;
    }
    return json::serialize(json::object{
        {"version", word(version())},
        {"now", seconds(std::chrono::system_clock::now())},
        {"last", last},
        {"totals",
         {{"invocations", m.invocations},
          {"errors", m.function_errors},
          {"init_failures", m.init_failures},
          {"throttles", m.throttles},
          {"running", m.concurrent_executions},
          {"concurrency_limit", m.concurrency_limit},
          {"events_queued", m.async_events_queued},
          {"cold", m.cold.duration.count()},
          {"restored", m.restored.duration.count()},
          {"warm", m.warm.duration.count()}}},
        {"environments", of(m.pool.environments)},
        {"shells",
         {{"in_use", m.shells.in_use},
          {"free", m.shells.free_used + m.shells.free_blank},
          {"making", m.shells.making},
          {"destroying", m.shells.destroying}}},
        {"memory",
         {{"charged_bytes", m.guest_memory.bytes()},
          {"snapshot_bytes", m.snapshot_memory.bytes()},
          {"budget_bytes", m.memory_budget.bytes()}}},
        {"bounds_ms", bounds()},
        {"starts", {{"cold", of(m.cold)}, {"restored", of(m.restored)}, {"warm", of(m.warm)}}},
        {"functions", functions(control, m)},
        {"recent", std::move(recent)}});
}

namespace handlers {

reply get_status(const call& c) {
    const std::string_view given = c.asked.parameter("After");
    std::uint64_t after = 0;
    const auto [end, ec] = std::from_chars(given.data(), given.data() + given.size(), after);
    if (!given.empty() && (ec != std::errc() || end != given.data() + given.size()))
        return make_error(aws_error::invalid_parameter_value, "After must be a number");
    return {.body = write_status(c.control, after),
            .headers = {{"Cache-Control", "no-store"},
                        {"X-Content-Type-Options", "nosniff"},
                        {"Cross-Origin-Resource-Policy", "same-origin"}}};
}

}  // namespace handlers
}  // namespace hearth::http
