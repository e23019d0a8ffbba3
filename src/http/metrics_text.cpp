#include "http/metrics_text.hpp"

#include <hearth/version.hpp>

#include <charconv>
#include <chrono>
#include <initializer_list>
#include <utility>

namespace hearth::http {
namespace {

enum class buckets {
    all,    ///< ten to a decade
    three,  ///< the bounds 1, 2, 5 of each: where many functions have a histogram
};

class page {
  public:
    using labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

    /// What follows belongs to it. `help` needs no escaping.
    void family(std::string_view name, std::string_view type, std::string_view help) {
        name_ = name;
        text_.append("# HELP ").append(name).append(" ").append(help);
        text_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
    }

    template <class Number>
    void sample(labels l, Number value) {
        line("", l, {}, value);
    }

    void histogram(labels l, const hearth::histogram& h, buckets which) {
        std::uint64_t below = 0;
        const auto bounds = hearth::histogram::bounds();
        for (std::size_t i = 0; i < bounds.size(); ++i) {
            below += h.bucket(i);
            const std::size_t step = i % 10;
            if (which == buckets::three && step != 0 && step != 3 && step != 7) continue;
            line("_bucket", l, number(std::chrono::duration<double>(bounds[i]).count()), below);
        }
        below += h.bucket(bounds.size());
        line("_bucket", l, "+Inf", below);
        line("_sum", l, {}, h.sum().count());
        line("_count", l, {}, below);
    }

    std::string take() { return std::move(text_); }

  private:
    template <class Number>
    void line(std::string_view suffix, labels l, std::string_view le, Number value) {
        text_.append(name_).append(suffix);
        char before = '{';
        const auto label = [&](std::string_view key, std::string_view of) {
            text_ += std::exchange(before, ',');
            text_.append(key).append("=\"");
            for (const char c : of) {
                if (c == '\\' || c == '"') text_ += '\\';
                if (c == '\n')
                    text_ += "\\n";
                else
                    text_ += c;
            }
            text_ += '"';
        };
        for (const auto& [key, of] : l) label(key, of);
        if (!le.empty()) label("le", le);
        if (before == ',') text_ += '}';
        text_.append(" ").append(number(value)).append("\n");
    }

    /// The shortest text that reads back as the same value.
    template <class Number>
    static std::string number(Number value) {
        char digits[32];
        const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
        return {digits, end};
    }

