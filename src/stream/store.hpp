#pragma once

/// Streams, their shards and records in a database, and every rule of theirs that needs no waiting.
/// The clock is an argument.
///
/// Used by one thread. Calls that change something stand between `begin` and `commit`; a call that
/// is refused (a stream_errc) has changed nothing, one that fails with errc::storage_failed wants
/// `roll_back`. Records are only in the database: memory does not grow with the streams.

#include "base/identity.hpp"
#include "base/sqlite.hpp"
#include "stream/hash_key.hpp"
#include "stream/position.hpp"

#include <hearth/data_stream.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::streams {

std::string arn_of(const identity& who, std::string_view name);
/// Empty: not of this region and account, or no stream's.
std::string name_of(const identity& who, std::string_view arn);

/// What a registered consumer's ARN says.
struct consumer_id {
    std::string stream{}, name{};
    std::int64_t second = 0;  ///< of its registration
};
std::optional<consumer_id> read_consumer_arn(const identity& who, std::string_view arn);

class store {
  public:
    /// Open shards of all streams: what is kept of them in memory is bounded so.
    static constexpr std::size_t max_open_shards = 10'000;
    static constexpr std::size_t max_tags = 50;
    static constexpr std::size_t max_consumers = 20;  ///< registered with a stream

    /// An empty file: in memory. @errors errc::storage_failed
    static result<std::unique_ptr<store>> open(const std::filesystem::path& file,
                                               identity who,
                                               room_listener told = {});

    result<void> begin();
    result<void> commit() { return database_.execute("COMMIT"); }
    void roll_back();

    result<void> create(std::string_view name, const stream_options& options, stream_time now);
    result<void> remove(std::string_view name, bool with_consumers = true);
    result<void> find(std::string_view name);
    result<stream_page> list(std::string_view after, std::size_t max);
    result<stream_description> describe(std::string_view name);
    result<shard_page> shards(std::string_view name,
                              const shard_filter& filter,
                              std::size_t max,
                              stream_time now);
    result<std::size_t> open_shards();
    result<void> split(std::string_view name,
                       std::string_view shard_id,
                       std::string_view hash_key,
                       stream_time now);
    result<void> merge(std::string_view name,
                       std::string_view shard_id,
                       std::string_view adjacent_id,
                       stream_time now);
    result<std::size_t> set_shard_count(std::string_view name, std::size_t target, stream_time now);
    enum class change { increase, decrease };
    result<void> set_retention(std::string_view name, change how, std::chrono::hours retention);
    result<void> set_on_demand(std::string_view name, bool on_demand);
    result<stream_tags> tags(std::string_view name);
    result<void> tag(std::string_view name, const stream_tags& tags);
    result<void> untag(std::string_view name, const std::vector<std::string>& keys);

    /// All of them or none. `after`: a sequence number that was given before, or empty.
    result<std::vector<stored_record>> put_records(std::string_view name,
                                                   const std::vector<outgoing_record>& records,
                                                   std::string_view after,
                                                   stream_time now);
    result<std::string> iterator(std::string_view name,
                                 std::string_view shard_id,
                                 const shard_position& from,
                                 stream_time now);
    /// The iterator, which is not too old. @errors invalid_argument, expired_iterator
    static result<cursor> open_iterator(std::string_view iterator, stream_time now);
    /// `max_bytes`: at least one record, whatever it has.
    result<record_page> read(const cursor& from,
                             std::size_t max_records,
                             std::size_t max_bytes,
                             stream_time now);

    result<stream_consumer> register_consumer(std::string_view name,
                                              std::string_view consumer,
                                              stream_time now);
    result<stream_consumer> find_consumer(std::string_view name, std::string_view consumer);
    result<stream_consumer> find_consumer(std::string_view arn);
    result<void> deregister_consumer(std::string_view name, std::string_view consumer);
    result<consumer_page> consumers(std::string_view name, std::string_view after, std::size_t max);

