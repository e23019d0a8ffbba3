// The public calls: each is a job for the service's thread.

#include "base/store_calls.hpp"
#include "base/try.hpp"
#include "queue/message.hpp"
#include "queue/service.hpp"

#include <hearth/queue.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>

#include <utility>

namespace hearth {

namespace asio = boost::asio;
using queues::fail;
using queues::store;

namespace {

constexpr std::chrono::seconds max_wait{20};

class receive_call final : public waiting_job<store> {
  public:
    receive_call(std::string name, receive_options o, queue_service::receive_handler h)
        : name_(std::move(name)), options_(o), handler_(std::move(h)) {}

    [[nodiscard]] const std::string& key() const override { return name_; }
    [[nodiscard]] bool is_answered() const override {
        return outcome_ && (outcome_->has_error() || !(*outcome_)->empty());
    }
    [[nodiscard]] std::chrono::milliseconds wait() const override { return wait_; }

    result<void> run(store& s, queue_time now) override {
        outcome_.emplace(receive(s, now));
        return storage_trouble(*outcome_);
    }
    void finish() override { handler_.call(std::move(*outcome_)); }
    void fail(error why) override { handler_.call(std::move(why)); }

  private:
    result<std::vector<queue_message>> receive(store& s, queue_time now) {
        if (options_.max_messages < 1 || options_.max_messages > max_batch_entries)
            return queues::bad_value(std::to_string(options_.max_messages), "MaxNumberOfMessages",
                                     "Must be between 1 and 10, if provided.");
        HEARTH_TRY(const std::chrono::seconds standard, s.default_wait(name_));
        wait_ = options_.wait.value_or(standard);
        if (wait_.count() < 0 || wait_ > max_wait)
            return queues::bad_value(std::to_string(wait_.count()), "WaitTimeSeconds",
                                     "Must be >= 0 and <= 20, if provided.");
        return s.receive(name_, options_, wait_.count() != 0, now);
    }

