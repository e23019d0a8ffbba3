#pragma once

/// Durable streams of records, as Amazon Kinesis Data Streams has them: shards that each keep their
/// records' order, iterators, retention, splitting and merging. Names, ranges, defaults and error
/// sentences are AWS's (Kinesis API Reference 2013-12-02 and Developer Guide, "Quotas and limits");
/// the HTTP front puts them on the wire. (What a function sends as its answer, piece by piece, is a
/// `response_stream`.)
///
///     hearth::stream_service& streams = rt.control().streams();
///     hearth::data_stream clicks = streams.create("clicks", {.shards = 2}).value();
///     clicks.put({.data = "one", .partition_key = "user-7"}).value();
///     auto at = clicks.iterator("shardId-000000000000").value();  // from its oldest record
///     while (!at.empty()) {                                       // until the shard is closed
///         auto page = clicks.read(at, {.wait = 60s}).value();     // waits without polling
///         for (const hearth::stream_record& r : page.records) use(r);
///         at = page.next_iterator;
///     }
///
/// With a data directory a record is on disk (streams.db: SQLite, WAL, synchronous=FULL) when a put
/// returns; puts that come together share an fsync. Without one, streams live in this process's
/// memory. Records go when their stream's retention is over.
///
/// What differs from AWS: a shard has no throughput limits, neither of writes nor of reads (1 MB or
/// 1,000 records, 5 reads and 2 MB in a second there), because here the disk is the limit: puts are
/// refused while it does not keep up, with errc::throttled. Streams and shards are there, and gone,
/// when the call returns. All records of one put are kept, or none is. Sequence numbers ascend
/// within a stream, and so within a shard, in the order in which the records were put. A stream on
/// demand has the four shards it is given at first and is split and merged by its user alone. A
/// registered consumer may subscribe to a shard several times at once: none of them takes over from
/// another.
///
/// Everything here is thread-safe. Handlers are called on their associated executor, never inside
/// the initiating call. One that is bound to none is called on the streams' own thread, and must
/// not wait there.

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
enum class stream_errc {
    resource_not_found = 1,  ///< no such stream, shard or consumer
    resource_in_use,         ///< the name is taken; the shard is closed; the stream has consumers
    invalid_argument,
    limit_exceeded,
    expired_iterator,
    expired_next_token,
};
const boost::system::error_category& stream_error_category() noexcept;
inline error_code make_error_code(stream_errc e) noexcept {
    return {static_cast<int>(e), stream_error_category()};
}

/// Wall-clock time: what is said of a record outlives the process.
using stream_time = std::chrono::sys_time<std::chrono::milliseconds>;
using stream_tags = std::map<std::string, std::string, std::less<>>;

inline constexpr std::size_t max_record_bytes = 1024 * 1024;          ///< of data
inline constexpr std::size_t max_put_bytes = std::size_t{5} << 20;    ///< of a put, keys counted
inline constexpr std::size_t max_put_records = 500;                   ///< of a put
inline constexpr std::size_t max_read_bytes = std::size_t{10} << 20;  ///< of a read
inline constexpr std::size_t max_read_records = 10'000;               ///< of a read
inline constexpr std::chrono::minutes iterator_validity{5};           ///< after it was given
inline constexpr std::chrono::hours min_stream_retention{24}, max_stream_retention{8760};

struct stream_options {
    /// 1 to 10,000; nothing: 4 of a stream on demand, and refused of another.
    std::optional<std::size_t> shards{};
    bool on_demand = false;  ///< StreamMode: ON_DEMAND, else PROVISIONED
};

struct outgoing_record {
    std::string data{};
    std::string partition_key{};      ///< 1 to 256 characters; its MD5 chooses the shard
    std::string explicit_hash_key{};  ///< decimal, instead of that MD5; empty: none
};

struct stored_record {
    std::string shard_id{};
    std::string sequence_number{};  ///< 56 digits, ascending
};

