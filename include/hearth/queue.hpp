#pragma once

/// Durable queues, as Amazon SQS has them: standard and FIFO, with visibility timeouts, delays,
/// dead-letter queues, retention and long polls. Names, ranges, defaults and error sentences are
/// AWS's (Amazon SQS API Reference 2012-11-05 and Developer Guide, "Amazon SQS quotas"); the HTTP
/// front puts them on the wire.
///
///     hearth::queue_service& queues = rt.control().queues();
///     hearth::queue jobs = queues.create("jobs", {{"VisibilityTimeout", "60"}}).value();
///     jobs.send({.body = "one"}).value();
///     for (const hearth::queue_message& m : jobs.receive({.wait = 20s}).value())
///         jobs.remove(m.receipt_handle).value();
///
/// With a data directory a message is on disk (queues.db: SQLite, WAL, synchronous=FULL) when a
/// send returns, and every answer is on disk before it is given; calls that come together share an
/// fsync. Without one, queues live in this process's memory. A message is delivered at least once:
/// one that was received and not removed is there again after its visibility timeout, also when the
/// process was killed meanwhile.
///
/// What differs from AWS: a message has at most 256 KiB; a queue's name may be used again at once
/// after the queue was deleted, and a purge is done when it returns; a message that is moved to a
/// dead-letter queue begins there with a receive count of zero; a dead-letter queue that is gone
/// takes nothing, and its sources deliver on; Policy, the Kms… attributes and SqsManagedSseEnabled
/// are kept and shown, and nothing acts on them.
///
/// Everything here is thread-safe. Handlers are called on their associated executor, never inside
/// the initiating call. One that is bound to none is called on the queues' own thread, and must not
/// wait there.

#include <hearth/error.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

/// What AWS names where a call is refused. Beside these calls fail with errc::storage_failed,
/// errc::throttled (the disk does not keep up) and errc::shutting_down.
enum class queue_errc {
    queue_does_not_exist = 1,
    queue_name_exists,  ///< with other attributes
    invalid_attribute_name,
    invalid_attribute_value,
    invalid_parameter_value,
    missing_parameter,
    invalid_message_contents,
    receipt_handle_is_invalid,
    message_not_inflight,
    over_limit,
    purge_queue_in_progress,
    empty_batch_request,
    too_many_entries_in_batch_request,
    batch_request_too_long,
    batch_entry_ids_not_distinct,
    invalid_batch_entry_id,
    unsupported_operation,
};
const boost::system::error_category& queue_error_category() noexcept;
inline error_code make_error_code(queue_errc e) noexcept {
    return {static_cast<int>(e), queue_error_category()};
}

/// Wall-clock time: what is said of a message outlives the process.
using queue_time = std::chrono::sys_time<std::chrono::milliseconds>;

/// By AWS's names, values as AWS writes them: {"VisibilityTimeout", "30"}.
using queue_attributes = std::map<std::string, std::string, std::less<>>;
using queue_tags = std::map<std::string, std::string, std::less<>>;

/// `type` is String, Number or Binary, perhaps with a label: "Number.int". A Binary's value is its
/// bytes.
struct message_attribute {
    std::string type = "String";
    std::string value{};
    bool operator==(const message_attribute&) const = default;
};
using message_attributes = std::map<std::string, message_attribute, std::less<>>;

inline constexpr std::size_t max_message_bytes =
    256 * 1024;  ///< body and attributes; of a batch too
inline constexpr std::size_t max_batch_entries = 10;

struct outgoing_message {
    std::string body{};
    /// 0 to 900 s; nothing: the queue's. Not of a FIFO queue's message.
    std::optional<std::chrono::seconds> delay{};
    message_attributes attributes{};  ///< at most 10
    std::string trace_header{};       ///< AWSTraceHeader
    std::string group_id{};           ///< MessageGroupId: of a FIFO queue's message always
    std::string deduplication_id{};   ///< FIFO; empty: by the body, where the queue says so
    std::string sender_id{};          ///< shown as SenderId; empty: the account
};

