#pragma once

/// What an event source mapping does with one shard of a stream: when it reads, what it makes
/// batches of, what is tried again, and how far it has come. All decisions, without stream,
/// function or clock: what happened goes in, `step` says what is to be done.
///
/// A shard's records are shared out among lanes by their partition keys (ParallelizationFactor).
/// Each lane has one batch at a time with the function, so records of a key stay in their order. A
/// batch that the function fails is tried again and holds up its lane, until it is answered, or is
/// given up because it was tried too often or its records are too old. Bisected, it goes on as two.
///
/// With a tumbling window a batch is of one window, and brings the state that the one before it was
/// answered with; a batch without records ends the window. There is one lane then, and nothing is
/// given up: who is not answered holds up the shard. Place and state are one checkpoint.
///
/// The shard's checkpoint is the last record before the first that is not done with, whatever
/// later ones have come to. What is read beyond it is bounded.
///
/// Source: Lambda Developer Guide, "Using Lambda with Kinesis Data Streams" and its pages on error
/// handling, partial batch responses and stateful processing. How fast it tries again is not said
/// there.

#include "control/records_event.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hearth::control {

class shard_poller {
  public:
    using time_point = std::chrono::steady_clock::time_point;

    static constexpr std::size_t max_payload = max_records_event;
    /// Before a batch is tried again: the first of these, then twice as long each time, up to the
    /// second.
    static constexpr std::chrono::milliseconds min_backoff{100}, max_backoff{10'000};
    /// Records that are here, done with or not, in batches of all lanes, and no fewer than the
    /// second.
    static constexpr std::size_t max_window = 4, min_window = 1000;

    struct settings {
        std::size_t batch_size = 100;
        std::chrono::seconds window{};
        std::size_t lanes = 1;
        bool reports_items = false;  ///< ReportBatchItemFailures
        bool bisects = false;
        std::optional<std::uint64_t> max_retries{};     ///< nothing: as often as need be
        std::optional<std::chrono::seconds> max_age{};  ///< nothing: however old it is
        std::chrono::seconds tumbling{};                ///< zero: no windows
        std::string origin{};  ///< of events with a window: their members "shardId" and so on
    };

    /// A window's state in an event and in a checkpoint.
    static constexpr std::size_t max_state = std::size_t{1} << 20;
    /// After its end, before a window is over for want of records.
    static constexpr std::chrono::milliseconds window_patience{1000};

    struct record {
        std::string sequence_number;
        std::size_t key_hash = 0;  ///< equal for equal partition keys
        std::string text{};        ///< JSON; empty: no filter wants it
        time_point arrived{};      ///< in the stream
        std::int64_t arrived_ms = 0;  ///< the same on the wall, since 1970
    };

    /// A window that has begun and is not over.
    struct open_window {
        std::int64_t start_ms = 0;
        time_point end{};
        std::string state = "{}";  ///< JSON
        bool is_early = false;     ///< it ends for its state's size
        [[nodiscard]] std::string note() const;
    };
    /// What `note` was made of; nothing: it is none. Its `end` is not set.
    static std::optional<open_window> read_note(std::string_view note);

    enum class outcome {
        answered,
        failed,     ///< by the function
        throttled,  ///< it was not reached, and may be later
    };
    enum class condition { retry_attempts_exhausted, record_age_exceeded };

    /// What a function made of a batch.
    struct answer {
        outcome how = outcome::answered;
        std::string payload{};
        std::string request_id{}, executed_version{}, function_error{};
    };

    // What is to be done.
    struct read {
        std::size_t max;
    };
    struct cancel_read {};
    struct invoke {
        std::uint64_t batch;
        std::string payload;
    };
    /// Give them up, and say so where the mapping wants it said.
    struct discard {
        std::uint64_t batch;
        condition why;
        std::string first, last;  ///< sequence numbers
        time_point first_arrived, last_arrived;
        std::size_t records;
        std::size_t invocations;
        answer last_answer;   ///< where there was an invocation
        std::string payload;  ///< as the function has seen it
    };
    /// Keep it: all is done with up to this sequence number; empty: the shard is.
    struct checkpoint {
        std::string last;
        std::string note{};  ///< of the window that has begun; empty: none has
    };
    using action = std::variant<read, cancel_read, invoke, discard, checkpoint>;

    struct counts {
        std::uint64_t invoked = 0, failed = 0, dropped = 0;  ///< records
        counts& operator+=(const counts& more) {
            invoked += more.invoked, failed += more.failed, dropped += more.dropped;
            return *this;
        }
    };

    explicit shard_poller(settings s)
        : settings_(std::move(s)), lanes_(settings_.tumbling.count() ? 1 : settings_.lanes) {}
    /// Before anything else: where a checkpoint was left.
    void resume(std::string last, std::optional<open_window> window);

    /// Reads nothing more, and forgets what no function has: it is read again another time. What is
    /// with the function goes on. There is no way back.
    void stop() { stopped_ = true; }

    /// Of a `read`. `is_end`: the shard is closed, and these were its last.
    void on_read(std::vector<record> records, bool is_end, time_point now);
    /// It could not be made; not before `again`.
    void on_read_failed(time_point again);
    void on_invoked(std::uint64_t batch, answer a, time_point now);
    /// `is_kept`: not, if this process ended before it could be said. Then it is not done with.
    void on_discarded(std::uint64_t batch, bool is_kept = true);
    /// Of a `checkpoint`. A failed one is made again at `again`.
    void on_checkpoint(std::optional<time_point> again = {});

    /// What is to be done now. `may_read`: there is memory for it.
    std::vector<action> step(time_point now, bool may_read = true);
    /// When `step` has something to do by itself; nothing: never, as things stand.
    [[nodiscard]] std::optional<time_point> wake() const { return wake_; }

    /// Nothing is under way. Of one that was stopped: it may go.
    [[nodiscard]] bool idle() const { return !reading_ && busy_ == 0 && !settling_; }
    /// The shard was read to its end, and that is kept.
    [[nodiscard]] bool finished() const { return progress_ == progress::kept; }
    [[nodiscard]] std::size_t in_flight() const { return running_; }
    /// Of the records held.
    [[nodiscard]] std::size_t bytes() const { return bytes_; }
    [[nodiscard]] counts counted() const { return counted_; }
    /// How old the last record of the last batch was when the function got it.
    [[nodiscard]] std::chrono::milliseconds iterator_age() const { return iterator_age_; }

  private:
    /// Records are known by their number: which of all that were read here.
    struct entry {
        record what;
        time_point due;  ///< it goes now, in a batch however small
        bool is_done = false;
    };
    struct batch {
        enum class state { ready, with_function, being_discarded };
        std::uint64_t id = 0;
        std::vector<std::uint64_t> records{};
        state is = state::ready;
        time_point not_before{};
        std::size_t retries = 0, throttles = 0, invocations = 0;
        answer last{};
        bool is_final = false;  ///< of a window, without records
    };
    struct lane {
        std::deque<std::uint64_t> waiting{};
        std::deque<batch> batches{};  ///< the first is the one that is worked on
    };
    enum class progress { reading, read, ending, kept };

    [[nodiscard]] entry& at(std::uint64_t number) { return records_[number - base_]; }
    void let_go(std::uint64_t number);  ///< its text
    void finish(std::uint64_t number);
    void finish_batch(lane& l);  ///< the first
    /// The first becomes two, the first of them of `n` records.
    static void split_batch(lane& l, std::size_t n);
    void form_batch(lane& l, time_point now);
    [[nodiscard]] bool has_windows() const { return settings_.tumbling.count() > 0; }
    [[nodiscard]] std::int64_t window_of(std::uint64_t number);
    /// Begins and ends windows. Whether no batch is to be made now.
    bool turn_window(lane& l, time_point now);
    /// The state in what the function answered; nothing: there is none.
    static std::optional<std::string> state_in(std::string_view payload);
    [[nodiscard]] std::string note() const { return window_ ? window_->note() : std::string(); }
    void run(lane& l, time_point now, std::vector<action>& todo);
    void give_up(lane& l, std::size_t records, condition why, std::vector<action>& todo);
    /// The first batch, of which the records from `first` on have failed.
    void fail(lane& l, std::size_t first, time_point now);
    [[nodiscard]] std::string payload_of(const batch& b);
    [[nodiscard]] std::optional<std::size_t> first_failure(const batch& b, std::string_view said);
    lane* lane_of(std::uint64_t batch_id);
    void step_back(std::vector<action>& todo);
    void settle(time_point now, std::vector<action>& todo);
    void wake_at(time_point t) { wake_ = wake_ ? std::min(*wake_, t) : t; }

    settings settings_;
    bool stopped_ = false, reading_ = false, cancelled_ = false, settling_ = false;
    progress progress_ = progress::reading;
    std::deque<entry> records_;  ///< all that are here
    std::uint64_t base_ = 0;     ///< the number of the first
    std::optional<open_window> window_;
    time_point read_at_{};  ///< when records were last read
    std::size_t waiting_ = 0;
    std::vector<lane> lanes_;
    std::uint64_t last_batch_ = 0;
    std::size_t running_ = 0, busy_ = 0, bytes_ = 0;
    std::string done_, kept_;  ///< sequence numbers
    std::string kept_note_;
    time_point no_read_before_{}, no_checkpoint_before_{};
    std::optional<time_point> wake_;
    counts counted_;
    std::chrono::milliseconds iterator_age_{};
};

/// AWS's words in a discarded batch's record.
std::string_view to_string(shard_poller::condition) noexcept;

}  // namespace hearth::control
