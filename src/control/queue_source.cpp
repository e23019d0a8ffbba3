#include "control/queue_source.hpp"

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/sqs_event.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>
#include <variant>

namespace hearth::control {

namespace asio = boost::asio;
using steady = std::chrono::steady_clock;

namespace {

/// The longest a queue allows.
constexpr std::chrono::seconds long_poll{20};

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

std::unique_ptr<queue_client> open_queue(const control_plane::impl& owner,
                                         const std::string& arn,
                                         const asio::any_io_executor& executor) {
    if (auto there = owner.queue_at(arn, executor)) return std::move(*there);
    return make_local_queue(owner.queues_, {});  // which says that it is not there
}

/// The function was not reached, and may be another time.
bool may_pass(const error& e) {
    return e == errc::throttled || e == errc::no_room || e == errc::not_ready ||
           e == errc::not_found || e == errc::storage_failed || e == errc::shutting_down;
}

}  // namespace

queue_source::queue_source(event_source_context& all,
                           event_source_mapping m,
                           std::vector<event_pattern> filters)
    : event_source(all, std::move(m), std::move(filters)),
      queue_(open_queue(owner(), mapping().event_source_arn, thread())),
      poller_(settings_of(mapping())) {
    poller_.stop();
}

std::shared_ptr<queue_source> queue_source::self() {
    return std::static_pointer_cast<queue_source>(shared_from_this());
}

void queue_source::configure() { poller_.configure(settings_of(mapping())); }

event_source_metrics queue_source::metrics() const {
    event_source_metrics m = metrics_head();
    const auto counted = poller_.counted();
    m.polled = polled_, m.filtered_out = filtered_out_;
    m.invoked = counted.invoked, m.failed_invoke = counted.failed;
    m.deleted = deleted_, m.in_flight = poller_.in_flight();
    return m;
}

std::optional<queue_source::time_point> queue_source::plan(time_point now, bool has_room) {
    todo_ = poller_.step(now, has_room);
    return poller_.wake();
}

void queue_source::act() {
    for (auto& each : std::exchange(todo_, {}))
        std::visit([&](auto& action) { perform(std::move(action)); }, each);
}

result<void> queue_source::check_function(const std::string& arn) const {
    HEARTH_TRY(const auto admitted, owner().admit(arn, {}));
    const auto guard = owner().registry_.lock();
    if (admitted.function->reserved() == std::size_t{0})
        return error(errc::throttled, "The function's reserved concurrency is 0");
    return {};
}

void queue_source::hold(const error& why) {
    {
        const std::scoped_lock lock(mutex());
        poller_.on_receive_failed(steady::now() +
                                  (is_absence(why) ? absence_pause : failure_pause));
        say(why);
    }
    wake();
}

void queue_source::perform(queue_poller::receive r) {
    if (const auto there = check_function(function_arn()); there.has_error())
        return hold(there.error());
    receive_options options{.max_messages = r.max, .wait = long_poll};
    queue_->async_receive(
        options,
        asio::bind_cancellation_slot(
            cancel_receive_.slot(),
            asio::bind_executor(thread(),
                                [s = self()](const error& e, std::vector<queue_message> messages) {
                                    s->on_received(e, std::move(messages));
                                })));
}

void queue_source::perform(queue_poller::cancel_receive) {
    cancel_receive_.emit(asio::cancellation_type::all);
}

void queue_source::on_received(const error& failed, std::vector<queue_message> received) {
    if (failed.code()) return hold(failed);
    const auto now = steady::now();
    const auto wall = std::chrono::system_clock::now();
    // What goes round in a loop is left to the queue: it comes again, until its redrive policy
    // moves it. So are those behind it in its group.
    const std::string function = function_arn();
    std::set<std::string, std::less<>> stopped_groups;
    const auto is_stopped = [&](const queue_message& m) {
        if (stopped_groups.contains(m.group_id)) return true;
        if (!owner().stops(function, m.trace_header)) return false;
        if (!m.group_id.empty()) stopped_groups.insert(m.group_id);
        return true;
    };
    const std::size_t received_count = received.size();
    std::erase_if(received, is_stopped);
    {
        const std::scoped_lock lock(mutex());
        std::vector<queue_poller::message> wanted;
        std::vector<std::string> filtered_out;
        for (queue_message& m : received) {
            auto record =
                sqs_record(m, mapping().event_source_arn, region_of(mapping().event_source_arn));
            std::string text = boost::json::serialize(record);
            if (has_filters() && !wants(filtered_form(std::move(record)))) {
                filtered_out.push_back(std::move(m.receipt_handle));
                continue;
            }
            wanted.push_back({.id = std::move(m.message_id),
                              .receipt_handle = std::move(m.receipt_handle),
                              .group_id = std::move(m.group_id),
                              .record = std::move(text),
                              .hidden_until = now + std::chrono::duration_cast<steady::duration>(
                                                        m.hidden_until - wall),
                              .trace_header = std::move(m.trace_header)});
        }
        polled_ += received_count;
        filtered_out_ += filtered_out.size();
        poller_.on_received(std::move(wanted), std::move(filtered_out), now);
    }
    pump();
}

void queue_source::perform(queue_poller::invoke i) {
    invoke_options options{.request_id = make_uuid(), .trace_id = std::move(i.trace_header)};
    if (options.trace_id.empty()) options.trace_id = make_trace_id(options.request_id);
    owner().async_invoke(function_arn(), std::move(i.payload), std::move(options), {},
                         asio::bind_executor(thread(), [s = self(), batch = i.batch](
                                                           const error& e, const response& r) {
                             s->on_invoked(batch, e, r);
                         }));
}

void queue_source::on_invoked(std::uint64_t batch, const error& failed, const response& r) {
    using outcome = queue_poller::outcome;
    const outcome how = failed.code() ? (may_pass(failed) ? outcome::throttled : outcome::failed)
                        : r.ok()      ? outcome::answered
                                      : outcome::failed;
    {
        const std::scoped_lock lock(mutex());
        poller_.on_invoked(batch, how, r.payload, steady::now());
        say(failed, how == outcome::answered);
    }
    pump();
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

void queue_source::perform(queue_poller::remove r) {
    auto batches = in_batches(std::move(r.receipt_handles));
    const auto left = std::make_shared<std::size_t>(batches.size());
    for (auto& each : batches)
        queue_->async_remove(
            std::move(each),
            asio::bind_executor(
                thread(), [this, s = self(), left](const error& failed,
                                                   const std::vector<result<void>>& outcomes) {
                    if (failed.code() && !is_absence(failed))
                        owner().tell(
                            fmt::format("event source mapping {}: messages were not "
                                        "deleted, and will come again: {}",
                                        uuid_, failed.message()));
                    {
                        const std::scoped_lock lock(mutex());
                        deleted_ += static_cast<std::uint64_t>(std::ranges::count_if(
                            outcomes, [](const auto& o) { return o.has_value(); }));
                        if (--*left == 0) poller_.on_settled();
                    }
                    if (*left == 0) pump();
                }));
}

void queue_source::perform(queue_poller::release r) {
    std::vector<visibility_change> changes;
    for (std::string& each : r.receipt_handles) changes.push_back({std::move(each), {}});
    auto batches = in_batches(std::move(changes));
    const auto left = std::make_shared<std::size_t>(batches.size());
    for (auto& each : batches)
        // What it comes to does not matter: they come again by themselves a little later.
        queue_->async_change_visibility(
            std::move(each),
            asio::bind_executor(
                thread(), [this, s = self(), left](const error&, const std::vector<result<void>>&) {
                    if (--*left != 0) return;
                    {
                        const std::scoped_lock lock(mutex());
                        poller_.on_settled();
                    }
                    pump();
                }));
}

}  // namespace hearth::control
