#include "control/rules.hpp"

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/paging.hpp"
#include "control/validation.hpp"

#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hearth::control {

namespace json = boost::json;
using std::chrono::sys_seconds;

namespace {

/// The thread looks at least so often, for clocks that are set.
constexpr std::chrono::seconds longest_wait{30};
constexpr std::chrono::seconds longest_back_off{60};

/// [.\-_A-Za-z0-9]{1,64}
bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '-' || c == '_';
    });
}

error no_rule(std::string_view name) {
    return {errc::not_found, fmt::format("Rule {} does not exist on EventBus default.", name)};
}

/// The front tells it from other bad values by how it begins.
error too_many(std::string_view what) {
    return {errc::invalid_argument,
            fmt::format("The requested resource exceeds the maximum number allowed: {}.", what)};
}

result<void> check_target(const rule_target& t) {
    if (!is_name(t.id))
        return error(
            errc::invalid_argument,
            fmt::format("the target's Id \"{}\" is not 1 to 64 of [.\\-_A-Za-z0-9]", t.id));
    if (t.input.empty()) return {};
    if (t.input.size() > rules::max_input)
        return error(errc::invalid_argument,
                     fmt::format("Input of target {} is over {} bytes.", t.id, rules::max_input));
    boost::system::error_code ec;
    (void)json::parse(json::string_view(t.input.data(), t.input.size()), ec);
    if (ec)
        return error(
            errc::invalid_argument,
            fmt::format("JSON syntax error in input for target {}: {}", t.id, ec.message()));
    return {};
}

/// Trying again may help.
bool passes(const error& e) {
    return e == errc::throttled || e == errc::no_room || e == errc::not_ready ||
           e == errc::storage_failed;
}

}  // namespace

rules::rules(storage& kept, rule_sink& sink, std::string region, std::string account_id, clock now)
    : storage_(kept),
      sink_(sink),
      region_(std::move(region)),
      account_id_(std::move(account_id)),
      now_(std::move(now)) {}

rules::~rules() { stop(); }

result<void> rules::load() {
    HEARTH_TRY(auto stored, storage_.load_rules());
    const std::scoped_lock lock(mutex_);
    for (event_rule& r : stored) {
        HEARTH_TRY(auto when, schedule_expression::parse(r.schedule_expression));
        std::string name = r.name;
        entry e{std::move(r), when, {}};
        plan(e, now_());
        rules_.emplace(std::move(name), std::move(e));
    }
    last_tick_ = now_();
    return {};
}

void rules::plan(entry& e, sys_seconds now) const {
    e.next = e.rule.enabled ? e.when.next(now, sys_seconds(std::chrono::seconds(e.rule.since)))
                            : std::nullopt;
}

sys_seconds rules::last_due(const entry& e, sys_seconds now) {
    const auto since = sys_seconds(std::chrono::seconds(e.rule.since));
    sys_seconds at = *e.next;
    auto later = e.when.next(std::max(at, now - std::chrono::days(2)), since);
    for (; later && *later <= now; later = e.when.next(at, since)) at = *later;
    return at;
}

result<rules::entry*> rules::find_locked(std::string_view name) {
    const auto at = rules_.find(name);
    if (at == rules_.end()) return no_rule(name);
    return &at->second;
}

result<void> rules::replace_locked(entry& e, event_rule next) {
    HEARTH_CHECK(storage_.put_rule(next));
    e.rule = std::move(next);
    return {};
}

result<event_rule> rules::put(const put_rule_request& request) {
    if (!is_name(request.name))
        return violation("name", request.name,
                         "Member must satisfy regular expression pattern: [\\.\\-_A-Za-z0-9]+ and "
                         "have length less than or equal to 64");
    event_rule made;
    {
        const std::scoped_lock lock(mutex_);
        const auto at = rules_.find(request.name);
        const bool is_new = at == rules_.end();
        if (is_new && rules_.size() == max_rules)
            return too_many(fmt::format("there are {} rules", max_rules));
        event_rule next = is_new ? event_rule{} : at->second.rule;
        const event_rule before = next;
        if (request.schedule_expression) next.schedule_expression = *request.schedule_expression;
        if (request.description) next.description = *request.description;
        if (request.role_arn) next.role_arn = *request.role_arn;
        if (request.enabled) next.enabled = *request.enabled;
        if (next.schedule_expression.empty())
            return error(errc::invalid_argument,
                         "Parameter(s) EventPattern or ScheduleExpression must be specified.");
        if (next.description.size() > 512)
            return violation("description", next.description,
                             "Member must have length less than or equal to 512");
        HEARTH_TRY(auto when, schedule_expression::parse(next.schedule_expression));
        const sys_seconds now = now_();
        if (next.schedule_expression != before.schedule_expression ||
            (next.enabled && !before.enabled))
            next.since = now.time_since_epoch().count();
        if (is_new) next.tags = request.tags;
        HEARTH_CHECK(check_tags(next.tags));
        next.name = request.name;
        next.arn = "arn:aws:events:" + region_ + ":" + account_id_ + ":rule/" + next.name;
        HEARTH_CHECK(storage_.put_rule(next));
        entry& e = rules_.insert_or_assign(next.name, entry{next, when, {}}).first->second;
        plan(e, now);
        made = e.rule;
    }
    wake();
    return made;
}

