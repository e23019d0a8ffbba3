#include "control/event_sources.hpp"

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/paging.hpp"
#include "control/record_json.hpp"
#include "control/sqs_event.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

namespace hearth::control {

namespace asio = boost::asio;
using steady = std::chrono::steady_clock;

namespace {

const std::string document_kind = "event-source-mapping";

/// The longest a queue allows.
constexpr std::chrono::seconds long_poll{20};
/// Where the function or the queue is not there, it is looked for again after this.
constexpr std::chrono::seconds absence_pause{5}, failure_pause{1};

constexpr std::string_view ok = "OK", nothing_yet = "No records processed";

error no_mapping() { return {errc::not_found, "The resource you requested does not exist."}; }

bool is_fifo(const event_source_mapping& m) { return m.event_source_arn.ends_with(".fifo"); }

queue_poller::settings settings_of(const event_source_mapping& m) {
    return {.batch_size = static_cast<std::size_t>(m.batch_size),
            .window = std::chrono::seconds(m.maximum_batching_window),
            .concurrency = static_cast<std::size_t>(
                m.maximum_concurrency.value_or(queue_poller::max_concurrency)),
            .is_fifo = is_fifo(m),
            .reports_items = !m.function_response_types.empty()};
}

bool is_absence(const error& e) {
    return e == errc::not_found || e.code() == make_error_code(queue_errc::queue_does_not_exist);
}

/// The function was not reached, and may be another time.
bool passes(const error& e) {
    return e == errc::throttled || e == errc::no_room || e == errc::not_ready ||
           e == errc::not_found || e == errc::storage_failed || e == errc::shutting_down;
}

}  // namespace

result<event_sources::source_ptr> event_sources::make(event_source_mapping m) {
    std::vector<event_pattern> filters;
    for (const std::string& each : m.filters) {
        HEARTH_TRY(auto pattern, event_pattern::parse(each));
        filters.push_back(std::move(pattern));
    }
    const auto settings = settings_of(m);
    std::string queue = owner_.queues_.name_of(m.event_source_arn);
    auto s = std::make_shared<source>(std::move(m), std::move(queue), settings, std::move(filters),
                                      thread_.get_executor());
    s->mapping.last_processing_result = nothing_yet;
    return s;
}

result<void> event_sources::load() {
    HEARTH_TRY(const auto documents, owner_.storage_->load_documents(document_kind));
    const std::scoped_lock lock(mutex_);
    for (const std::string& each : documents) {
        HEARTH_TRY(auto mapping, mapping_from_json(each));
        HEARTH_TRY(auto s, make(std::move(mapping)));
        sources_.emplace(s->mapping.uuid, std::move(s));
    }
    return {};
}

void event_sources::start() {
    const std::scoped_lock lock(mutex_);
    running_ = true;
    for (const auto& [uuid, s] : sources_) {
        if (!s->mapping.enabled) s->poller.stop();
        wake(s);
    }
}

void event_sources::pause() {
    const std::scoped_lock lock(mutex_);
    running_ = false;
    for (const auto& [uuid, s] : sources_) {
        s->poller.stop();
        wake(s);
    }
}

void event_sources::stop() {
    pause();
    // All that is under way counts as work on the thread, and a poller that was stopped sets no
    // timer.
    thread_.join();
}

void event_sources::wake(const source_ptr& s) {
    asio::post(thread_, [this, s] { pump(s); });
}

event_source_mapping event_sources::shown(const source& s) const {
    event_source_mapping m = s.mapping;
    m.state = s.deleting         ? event_source_state::deleting
              : m.enabled        ? event_source_state::enabled
              : !s.poller.idle() ? event_source_state::disabling
                                 : event_source_state::disabled;
    return m;
}

result<void> event_sources::put(event_source_mapping m) {
    HEARTH_TRY(source_ptr made, make(m));
    HEARTH_CHECK(owner_.storage_->put_document(document_kind, m.uuid, to_json(m)));
    const std::scoped_lock lock(mutex_);
    const auto [at, is_new] = sources_.try_emplace(m.uuid, made);
    source& s = *at->second;
    if (!is_new) {
        m.last_processing_result = std::move(s.mapping.last_processing_result);
        s.poller.configure(settings_of(m));
        s.filters = std::move(made->filters);
        s.mapping = std::move(m);
    }
    if (running_ && s.mapping.enabled)
        s.poller.start();
    else
        s.poller.stop();
    wake(at->second);
    return {};
}

result<event_source_mapping> event_sources::remove(std::string_view uuid) {
    HEARTH_TRY(event_source_mapping m, get(uuid));
    HEARTH_CHECK(owner_.storage_->remove_document(document_kind, m.uuid));
    const std::scoped_lock lock(mutex_);
    if (const auto at = sources_.find(uuid); at != sources_.end()) {
        at->second->deleting = true;
        at->second->poller.stop();
        wake(at->second);
    }
    m.state = event_source_state::deleting;
    return m;
}

result<event_source_mapping> event_sources::get(std::string_view uuid) const {
    const std::scoped_lock lock(mutex_);
    const auto at = sources_.find(uuid);
    if (at == sources_.end()) return no_mapping();
    return shown(*at->second);
}

event_source_mapping_page event_sources::list(
    std::string_view marker,
    std::size_t max_items,
    const std::function<bool(const event_source_mapping&)>& wanted) const {
    event_source_mapping_page page;
    event_source_mapping one;
    const std::scoped_lock lock(mutex_);
    page.next_marker = fill_page(sources_, marker, max_items, page.mappings,
                                 [&](const source_ptr& s) -> const event_source_mapping* {
                                     if (!wanted(s->mapping)) return nullptr;
                                     one = shown(*s);
                                     return &one;
                                 });
    return page;
}

std::size_t event_sources::size() const {
    const std::scoped_lock lock(mutex_);
    return sources_.size();
}

void event_sources::add_to(hearth::metrics& m) const {
    const std::scoped_lock lock(mutex_);
    for (const auto& [uuid, s] : sources_) {
        const auto counted = s->poller.counted();
        m.event_sources.push_back({.uuid = uuid,
                                   .event_source_arn = s->mapping.event_source_arn,
                                   .function_arn = s->mapping.function_arn,
                                   .polled = s->polled,
                                   .filtered_out = s->filtered_out,
                                   .invoked = counted.invoked,
                                   .failed_invoke = counted.failed,
                                   .deleted = s->deleted,
                                   .in_flight = s->poller.in_flight()});
    }
}

void event_sources::pump(const source_ptr& s) {
    std::vector<queue_poller::action> todo;
    std::optional<queue_poller::time_point> next;
    {
        const std::scoped_lock lock(mutex_);
        const bool has_room = bytes_ < max_bytes;
        todo = s->poller.step(steady::now(), has_room);
        next = s->poller.wake();
        bytes_ = bytes_ - s->charged + s->poller.bytes();
        s->charged = s->poller.bytes();
        if (!has_room && std::ranges::find(starved_, s) == starved_.end()) starved_.push_back(s);
        if (s->deleting && s->poller.idle()) sources_.erase(s->uuid);
    }
    if (next) {
        s->timer.expires_at(*next);
        s->timer.async_wait([this, s](boost::system::error_code ec) {
            if (!ec) pump(s);
        });
    } else {
        s->timer.cancel();
    }
    for (auto& each : todo) std::visit([&](auto& action) { perform(s, std::move(action)); }, each);
    if (bytes_ < max_bytes)
        for (const source_ptr& each : std::exchange(starved_, {})) wake(each);
}

result<void> event_sources::check_function(const std::string& arn) const {
    HEARTH_TRY(const auto admitted, owner_.admit(arn, {}));
    const auto guard = owner_.registry_.lock();
    if (admitted.function->reserved() == std::size_t{0})
        return error(errc::throttled, "The function's reserved concurrency is 0");
    return {};
}

void event_sources::hold(const source_ptr& s, const error& why) {
    {
        const std::scoped_lock lock(mutex_);
        s->poller.on_receive_failed(steady::now() +
                                    (is_absence(why) ? absence_pause : failure_pause));
        s->mapping.last_processing_result = "PROBLEM: " + why.message();
    }
    wake(s);
}

void event_sources::perform(const source_ptr& s, queue_poller::receive r) {
    std::string function;
    {
        const std::scoped_lock lock(mutex_);
        function = s->mapping.function_arn;
    }
    if (const auto there = check_function(function); there.has_error())
        return hold(s, there.error());
    owner_.queues_.async_receive(
        s->queue, {.max_messages = r.max, .wait = long_poll},
        asio::bind_cancellation_slot(
            s->cancel_receive.slot(),
            asio::bind_executor(thread_.get_executor(),
                                [this, s](const error& e, std::vector<queue_message> messages) {
                                    on_received(s, e, std::move(messages));
                                })));
}

void event_sources::perform(const source_ptr& s, queue_poller::cancel_receive) {
    s->cancel_receive.emit(asio::cancellation_type::all);
}

void event_sources::on_received(const source_ptr& s,
                                const error& failed,
                                std::vector<queue_message> received) {
    if (failed.code()) return hold(s, failed);
    const auto now = steady::now();
    const auto wall = std::chrono::system_clock::now();
    {
        const std::scoped_lock lock(mutex_);
        std::vector<queue_poller::message> wanted;
        std::vector<std::string> filtered_out;
        for (queue_message& m : received) {
            auto record = sqs_record(m, s->mapping.event_source_arn, owner_.options_.region);
            std::string text = boost::json::serialize(record);
            if (!s->filters.empty()) {
                const auto form = filtered_form(std::move(record));
                if (std::ranges::none_of(s->filters, [&](const event_pattern& each) {
                        return each.matches(form);
                    })) {
                    filtered_out.push_back(std::move(m.receipt_handle));
                    continue;
                }
            }
            wanted.push_back({.id = std::move(m.message_id),
                              .receipt_handle = std::move(m.receipt_handle),
                              .group_id = std::move(m.group_id),
                              .record = std::move(text),
                              .hidden_until = now + std::chrono::duration_cast<steady::duration>(
                                                        m.hidden_until - wall)});
        }
        s->polled += received.size();
        s->filtered_out += filtered_out.size();
        s->poller.on_received(std::move(wanted), std::move(filtered_out), now);
    }
    pump(s);
}

void event_sources::perform(const source_ptr& s, queue_poller::invoke i) {
    std::string function;
    {
        const std::scoped_lock lock(mutex_);
        function = s->mapping.function_arn;
    }
    owner_.async_invoke(
        function, std::move(i.payload), {}, {},
        asio::bind_executor(thread_.get_executor(),
                            [this, s, batch = i.batch](const error& e, const response& r) {
                                on_invoked(s, batch, e, r);
                            }));
}

void event_sources::on_invoked(const source_ptr& s,
                               std::uint64_t batch,
                               const error& failed,
                               const response& r) {
    using outcome = queue_poller::outcome;
    const outcome how = failed.code() ? (passes(failed) ? outcome::throttled : outcome::failed)
                        : r.ok()      ? outcome::answered
                                      : outcome::failed;
    {
        const std::scoped_lock lock(mutex_);
        s->poller.on_invoked(batch, how, r.payload, steady::now());
        s->mapping.last_processing_result = failed.code() ? "PROBLEM: " + failed.message()
                                            : how == outcome::answered
                                                ? std::string(ok)
                                                : "PROBLEM: Function call failed";
    }
    pump(s);
}

namespace {

/// As many as a queue takes in one call.
template <class Each>
std::vector<std::vector<Each>> in_batches(std::vector<Each> all) {
    std::vector<std::vector<Each>> batches;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (i % max_batch_entries == 0) batches.emplace_back();
        batches.back().push_back(std::move(all[i]));
    }
    return batches;
}

}  // namespace

