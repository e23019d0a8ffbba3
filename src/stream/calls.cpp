// The public calls: each is a job for the service's thread.

#include "base/store_calls.hpp"
#include "base/try.hpp"
#include "stream/service.hpp"

#include <hearth/data_stream.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>

#include <utility>

namespace hearth {

namespace asio = boost::asio;
using streams::fail;
using streams::store;

namespace {

class read_call final : public waiting_job<store> {
  public:
    read_call(std::string iterator, stream_read_options o, stream_service::read_handler h)
        : iterator_(std::move(iterator)), options_(std::move(o)), handler_(std::move(h)) {}

    [[nodiscard]] const std::string& key() const override { return key_; }
    [[nodiscard]] bool is_answered() const override {
        return outcome_ && (outcome_->has_error() || !(*outcome_)->records.empty() ||
                            (*outcome_)->next_iterator.empty());
    }
    [[nodiscard]] std::chrono::milliseconds wait() const override { return options_.wait; }

    result<void> run(store& s, stream_time now) override {
        outcome_.emplace(read(s, now));
        return storage_trouble(*outcome_);
    }
    void finish() override { handler_.call(std::move(*outcome_)); }
    void fail(error why) override { handler_.call(std::move(why)); }

  private:
    result<record_page> read(store& s, stream_time now) {
        if (options_.max_records < 1 || options_.max_records > max_read_records)
            return streams::fail(stream_errc::invalid_argument,
                                 "Limit must be between 1 and 10000, not " +
                                     std::to_string(options_.max_records) + ".");
        if (options_.max_bytes < 1 || options_.max_bytes > max_read_bytes)
            return streams::fail(stream_errc::invalid_argument,
                                 "A read is of 1 to 10485760 bytes, not " +
                                     std::to_string(options_.max_bytes) + ".");
        if (options_.wait.count() < 0 || options_.wait > iterator_validity)
            return streams::fail(stream_errc::invalid_argument,
                                 "A read waits for at most five minutes.");
        // An iterator that was fresh when the wait began stays so.
        if (!from_) {
            HEARTH_TRY(from_, store::open_iterator(iterator_, now));
            key_ = store::key_of(*from_);
        }
        if (!options_.consumer_arn.empty()) {
            HEARTH_TRY(const stream_consumer by, s.find_consumer(options_.consumer_arn));
            if (by.stream != from_->stream)
                return streams::fail(
                    stream_errc::invalid_argument,
                    "The consumer " + by.arn + " is not of the stream " + from_->stream + ".");
        }
        return s.read(*from_, options_.max_records, options_.max_bytes, now);
    }