result<void> rules::remove(std::string_view name) {
    const std::scoped_lock lock(mutex_);
    const auto at = rules_.find(name);
    if (at == rules_.end()) return {};  // as at AWS
    if (!at->second.rule.targets.empty())
        return error(errc::invalid_argument, "Rule can't be deleted since it has targets.");
    HEARTH_CHECK(storage_.remove_rule(at->first));
    rules_.erase(at);
    return {};
}

result<event_rule> rules::get(std::string_view name) const {
    const std::scoped_lock lock(mutex_);
    const auto at = rules_.find(name);
    if (at == rules_.end()) return no_rule(name);
    return at->second.rule;
}

rule_page rules::list(std::string_view prefix,
                      std::string_view marker,
                      std::size_t max_items) const {
    rule_page page;
    const std::scoped_lock lock(mutex_);
    page.next_marker =
        fill_page(rules_, marker, max_items, page.rules, [&](const entry& e) -> const event_rule* {
            return e.rule.name.starts_with(prefix) ? &e.rule : nullptr;
        });
    return page;
}

result<void> rules::enable(std::string_view name, bool enabled) {
    {
        const std::scoped_lock lock(mutex_);
        HEARTH_TRY(entry * e, find_locked(name));
        if (e->rule.enabled == enabled) return {};
        event_rule next = e->rule;
        next.enabled = enabled;
        const sys_seconds now = now_();
        if (enabled) next.since = now.time_since_epoch().count();
        HEARTH_CHECK(replace_locked(*e, std::move(next)));
        plan(*e, now);
    }
    wake();
    return {};
}

result<void> rules::put_targets(std::string_view name, const std::vector<rule_target>& targets) {
    for (const rule_target& t : targets) {
        HEARTH_CHECK(check_target(t));
        HEARTH_CHECK(sink_.check(t.arn));
    }
    const std::scoped_lock lock(mutex_);
    HEARTH_TRY(entry * e, find_locked(name));
    event_rule next = e->rule;
    for (const rule_target& t : targets) {
        const auto at = std::ranges::find(next.targets, t.id, &rule_target::id);
        if (at == next.targets.end())
            next.targets.push_back(t);
        else
            *at = t;
    }
    if (next.targets.size() > max_targets)
        return too_many(fmt::format("rule {} would have {} targets and may have {}", name,
                                    next.targets.size(), max_targets));
    return replace_locked(*e, std::move(next));
}

result<void> rules::remove_targets(std::string_view name, const std::vector<std::string>& ids) {
    const std::scoped_lock lock(mutex_);
    HEARTH_TRY(entry * e, find_locked(name));
    event_rule next = e->rule;
    std::erase_if(next.targets,
                  [&](const rule_target& t) { return std::ranges::find(ids, t.id) != ids.end(); });
    return replace_locked(*e, std::move(next));
}

result<void> rules::tag(std::string_view name, const std::map<std::string, std::string>& tags) {
    const std::scoped_lock lock(mutex_);
    HEARTH_TRY(entry * e, find_locked(name));
    event_rule next = e->rule;
    for (const auto& [key, value] : tags) next.tags.insert_or_assign(key, value);
    HEARTH_CHECK(check_tags(next.tags));
    return replace_locked(*e, std::move(next));
}

result<void> rules::untag(std::string_view name, const std::vector<std::string>& keys) {
    const std::scoped_lock lock(mutex_);
    HEARTH_TRY(entry * e, find_locked(name));
    event_rule next = e->rule;
    for (const std::string& key : keys) next.tags.erase(key);
    return replace_locked(*e, std::move(next));
}

