#pragma once

/// When an event source mapping receives, what it makes batches of, and what becomes of them: all
/// its decisions, without queue, function or clock. What happened goes in, `step` says what is to
/// be done.
///
/// Up to `allowed` batches are with the function at once: five at first, five more with every
/// second in which all were in use, fewer after failures. Messages are received only when a batch
/// of them could go at once, so what is here is bounded by the batches that may be under way.
///
/// A standard queue's messages wait until they fill a batch, in number or bytes, or until the
/// window is over. A FIFO queue's become batches as they were received, since the queue gives of a
/// group only what may go now; its next messages come when the last are removed, or shown again.
///
/// Source: Lambda Developer Guide, "Configuring scaling behavior for SQS event source mappings" and
/// "Handling errors for an SQS event source in Lambda". How fast it backs off is not said there.

#include "control/records_event.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hearth::control {

class queue_poller {
  public:
    using time_point = std::chrono::steady_clock::time_point;

    static constexpr std::size_t initial_concurrency = 5, growth = 5;
    static constexpr std::chrono::seconds growth_interval{1};  // 300 a minute
    static constexpr std::size_t max_concurrency = 1250;       // AWS's, of one mapping
    static constexpr std::size_t max_receive = 10;             // what a queue gives at once
    static constexpr std::size_t max_payload = max_records_event;
    /// A throttled batch is tried again after the first of these, then after twice as long each
    /// time, up to the second.
    static constexpr std::chrono::milliseconds min_backoff{100}, max_backoff{5000};
    /// After being throttled, no more batches than now for so long.
    static constexpr std::chrono::seconds throttle_memory{5};

    struct settings {
        std::size_t batch_size = 10;
        std::chrono::seconds window{};
        std::size_t concurrency = max_concurrency;
        bool is_fifo = false;
        bool reports_items = false;  ///< ReportBatchItemFailures
    };

    /// A message that is to go to the function.
    struct message {
        std::string id, receipt_handle, group_id;
        std::string record;         ///< JSON
        time_point hidden_until{};  ///< then somebody else may get it
        std::string trace_header{};
    };

    enum class outcome {
        answered,
        failed,     ///< by the function
        throttled,  ///< it was not reached, and may be later
    };

    // What is to be done.
    struct receive {
        std::size_t max;
    };
    struct cancel_receive {};
    struct invoke {
        std::uint64_t batch;
        std::size_t messages;
        std::string payload;
        std::string trace_header{};  ///< merged; empty: none of them has one
    };
    /// From the queue: done with.
    struct remove {
        std::vector<std::string> receipt_handles;
    };
    /// Let others have them at once: they were received in vain.
    struct release {
        std::vector<std::string> receipt_handles;
    };
    using action = std::variant<receive, cancel_receive, invoke, remove, release>;

    struct counts {
        std::uint64_t invoked = 0, failed = 0;  ///< messages
    };

    explicit queue_poller(settings s) : settings_(s) {}

    /// Of the batches to come.
    void configure(settings s) { settings_ = s; }
    void start() { stopped_ = false; }
    /// Receives nothing more, and gives back what no function has. What is with the function goes
    /// on.
    void stop() { stopped_ = true; }

    /// Of a `receive`: some perhaps, or none at the end of its wait. `filtered_out`: the receipt
    /// handles of those that no function wants.
    void on_received(std::vector<message> messages,
                     std::vector<std::string> filtered_out,
                     time_point now);
    /// It could not be made; not before `again`.
    void on_receive_failed(time_point again);
    /// `answer`: the function's, when it answered.
    void on_invoked(std::uint64_t batch, outcome how, std::string_view answer, time_point now);
    /// Of a `remove` or `release`.
    void on_settled() { --settling_; }

    /// What is to be done now. `may_receive`: there is memory for it.
    std::vector<action> step(time_point now, bool may_receive = true);
    /// When `step` has something to do by itself; nothing: never, as things stand.
    [[nodiscard]] std::optional<time_point> wake() const { return wake_; }

    /// Nothing is under way.
    [[nodiscard]] bool idle() const {
        return !receiving_ && running_.empty() && waiting_.empty() && settling_ == 0;
    }
    [[nodiscard]] std::size_t in_flight() const { return running_.size(); }
    [[nodiscard]] std::size_t allowed() const;
    /// Of the records held.
    [[nodiscard]] std::size_t bytes() const { return bytes_; }
    [[nodiscard]] counts counted() const { return counted_; }

  private:
    struct arrival {
        message what;
        time_point due;  ///< it goes now, in a batch however small
    };
    struct batch {
        std::vector<message> messages;
        std::size_t attempts = 0;
        std::optional<time_point> retry_at;  ///< throttled, and with no function now
    };
    void take_back(std::vector<message>& messages, std::vector<action>& to);
    /// How many of the messages that wait are a batch now; zero: none yet.
    [[nodiscard]] std::size_t ready(time_point now) const;
    [[nodiscard]] bool has_group(std::string_view group) const;
    void forget(std::map<std::uint64_t, batch>::iterator b);

    settings settings_;
    bool stopped_ = false;
    bool receiving_ = false, cancelled_ = false;
    std::deque<arrival> waiting_;
    std::map<std::uint64_t, batch> running_;
    std::uint64_t last_batch_ = 0;
    std::vector<std::string> to_remove_;
    std::size_t settling_ = 0, bytes_ = 0;
    std::size_t allowed_ = initial_concurrency;
    std::optional<time_point> grow_at_;  ///< nothing: not all are in use
    time_point no_growth_before_{}, no_receive_before_{};
    std::optional<time_point> wake_;
    counts counted_;
};

}  // namespace hearth::control
