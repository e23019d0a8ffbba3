#include "http/shard_subscription.hpp"

#include "http/event_stream.hpp"
#include "http/text.hpp"

#include <boost/asio/append.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>

#include <algorithm>

namespace hearth::http {

namespace asio = boost::asio;
namespace json = boost::json;
using steady = std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

/// An event is written on the session's strand: no more than it does at once without delaying
/// others.
constexpr std::size_t max_event_bytes = std::size_t{1} << 20;
/// Without records there is an event so often.
constexpr std::chrono::milliseconds quiet_time = 5s;

}  // namespace

json::object write_records(const record_page& page) {
    json::array records;
    for (const stream_record& r : page.records)
        records.push_back(
            json::object{{"SequenceNumber", r.sequence_number},
                         {"ApproximateArrivalTimestamp",
                          static_cast<double>(r.arrived.time_since_epoch().count()) / 1000.0},
                         {"Data", to_base64(r.data)},
                         {"PartitionKey", r.partition_key},
                         {"EncryptionType", "NONE"}});
    json::object o{{"Records", std::move(records)},
                   {"MillisBehindLatest", page.behind_latest.count()}};
    if (page.children.empty()) return o;
    json::array children;
    for (const stream_shard& s : page.children) {
        json::array parents{s.parent_id};
        if (!s.adjacent_parent_id.empty()) parents.emplace_back(s.adjacent_parent_id);
        children.push_back(json::object{
            {"ShardId", s.id},
            {"ParentShards", std::move(parents)},
            {"HashKeyRange",
             {{"StartingHashKey", s.first_hash_key}, {"EndingHashKey", s.last_hash_key}}}});
    }
    o["ChildShards"] = std::move(children);
    return o;
}

struct shard_subscription::state : std::enable_shared_from_this<state> {
    state(stream_service s, std::string arn, std::string i)
        : streams(std::move(s)), consumer_arn(std::move(arn)), iterator(std::move(i)) {}

    static void finish(const asio::any_io_executor& executor,
                       read_handler to,
                       error_code ec,
                       std::string bytes = {}) {
        asio::post(executor, asio::append(std::move(to), ec, std::move(bytes)));
    }

    void read(const asio::any_io_executor& executor, read_handler to) {
        if (!greeted) {
            greeted = true;
            return finish(executor, std::move(to), {}, json_event("initial-response", "{}"));
        }
        const auto left = std::chrono::floor<std::chrono::milliseconds>(until - steady::now());
        if (iterator.empty() || stopped || left <= 0ms)
            return finish(executor, std::move(to), asio::error::eof);
        stream_read_options options{.max_bytes = max_event_bytes,
                                    .wait = std::min(left, quiet_time),
                                    .consumer_arn = consumer_arn};
        streams.async_read(
            iterator, std::move(options),
            asio::bind_cancellation_slot(
                cancel.slot(),
                asio::bind_executor(executor, [self = shared_from_this(), to = std::move(to)](
                                                  const error& failed, record_page page) mutable {
                    to({}, self->write(failed, page));
                })));
    }

    std::string write(const error& failed, const record_page& page) {
        if (failed.code()) {
            iterator.clear();
            const bool is_gone = failed.code() == make_error_code(stream_errc::resource_not_found);
            const json::object told{{"message", printable(failed.message())}};
            return json_exception(
                is_gone ? "ResourceNotFoundException" : "InternalFailureException",
                json::serialize(told));
        }
        json::object event = write_records(page);
        // Nothing goes on behind the end of a shard.
        if (!page.next_iterator.empty())
            event["ContinuationSequenceNumber"] = page.last_sequence_number;
        iterator = page.next_iterator;
        return json_event("SubscribeToShardEvent", json::serialize(event));
    }

    stream_service streams;
    const std::string consumer_arn;
    std::string iterator;  ///< empty: there is no more
    steady::time_point until{};
    asio::cancellation_signal cancel;
    bool greeted = false, stopped = false;
};

shard_subscription::shard_subscription(stream_service streams,
                                       std::string consumer_arn,
                                       std::string iterator,
                                       std::chrono::milliseconds lifetime)
    : state_(std::make_shared<state>(
          std::move(streams), std::move(consumer_arn), std::move(iterator))) {
    state_->until = steady::now() + lifetime;
    answered({}, {});
}

void shard_subscription::async_read(const asio::any_io_executor& executor, read_handler handler) {
    state_->read(executor, std::move(handler));
}

void shard_subscription::hurry() noexcept {
    state_->stopped = true;
    state_->cancel.emit(asio::cancellation_type::all);
}

reply shard_subscription::head() const {
    return {.content_type = std::string(event_stream_content_type)};
}

}  // namespace hearth::http