    std::string text_;
    std::string_view name_;
};

using count = std::uint64_t;

void write_functions(page& out, const metrics& m) {
    const auto each = [&](std::string_view name, std::string_view type, std::string_view help,
                          auto&& write) {
        out.family(name, type, help);
        for (const function_metrics& f : m.by_function) write(f);
    };
    const auto plain = [&](std::string_view name, std::string_view type, std::string_view help,
                           auto&& value) {
        each(name, type, help, [&](const function_metrics& f) {
            out.sample({{"function", f.name}}, value(f));
        });
    };
    const auto states = [&](const function_metrics& f, std::string_view key,
                            std::initializer_list<std::pair<std::string_view, count>> values) {
        for (const auto& [label, value] : values)
            out.sample({{"function", f.name}, {key, label}}, value);
    };

    plain("hearth_invocations_total", "counter", "Invocations that ran, failed ones included.",
          [](const auto& f) { return f.invocations; });
    plain("hearth_invocation_errors_total", "counter",
          "Invocations that raised, timed out, ended or ran out of memory.",
          [](const auto& f) { return f.errors; });
    plain("hearth_init_failures_total", "counter",
          "Invocations whose new environment could not initialise.",
          [](const auto& f) { return f.init_failures; });
    each("hearth_throttles_total", "counter", "Invocations refused with 429, by AWS's reason.",
         [&](const function_metrics& f) {
             const throttle_metrics& t = f.throttles;
             states(f, "reason",
                    {{"ConcurrentInvocationLimitExceeded", t.concurrent_invocation_limit},
                     {"ReservedFunctionConcurrentInvocationLimitExceeded",
                      t.reserved_concurrent_invocation_limit},
                     {"FunctionInvocationRateLimitExceeded", t.invocation_rate_limit},
                     {"ReservedFunctionInvocationRateLimitExceeded",
                      t.reserved_invocation_rate_limit}});
         });
    each("hearth_starts_total", "counter",
         "Invocations that ran, by how their environment came to be.",
         [&](const function_metrics& f) {
             states(f, "start", {{"cold", f.cold}, {"restored", f.restored}, {"warm", f.warm}});
         });
    plain("hearth_spillovers_total", "counter",
          "Invocations beyond the function's provisioned concurrency.",
          [](const auto& f) { return f.spillovers; });
    plain("hearth_recursive_invocations_dropped_total", "counter",
          "Invocations stopped, since they would have gone on with a loop.",
          [](const auto& f) { return f.recursive_dropped; });
    plain("hearth_concurrent_executions", "gauge", "Invocations admitted and not yet ended.",
          [](const auto& f) { return f.concurrent_executions; });
    each("hearth_environments", "gauge", "Execution environments by state.",
         [&](const function_metrics& f) {
             const environment_metrics& e = f.environments;
             states(f, "state",
                    {{"starting", e.starting},
                     {"starting_ahead", e.starting_ahead},
                     {"running", e.running},
                     {"idle_attached", e.idle_attached},
                     {"idle_detached", e.idle_detached},
                     {"ending", e.ending}});
         });
    plain("hearth_provisioned_environments", "gauge",
          "Execution environments that are provisioned concurrency, whatever their state.",
          [](const auto& f) { return f.environments.provisioned; });
    plain("hearth_async_events_received_total", "counter", "Asynchronous invocations accepted.",
          [](const auto& f) { return f.async.received; });
    plain("hearth_async_events_dropped_total", "counter",
          "Asynchronous invocations given up without success.",
          [](const auto& f) { return f.async.dropped; });
    plain("hearth_dead_letter_errors_total", "counter",
          "Dropped events that the function's dead-letter target did not take.",
          [](const auto& f) { return f.async.dead_letter_errors; });
    plain("hearth_destination_delivery_failures_total", "counter",
          "Outcomes of asynchronous invocations that a destination did not take.",
          [](const auto& f) { return f.async.destination_delivery_failures; });
    each("hearth_async_event_age_seconds", "histogram",
         "From an event's acceptance to each of its deliveries, of functions that had some.",
         [&](const function_metrics& f) {
             if (f.async.age.count())
                 out.histogram({{"function", f.name}}, f.async.age, buckets::three);
         });
    plain("hearth_function_max_memory_used_bytes", "gauge",
          "The most guest memory that any invocation had used.",
          [](const auto& f) { return f.max_memory_used.bytes(); });
    each("hearth_function_duration_seconds", "histogram",
         "From the event to the response, of functions that have been invoked.",
         [&](const function_metrics& f) {
             if (f.invocations) out.histogram({{"function", f.name}}, f.duration, buckets::three);
         });
}

void write_event_sources(page& out, const metrics& m) {
    const auto each = [&](std::string_view name, std::string_view type, std::string_view help,
                          count event_source_metrics::*value) {
        out.family(name, type, help);
        for (const event_source_metrics& s : m.event_sources)
            out.sample(
                {{"uuid", s.uuid}, {"source", s.event_source_arn}, {"function", s.function_arn}},
                s.*value);
    };
    each("hearth_event_source_polled_total", "counter",
         "Messages and records that event source mappings received.",
         &event_source_metrics::polled);
    each("hearth_event_source_filtered_out_total", "counter",
         "Messages and records passed over because no filter of the mapping wanted them.",
         &event_source_metrics::filtered_out);
    each("hearth_event_source_invoked_total", "counter",
         "Messages and records that functions were given, each time counted.",
         &event_source_metrics::invoked);
    each("hearth_event_source_failed_total", "counter",
         "Messages and records that were not done with after an invocation.",
         &event_source_metrics::failed_invoke);
    each("hearth_event_source_deleted_total", "counter", "Messages deleted from their queue.",
         &event_source_metrics::deleted);
    each("hearth_event_source_dropped_total", "counter",
         "Records given up, because they were tried too often or too old.",
         &event_source_metrics::dropped);
    each("hearth_event_source_batches", "gauge", "Batches with functions now.",
         &event_source_metrics::in_flight);
    out.family("hearth_event_source_iterator_age_seconds", "gauge",
               "How old the last record of a stream's last batch was when its function got it.");
    for (const event_source_metrics& s : m.event_sources)
        if (s.event_source_arn.starts_with("arn:aws:kinesis:"))
            out.sample(
                {{"uuid", s.uuid}, {"source", s.event_source_arn}, {"function", s.function_arn}},
                std::chrono::duration<double>(s.iterator_age).count());
}

void write_starts(page& out, const metrics& m) {
    const std::pair<std::string_view, const start_metrics*> kinds[] = {
        {"cold", &m.cold}, {"restored", &m.restored}, {"warm", &m.warm}};
    out.family("hearth_invocation_duration_seconds", "histogram",
               "From the event to the response, by how the environment came to be.");
    for (const auto& [kind, of] : kinds)
        out.histogram({{"start", kind}}, of->duration, buckets::all);
    out.family("hearth_start_duration_seconds", "histogram",
               "What invocations waited for an environment to start; warm: for one that had given "
               "its VM shell back.");
    for (const auto& [kind, of] : kinds) out.histogram({{"start", kind}}, of->start, buckets::all);
    out.family("hearth_start_phase_duration_seconds", "histogram",
               "The phases of hearth_start_duration_seconds.");
    for (const auto& [kind, of] : kinds) {
        const std::string_view boot = kind == "cold" ? "boot" : "restore";
        const std::pair<std::string_view, const histogram*> phases[] = {
            {"vm", &of->vm}, {boot, &of->boot}, {"init", &of->init}, {"snapshot", &of->snapshot}};
        for (const auto& [phase, h] : phases) {
            // A restored start takes no snapshot, a warm one has no init either.
            if ((phase == "snapshot" && kind != "cold") || (phase == "init" && kind == "warm"))
                continue;
            out.histogram({{"start", kind}, {"phase", phase}}, *h, buckets::three);
        }
    }
}

void write_pool(page& out, const metrics& m) {
    const auto one = [&](std::string_view name, std::string_view type, std::string_view help,
                         count value) {
        out.family(name, type, help);
        out.sample({}, value);
    };
    const auto several = [&](std::string_view name, std::string_view type, std::string_view help,
                             std::string_view key,
                             std::initializer_list<std::pair<std::string_view, count>> values) {
        out.family(name, type, help);
        for (const auto& [label, value] : values) out.sample({{key, label}}, value);
    };
    const pool_metrics& p = m.pool;
    const shell_metrics& s = m.shells;

    one("hearth_admitted_total", "counter", "Invocations within the concurrency limits.",
        p.admitted);
    one("hearth_no_room_total", "counter",
        "Times that an environment found no room in the memory budget.", p.no_room);
    one("hearth_refused_total", "counter", "Invocations refused while draining or stopping.",
        p.refused);
    one("hearth_starts_ahead_total", "counter",
        "Environments started for minimum idle or provisioned concurrency.", p.starts_ahead);
    one("hearth_failed_starts_total", "counter", "Environments that could not be started.",
        p.failed_starts);
    several("hearth_environments_terminated_total", "counter",
            "Environments terminated: idle for idle_ttl, for want of memory, no longer wanted, or "
            "after a timeout, an exit or a fault.",
            "reason",
            {{"expired", p.expired},
             {"evicted", p.evicted},
             {"surplus", p.surplus},
             {"destroyed", p.destroyed}});
    one("hearth_detaches_total", "counter", "Idle environments that gave their VM shell back.",
        p.detaches);
    one("hearth_detach_failures_total", "counter",
        "Idle environments that could not give their VM shell back.", p.detach_failures);
    one("hearth_reattaches_total", "counter",
        "Warm starts of an environment that had to get a VM shell again.", p.reattaches);

    several("hearth_shells", "gauge", "VM shells by state.", "state",
            {{"in_use", s.in_use},
             {"free_used", s.free_used},
             {"free_blank", s.free_blank},
             {"making", s.making},
             {"destroying", s.destroying}});
    several("hearth_shells_granted_total", "counter",
            "VM shells that environments got, by where they came from.", "source",
            {{"same_version", s.from_same_version},
             {"blank", s.from_blank},
             {"evicted", s.from_evicted},
             {"made", s.from_made},
             {"stolen", s.from_stolen}});
    one("hearth_shells_made_ahead_total", "counter", "VM shells made ahead of need.", s.made_ahead);
    one("hearth_shells_destroyed_total", "counter", "VM shells destroyed.", s.destroyed);

    one("hearth_functions", "gauge", "Functions deployed.", m.functions);
    one("hearth_rules_fired_total", "counter", "Times of scheduled rules that came.",
        m.rules_fired);
    one("hearth_rule_events_delivered_total", "counter", "Events of rules that their targets took.",
        m.rule_events_delivered);
    one("hearth_rule_events_failed_total", "counter", "Events of rules that were given up.",
        m.rule_events_failed);
    one("hearth_async_events_queued", "gauge",
        "Asynchronous invocations accepted and not yet ended.", m.async_events_queued);
    one("hearth_memory_charged_bytes", "gauge",
        "Memory sizes of live environments, and what detached ones hold.", m.guest_memory.bytes());
    one("hearth_memory_budget_bytes", "gauge",
        "The most that hearth_memory_charged_bytes and hearth_snapshot_bytes may be together; 0: "
        "no limit.",
        m.memory_budget.bytes());
    one("hearth_snapshot_bytes", "gauge",
        "Memory and files of versions' snapshots, which their environments share.",
        m.snapshot_memory.bytes());
    one("hearth_snapshots_dropped_total", "counter",
        "Snapshots that had to leave memory for starts of others.", p.snapshots_dropped);
    one("hearth_concurrency_limit", "gauge", "Concurrent executions of all functions, at most.",
        m.concurrency_limit);
    one("hearth_unreserved_concurrency", "gauge",
        "Of the limit, what functions without a reservation share.", m.unreserved_concurrency);
    one("hearth_log_events_total", "counter", "Events written to functions' log files.",
        m.logs.events);
    one("hearth_log_bytes_total", "counter", "Bytes of functions' log files written.",
        m.logs.bytes);
    one("hearth_log_lost_total", "counter",
        "Lines or pieces of functions' output that found the queue or the disk full.", m.logs.lost);
    out.family("hearth_build_info", "gauge", "Always 1; the version is in the label.");
    out.sample({{"version", version()}}, count{1});
}

}  // namespace

std::string write_metrics(const metrics& m) {
    page out;
    write_pool(out, m);
    write_starts(out, m);
    write_functions(out, m);
    write_event_sources(out, m);
    return out.take();
}

}  // namespace hearth::http
