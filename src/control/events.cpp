#include "control/events.hpp"

#include "base/complete.hpp"
#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/http_sink.hpp"
#include "control/lineage.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace hearth::control {

namespace asio = boost::asio;

namespace {

/// Of a record to an HTTP endpoint: then it is given up.
constexpr std::size_t max_posts = 3;

event_time now() {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now());
}

/// Null: none. With the registry's lock held.
const event_invoke_config* config_of(const entry& e, std::string_view qualifier) {
    const auto& configs = e.attributes.event_invoke;
    const auto at = configs.find(qualifier.empty() ? std::string_view("$LATEST") : qualifier);
    return at == configs.end() ? nullptr : &at->second;
}

}  // namespace

result<std::unique_ptr<events>> events::open(control_plane::impl& owner) {
    std::unique_ptr<event_store> store;
    if (owner.options_.data_directory.empty()) {
        store = open_memory_events();
    } else {
        HEARTH_TRY(store, open_sqlite_events(owner.options_.data_directory,
                                             tell_of_room(owner.options_.observer)));
    }
    return std::unique_ptr<events>(new events(owner, std::move(store)));
}

events::events(control_plane::impl& owner, std::unique_ptr<event_store> store)
    : owner_(owner), store_(std::move(store)) {
    writer_ = std::make_unique<event_writer>(*store_);
    dispatcher_ = std::make_unique<event_dispatcher>(
        *store_, *writer_, static_cast<event_target&>(*this), owner_.options_.events, now);
}

events::~events() { stop(); }

void events::stop() {
    stopping_ = true;
    // The writer's last handlers find the dispatcher still there, though its thread has ended.
    dispatcher_->stop();
    writer_->stop();
}

result<queued_event> events::prepare(std::string_view name,
                                     std::string payload,
                                     invoke_options options,
                                     std::string_view qualifier) const {
    HEARTH_TRY(const auto admitted, owner_.admit(name, qualifier));
    if (payload.size() > max_event_payload)
        return error(errc::payload_too_large,
                     fmt::format("{} byte payload is too large for the Event invocation type "
                                 "(limit {} bytes)",
                                 payload.size(), max_event_payload));
    queued_event e;
    e.lane = admitted.function->name();
    if (!qualifier.empty() || name != e.lane) {
        HEARTH_TRY(const auto parsed, owner_.parse(name, qualifier));
        if (!parsed.qualifier.empty()) e.lane += ":" + parsed.qualifier;
    }
    e.request_id = options.request_id.empty() ? make_uuid() : std::move(options.request_id);
    // A loop is known by its header.
    e.trace_id =
        options.trace_id.empty() ? make_trace_id(e.request_id) : std::move(options.trace_id);
    e.tenant_id = std::move(options.tenant_id);
    e.payload = std::move(payload);
    e.received = e.due = now();
    e.awaits_deploy = !admitted.function->durable;
    return e;
}

result<void> events::accept(queued_event e, event_writer::handler done) {
    std::string lane = e.lane;
    event_change change;
    change.add.push_back(std::move(e));
    return writer_->submit(
        std::move(change), true,
        [this, lane = std::move(lane), done = std::move(done)](error failed) mutable {
            if (!failed.code()) {
                count(lane, [](async_metrics& m) { ++m.received; });
                dispatcher_->notify(lane);
            }
            std::move(done)(std::move(failed));
        });
}

void events::changed(std::string_view function) { dispatcher_->notify_function(function); }

void events::deleted(std::string_view function) {
    {
        const std::scoped_lock lock(counted_mutex_);
        if (const auto at = counted_.find(function); at != counted_.end()) counted_.erase(at);
    }
    event_change change;
    change.drop_function = function;
    // If the process ends before it is written, the next start finds events without a function.
    (void)writer_->submit(std::move(change), false, [this](const error& failed) {
        if (failed.code()) tell(failed.message());
    });
}

