#include "front_fixture.hpp"
#include "http/metrics_text.hpp"

#include <catch2/catch.hpp>

#include <cctype>
#include <cstdlib>
#include <map>
#include <stdexcept>

using namespace hearth;
using namespace hearth::test;
using namespace std::chrono_literals;

namespace {

using labels = std::map<std::string, std::string>;

struct family {
    std::string type, help;
    std::map<std::pair<std::string, labels>, double> samples;  ///< by name and labels
    std::vector<std::pair<std::string, labels>> order;
};

/// Takes the text apart and throws at the first thing the format does not allow: exposition
/// formats, "Text format details", and what promtool warns of.
class strict_parser {
  public:
    explicit strict_parser(std::string_view text) {
        if (!text.ends_with('\n')) throw std::runtime_error("the last line has no end");
        while (!text.empty()) {
            const auto end = text.find('\n');
            line_ = text.substr(0, end);
            text.remove_prefix(end + 1);
            if (line_.starts_with("# HELP ")) {
                const std::string name = word(7);
                if (families.contains(name)) fail("a family comes twice");
                current_ = name;
                families[name].help = line_.substr(8 + name.size());
                if (families[name].help.empty()) fail("no help");
            } else if (line_.starts_with("# TYPE ")) {
                family& f = families.at(current_);
                if (word(7) != current_ || !f.type.empty() || !f.samples.empty())
                    fail("TYPE must stand once, after HELP and before samples");
                f.type = line_.substr(8 + current_.size());
                if (f.type != "counter" && f.type != "gauge" && f.type != "histogram") fail("type");
                if ((f.type == "counter") != current_.ends_with("_total")) fail("_total");
            } else {
                sample();
            }
        }
        for (const auto& [name, f] : families)
            if (f.type == "histogram") check_histogram(name, f);
    }

    [[nodiscard]] double at(const std::string& name, const labels& l = {}) const {
        std::string base = name;
        for (const char* suffix : {"_bucket", "_sum", "_count"})
            if (base.ends_with(suffix) && !families.contains(base))
                base.resize(base.size() - std::string_view(suffix).size());
        const auto f = families.find(base);
        if (f == families.end()) throw std::runtime_error("no family " + base);
        const auto s = f->second.samples.find({name, l});
        if (s == f->second.samples.end()) throw std::runtime_error("no such sample of " + name);
        return s->second;
    }

    std::map<std::string, family> families;

  private:
    [[noreturn]] void fail(const std::string& what) const {
        throw std::runtime_error(what + ": " + std::string(line_));
    }
    static bool name_char(char c, bool first) {
        return std::isalpha(static_cast<unsigned char>(c)) || c == '_' ||
               (!first && std::isdigit(static_cast<unsigned char>(c)));
    }
    [[nodiscard]] std::string word(std::size_t from) const {
        std::size_t n = from;
        while (n < line_.size() && name_char(line_[n], n == from)) ++n;
        if (n == from || n == line_.size() || line_[n] != ' ') fail("name");
        return std::string(line_.substr(from, n - from));
    }
    void sample() {
        std::size_t at = 0;
        const auto name_here = [&] {
            const std::size_t from = at;
            while (at < line_.size() && name_char(line_[at], at == from)) ++at;
            if (at == from) fail("name");
            return std::string(line_.substr(from, at - from));
        };
        const auto expect = [&](char c) {
            if (at >= line_.size() || line_[at++] != c) fail(std::string("expected ") + c);
        };
        const std::string name = name_here();
        labels l;
        if (at < line_.size() && line_[at] == '{') {
            do {
                ++at;
                const std::string key = name_here();
                std::string value;
                expect('=');
                expect('"');
                while (at < line_.size() && line_[at] != '"') {
                    char c = line_[at++];
                    if (c == '\\') {
                        if (at >= line_.size()) fail("escape");
                        c = line_[at++];
                        if (c != '\\' && c != '"' && c != 'n') fail("escape");
                        if (c == 'n') c = '\n';
                    }
                    value += c;
                }
                expect('"');
                if (!l.emplace(key, value).second) fail("a label comes twice");
            } while (at < line_.size() && line_[at] == ',');
            expect('}');
        }
        expect(' ');
        const std::string number(line_.substr(at));
        char* end = nullptr;
        const double value = std::strtod(number.c_str(), &end);
        if (number.empty() || *end || std::isspace(static_cast<unsigned char>(number[0])))
            fail("value");
        family& f = families[current_];
        if (f.type.empty()) fail("a sample without TYPE");
        if (f.type == "histogram" ? name != current_ + "_bucket" && name != current_ + "_sum" &&
                                        name != current_ + "_count"
                                  : name != current_)
            fail("a sample in another family");
        if (!f.samples.emplace(std::pair(name, l), value).second) fail("a series comes twice");
        f.order.emplace_back(name, l);
    }
    static void check_histogram(const std::string& name, const family& f) {
        struct series {
            double le = -1, value = 0;
            bool ended = false;
        };
        std::map<labels, series> all;
        for (const auto& [sample, l] : f.order) {
            if (sample != name + "_bucket") continue;
            labels rest = l;
            const std::string le = rest.at("le");
            rest.erase("le");
            series& s = all[rest];
            const double bound = std::strtod(le.c_str(), nullptr);
            const double value = f.samples.at({sample, l});
            if (s.ended || bound <= s.le) throw std::runtime_error(name + ": le does not ascend");
            if (value < s.value) throw std::runtime_error(name + ": not cumulative");
            s = {bound, value, le == "+Inf"};
        }
        for (const auto& [l, s] : all) {
            if (!s.ended) throw std::runtime_error(name + ": no +Inf");
            if (f.samples.at({name + "_count", l}) != s.value)
                throw std::runtime_error(name + ": _count is not +Inf's");
            if (!f.samples.contains({name + "_sum", l}))
                throw std::runtime_error(name + ": no _sum");
        }
    }

