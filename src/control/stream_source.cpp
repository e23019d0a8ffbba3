#include "control/stream_source.hpp"

#include "control/control_plane_impl.hpp"
#include "control/destination.hpp"
#include "control/event_delivery.hpp"
#include "control/events.hpp"
#include "control/kinesis_event.hpp"
#include "stream/position.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>
#include <variant>

namespace hearth::control {

namespace asio = boost::asio;
namespace json = boost::json;
using steady = std::chrono::steady_clock;

namespace {

/// Of one read: many shards may have something at once.
constexpr std::size_t read_bytes = std::size_t{1} << 20;

stream_time wall_now() {
    return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

bool is_gone(const error& e) {
    return e.code() == make_error_code(stream_errc::resource_not_found);
}

/// The iterator as if it had been given now.
std::string renewed(const std::string& iterator) {
    auto at = streams::read_iterator(iterator);
    if (!at) return iterator;
    at->given = wall_now();
    return streams::write_iterator(*at);
}

/// Of the function that is there now, or what stands for it.
std::string role_of(const control_plane::impl& impl, const std::string& function_arn) {
    if (const auto name = impl.parse(function_arn, {}); name.has_value())
        if (const auto found = impl.find_version(*name); found.has_value()) {
            const auto guard = impl.registry_.lock();
            if (const auto& role = found->version->candidate().settings.role; !role.empty())
                return role;
        }
    return "arn:aws:iam::" + impl.options_.account_id + ":role/lambda-role";
}

/// AWS's record of what a mapping gave up. `payload`: whether it has all of it.
std::string failure_record(const shard_poller::discard& d,
                           const event_source_mapping& m,
                           std::string_view shard_id,
                           bool with_payload) {
    const auto now = wall_now();
    const auto arrived = [&](steady::time_point t) {
        return record_time(now + std::chrono::round<std::chrono::milliseconds>(t - steady::now()));
    };
    json::object record{
        {"requestContext",
         {{"requestId", d.last_answer.request_id.empty() ? make_uuid() : d.last_answer.request_id},
          {"functionArn", m.function_arn},
          {"condition", to_string(d.why).data()},
          {"approximateInvokeCount", d.invocations}}},
        {"version", "1.0"},
        {"timestamp", record_time(now)},
        {"KinesisBatchInfo",
         {{"shardId", json::string_view(shard_id.data(), shard_id.size())},
          {"startSequenceNumber", d.first},
          {"endSequenceNumber", d.last},
          {"approximateArrivalOfFirstRecord", arrived(d.first_arrived)},
          {"approximateArrivalOfLastRecord", arrived(d.last_arrived)},
          {"batchSize", d.records},
          {"streamArn", m.event_source_arn}}}};
    if (d.invocations > 0) {
        json::object answered{{"statusCode", 200}};
        if (!d.last_answer.executed_version.empty())
            answered["executedVersion"] = d.last_answer.executed_version;
        if (!d.last_answer.function_error.empty())
            answered["functionError"] = d.last_answer.function_error;
        record["responseContext"] = std::move(answered);
    }
    if (with_payload) record["payload"] = d.payload;
    return json::serialize(record);
}

}  // namespace

stream_source::stream_source(event_source_context& all,
                             event_source_mapping m,
                             std::vector<event_pattern> filters)
    : event_source(all, std::move(m), std::move(filters)),
      stream_(stream_of(owner().streams_, mapping())),
      consumer_arn_(is_consumer(mapping()) ? mapping().event_source_arn : std::string()) {}

std::shared_ptr<stream_source> stream_source::self() {
    return std::static_pointer_cast<stream_source>(shared_from_this());
}

shard_poller::settings stream_source::settings(std::string_view shard_id) const {
    const event_source_mapping& m = mapping();
    shard_poller::settings s{.batch_size = static_cast<std::size_t>(m.batch_size),
                             .window = std::chrono::seconds(m.maximum_batching_window),
                             .lanes = static_cast<std::size_t>(m.parallelization_factor),
                             .reports_items = !m.function_response_types.empty(),
                             .bisects = m.bisect_batch_on_function_error};
    if (m.maximum_retry_attempts >= 0)
        s.max_retries = static_cast<std::uint64_t>(m.maximum_retry_attempts);
    if (m.maximum_record_age >= 0) s.max_age = std::chrono::seconds(m.maximum_record_age);
    s.tumbling = std::chrono::seconds(m.tumbling_window);
    s.origin = fmt::format(R"("shardId":{},"eventSourceARN":{})",
                           json::serialize(json::string_view(shard_id.data(), shard_id.size())),
                           json::serialize(json::string_view(m.event_source_arn)));
    return s;
}

stream_source::shard_ptr stream_source::make(const consumer_shard& from) const {
    const shard_poller::settings s = settings(from.shard.id);
    auto made = std::make_shared<shard>(from.shard.id, from.iterator, s);
    auto window = s.tumbling.count() > 0 ? shard_poller::read_note(from.note) : std::nullopt;
    if (window)
        window->end = steady::now() + s.tumbling +
                      (stream_time(std::chrono::milliseconds(window->start_ms)) - wall_now());
    made->poller.resume(from.last, std::move(window));
    return made;
}

void stream_source::clear() {
    clearing_ = true;
    for (const auto& [id, s] : shards_) s->poller.stop();
}

void stream_source::stop() {
    wanted_ = false;
    clear();
}

bool stream_source::idle() const {
    return !listing_ && std::ranges::all_of(
                            shards_, [](const auto& each) { return each.second->poller.idle(); });
}

std::size_t stream_source::bytes() const {
    std::size_t all = 0;
    for (const auto& [id, s] : shards_) all += s->poller.bytes();
    return all;
}

event_source_metrics stream_source::metrics() const {
    event_source_metrics m = metrics_head();
    m.polled = polled_, m.filtered_out = filtered_out_;
    auto all = counted_;
    for (const auto& [id, s] : shards_) {
        all += s->poller.counted();
        m.in_flight += s->poller.in_flight();
        m.iterator_age = std::max(m.iterator_age, s->poller.iterator_age());
    }
    m.invoked = all.invoked, m.failed_invoke = all.failed, m.dropped = all.dropped;
    return m;
}

std::optional<stream_source::time_point> stream_source::plan(time_point now, bool has_room) {
    std::optional<time_point> wake;
    const auto wake_at = [&](std::optional<time_point> at) {
        if (at) wake = wake ? std::min(*wake, *at) : *at;
    };
    for (auto each = shards_.begin(); each != shards_.end();) {
        const shard_ptr s = each->second;
        for (auto& action : s->poller.step(now, has_room)) todo_.emplace_back(s, std::move(action));
        wake_at(s->poller.wake());
        if (s->poller.finished()) {
            counted_ += s->poller.counted();
            each = shards_.erase(each);
            must_list_ = true;  // for its children
        } else {
            ++each;
        }
    }
    if (clearing_ && idle()) {
        for (const auto& [id, s] : shards_) counted_ += s->poller.counted();
        shards_.clear();
        clearing_ = false;
        must_list_ = true;
    }
    if (!wanted_ || clearing_ || !must_list_ || listing_) return wake;
    if (no_list_before_ > now) {
        wake_at(no_list_before_);
    } else {
        listing_ = list_now_ = true;
        must_list_ = false;
    }
    return wake;
}

void stream_source::act() {
    if (std::exchange(list_now_, false)) list();
    for (auto& [s, action] : std::exchange(todo_, {}))
        std::visit([&, &to = s](auto& what) { perform(to, std::move(what)); }, action);
}

// ---- Shards ----

void stream_source::list() {
    std::string role = role_of(owner(), function_arn());
    {
        const std::scoped_lock lock(mutex());
        role_ = std::move(role);
    }
    owner().streams_.async_consumer_shards(
        stream_, uuid_,
        asio::bind_executor(thread(),
                            [s = self()](const error& failed, std::vector<consumer_shard> shards) {
                                s->on_listed(failed, std::move(shards));
                            }));
}

void stream_source::on_listed(const error& failed, std::vector<consumer_shard> shards) {
    {
        const std::scoped_lock lock(mutex());
        listing_ = false;
        if (failed.code()) {
            no_list_before_ = steady::now() + (is_gone(failed) ? absence_pause : failure_pause);
            must_list_ = true;
            say(failed);
        } else if (wanted_ && !clearing_) {
            std::set<std::string_view> to_be_read;
            for (const consumer_shard& each : shards) {
                if (each.is_done) continue;
                to_be_read.insert(each.shard.id);
                // Parents come before their children.
                if (to_be_read.contains(each.shard.parent_id) ||
                    to_be_read.contains(each.shard.adjacent_parent_id))
                    continue;
                shard_ptr& at = shards_[each.shard.id];
                if (!at) at = make(each);
            }
        } else {
            must_list_ = true;
        }
    }
    pump();
}

void stream_source::perform(const shard_ptr& at, shard_poller::read r) {
    owner().streams_.async_read(
        renewed(at->iterator),
        {.max_records = std::min(r.max, max_read_records),
         .max_bytes = read_bytes,
         .wait = iterator_validity,
         .consumer_arn = consumer_arn_},
        asio::bind_cancellation_slot(
            at->cancel_read.slot(),
            asio::bind_executor(thread(), [s = self(), at](const error& failed, record_page page) {
                s->on_read(at, failed, std::move(page));
            })));
}

void stream_source::perform(const shard_ptr& at, shard_poller::cancel_read) {
    at->cancel_read.emit(asio::cancellation_type::all);
}

void stream_source::on_read(const shard_ptr& at, const error& failed, record_page page) {
    const auto now = steady::now();
    const auto wall = wall_now();
    {
        const std::scoped_lock lock(mutex());
        if (failed.code()) {
            say(failed);
            at->poller.on_read_failed(now + failure_pause);
            // It may have been made again, with other shards of the same names.
            if (is_gone(failed)) {
                no_list_before_ = now + absence_pause;
                clear();
            }
        } else {
            const kinesis_origin from{.stream_arn = mapping().event_source_arn,
                                      .shard_id = at->id,
                                      .region = owner().options_.region,
                                      .role = role_};
            std::vector<shard_poller::record> records;
            records.reserve(page.records.size());
            for (stream_record& r : page.records) {
                const json::object record = kinesis_record(r, from);
                const bool is_wanted = !has_filters() || wants(filtered_form(record, r.data));
                if (!is_wanted) ++filtered_out_;
                records.push_back({.sequence_number = std::move(r.sequence_number),
                                   .key_hash = std::hash<std::string>()(r.partition_key),
                                   .text = is_wanted ? json::serialize(record) : std::string(),
                                   .arrived = now - std::chrono::duration_cast<steady::duration>(
                                                        wall - r.arrived),
                                   .arrived_ms = r.arrived.time_since_epoch().count()});
            }
            polled_ += records.size();
            if (!page.next_iterator.empty()) at->iterator = page.next_iterator;
            at->poller.on_read(std::move(records), page.next_iterator.empty(), now);
        }
    }
    pump();
}

// ---- Batches ----

void stream_source::perform(const shard_ptr& at, shard_poller::invoke i) {
    // Each batch begins a chain of requests, as a record tells of none.
    invoke_options options{.request_id = make_uuid()};
    options.trace_id = make_trace_id(options.request_id);
    owner().async_invoke(function_arn(), std::move(i.payload), std::move(options), {},
                         asio::bind_executor(thread(), [s = self(), at, batch = i.batch](
                                                           const error& e, const response& r) {
                             s->on_invoked(at, batch, e, r);
                         }));
}

void stream_source::on_invoked(const shard_ptr& at,
                               std::uint64_t batch,
                               const error& failed,
                               const response& r) {
    using outcome = shard_poller::outcome;
    const delivery came_to = classify(failed, r);
    const outcome how = came_to == delivery::succeeded        ? outcome::answered
                        : came_to == delivery::function_error ? outcome::failed
                                                              : outcome::throttled;
    shard_poller::answer answer{.how = how,
                                .payload = r.payload,
                                .request_id = r.report.request_id,
                                .executed_version = r.executed_version,
                                .function_error = r.function_error};
    if (failed.code() && how == outcome::failed) answer.function_error = "Unhandled";
    {
        const std::scoped_lock lock(mutex());
        at->poller.on_invoked(batch, std::move(answer), steady::now());
        say(failed, how == outcome::answered);
    }
    pump();
}

void stream_source::perform(const shard_ptr& at, shard_poller::discard d) {
    std::string target, record;
    {
        const std::scoped_lock lock(mutex());
        target = mapping().on_failure;
        if (!target.empty())
            record = failure_record(d, mapping(), at->id, target.starts_with("arn:aws:s3:"));
    }
    auto done = asio::bind_executor(thread(), [s = self(), at, batch = d.batch](const error& e) {
        const bool is_ending = e == errc::shutting_down;
        if (e.code() && !is_ending)
            s->owner().tell(
                fmt::format("event source mapping {}: what it gave up did not reach "
                            "its destination: {}",
                            s->uuid_, e.message()));
        {
            const std::scoped_lock lock(s->mutex());
            at->poller.on_discarded(batch, !is_ending);
        }
        s->pump();
    });
    auto where =
        target.empty() ? result<destination>(error(errc::not_found)) : parse_destination(target);
    if (where.has_error())
        return asio::post(thread(), [done = std::move(done), why = where.error(),
                                     is_unasked = target.empty()]() mutable {
            done(is_unasked ? error() : why);
        });
    owner().events_->async_bring(std::move(*where), "aws/lambda/" + uuid_ + "/" + at->id,
                                 {.body = std::move(record)}, std::move(done));
}

void stream_source::perform(const shard_ptr& at, shard_poller::checkpoint c) {
    owner().streams_.async_checkpoint(
        stream_, uuid_, at->id, std::move(c.last), std::move(c.note),
        asio::bind_executor(thread(), [s = self(), at](const error& failed, const std::string&) {
            // One that is gone needs none.
            const bool is_lost = failed.code() && !is_gone(failed);
            {
                const std::scoped_lock lock(s->mutex());
                if (is_lost) s->say(failed);
                at->poller.on_checkpoint(is_lost ? std::optional(steady::now() + failure_pause)
                                                 : std::nullopt);
            }
            s->pump();
        }));
}

}  // namespace hearth::control