rule_name_page rules::names_by_target(std::string_view arn,
                                      std::string_view marker,
                                      std::size_t max_items) const {
    rule_name_page page;
    const std::scoped_lock lock(mutex_);
    page.next_marker =
        fill_page(rules_, marker, max_items, page.names, [&](const entry& e) -> const std::string* {
            return std::ranges::find(e.rule.targets, arn, &rule_target::arn) != e.rule.targets.end()
                       ? &e.rule.name
                       : nullptr;
        });
    return page;
}

rules::counts rules::counted() const {
    const std::scoped_lock lock(mutex_);
    return counted_;
}

std::string rules::payload(const event_rule& r, const rule_target& t, sys_seconds due) const {
    if (!t.input.empty()) return t.input;
    return json::serialize(
        json::object{{"version", "0"},
                     {"id", make_uuid()},
                     {"detail-type", "Scheduled Event"},
                     {"source", "aws.events"},
                     {"account", account_id_},
                     {"time", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                                          fmt::gmtime(std::chrono::system_clock::to_time_t(due)))},
                     {"region", region_},
                     {"resources", json::array{r.arn}},
                     {"detail", json::object()}});
}

void rules::tick(sys_seconds now) {
    std::vector<firing> due;
    {
        const std::scoped_lock lock(mutex_);
        if (stopped_) return;
        const bool was_set_back = now + std::chrono::minutes(1) < last_tick_;
        last_tick_ = now;
        for (auto& [name, e] : rules_) {
            if (was_set_back) plan(e, now);
            if (!e.next || *e.next > now) continue;
            const sys_seconds at = last_due(e, now);
            plan(e, now);
            ++counted_.fired;
            for (const rule_target& t : e.rule.targets)
                due.push_back({name, t.arn, payload(e.rule, t, at), now, now});
        }
        for (std::size_t n = waiting_.size(); n > 0; --n) {
            firing f = std::move(waiting_.front());
            waiting_.pop_front();
            if (f.at <= now || was_set_back)
                due.push_back(std::move(f));
            else
                waiting_.push_back(std::move(f));
        }
    }
    for (firing& f : due) deliver(std::move(f));
}

std::optional<sys_seconds> rules::next() const {
    std::optional<sys_seconds> first;
    const auto consider = [&](sys_seconds at) { first = first ? std::min(*first, at) : at; };
    const std::scoped_lock lock(mutex_);
    for (const auto& [name, e] : rules_)
        if (e.next) consider(*e.next);
    for (const firing& f : waiting_) consider(f.at);
    return first;
}

void rules::deliver(firing f) {
    const std::string arn = f.arn;
    std::string payload = f.payload;
    sink_.deliver(arn, std::move(payload), [this, f = std::move(f)](const error& failed) mutable {
        on_delivered(std::move(f), failed);
    });
}

void rules::on_delivered(firing f, const error& failed) {
    std::string lost;
    {
        const std::scoped_lock lock(mutex_);
        if (!failed.code()) {
            ++counted_.delivered;
            return;
        }
        const sys_seconds now = now_();
        if (!stopped_ && passes(failed) && now - f.since < max_event_age &&
            waiting_.size() < max_waiting) {
            f.at = now + f.back_off;
            f.back_off = std::min(2 * f.back_off, longest_back_off);
            waiting_.push_back(std::move(f));
        } else {
            ++counted_.failed;
            lost = fmt::format("rule {}: an event for {} is lost: {}", f.rule, f.arn,
                               failed.message());
        }
    }
    if (lost.empty())
        wake();
    else
        sink_.tell(lost);
}

void rules::start() {
    {
        const std::scoped_lock lock(mutex_);
        started_ = true;
    }
    boost::asio::post(thread_, [this] { wait(); });
}

void rules::wake() {
    const std::scoped_lock lock(mutex_);
    if (started_ && !stopped_) boost::asio::post(thread_, [this] { wait(); });
}

void rules::wait() {
    {
        const std::scoped_lock lock(mutex_);
        if (stopped_) return;
    }
    std::chrono::milliseconds length = longest_wait;
    // To the millisecond: not up to a second early, nor late.
    if (const auto at = next())
        length = std::clamp(
            std::chrono::ceil<std::chrono::milliseconds>(*at - std::chrono::system_clock::now()),
            std::chrono::milliseconds(0), length);
    timer_.expires_after(length);
    timer_.async_wait([this](boost::system::error_code ec) {
        if (ec) return;  // another wait has begun
        tick(now_());
        wait();
    });
}

void rules::stop() {
    {
        const std::scoped_lock lock(mutex_);
        stopped_ = true;
    }
    boost::asio::post(thread_, [this] { timer_.cancel(); });
    thread_.join();
}

}  // namespace hearth::control