event_target::state events::look(std::string_view lane) {
    state s;
    s.limits = {owner_.options_.events.max_retries, owner_.options_.events.max_age};
    const entry_ptr e = owner_.registry_.find(function_of(lane));
    if (!e) return s;
    s.known = true;
    const std::string_view qualifier = qualifier_of(lane);
    const auto guard = owner_.registry_.lock();
    s.admits = e->reserved() != std::size_t{0};
    const event_invoke_config* config = config_of(*e, qualifier);
    if (!config) return s;
    if (config->maximum_retry_attempts)
        s.limits.retries = static_cast<std::size_t>(*config->maximum_retry_attempts);
    if (config->maximum_event_age)
        s.limits.max_age = std::chrono::seconds(*config->maximum_event_age);
    return s;
}

void events::deliver(const queued_event& e,
                     boost::asio::any_completion_handler<void(error, response)> done) {
    invoke_options options;
    options.request_id = e.request_id;
    options.trace_id = e.trace_id;
    options.tenant_id = e.tenant_id;
    owner_.async_invoke(function_of(e.lane), e.payload, std::move(options), qualifier_of(e.lane),
                        std::move(done));
}

void events::conclude(const queued_event& e,
                      event_ending ending,
                      boost::asio::any_completion_handler<void(event_change)> done) {
    std::string sink, dead_letter;
    if (const entry_ptr function = owner_.registry_.find(function_of(e.lane))) {
        const std::string_view qualifier = qualifier_of(e.lane);
        const auto guard = owner_.registry_.lock();
        if (const event_invoke_config* config = config_of(*function, qualifier))
            sink = ending.how == condition::success ? config->on_success : config->on_failure;
        if (ending.how != condition::success)
            if (const version_ptr version = find_version(*function, qualifier))
                dead_letter = version->stored.current.settings.dead_letter_target_arn;
    }
    event_change change;
    std::vector<outbound> out;
    // What follows belongs to the same chain of requests.
    const bool was_invoked = ending.deliveries > 0 && ending.failure != errc::recursive_invocation;
    const std::string trace_header =
        was_invoked ? with_visit(e.trace_id, owner_.arn_of(function_of(e.lane))) : e.trace_id;
    const auto send = [&](const std::string& target, bool is_dead_letter, outgoing_message record) {
        record.trace_header = trace_header;
        const auto sent = address(target, is_dead_letter, std::move(record), change, out);
        if (sent.has_error()) on_undelivered(e.lane, is_dead_letter, sent.error());
    };
    if (!sink.empty()) {
        const std::string_view qualifier = qualifier_of(e.lane);
        const std::string arn =
            owner_.arn_of(function_of(e.lane), qualifier.empty() ? "$LATEST" : qualifier);
        send(sink, false, {.body = invocation_record(e, ending, arn, now())});
    }
    if (dead_letter.starts_with("arn:aws:sqs:"))
        send(dead_letter, true, dead_letter_message(e, ending));
    else if (!dead_letter.empty())
        send(dead_letter, true, {.body = dead_letter_record(e, ending, dead_letter)});
    auto executor = tracked_executor(done);
    if (out.empty()) return complete(std::move(executor), std::move(done), std::move(change));
    asio::co_spawn(
        senders_,
        bring(e.lane, std::move(out), std::move(change), std::move(executor), std::move(done)),
        asio::detached);
}

asio::awaitable<error> events::bring_one(destination to,
                                         std::string place,
                                         outgoing_message record) {
    if (const auto* bucket = std::get_if<bucket_destination>(&to)) {
        const auto written =
            write_record(owner_.options_.data_directory / "destinations" / bucket->bucket, place,
                         record.body, now());
        co_return written.has_error() ? written.error() : error();
    }
    if (const auto* target = std::get_if<queue_destination>(&to)) {
        queue of(owner_.queues_, owner_.queues_.name_of(target->arn));
        const auto sent = of.send(std::move(record));
        co_return sent.has_error() ? sent.error() : error();
    }
    const auto& endpoint = std::get<http_destination>(to);
    for (std::size_t attempt = 1;; ++attempt) {
        if (stopping_) co_return error(errc::shutting_down);
        const error failed = co_await post_record(endpoint, record.body, record.trace_header);
        if (!failed.code() || attempt == max_posts) co_return failed;
        asio::steady_timer pause(co_await asio::this_coro::executor,
                                 backoff(owner_.options_.events, attempt));
        co_await pause.async_wait(asio::use_awaitable);
    }
}