    std::string name_;
    receive_options options_;
    std::chrono::seconds wait_{};
    kept_handler<std::vector<queue_message>> handler_;
    std::optional<result<std::vector<queue_message>>> outcome_;
};

result<void> check_batch(std::size_t size) {
    if (size == 0)
        return fail(queue_errc::empty_batch_request,
                    "There should be at least one entry in the request.");
    if (size > max_batch_entries)
        return fail(queue_errc::too_many_entries_in_batch_request,
                    "Maximum number of entries per request are 10. You have sent " +
                        std::to_string(size) + ".");
    return {};
}

/// Of each entry its own outcome; what the disk refuses, or no queue, is everybody's.
template <class Outcome, class Entries, class Each>
result<std::vector<Outcome>> for_each_entry(store& s,
                                            const std::string& name,
                                            const Entries& entries,
                                            Each each) {
    HEARTH_CHECK(check_batch(entries.size()));
    HEARTH_CHECK(s.find(name));
    std::vector<Outcome> outcomes;
    for (const auto& entry : entries) {
        outcomes.push_back(each(entry));
        if (outcomes.back().has_error() && outcomes.back().error() == errc::storage_failed)
            return outcomes.back().error();
    }
    return outcomes;
}

/// Handlers of one entry, of those that many have.
template <class T>
result<T> only(std::vector<result<T>> all) {
    return std::move(all.front());
}

}  // namespace

result<queue> queue_service::create(std::string_view name,
                                    const queue_attributes& attributes,
                                    const queue_tags& tags) {
    const auto done = wait_for(
        *impl_, [&](store& s, queue_time now) { return s.create(name, attributes, tags, now); });
    if (done.has_error()) return done.error();
    return queue(*this, std::string(name));
}

result<queue> queue_service::find(std::string_view name) const {
    const auto found = wait_for(*impl_, [&](store& s, queue_time) { return s.find(name); });
    if (found.has_error()) return found.error();
    return queue(*this, std::string(name));
}

result<void> queue_service::remove(std::string_view name) {
    return wait_for(*impl_, [&](store& s, queue_time) { return s.remove(name); });
}

result<queue_page> queue_service::list(std::string_view prefix,
                                       std::string_view token,
                                       std::size_t max) const {
    return wait_for(*impl_, [&](store& s, queue_time) { return s.list(prefix, token, max); });
}

result<queue_page> queue_service::list_sources(std::string_view name,
                                               std::string_view token,
                                               std::size_t max) const {
    return wait_for(*impl_, [&](store& s, queue_time) { return s.list_sources(name, token, max); });
}

result<queue_attributes> queue_service::attributes(std::string_view name) const {
    return wait_for(*impl_, [&](store& s, queue_time now) { return s.attributes(name, now); });
}

result<void> queue_service::set_attributes(std::string_view name, const queue_attributes& changes) {
    return wait_for(*impl_,
                    [&](store& s, queue_time now) { return s.set_attributes(name, changes, now); });
}

result<void> queue_service::purge(std::string_view name) {
    return wait_for(*impl_, [&](store& s, queue_time now) { return s.purge(name, now); });
}

result<queue_tags> queue_service::tags(std::string_view name) const {
    return wait_for(*impl_, [&](store& s, queue_time) { return s.tags(name); });
}

result<void> queue_service::tag(std::string_view name, const queue_tags& tags) {
    return wait_for(*impl_, [&](store& s, queue_time) { return s.tag(name, tags); });
}

result<void> queue_service::untag(std::string_view name, const std::vector<std::string>& keys) {
    return wait_for(*impl_, [&](store& s, queue_time) { return s.untag(name, keys); });
}

std::string queue_service::arn_of(std::string_view name) const { return impl_->who.arn_of(name); }
std::string queue_service::name_of(std::string_view arn) const { return impl_->who.name_of(arn); }

void queue_service::async_send(std::string name,
                               std::vector<outgoing_message> messages,
                               send_handler handler) {
    std::size_t bytes = 0;
    for (const outgoing_message& m : messages) bytes += queues::size_of(m);
    start_call<std::vector<result<sent_message>>>(
        *impl_,
        [name = std::move(name), messages = std::move(messages), bytes](
            store& s, queue_time now) -> result<std::vector<result<sent_message>>> {
            if (messages.size() > 1 && bytes > max_message_bytes)
                return fail(queue_errc::batch_request_too_long,
                            "Batch requests cannot be longer than 262144 bytes. You have "
                            "sent " +
                                std::to_string(bytes) + " bytes.");
            return for_each_entry<result<sent_message>>(
                s, name, messages, [&](const outgoing_message& m) { return s.send(name, m, now); });
        },
        std::move(handler), bytes);
}

void queue_service::async_receive(std::string name,
                                  receive_options options,
                                  receive_handler handler) {
    const auto slot = asio::get_associated_cancellation_slot(handler);
    start_waiting<store>(
        *impl_, std::make_unique<receive_call>(std::move(name), options, std::move(handler)), slot);
}

void queue_service::async_remove(std::string name,
                                 std::vector<std::string> handles,
                                 each_handler handler) {
    start_call<std::vector<result<void>>>(
        *impl_,
        [name = std::move(name), handles = std::move(handles)](store& s, queue_time now) {
            return for_each_entry<result<void>>(s, name, handles, [&](const std::string& handle) {
                return s.remove_message(name, handle, now);
            });
        },
        std::move(handler));
}

void queue_service::async_change_visibility(std::string name,
                                            std::vector<visibility_change> changes,
                                            each_handler handler) {
    start_call<std::vector<result<void>>>(
        *impl_,
        [name = std::move(name), changes = std::move(changes)](store& s, queue_time now) {
            return for_each_entry<result<void>>(s, name, changes,
                                                [&](const visibility_change& change) {
                                                    return s.change_visibility(name, change, now);
                                                });
        },
        std::move(handler));
}

result<sent_message> queue::send(outgoing_message message) {
    std::vector<outgoing_message> one;
    one.push_back(std::move(message));
    HEARTH_TRY(auto sent, send_batch(std::move(one)));
    return only(std::move(sent));
}

result<std::vector<result<sent_message>>> queue::send_batch(
    std::vector<outgoing_message> messages) {
    return await<std::vector<result<sent_message>>>(
        [&](auto handler) { service_.async_send(name_, std::move(messages), std::move(handler)); });
}

result<std::vector<queue_message>> queue::receive(receive_options options) {
    return await<std::vector<queue_message>>(
        [&](auto handler) { service_.async_receive(name_, options, std::move(handler)); });
}

result<void> queue::remove(std::string receipt_handle) {
    HEARTH_TRY(auto all, await<std::vector<result<void>>>([&](auto handler) {
                   service_.async_remove(name_, {std::move(receipt_handle)}, std::move(handler));
               }));
    return only(std::move(all));
}

result<void> queue::change_visibility(std::string receipt_handle, std::chrono::seconds timeout) {
    HEARTH_TRY(auto all, await<std::vector<result<void>>>([&](auto handler) {
                   service_.async_change_visibility(name_, {{std::move(receipt_handle), timeout}},
                                                    std::move(handler));
               }));
    return only(std::move(all));
}

void queue::start_send(outgoing_message m,
                       asio::any_completion_handler<void(error_code, sent_message)> handler) {
    std::vector<outgoing_message> one;
    one.push_back(std::move(m));
    const auto executor = asio::get_associated_executor(handler);
    service_.async_send(
        name_, std::move(one),
        asio::bind_executor(
            executor, [handler = std::move(handler)](
                          const error& failed, std::vector<result<sent_message>> sent) mutable {
                if (failed.code()) return std::move(handler)(failed.code(), sent_message());
                auto& first = sent.front();
                if (first.has_error())
                    return std::move(handler)(first.error().code(), sent_message());
                std::move(handler)(error_code(), std::move(*first));
            }));
}

void queue::start_receive(
    receive_options o,
    asio::any_completion_handler<void(error_code, std::vector<queue_message>)> handler) {
    const auto executor = asio::get_associated_executor(handler);
    const auto slot = asio::get_associated_cancellation_slot(handler);
    service_.async_receive(
        name_, o,
        asio::bind_cancellation_slot(
            slot, asio::bind_executor(
                      executor, [handler = std::move(handler)](
                                    const error& failed, std::vector<queue_message> got) mutable {
                          std::move(handler)(failed.code(), std::move(got));
                      })));
}

void queue::start_remove(std::string handle,
                         asio::any_completion_handler<void(error_code)> handler) {
    const auto executor = asio::get_associated_executor(handler);
    service_.async_remove(
        name_, {std::move(handle)},
        asio::bind_executor(executor, [handler = std::move(handler)](
                                          const error& failed,
                                          const std::vector<result<void>>& all) mutable {
            if (failed.code()) return std::move(handler)(failed.code());
            std::move(handler)(all.front().has_error() ? all.front().error().code() : error_code());
        }));
}

}  // namespace hearth