/// MD5s in hex, as AWS computes them; of nothing: empty.
struct sent_message {
    std::string message_id{};
    std::string body_md5{}, attributes_md5{}, system_attributes_md5{};
    std::string sequence_number{};  ///< FIFO: 20 digits, ascending
};

struct queue_message {
    std::string message_id{};
    std::string receipt_handle{};  ///< of this delivery
    std::string body{}, body_md5{};
    message_attributes attributes{};
    std::string trace_header{}, group_id{}, deduplication_id{}, sequence_number{}, sender_id{};
    std::string dead_letter_source{};  ///< the ARN of the queue it was moved from
    queue_time sent{}, first_received{};
    queue_time hidden_until{};        ///< then it is there again, unless it was removed
    std::uint32_t receive_count = 1;  ///< this delivery counted
};

struct receive_options {
    std::size_t max_messages = 1;                      ///< 1 to 10
    std::optional<std::chrono::seconds> wait{};        ///< 0 to 20 s; nothing: the queue's
    std::optional<std::chrono::seconds> visibility{};  ///< 0 to 12 h; nothing: the queue's
};

struct visibility_change {
    std::string receipt_handle{};
    std::chrono::seconds timeout{};  ///< from now, 0 to 12 h
};

struct queue_page {
    std::vector<std::string> names{};
    std::string next_token{};  ///< empty: there are no more
};

/// Whether queues have an attribute of that name.
bool is_queue_attribute(std::string_view name) noexcept;

/// The MD5 AWS gives with message attributes. Empty for none.
std::string md5_of(const message_attributes& attributes);

class queue;

class queue_service {
  public:
    struct impl;
    explicit queue_service(std::shared_ptr<impl> i) noexcept : impl_(std::move(i)) {}

    // Queues, by name. These block for the disk.

    /// Creates it, or finds the one of that name and those attributes. A FIFO queue's name ends in
    /// ".fifo", and its attribute FifoQueue is true.
    /// @errors queue_name_exists, invalid_attribute_name, invalid_attribute_value,
    ///         invalid_parameter_value
    result<queue> create(std::string_view name,
                         const queue_attributes& attributes = {},
                         const queue_tags& tags = {});
    /// @errors here and below: queue_does_not_exist
    [[nodiscard]] result<queue> find(std::string_view name) const;
    /// With its messages.
    result<void> remove(std::string_view name);
    /// By name, after `token`, at most `max`.
    [[nodiscard]] result<queue_page> list(std::string_view prefix = {},
                                          std::string_view token = {},
                                          std::size_t max = 1000) const;
    /// Those that name this one as their dead-letter queue.
    [[nodiscard]] result<queue_page> list_sources(std::string_view name,
                                                  std::string_view token = {},
                                                  std::size_t max = 1000) const;
    /// All there are, counts among them.
    [[nodiscard]] result<queue_attributes> attributes(std::string_view name) const;
    /// Changes those given. An empty RedrivePolicy, RedriveAllowPolicy, Policy or KmsMasterKeyId
    /// takes it away.
    result<void> set_attributes(std::string_view name, const queue_attributes& changes);
    /// Deletes the messages; once in 60 s. @errors and purge_queue_in_progress
    result<void> purge(std::string_view name);
    [[nodiscard]] result<queue_tags> tags(std::string_view name) const;
    /// At most 50.
    result<void> tag(std::string_view name, const queue_tags& tags);
    result<void> untag(std::string_view name, const std::vector<std::string>& keys);

    /// arn:aws:sqs:REGION:ACCOUNT:NAME
    [[nodiscard]] std::string arn_of(std::string_view name) const;
    /// The name in an ARN of this region and account; empty for any other text.
    [[nodiscard]] std::string name_of(std::string_view arn) const;