struct stream_record {
    std::string sequence_number{}, data{}, partition_key{};
    stream_time arrived{};
};

/// Hash keys are decimal numbers below 2^128; a shard takes the keys from its first to its last.
struct stream_shard {
    std::string id{};                               ///< "shardId-000000000000"
    std::string parent_id{}, adjacent_parent_id{};  ///< of what was split or merged; empty: none
    std::string first_hash_key{}, last_hash_key{};
    std::string first_sequence_number{}, last_sequence_number{};  ///< the last's: empty while open
    [[nodiscard]] bool is_open() const noexcept { return last_sequence_number.empty(); }
};

struct stream_description {
    std::string name{}, arn{};
    bool on_demand = false;
    std::chrono::hours retention = min_stream_retention;
    stream_time created{};
    std::size_t open_shards = 0;
    std::size_t consumers = 0;  ///< registered ones
};

/// One of those that are registered with a stream (enhanced fan-out).
struct stream_consumer {
    std::string name{}, stream{};
    /// STREAM-ARN/consumer/NAME:SECONDS; registered again it has another.
    std::string arn{};
    stream_time created{};
};

/// Where a shard is read from (ShardIteratorType).
struct shard_position {
    enum class kind { trim_horizon, latest, at_sequence_number, after_sequence_number, at_time };
    kind from = kind::trim_horizon;
    std::string sequence_number{};  ///< of the two kinds that have one
    stream_time time{};             ///< of at_time: the first record that arrived then or later
};

struct stream_read_options {
    std::size_t max_records = max_read_records;  ///< 1 to 10,000
    /// Of data and keys: no more than max_read_bytes, but one record at least.
    std::size_t max_bytes = max_read_bytes;
    /// How long a first record is waited for where there is none, without a thread: 0 to 5 min.
    std::chrono::milliseconds wait{};
    /// Of the registered consumer that reads; the read fails once it is registered no longer.
    std::string consumer_arn{};
};

struct record_page {
    std::vector<stream_record> records{};
    /// Of what follows, fresh for five minutes; empty: the shard is closed and has been read.
    std::string next_iterator{};
    /// Behind which it goes on (after_sequence_number), also where nothing was read.
    std::string last_sequence_number{};
    /// How old the next record is that was not returned; zero: there is none.
    std::chrono::milliseconds behind_latest{};
    std::vector<stream_shard> children{};  ///< those that go on where a closed shard ends
};

/// A shard, and where its consumer goes on in it.
struct consumer_shard {
    stream_shard shard{};
    std::string iterator{};  ///< of the first record that it is not done with
    bool is_done = false;    ///< it was read to its end
    std::string last{};      ///< the sequence number up to which it is done with; empty: none
    std::string note{};      ///< what it has left there with its last checkpoint
};

/// Which shards are listed (ShardFilter).
struct shard_filter {
    enum class kind { all, open, open_at, open_since };
    kind which = kind::all;  ///< those that still can have records
    /// Of open_at and open_since; before the oldest record that is kept: then.
    stream_time time{};
    std::string after_id{};  ///< those behind that shard
};

struct stream_page {
    std::vector<std::string> names{};
    bool has_more = false;
};
struct shard_page {
    std::vector<stream_shard> shards{};
    bool has_more = false;
};
struct consumer_page {
    std::vector<stream_consumer> consumers{};
    bool has_more = false;
};

class data_stream;

class stream_service {
  public:
    struct impl;
    explicit stream_service(std::shared_ptr<impl> i) noexcept : impl_(std::move(i)) {}

    // Streams, by name. These block for the disk.