void event_sources::perform(const source_ptr& s, queue_poller::remove r) {
    auto batches = in_batches(std::move(r.receipt_handles));
    const auto left = std::make_shared<std::size_t>(batches.size());
    for (auto& each : batches)
        owner_.queues_.async_remove(
            s->queue, std::move(each),
            asio::bind_executor(
                thread_.get_executor(),
                [this, s, left](const error& failed, const std::vector<result<void>>& outcomes) {
                    if (failed.code() && !is_absence(failed))
                        owner_.tell(
                            fmt::format("event source mapping {}: messages were not "
                                        "deleted, and will come again: {}",
                                        s->uuid, failed.message()));
                    {
                        const std::scoped_lock lock(mutex_);
                        s->deleted += static_cast<std::uint64_t>(std::ranges::count_if(
                            outcomes, [](const auto& o) { return o.has_value(); }));
                        if (--*left == 0) s->poller.on_settled();
                    }
                    if (*left == 0) pump(s);
                }));
}

void event_sources::perform(const source_ptr& s, queue_poller::release r) {
    std::vector<visibility_change> changes;
    for (std::string& each : r.receipt_handles) changes.push_back({std::move(each), {}});
    auto batches = in_batches(std::move(changes));
    const auto left = std::make_shared<std::size_t>(batches.size());
    for (auto& each : batches)
        // What it comes to does not matter: they come again by themselves a little later.
        owner_.queues_.async_change_visibility(
            s->queue, std::move(each),
            asio::bind_executor(thread_.get_executor(),
                                [this, s, left](const error&, const std::vector<result<void>>&) {
                                    if (--*left != 0) return;
                                    {
                                        const std::scoped_lock lock(mutex_);
                                        s->poller.on_settled();
                                    }
                                    pump(s);
                                }));
}

}  // namespace hearth::control