    // Messages. Of a batch (1 to 10, 256 KiB) each has its own outcome; all share one commit.

    using send_handler =
        boost::asio::any_completion_handler<void(error, std::vector<result<sent_message>>)>;
    void async_send(std::string name, std::vector<outgoing_message> messages, send_handler handler);

    /// Waits for a first message as long as asked, without a thread. A cancellation ends the wait
    /// with what there is: nothing.
    using receive_handler =
        boost::asio::any_completion_handler<void(error, std::vector<queue_message>)>;
    void async_receive(std::string name, receive_options options, receive_handler handler);

    using each_handler =
        boost::asio::any_completion_handler<void(error, std::vector<result<void>>)>;
    /// Deletes what was received. A handle that is not the message's last one does nothing, with
    /// success; a FIFO queue's must not have run out.
    void async_remove(std::string name, std::vector<std::string> handles, each_handler handler);
    void async_change_visibility(std::string name,
                                 std::vector<visibility_change> changes,
                                 each_handler handler);

  private:
    std::shared_ptr<impl> impl_;
};

/// A queue by its name: cheap to copy. Its calls fail with errc::shutting_down once the runtime is
/// gone. Blocking calls return when the change is on disk.
class queue {
  public:
    queue(queue_service service, std::string name)
        : service_(std::move(service)), name_(std::move(name)) {}

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] std::string arn() const { return service_.arn_of(name_); }

    /// @errors queue_does_not_exist, invalid_parameter_value, missing_parameter,
    ///         invalid_message_contents
    result<sent_message> send(outgoing_message message);
    result<std::vector<result<sent_message>>> send_batch(std::vector<outgoing_message> messages);
    /// Empty: none came in that time. @errors queue_does_not_exist, invalid_parameter_value,
    /// over_limit (120,000 of a standard queue are in flight, and none is waited for)
    result<std::vector<queue_message>> receive(receive_options options = {});
    /// @errors queue_does_not_exist, receipt_handle_is_invalid, invalid_parameter_value
    result<void> remove(std::string receipt_handle);
    /// @errors and message_not_inflight
    result<void> change_visibility(std::string receipt_handle, std::chrono::seconds timeout);

    template <class CompletionToken = boost::asio::deferred_t>
    auto async_send(outgoing_message message, CompletionToken&& token = {}) {
        return boost::asio::async_initiate<CompletionToken, void(error_code, sent_message)>(
            [self = *this](auto handler, outgoing_message m) mutable {
                self.start_send(std::move(m), std::move(handler));
            },
            token, std::move(message));
    }
    template <class CompletionToken = boost::asio::deferred_t>
    auto async_receive(receive_options options, CompletionToken&& token = {}) {
        return boost::asio::async_initiate<CompletionToken,
                                           void(error_code, std::vector<queue_message>)>(
            [self = *this](auto handler, receive_options o) mutable {
                self.start_receive(o, std::move(handler));
            },
            token, options);
    }
    template <class CompletionToken = boost::asio::deferred_t>
    auto async_remove(std::string receipt_handle, CompletionToken&& token = {}) {
        return boost::asio::async_initiate<CompletionToken, void(error_code)>(
            [self = *this](auto handler, std::string h) mutable {
                self.start_remove(std::move(h), std::move(handler));
            },
            token, std::move(receipt_handle));
    }

  private:
    void start_send(outgoing_message m,
                    boost::asio::any_completion_handler<void(error_code, sent_message)> handler);
    void start_receive(
        receive_options o,
        boost::asio::any_completion_handler<void(error_code, std::vector<queue_message>)> handler);
    void start_remove(std::string handle,
                      boost::asio::any_completion_handler<void(error_code)> handler);
    queue_service service_;
    std::string name_;
};

}  // namespace hearth

template <>
struct boost::system::is_error_code_enum<hearth::queue_errc> : std::true_type {};