    /// @errors resource_in_use, invalid_argument, limit_exceeded (10,000 open shards in all)
    result<data_stream> create(std::string_view name, const stream_options& options);
    /// @errors here and below: resource_not_found
    [[nodiscard]] result<data_stream> find(std::string_view name) const;
    /// With its records and, unless that is refused, its registered consumers.
    /// @errors and resource_in_use: it has some
    result<void> remove(std::string_view name, bool with_consumers = true);
    /// By name, after `after`, at most `max`.
    [[nodiscard]] result<stream_page> list(std::string_view after = {},
                                           std::size_t max = 100) const;
    [[nodiscard]] result<stream_description> describe(std::string_view name) const;
    /// By id; closed ones too, while they can have records. @errors and invalid_argument
    [[nodiscard]] result<shard_page> shards(std::string_view name,
                                            const shard_filter& filter = {},
                                            std::size_t max = 1000) const;
    /// Open shards of all streams.
    [[nodiscard]] result<std::size_t> open_shards() const;

    /// Closes the shard and opens two: below `hash_key`, and from it on.
    /// @errors and invalid_argument, resource_in_use, limit_exceeded
    result<void> split(std::string_view name, std::string_view shard_id, std::string_view hash_key);
    /// Closes two whose hash keys adjoin and opens one. @errors as split
    result<void> merge(std::string_view name,
                       std::string_view shard_id,
                       std::string_view adjacent_id);
    /// Splits and merges until so many open shards have equal ranges of hash keys; all of it or
    /// nothing. From half of what there are to twice as many, as AWS; how often is not limited.
    /// Returns how many there were. @errors and invalid_argument, limit_exceeded;
    /// errc::invalid_argument: the stream is on demand
    result<std::size_t> set_shard_count(std::string_view name, std::size_t target);
    /// Not shorter, not longer than it is. @errors and invalid_argument
    result<void> increase_retention(std::string_view name, std::chrono::hours retention);
    result<void> decrease_retention(std::string_view name, std::chrono::hours retention);
    result<void> set_on_demand(std::string_view name, bool on_demand);

    [[nodiscard]] result<stream_tags> tags(std::string_view name) const;
    /// At most 50. @errors and invalid_argument, limit_exceeded
    result<void> tag(std::string_view name, const stream_tags& tags);
    result<void> untag(std::string_view name, const std::vector<std::string>& keys);

    /// arn:aws:kinesis:REGION:ACCOUNT:stream/NAME
    [[nodiscard]] std::string arn_of(std::string_view name) const;
    /// The name in an ARN of this region and account; empty for any other text.
    [[nodiscard]] std::string name_of(std::string_view arn) const;
    /// The stream an iterator is of; empty: it is malformed.
    [[nodiscard]] static std::string stream_of(std::string_view iterator);

    // Records.

    /// 1 to 500, at most 5 MiB: all are kept, in this order, or none.
    /// @param after  the sequence number of a record that was put before, or empty
    using put_handler =
        boost::asio::any_completion_handler<void(error, std::vector<stored_record>)>;
    void async_put(std::string name,
                   std::vector<outgoing_record> records,
                   std::string after,
                   put_handler handler);
    using iterator_handler = boost::asio::any_completion_handler<void(error, std::string)>;
    void async_iterator(std::string name,
                        std::string shard_id,
                        shard_position from,
                        iterator_handler handler);
    /// Waits for a first record as long as asked, without a thread. A cancellation ends the wait
    /// with what there is: nothing. So does the end of the shard.
    using read_handler = boost::asio::any_completion_handler<void(error, record_page)>;
    void async_read(std::string iterator, stream_read_options options, read_handler handler);

    // Registered consumers: names under which a stream is read, by the front's SubscribeToShard, an
    // event source mapping or a read's options. Here all readers have the whole speed of the disk,
    // registered or not.

    /// At most 20 of a stream. @errors and invalid_argument, resource_in_use, limit_exceeded
    result<stream_consumer> register_consumer(std::string_view name, std::string_view consumer);
    [[nodiscard]] result<stream_consumer> find_consumer(std::string_view name,
                                                        std::string_view consumer) const;
    [[nodiscard]] result<stream_consumer> find_consumer(std::string_view arn) const;
    /// Whoever reads as it hears of it.
    result<void> deregister_consumer(std::string_view name, std::string_view consumer);
    /// By name, after `after`, at most `max`.
    [[nodiscard]] result<consumer_page> consumers(std::string_view name,
                                                  std::string_view after = {},
                                                  std::size_t max = 100) const;
    /// The stream's name in a consumer's ARN; empty as name_of's.
    [[nodiscard]] std::string stream_of_consumer(std::string_view arn) const;