    std::string_view line_;
    std::string current_;
};

metrics example() {
    metrics m;
    function_metrics f;
    f.name = "hello";
    f.invocations = 4;
    f.errors = 1;
    f.cold = 1;
    f.restored = 1;
    f.warm = 2;
    f.throttles.invocation_rate_limit = 7;
    f.environments.idle_detached = 3;
    f.max_memory_used = byte_count(5 << 20);
    f.async = {.received = 5, .dropped = 4, .dead_letter_errors = 3, .destination_delivery_failures = 2};
    f.async.age.record(1500us);
    m.async_events_queued = 6;
    m.logs = {.events = 31, .bytes = 32, .lost = 33};
    for (const std::chrono::nanoseconds d : {800ns, 3000ns, 4000000ns, 200000000000ns}) {
        f.duration.record(d);
        m.restored.duration.record(d);
    }
    m.restored.boot.record(1500us);
    m.by_function.push_back(f);
    m.pool.evicted = 9;
    m.pool.snapshots_dropped = 11;
    m.shells.from_stolen = 2;
    m.guest_memory = byte_count(384ull << 20);
    m.memory_budget = byte_count(1ull << 40);
    m.snapshot_memory = byte_count(12345678912345ull);
    return m;
}

}  // namespace

TEST_CASE("the metrics page is what Prometheus accepts, with every number in its place") {
    const strict_parser p(http::write_metrics(example()));
    CHECK(p.at("hearth_invocations_total", {{"function", "hello"}}) == 4);
    CHECK(p.at("hearth_invocation_errors_total", {{"function", "hello"}}) == 1);
    CHECK(p.at("hearth_starts_total", {{"function", "hello"}, {"start", "warm"}}) == 2);
    CHECK(p.at("hearth_throttles_total",
               {{"function", "hello"}, {"reason", "FunctionInvocationRateLimitExceeded"}}) == 7);
    CHECK(p.at("hearth_environments", {{"function", "hello"}, {"state", "idle_detached"}}) == 3);
    CHECK(p.at("hearth_function_max_memory_used_bytes", {{"function", "hello"}}) == 5 << 20);
    CHECK(p.at("hearth_environments_terminated_total", {{"reason", "evicted"}}) == 9);
    CHECK(p.at("hearth_shells_granted_total", {{"source", "stolen"}}) == 2);
    CHECK(p.at("hearth_memory_charged_bytes") == 384.0 * 1048576);
    CHECK(p.at("hearth_memory_budget_bytes") == 1099511627776.0);
    CHECK(p.at("hearth_snapshots_dropped_total") == 11);
    CHECK(p.at("hearth_snapshot_bytes") == 12345678912345.0);
    CHECK(p.at("hearth_async_events_received_total", {{"function", "hello"}}) == 5);
    CHECK(p.at("hearth_async_events_dropped_total", {{"function", "hello"}}) == 4);
    CHECK(p.at("hearth_dead_letter_errors_total", {{"function", "hello"}}) == 3);
    CHECK(p.at("hearth_destination_delivery_failures_total", {{"function", "hello"}}) == 2);
    CHECK(p.at("hearth_async_event_age_seconds_count", {{"function", "hello"}}) == 1);
    CHECK(p.at("hearth_async_events_queued") == 6);
    CHECK(p.at("hearth_log_events_total") == 31);
    CHECK(p.at("hearth_log_bytes_total") == 32);
    CHECK(p.at("hearth_log_lost_total") == 33);
    CHECK(p.at("hearth_build_info", {{"version", "0.1.0"}}) == 1);
}