    std::string iterator_, key_;
    stream_read_options options_;
    std::optional<streams::cursor> from_;
    kept_handler<record_page> handler_;
    std::optional<result<record_page>> outcome_;
};

}  // namespace

result<data_stream> stream_service::create(std::string_view name, const stream_options& options) {
    HEARTH_CHECK(wait_for(*impl_, [&](store& s, stream_time now) -> result<void> {
        return s.create(name, options, now);
    }));
    return data_stream(*this, std::string(name));
}

result<data_stream> stream_service::find(std::string_view name) const {
    HEARTH_CHECK(wait_for(*impl_, [&](store& s, stream_time) { return s.find(name); }));
    return data_stream(*this, std::string(name));
}

result<void> stream_service::remove(std::string_view name, bool with_consumers) {
    return wait_for(*impl_, [&](store& s, stream_time) { return s.remove(name, with_consumers); });
}

result<stream_page> stream_service::list(std::string_view after, std::size_t max) const {
    return wait_for(*impl_, [&](store& s, stream_time) { return s.list(after, max); });
}

result<stream_description> stream_service::describe(std::string_view name) const {
    return wait_for(*impl_, [&](store& s, stream_time) { return s.describe(name); });
}

result<shard_page> stream_service::shards(std::string_view name,
                                          const shard_filter& filter,
                                          std::size_t max) const {
    return wait_for(*impl_,
                    [&](store& s, stream_time now) { return s.shards(name, filter, max, now); });
}

result<std::size_t> stream_service::open_shards() const {
    return wait_for(*impl_, [](store& s, stream_time) { return s.open_shards(); });
}

result<void> stream_service::split(std::string_view name,
                                   std::string_view shard_id,
                                   std::string_view hash_key) {
    return wait_for(
        *impl_, [&](store& s, stream_time now) { return s.split(name, shard_id, hash_key, now); });
}

result<void> stream_service::merge(std::string_view name,
                                   std::string_view shard_id,
                                   std::string_view adjacent_id) {
    return wait_for(*impl_, [&](store& s, stream_time now) {
        return s.merge(name, shard_id, adjacent_id, now);
    });
}

result<std::size_t> stream_service::set_shard_count(std::string_view name, std::size_t target) {
    return wait_for(
        *impl_, [&](store& s, stream_time now) { return s.set_shard_count(name, target, now); });
}

result<void> stream_service::increase_retention(std::string_view name,
                                                std::chrono::hours retention) {
    return wait_for(*impl_, [&](store& s, stream_time) {
        return s.set_retention(name, store::change::increase, retention);
    });
}

result<void> stream_service::decrease_retention(std::string_view name,
                                                std::chrono::hours retention) {
    return wait_for(*impl_, [&](store& s, stream_time) {
        return s.set_retention(name, store::change::decrease, retention);
    });
}

result<void> stream_service::set_on_demand(std::string_view name, bool on_demand) {
    return wait_for(*impl_,
                    [&](store& s, stream_time) { return s.set_on_demand(name, on_demand); });
}

result<stream_tags> stream_service::tags(std::string_view name) const {
    return wait_for(*impl_, [&](store& s, stream_time) { return s.tags(name); });
}

result<void> stream_service::tag(std::string_view name, const stream_tags& tags) {
    return wait_for(*impl_, [&](store& s, stream_time) { return s.tag(name, tags); });
}

result<void> stream_service::untag(std::string_view name, const std::vector<std::string>& keys) {
    return wait_for(*impl_, [&](store& s, stream_time) { return s.untag(name, keys); });
}

result<stream_consumer> stream_service::register_consumer(std::string_view name,
                                                          std::string_view consumer) {
    return wait_for(*impl_, [&](store& s, stream_time now) {
        return s.register_consumer(name, consumer, now);
    });
}

result<stream_consumer> stream_service::find_consumer(std::string_view name,
                                                      std::string_view consumer) const {
    return wait_for(*impl_, [&](store& s, stream_time) { return s.find_consumer(name, consumer); });
}

result<stream_consumer> stream_service::find_consumer(std::string_view arn) const {
    return wait_for(*impl_, [&](store& s, stream_time) { return s.find_consumer(arn); });
}

result<void> stream_service::deregister_consumer(std::string_view name, std::string_view consumer) {
    return wait_for(*impl_,
                    [&](store& s, stream_time) { return s.deregister_consumer(name, consumer); });
}

result<consumer_page> stream_service::consumers(std::string_view name,
                                                std::string_view after,
                                                std::size_t max) const {
    return wait_for(*impl_, [&](store& s, stream_time) { return s.consumers(name, after, max); });
}

std::string stream_service::stream_of_consumer(std::string_view arn) const {
    const auto id = streams::read_consumer_arn(impl_->who, arn);
    return id ? id->stream : std::string();
}

result<void> stream_service::start_consumer(std::string_view name,
                                            std::string_view consumer,
                                            const shard_position& from) {
    return wait_for(*impl_, [&](store& s, stream_time now) {
        return s.start_consumer(name, consumer, from, now);
    });
}

result<void> stream_service::remove_consumer(std::string_view consumer) {
    return wait_for(*impl_, [&](store& s, stream_time) { return s.remove_consumer(consumer); });
}

std::string stream_service::arn_of(std::string_view name) const {
    return streams::arn_of(impl_->who, name);
}
std::string stream_service::name_of(std::string_view arn) const {
    return streams::name_of(impl_->who, arn);
}
std::string stream_service::stream_of(std::string_view iterator) {
    const auto c = streams::read_iterator(iterator);
    return c ? c->stream : std::string();
}

void stream_service::async_put(std::string name,
                               std::vector<outgoing_record> records,
                               std::string after,
                               put_handler handler) {
    std::size_t bytes = 0;
    for (const outgoing_record& r : records) bytes += r.data.size() + r.partition_key.size();
    start_call<std::vector<stored_record>>(
        *impl_,
        [name = std::move(name), records = std::move(records), after = std::move(after)](
            store& s, stream_time now) { return s.put_records(name, records, after, now); },
        std::move(handler), bytes);
}

void stream_service::async_iterator(std::string name,
                                    std::string shard_id,
                                    shard_position from,
                                    iterator_handler handler) {
    start_call<std::string>(
        *impl_,
        [name = std::move(name), shard_id = std::move(shard_id), from = std::move(from)](
            store& s, stream_time now) { return s.iterator(name, shard_id, from, now); },
        std::move(handler));
}

void stream_service::async_read(std::string iterator,
                                stream_read_options options,
                                read_handler handler) {
    const auto slot = asio::get_associated_cancellation_slot(handler);
    start_waiting<store>(
        *impl_,
        std::make_unique<read_call>(std::move(iterator), std::move(options), std::move(handler)),
        slot);
}

void stream_service::async_consumer_shards(std::string name,
                                           std::string consumer,
                                           consumer_handler handler) {
    start_call<std::vector<consumer_shard>>(
        *impl_,
        [name = std::move(name), consumer = std::move(consumer)](store& s, stream_time now) {
            return s.consumer_shards(name, consumer, now);
        },
        std::move(handler));
}

void stream_service::async_checkpoint(std::string name,
                                      std::string consumer,
                                      std::string shard_id,
                                      std::string sequence_number,
                                      std::string note,
                                      checkpoint_handler handler) {
    start_call<std::string>(
        *impl_,
        [name = std::move(name), consumer = std::move(consumer), shard_id = std::move(shard_id),
         last = std::move(sequence_number),
         note = std::move(note)](store& s, stream_time) -> result<std::string> {
            HEARTH_CHECK(s.checkpoint(name, consumer, shard_id, last, note));
            return last;
        },
        std::move(handler));
}

result<std::vector<stream_shard>> data_stream::shards() const {
    shard_filter filter;
    std::vector<stream_shard> all;
    for (;;) {
        HEARTH_TRY(shard_page page, service_.shards(name_, filter));
        all.insert(all.end(), std::make_move_iterator(page.shards.begin()),
                   std::make_move_iterator(page.shards.end()));
        if (!page.has_more) return all;
        filter.after_id = all.back().id;
    }
}

result<stored_record> data_stream::put(outgoing_record record) {
    std::vector<outgoing_record> one;
    one.push_back(std::move(record));
    HEARTH_TRY(auto stored, put_batch(std::move(one)));
    return std::move(stored.front());
}

result<std::vector<stored_record>> data_stream::put_batch(std::vector<outgoing_record> records) {
    return await<std::vector<stored_record>>([&](auto handler) {
        service_.async_put(name_, std::move(records), {}, std::move(handler));
    });
}

result<std::string> data_stream::iterator(std::string shard_id, shard_position from) {
    return await<std::string>([&](auto handler) {
        service_.async_iterator(name_, std::move(shard_id), std::move(from), std::move(handler));
    });
}

result<record_page> data_stream::read(std::string iterator, stream_read_options options) {
    return await<record_page>([&](auto handler) {
        service_.async_read(std::move(iterator), std::move(options), std::move(handler));
    });
}

void data_stream::start_put(outgoing_record r,
                            asio::any_completion_handler<void(error_code, stored_record)> handler) {
    std::vector<outgoing_record> one;
    one.push_back(std::move(r));
    const auto executor = asio::get_associated_executor(handler);
    service_.async_put(
        name_, std::move(one), {},
        asio::bind_executor(
            executor, [handler = std::move(handler)](const error& failed,
                                                     std::vector<stored_record> stored) mutable {
                std::move(handler)(failed.code(),
                                   failed.code() ? stored_record() : std::move(stored.front()));
            }));
}

void data_stream::start_read(std::string iterator,
                             stream_read_options o,
                             asio::any_completion_handler<void(error_code, record_page)> handler) {
    const auto executor = asio::get_associated_executor(handler);
    const auto slot = asio::get_associated_cancellation_slot(handler);
    service_.async_read(
        std::move(iterator), std::move(o),
        asio::bind_cancellation_slot(
            slot, asio::bind_executor(executor, [handler = std::move(handler)](
                                                    const error& failed, record_page page) mutable {
                std::move(handler)(failed.code(), std::move(page));
            })));
}

}  // namespace hearth