    // Places: whoever reads a whole stream may have its places in the shards kept here, on disk,
    // under a name of its own, as the Kinesis Client Library keeps them in its lease table. A place
    // goes with its shard.

    /// The consumer's place in all shards that are there now, whatever it was before: one of
    /// trim_horizon, latest and at_time. In shards that come later it is their beginning.
    /// @errors resource_not_found, invalid_argument
    result<void> start_consumer(std::string_view name,
                                std::string_view consumer,
                                const shard_position& from);
    /// Its places in all streams are forgotten.
    result<void> remove_consumer(std::string_view consumer);
    /// In the order in which the shards were made: parents come before their children.
    using consumer_handler =
        boost::asio::any_completion_handler<void(error, std::vector<consumer_shard>)>;
    void async_consumer_shards(std::string name, std::string consumer, consumer_handler handler);
    /// The consumer is done with the records up to that sequence number; empty: with the shard.
    /// `note` is kept with it, in place of the one before. The handler gets the sequence number
    /// when that is on disk.
    using checkpoint_handler = boost::asio::any_completion_handler<void(error, std::string)>;
    void async_checkpoint(std::string name,
                          std::string consumer,
                          std::string shard_id,
                          std::string sequence_number,
                          std::string note,
                          checkpoint_handler handler);

  private:
    std::shared_ptr<impl> impl_;
};

/// A stream by its name: cheap to copy. Its calls fail with errc::shutting_down once the runtime is
/// gone. Blocking calls return when the change is on disk.
class data_stream {
  public:
    data_stream(stream_service service, std::string name)
        : service_(std::move(service)), name_(std::move(name)) {}

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] std::string arn() const { return service_.arn_of(name_); }
    [[nodiscard]] result<std::vector<stream_shard>> shards() const;

    /// @errors resource_not_found, invalid_argument
    result<stored_record> put(outgoing_record record);
    result<std::vector<stored_record>> put_batch(std::vector<outgoing_record> records);
    /// @errors resource_not_found, invalid_argument
    result<std::string> iterator(std::string shard_id, shard_position from = {});
    /// @errors resource_not_found, invalid_argument, expired_iterator
    result<record_page> read(std::string iterator, stream_read_options options = {});

    template <class CompletionToken = boost::asio::deferred_t>
    auto async_put(outgoing_record record, CompletionToken&& token = {}) {
        return boost::asio::async_initiate<CompletionToken, void(error_code, stored_record)>(
            [self = *this](auto handler, outgoing_record r) mutable {
                self.start_put(std::move(r), std::move(handler));
            },
            token, std::move(record));
    }
    template <class CompletionToken = boost::asio::deferred_t>
    auto async_read(std::string iterator,
                    stream_read_options options,
                    CompletionToken&& token = {}) {
        return boost::asio::async_initiate<CompletionToken, void(error_code, record_page)>(
            [self = *this](auto handler, std::string i, stream_read_options o) mutable {
                self.start_read(std::move(i), std::move(o), std::move(handler));
            },
            token, std::move(iterator), std::move(options));
    }

  private:
    void start_put(outgoing_record r,
                   boost::asio::any_completion_handler<void(error_code, stored_record)> handler);
    void start_read(std::string iterator,
                    stream_read_options o,
                    boost::asio::any_completion_handler<void(error_code, record_page)> handler);
    stream_service service_;
    std::string name_;
};

}  // namespace hearth

template <>
struct boost::system::is_error_code_enum<hearth::stream_errc> : std::true_type {};