TEST_CASE("buckets are cumulative, in seconds, and end with +Inf") {
    const strict_parser p(http::write_metrics(example()));
    const std::string name = "hearth_invocation_duration_seconds";
    const auto up_to = [&](const char* le) {
        return p.at(name + "_bucket", {{"start", "restored"}, {"le", le}});
    };
    CHECK(up_to("1e-06") == 1);
    CHECK(up_to("2.5e-06") == 1);
    CHECK(up_to("3.15e-06") == 2);
    CHECK(up_to("0.00315") == 2);
    CHECK(up_to("0.004") == 3);
    CHECK(up_to("100") == 3);
    CHECK(up_to("+Inf") == 4);
    CHECK(p.at(name + "_sum", {{"start", "restored"}}) == Approx(200.0040038));
    CHECK(p.at(name + "_count", {{"start", "cold"}}) == 0);
    CHECK(p.families.at(name).samples.size() == 3 * (82 + 2));
    // A function's histogram has the bounds 1, 2, 5 only, and they count the same.
    const std::string of_function = "hearth_function_duration_seconds";
    CHECK(p.families.at(of_function).samples.size() == 8 * 3 + 1 + 3);
    CHECK(p.at(of_function + "_bucket", {{"function", "hello"}, {"le", "5e-06"}}) == 2);
    CHECK(p.at(of_function + "_bucket", {{"function", "hello"}, {"le", "0.005"}}) == 3);
    CHECK(p.at(of_function + "_count", {{"function", "hello"}}) == 4);
    CHECK(p.at("hearth_start_phase_duration_seconds_count",
               {{"start", "restored"}, {"phase", "restore"}}) == 1);
    CHECK(p.families.at("hearth_start_phase_duration_seconds").samples.size() == 9 * 28);
}

TEST_CASE("a label's value is escaped") {
    metrics m = example();
    m.by_function[0].name = "a\"b\\c\nd}{,=";
    const strict_parser p(http::write_metrics(m));
    CHECK(p.at("hearth_invocations_total", {{"function", m.by_function[0].name}}) == 4);
}

TEST_CASE("the strict parser refuses what is wrong") {
    const std::string start = "# HELP a_total Help.\n# TYPE a_total counter\n";
    CHECK_NOTHROW(strict_parser(start + "a_total{x=\"1\"} 2\n"));
    for (const char* bad : {"a_total{x=\"1\"} 2", "b_total 2\n", "a_total{x=\"1\",x=\"2\"} 2\n",
                            "a_total 2\na_total 3\n", "a_total{x=\"\\q\"} 2\n", "a_total x\n",
                            "a_total{x=1} 2\n", "a_total{x=\"1\"2\n"})
        CHECK_THROWS(strict_parser(start + bad));
    const std::string h = "# HELP h Help.\n# TYPE h histogram\n";
    CHECK_NOTHROW(
        strict_parser(h + "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n"));
    CHECK_THROWS(
        strict_parser(h + "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"));
    CHECK_THROWS(strict_parser(h + "h_bucket{le=\"1\"} 2\nh_sum 1\nh_count 2\n"));
    CHECK_THROWS(strict_parser(h + "h_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 3\n"));
}

TEST_CASE("GET /metrics serves the page, functions that were never called included") {
    front_fixture f;
    f.worker.shown = example();
    f.create("aloof");
    f.create("zealous");
    raw_client c(f.front.port());
    const answer a = c.ask(request("GET", "/metrics"));
    CHECK(a.status == 200);
    CHECK(a.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8");
    const strict_parser p(a.body);
    CHECK(p.at("hearth_functions") == 2);
    CHECK(p.at("hearth_invocations_total", {{"function", "hello"}}) == 4);
    CHECK(p.at("hearth_invocations_total", {{"function", "aloof"}}) == 0);
    CHECK(p.at("hearth_invocations_total", {{"function", "zealous"}}) == 0);
    CHECK(c.ask(request("POST", "/metrics", "{}")).status == 404);
    CHECK(c.ask(request("GET", "/metrics/x")).status == 404);
    CHECK(c.ask(request("GET", "/metrics", {}, "Origin: http://evil\r\n")).status == 403);
    CHECK(c.ask(request("GET", "/2015-03-31/functions/metrics")).status == 404);
}