    result<void> start_consumer(std::string_view name,
                                std::string_view consumer,
                                const shard_position& from,
                                stream_time now);
    result<void> remove_consumer(std::string_view consumer);
    result<std::vector<consumer_shard>> consumer_shards(std::string_view name,
                                                        std::string_view consumer,
                                                        stream_time now);
    /// `last`: a sequence number; empty: the shard's end.
    result<void> checkpoint(std::string_view name,
                            std::string_view consumer,
                            std::string_view shard_id,
                            std::string_view last,
                            std::string_view note = {});

    /// What readers of a shard wait for.
    static std::string key_of(const cursor& c) { return std::to_string(c.shard); }
    /// Of shards to which something came since the last call, or that are closed or gone.
    std::set<std::string, std::less<>> take_touched() { return std::exchange(touched_, {}); }
    /// Never: a record is there when it has been put.
    static result<std::optional<stream_time>> next_due(std::string_view, stream_time) {
        return std::optional<stream_time>();
    }
    /// Deletes what is kept no longer, in all streams.
    result<void> sweep(stream_time now);

    const identity who;

  private:
    struct shard {
        std::int64_t row = 0, number = 0;
        std::optional<std::int64_t> parent{}, adjacent_parent{};  ///< numbers
        hash_range range{};
        stream_time opened{}, closed{};
        std::int64_t first_sequence = 0, last_sequence = 0;
        bool is_open = true;
        [[nodiscard]] std::string id() const { return write_shard_id(number); }
    };
    struct stream {
        std::int64_t row = 0;
        std::string name;
        stream_time created{};
        std::chrono::hours retention = min_stream_retention;
        bool on_demand = false;
        std::vector<shard> shards{};      ///< by number
        std::vector<std::size_t> open{};  ///< of those, by range
    };

    store(const std::filesystem::path& file, identity i, room_listener told)
        : who(std::move(i)), database_("streams", file, std::move(told)) {}
    result<void> prepare();
    /// It stays valid until something is changed.
    result<const stream*> stream_of(std::string_view name);
    result<const shard*> shard_of(const stream& s, std::string_view id) const;
    result<void> save(const stream& s);
    /// Greater than every sequence number there has been.
    result<std::int64_t> take_sequence_number();
    result<std::int64_t> last_sequence_number();
    result<cursor> cursor_at(const stream& s,
                             const shard& at,
                             const shard_position& from,
                             stream_time now);
    result<void> set_place(std::string_view consumer,
                           const shard& at,
                           std::int64_t next,
                           bool is_done,
                           std::string_view note = {});
    result<void> add_shard(std::int64_t stream_row, const shard& s);
    result<void> close_shard(const shard& s, stream_time now);
    /// The open shard that has the key: its place in `open`.
    static std::size_t open_at(const stream& s, hash_key key);
    result<void> check_room(std::size_t more);
    [[nodiscard]] stream_consumer describe(const stream& s,
                                           std::string name,
                                           stream_time created) const;
    result<std::size_t> count_consumers(const stream& s);
    static stream_shard describe(const shard& s);
    static stream_time horizon(const stream& s, stream_time now) { return now - s.retention; }

    // Statements go before the connection.
    sqlite::connection database_;
    sqlite::statement_ptr find_, add_, save_, drop_, drop_shards_, drop_records_, drop_tags_;
    sqlite::statement_ptr shards_, add_shard_, close_shard_, count_open_, forget_shards_;
    sqlite::statement_ptr put_, take_back_, last_, read_, at_time_, expire_;
    sqlite::statement_ptr tags_, tag_, untag_;
    sqlite::statement_ptr consumers_, add_consumer_, find_consumer_, count_consumers_;
    sqlite::statement_ptr drop_registered_, drop_all_registered_;
    sqlite::statement_ptr places_, set_place_, drop_places_, drop_consumer_, forget_places_;
    std::map<std::string, stream, std::less<>> streams_;  ///< a cache: dropped where in doubt
    std::set<std::string, std::less<>> touched_;
};

}  // namespace hearth::streams