void events::async_bring(destination to,
                         std::string place,
                         outgoing_message record,
                         asio::any_completion_handler<void(error)> done) {
    auto executor = tracked_executor(done);
    asio::co_spawn(senders_, bring_one(std::move(to), std::move(place), std::move(record)),
                   [executor = std::move(executor), done = std::move(done)](
                       const std::exception_ptr& thrown, error failed) mutable {
                       if (thrown) failed = error(errc::storage_failed, "out of memory");
                       complete(std::move(executor), std::move(done), std::move(failed));
                   });
}

asio::awaitable<void> events::bring(std::string lane,
                                    std::vector<outbound> out,
                                    event_change change,
                                    asio::any_completion_executor executor,
                                    asio::any_completion_handler<void(event_change)> done) {
    for (outbound& each : out) {
        const error failed = co_await bring_one(
            std::move(each.where), std::string("aws/lambda/async/").append(function_of(lane)),
            std::move(each.record));
        // The event stays as it is: the next process has it.
        if (failed == errc::shutting_down) co_return;
        if (failed.code()) on_undelivered(lane, each.is_dead_letter, failed);
    }
    complete(std::move(executor), std::move(done), std::move(change));
}

result<void> events::address(const std::string& target,
                             bool is_dead_letter,
                             outgoing_message record,
                             event_change& change,
                             std::vector<outbound>& out) {
    HEARTH_TRY(auto where, parse_destination(target));
    if (!std::holds_alternative<function_destination>(where)) {
        out.push_back({std::move(where), std::move(record), is_dead_letter});
        return {};
    }
    HEARTH_TRY(const auto name, owner_.parse(std::get<function_destination>(where).name, {}));
    HEARTH_TRY(const entry_ptr function, owner_.find(name));
    if (record.body.size() > max_event_payload)
        return error(errc::payload_too_large,
                     fmt::format("the record has {} bytes, an event at most {}", record.body.size(),
                                 max_event_payload));
    queued_event next;
    next.lane = name.name;
    if (!name.qualifier.empty()) next.lane += ":" + name.qualifier;
    next.request_id = make_uuid();
    next.trace_id = std::move(record.trace_header);
    next.payload = std::move(record.body);
    next.received = next.due = now();
    next.awaits_deploy = !function->durable;
    count(next.lane, [](async_metrics& m) { ++m.received; });
    change.add.push_back(std::move(next));
    return {};
}

void events::on_undelivered(std::string_view lane, bool dead_letter, const error& why) {
    count(lane, [dead_letter](async_metrics& m) {
        ++(dead_letter ? m.dead_letter_errors : m.destination_delivery_failures);
    });
    tell(fmt::format("the outcome of an event of {} did not reach its {}: {}", lane,
                     dead_letter ? "dead-letter target" : "destination", why.message()));
}

template <class Change>
void events::count(std::string_view lane, Change change) {
    const std::string_view function = function_of(lane);
    const std::scoped_lock lock(counted_mutex_);
    auto at = counted_.find(function);
    if (at == counted_.end()) at = counted_.emplace(function, async_metrics()).first;
    change(at->second);
}

void events::on_delivery(std::string_view lane, std::chrono::milliseconds age) {
    count(lane, [age](async_metrics& m) { m.age.record(age); });
}

void events::on_dropped(std::string_view lane) {
    count(lane, [](async_metrics& m) { ++m.dropped; });
}

void events::tell(std::string_view message) { owner_.tell(message); }

void events::add_to(hearth::metrics& m) const {
    m.async_events_queued = store_->size();
    const std::scoped_lock lock(counted_mutex_);
    auto function = m.by_function.begin();
    for (const auto& [name, counted] : counted_) {
        while (function != m.by_function.end() && function->name < name) ++function;
        if (function == m.by_function.end()) return;
        if (function->name == name) function->async = counted;
    }
}

}  // namespace hearth::control
