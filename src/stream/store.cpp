#include "stream/store.hpp"

#include "base/try.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

namespace hearth::streams {

using sqlite::number_at;
using sqlite::put;
using sqlite::text_at;

namespace {

/// As in sqlite_storage.cpp. Times are milliseconds of the wall clock.
///   1  tables streams, shards, records, tags
///   2  table places: of consumers, in shards
///   3  places have a note
///   4  table consumers: those that are registered
constexpr const char* steps[] = {
    "CREATE TABLE streams (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
    " created INTEGER NOT NULL, retention_hours INTEGER NOT NULL, on_demand INTEGER NOT NULL)"
    " STRICT;"
    // Iterators hold a shard's id, so none is given twice.
    "CREATE TABLE shards (id INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL,"
    " number INTEGER NOT NULL, parent INTEGER, adjacent_parent INTEGER,"
    " first_key TEXT NOT NULL, last_key TEXT NOT NULL, opened INTEGER NOT NULL, closed INTEGER,"
    " first_sequence INTEGER NOT NULL, last_sequence INTEGER, UNIQUE (stream, number)) STRICT;"
    // Ids are the sequence numbers.
    "CREATE TABLE records (id INTEGER PRIMARY KEY AUTOINCREMENT, shard INTEGER NOT NULL,"
    " arrived INTEGER NOT NULL, key TEXT NOT NULL, data BLOB NOT NULL) STRICT;"
    "CREATE INDEX records_order ON records (shard);"  // and id, which SQLite appends
    "CREATE INDEX records_age ON records (shard, arrived);"
    "CREATE TABLE tags (stream INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (stream, key)) STRICT, WITHOUT ROWID;",
    // `next`: the first sequence number that the consumer is not done with.
    "CREATE TABLE places (consumer TEXT NOT NULL, shard INTEGER NOT NULL, next INTEGER NOT NULL,"
    " is_done INTEGER NOT NULL, PRIMARY KEY (consumer, shard)) STRICT, WITHOUT ROWID;",
    "ALTER TABLE places ADD COLUMN note TEXT NOT NULL DEFAULT '';",
    "CREATE TABLE consumers (stream INTEGER NOT NULL, name TEXT NOT NULL, created INTEGER NOT NULL,"
    " PRIMARY KEY (stream, name)) STRICT, WITHOUT ROWID;"};
constexpr sqlite::schema streams_schema{.application = 0x48727453, .steps = steps};  // "HrtS"

constexpr std::size_t max_cached_streams = 10'000;
constexpr std::size_t max_key_characters = 256, max_tag_key = 128, max_tag_value = 256;
constexpr std::size_t on_demand_shards = 4;  ///< Developer Guide, "On-demand mode"
constexpr std::string_view arn_service = "kinesis", arn_prefix = "stream/";
constexpr std::string_view consumer_infix = "/consumer/";

std::int64_t number(stream_time t) { return t.time_since_epoch().count(); }
stream_time time_of(std::int64_t n) { return stream_time(std::chrono::milliseconds(n)); }
bool is_null(const sqlite::statement_ptr& s, int column) {
    return sqlite3_column_type(s.get(), column) == SQLITE_NULL;
}
std::optional<std::int64_t> number_or_null(const sqlite::statement_ptr& s, int column) {
    if (is_null(s, column)) return std::nullopt;
    return number_at(s, column);
}
void put(const sqlite::statement_ptr& s, int at, const std::optional<std::int64_t>& n) {
    n ? put(s, at, *n) : static_cast<void>(sqlite3_bind_null(s.get(), at));
}

error no_such_stream(const identity& who, std::string_view name) {
    return fail(stream_errc::resource_not_found,
                fmt::format("Stream {} under account {} not found.", name, who.account));
}
error no_such_shard(const identity& who, std::string_view name, std::string_view id) {
    return fail(stream_errc::resource_not_found,
                fmt::format("Could not find shard {} in stream {} under account {}.", id, name,
                            who.account));
}
error no_such_consumer(const identity& who, std::string_view consumer) {
    return fail(
        stream_errc::resource_not_found,
        fmt::format("Consumer {} under account {} not found: RegisterStreamConsumer makes one.",
                    consumer, who.account));
}
error bad_argument(std::string message) {
    return fail(stream_errc::invalid_argument, std::move(message));
}

std::size_t characters(std::string_view utf8) {
    return static_cast<std::size_t>(std::ranges::count_if(
        utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// Where each of the records belongs, which are what records may be.
result<std::vector<hash_key>> check(const std::vector<outgoing_record>& records) {
    if (records.empty() || records.size() > max_put_records)
        return bad_argument(
            fmt::format("A put has 1 to {} records, not {}.", max_put_records, records.size()));
    std::size_t bytes = 0;
    std::vector<hash_key> keys;
    for (const outgoing_record& r : records) {
        const std::size_t length = characters(r.partition_key);
        if (length < 1 || length > max_key_characters)
            return bad_argument(fmt::format("A partition key has 1 to {} characters, not {}.",
                                            max_key_characters, length));
        if (r.data.size() > max_record_bytes)
            return bad_argument(fmt::format("A record's data has at most {} bytes, not {}.",
                                            max_record_bytes, r.data.size()));
        bytes += r.data.size() + r.partition_key.size();
        if (r.explicit_hash_key.empty()) {
            keys.push_back(hash_of(r.partition_key));
            continue;
        }
        const auto key = read_hash_key(r.explicit_hash_key);
        if (!key)
            return bad_argument(
                fmt::format("Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, "
                            "2^128-1]. Specified value was {}",
                            r.explicit_hash_key));
        keys.push_back(*key);
    }
    // Of one record its key does not count: 1 MiB of data may always be put.
    if (records.size() > 1 && bytes > max_put_bytes)
        return bad_argument(
            fmt::format("A put has at most {} bytes, not {}.", max_put_bytes, bytes));
    return keys;
}

}  // namespace

std::string arn_of(const identity& who, std::string_view name) {
    return who.arn(arn_service, std::string(arn_prefix) += name);
}

std::string name_of(const identity& who, std::string_view arn) {
    std::string_view name = who.resource_in(arn_service, arn);
    if (!name.starts_with(arn_prefix)) return {};
    name.remove_prefix(arn_prefix.size());
    return is_stream_name(name) ? std::string(name) : std::string();
}

std::optional<consumer_id> read_consumer_arn(const identity& who, std::string_view arn) {
    const std::size_t at = arn.find(consumer_infix);
    if (at == arn.npos) return std::nullopt;
    consumer_id id{.stream = name_of(who, arn.substr(0, at))};
    arn.remove_prefix(at + consumer_infix.size());
    const std::size_t colon = arn.find(':');
    if (colon == arn.npos) return std::nullopt;
    id.name = arn.substr(0, colon);
    arn.remove_prefix(colon + 1);
    const char* const end = arn.data() + arn.size();
    const auto [digits, ec] = std::from_chars(arn.data(), end, id.second);
    if (id.stream.empty() || !is_stream_name(id.name) || ec != std::errc() || digits != end)
        return std::nullopt;
    return id;
}

result<std::unique_ptr<store>> store::open(const std::filesystem::path& file,
                                           identity who,
                                           room_listener told) {
    std::unique_ptr<store> s(new store(file, std::move(who), std::move(told)));
    HEARTH_CHECK(s->prepare());
    return s;
}

result<void> store::prepare() {
    HEARTH_CHECK(database_.open());
    HEARTH_CHECK(database_.prepare_schema(streams_schema));
    struct text {
        sqlite::statement_ptr& to;
        const char* sql;
    };
    const text all[] = {
        {find_, "SELECT id, created, retention_hours, on_demand FROM streams WHERE name = ?1"},
        {add_,
         "INSERT INTO streams (name, created, retention_hours, on_demand)"
         " VALUES (?1, ?2, ?3, ?4)"},
        {save_, "UPDATE streams SET retention_hours = ?2, on_demand = ?3 WHERE id = ?1"},
        {drop_, "DELETE FROM streams WHERE id = ?1"},
        {drop_shards_, "DELETE FROM shards WHERE stream = ?1"},
        {drop_records_,
         "DELETE FROM records WHERE shard IN (SELECT id FROM shards WHERE stream = ?1)"},
        {drop_tags_, "DELETE FROM tags WHERE stream = ?1"},
        {shards_,
         "SELECT id, number, parent, adjacent_parent, first_key, last_key, opened, closed,"
         " first_sequence, last_sequence FROM shards WHERE stream = ?1 ORDER BY number"},
        {add_shard_,
         "INSERT INTO shards (stream, number, parent, adjacent_parent, first_key, last_key,"
         " opened, first_sequence) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"},
        {close_shard_, "UPDATE shards SET closed = ?2, last_sequence = ?3 WHERE id = ?1"},
        {count_open_, "SELECT count(*) FROM shards WHERE closed IS NULL"},
        {forget_shards_, "DELETE FROM shards WHERE stream = ?1 AND closed <= ?2"},
        {put_, "INSERT INTO records (shard, arrived, key, data) VALUES (?1, ?2, ?3, ?4)"},
        {take_back_, "DELETE FROM records WHERE id = ?1"},
        {last_, "SELECT seq FROM sqlite_sequence WHERE name = 'records'"},
        {read_,
         "SELECT id, arrived, key, data FROM records INDEXED BY records_order"
         " WHERE shard = ?1 AND id >= ?2 AND arrived > ?3 ORDER BY id"},
        {at_time_,
         "SELECT min(id) FROM records INDEXED BY records_age WHERE shard = ?1 AND arrived >= ?2"},
        {expire_, "DELETE FROM records WHERE shard = ?1 AND arrived <= ?2"},
        {tags_, "SELECT key, value FROM tags WHERE stream = ?1"},
        {tag_,
         "INSERT INTO tags (stream, key, value) VALUES (?1, ?2, ?3)"
         " ON CONFLICT (stream, key) DO UPDATE SET value = excluded.value"},
        {untag_, "DELETE FROM tags WHERE stream = ?1 AND key = ?2"},
        {consumers_,
         "SELECT name, created FROM consumers WHERE stream = ?1 AND name > ?2"
         " ORDER BY name LIMIT ?3"},
        {add_consumer_, "INSERT INTO consumers (stream, name, created) VALUES (?1, ?2, ?3)"},
        {find_consumer_, "SELECT created FROM consumers WHERE stream = ?1 AND name = ?2"},
        {count_consumers_, "SELECT count(*) FROM consumers WHERE stream = ?1"},
        {drop_registered_, "DELETE FROM consumers WHERE stream = ?1 AND name = ?2"},
        {drop_all_registered_, "DELETE FROM consumers WHERE stream = ?1"},
        {places_,
         "SELECT shard, next, is_done, note FROM places WHERE consumer = ?1"
         " AND shard IN (SELECT id FROM shards WHERE stream = ?2)"},
        {set_place_,
         "INSERT INTO places (consumer, shard, next, is_done, note) VALUES (?1, ?2, ?3, ?4, ?5)"
         " ON CONFLICT (consumer, shard) DO UPDATE SET next = excluded.next,"
         " is_done = excluded.is_done, note = excluded.note"},
        {drop_places_,
         "DELETE FROM places WHERE shard IN (SELECT id FROM shards WHERE stream = ?1)"},
        {drop_consumer_, "DELETE FROM places WHERE consumer = ?1"},
        {forget_places_, "DELETE FROM places WHERE shard NOT IN (SELECT id FROM shards)"},
    };
    for (const text& each : all) {
        HEARTH_TRY(each.to, database_.prepare(each.sql));
    }
    return {};
}

result<void> store::begin() {
    if (streams_.size() > max_cached_streams) streams_.clear();
    return database_.execute("BEGIN IMMEDIATE");
}

void store::roll_back() {
    database_.roll_back();
    streams_.clear();
    touched_.clear();
}

// ---- Streams ----

result<const store::stream*> store::stream_of(std::string_view name) {
    if (const auto at = streams_.find(name); at != streams_.end()) return &at->second;
    stream s;
    s.name = name;
    bool is_there = false;
    put(find_, 1, name);
    HEARTH_CHECK(database_.each_row(find_, [&](const sqlite::statement_ptr& row) {
        is_there = true;
        s.row = number_at(row, 0), s.created = time_of(number_at(row, 1));
        s.retention = std::chrono::hours(number_at(row, 2)), s.on_demand = number_at(row, 3) != 0;
        return false;
    }));
    if (!is_there) return no_such_stream(who, name);
    put(shards_, 1, s.row);
    HEARTH_CHECK(database_.each_row(shards_, [&](const sqlite::statement_ptr& row) {
        shard each{.row = number_at(row, 0),
                   .number = number_at(row, 1),
                   .parent = number_or_null(row, 2),
                   .adjacent_parent = number_or_null(row, 3),
                   .range = {from_hex(text_at(row, 4)), from_hex(text_at(row, 5))},
                   .opened = time_of(number_at(row, 6)),
                   .closed = time_of(number_at(row, 7)),
                   .first_sequence = number_at(row, 8),
                   .last_sequence = number_at(row, 9),
                   .is_open = is_null(row, 7)};
        if (each.is_open) s.open.push_back(s.shards.size());
        s.shards.push_back(std::move(each));
        return true;
    }));
    std::ranges::sort(s.open, {}, [&](std::size_t i) { return s.shards[i].range.first; });
    // Every key has a shard: those that look for one rely on it.
    if (s.open.empty() || s.shards[s.open.front()].range.first != 0)
        return database_.damaged("of the stream " + s.name + " a shard is missing");
    return &streams_.emplace(s.name, std::move(s)).first->second;
}

result<const store::shard*> store::shard_of(const stream& s, std::string_view id) const {
    const auto wanted = read_shard_id(id);
    const auto at = std::ranges::find_if(
        s.shards, [&](const shard& each) { return wanted && each.number == *wanted; });
    if (at == s.shards.end()) return no_such_shard(who, s.name, id);
    return &*at;
}

result<void> store::save(const stream& s) {
    put(save_, 1, s.row), put(save_, 2, std::int64_t{s.retention.count()});
    put(save_, 3, std::int64_t{s.on_demand});
    HEARTH_CHECK(database_.run(save_));
    streams_.erase(s.name);
    return {};
}

result<std::int64_t> store::take_sequence_number() {
    // By a record that is taken back at once: SQLite gives no number twice.
    put(put_, 1, std::int64_t{0}), put(put_, 2, std::int64_t{0}), put(put_, 3, std::string_view());
    sqlite::put_bytes(put_, 4, {});
    HEARTH_CHECK(database_.run(put_));
    const std::int64_t n = database_.last_row_id();
    put(take_back_, 1, n);
    HEARTH_CHECK(database_.run(take_back_));
    return n;
}

result<std::int64_t> store::last_sequence_number() {
    std::int64_t last = 0;
    HEARTH_CHECK(database_.each_row(last_, [&](const sqlite::statement_ptr& row) {
        last = number_at(row, 0);
        return false;
    }));
    return last;
}

result<void> store::add_shard(std::int64_t stream_row, const shard& s) {
    HEARTH_TRY(const std::int64_t first, take_sequence_number());
    const std::string from = to_hex(s.range.first), to = to_hex(s.range.last);
    put(add_shard_, 1, stream_row), put(add_shard_, 2, s.number);
    put(add_shard_, 3, s.parent), put(add_shard_, 4, s.adjacent_parent);
    put(add_shard_, 5, from), put(add_shard_, 6, to);
    put(add_shard_, 7, number(s.opened)), put(add_shard_, 8, first);
    return database_.run(add_shard_);
}

result<void> store::close_shard(const shard& s, stream_time now) {
    HEARTH_TRY(const std::int64_t last, take_sequence_number());
    put(close_shard_, 1, s.row), put(close_shard_, 2, number(now)), put(close_shard_, 3, last);
    touched_.insert(std::to_string(s.row));
    return database_.run(close_shard_);
}

result<std::size_t> store::open_shards() {
    std::size_t count = 0;
    HEARTH_CHECK(database_.each_row(count_open_, [&](const sqlite::statement_ptr& row) {
        count = static_cast<std::size_t>(number_at(row, 0));
        return false;
    }));
    return count;
}

result<void> store::check_room(std::size_t more) {
    HEARTH_TRY(const std::size_t open, open_shards());
    if (more <= max_open_shards && open <= max_open_shards - more) return {};
    return fail(stream_errc::limit_exceeded,
                fmt::format("This request would exceed the shard limit for the account {} in {}. "
                            "Current shard count: {}. Limit: {}. Number of additional shards that "
                            "would have resulted from this request: {}.",
                            who.account, who.region, open, max_open_shards, more));
}

result<void> store::create(std::string_view name, const stream_options& options, stream_time now) {
    if (!is_stream_name(name))
        return bad_argument(
            "A stream's name has 1 to 128 letters, digits, underscores, periods and hyphens.");
    if (!options.shards && !options.on_demand)
        return bad_argument("ShardCount must be given for a stream in PROVISIONED mode.");
    const std::size_t shards = options.shards.value_or(on_demand_shards);
    if (shards < 1) return bad_argument("ShardCount must be 1 or more.");
    if (const auto there = stream_of(name); there.has_value())
        return fail(stream_errc::resource_in_use,
                    fmt::format("Stream {} under account {} already exists.", name, who.account));
    else if (there.error().code() != stream_errc::resource_not_found)
        return there.error();
    HEARTH_CHECK(check_room(shards));
    put(add_, 1, name), put(add_, 2, number(now));
    put(add_, 3, std::int64_t{min_stream_retention.count()});
    put(add_, 4, std::int64_t{options.on_demand});
    HEARTH_CHECK(database_.run(add_));
    const std::int64_t row = database_.last_row_id();
    std::int64_t next = 0;
    for (const hash_range& range : divide(shards))
        HEARTH_CHECK(add_shard(row, {.number = next++, .range = range, .opened = now}));
    return {};
}

result<void> store::remove(std::string_view name, bool with_consumers) {
    HEARTH_TRY(const stream* s, stream_of(name));
    HEARTH_TRY(const std::size_t consumers, count_consumers(*s));
    if (consumers > 0 && !with_consumers)
        return fail(
            stream_errc::resource_in_use,
            fmt::format("Stream {} under account {} has {} registered consumers: deregister "
                        "them first, or set EnforceConsumerDeletion.",
                        s->name, who.account, consumers));
    for (const auto* each : {&drop_records_, &drop_places_, &drop_shards_, &drop_tags_,
                             &drop_all_registered_, &drop_}) {
        put(*each, 1, s->row);
        HEARTH_CHECK(database_.run(*each));
    }
    for (const shard& each : s->shards) touched_.insert(std::to_string(each.row));
    streams_.erase(s->name);
    return {};
}

result<void> store::find(std::string_view name) {
    HEARTH_TRY([[maybe_unused]] const stream* s, stream_of(name));
    return {};
}

result<stream_page> store::list(std::string_view after, std::size_t max) {
    HEARTH_TRY(
        const auto select,
        database_.prepare("SELECT name FROM streams WHERE name > ?1 ORDER BY name LIMIT ?2"));
    put(select, 1, after), put(select, 2, static_cast<std::int64_t>(max) + 1);
    stream_page page;
    HEARTH_CHECK(database_.each_row(select, [&](const sqlite::statement_ptr& row) {
        page.has_more = page.names.size() == max;
        if (!page.has_more) page.names.push_back(text_at(row, 0));
        return !page.has_more;
    }));
    return page;
}

result<stream_description> store::describe(std::string_view name) {
    HEARTH_TRY(const stream* s, stream_of(name));
    HEARTH_TRY(const std::size_t consumers, count_consumers(*s));
    return stream_description{.name = s->name,
                              .arn = arn_of(who, s->name),
                              .on_demand = s->on_demand,
                              .retention = s->retention,
                              .created = s->created,
                              .open_shards = s->open.size(),
                              .consumers = consumers};
}

result<void> store::set_retention(std::string_view name, change how, std::chrono::hours retention) {
    HEARTH_TRY(const stream* s, stream_of(name));
    const auto refused = [&](const char* why, std::chrono::hours than) {
        return bad_argument(fmt::format(
            "Requested retention period ({} hours) for stream {} can not be {} ({} hours).",
            retention.count(), s->name, why, than.count()));
    };
    if (retention < min_stream_retention)
        return refused("shorter than the minimum retention period", min_stream_retention);
    if (retention > max_stream_retention)
        return refused("longer than the maximum retention period", max_stream_retention);
    if (how == change::increase && retention < s->retention)
        return refused("shorter than existing retention period", s->retention);
    if (how == change::decrease && retention > s->retention)
        return refused("longer than existing retention period", s->retention);
    stream next = *s;
    next.retention = retention;
    return save(next);
}

result<void> store::set_on_demand(std::string_view name, bool on_demand) {
    HEARTH_TRY(const stream* s, stream_of(name));
    stream next = *s;
    next.on_demand = on_demand;
    return save(next);
}

result<stream_tags> store::tags(std::string_view name) {
    HEARTH_TRY(const stream* s, stream_of(name));
    stream_tags all;
    put(tags_, 1, s->row);
    HEARTH_CHECK(database_.each_row(tags_, [&](const sqlite::statement_ptr& row) {
        all.emplace(text_at(row, 0), text_at(row, 1));
        return true;
    }));
    return all;
}

result<void> store::tag(std::string_view name, const stream_tags& more) {
    HEARTH_TRY(const stream* s, stream_of(name));
    HEARTH_TRY(stream_tags all, tags(name));
    for (const auto& [key, value] : more) {
        if (key.empty() || characters(key) > max_tag_key || characters(value) > max_tag_value)
            return bad_argument("A tag's key has 1 to 128 characters, its value at most 256.");
        all[key] = value;
    }
    if (all.size() > max_tags)
        return fail(stream_errc::limit_exceeded,
                    fmt::format("Stream {} would have more than {} tags.", s->name, max_tags));
    for (const auto& [key, value] : more) {
        put(tag_, 1, s->row), put(tag_, 2, key), put(tag_, 3, value);
        HEARTH_CHECK(database_.run(tag_));
    }
    return {};
}

result<void> store::untag(std::string_view name, const std::vector<std::string>& keys) {
    HEARTH_TRY(const stream* s, stream_of(name));
    for (const std::string& key : keys) {
        put(untag_, 1, s->row), put(untag_, 2, key);
        HEARTH_CHECK(database_.run(untag_));
    }
    return {};
}

// ---- Shards ----

stream_shard store::describe(const shard& s) {
    const auto id = [](const std::optional<std::int64_t>& n) {
        return n ? write_shard_id(*n) : std::string();
    };
    return {
        .id = s.id(),
        .parent_id = id(s.parent),
        .adjacent_parent_id = id(s.adjacent_parent),
        .first_hash_key = to_decimal(s.range.first),
        .last_hash_key = to_decimal(s.range.last),
        .first_sequence_number = write_sequence_number(s.first_sequence),
        .last_sequence_number = s.is_open ? std::string() : write_sequence_number(s.last_sequence)};
}

result<shard_page> store::shards(std::string_view name,
                                 const shard_filter& filter,
                                 std::size_t max,
                                 stream_time now) {
    using kind = shard_filter::kind;
    HEARTH_TRY(const stream* s, stream_of(name));
    std::int64_t after = -1;
    if (!filter.after_id.empty()) {
        const auto wanted = read_shard_id(filter.after_id);
        if (!wanted) return bad_argument(fmt::format("{} is no shard's id.", filter.after_id));
        after = *wanted;
    }
    const stream_time oldest = std::max(horizon(*s, now), s->created);
    const stream_time time = std::max(filter.time, oldest);
    shard_page page;
    for (const shard& each : s->shards) {
        if (each.number <= after || (!each.is_open && each.closed < oldest)) continue;
        if (filter.which == kind::open && !each.is_open) continue;
        if (filter.which == kind::open_at && each.opened > time) continue;
        if ((filter.which == kind::open_at || filter.which == kind::open_since) && !each.is_open &&
            each.closed <= time)
            continue;
        page.has_more = page.shards.size() == max;
        if (page.has_more) break;
        page.shards.push_back(describe(each));
    }
    return page;
}

result<void> store::split(std::string_view name,
                          std::string_view shard_id,
                          std::string_view text,
                          stream_time now) {
    HEARTH_TRY(const stream* s, stream_of(name));
    HEARTH_TRY(const shard* old, shard_of(*s, shard_id));
    if (!old->is_open)
        return fail(stream_errc::resource_in_use,
                    fmt::format("Shard {} in stream {} is closed.", old->id(), s->name));
    const auto key = read_hash_key(text);
    if (!key || *key <= old->range.first || *key > old->range.last)
        return bad_argument(fmt::format(
            "NewStartingHashKey {} used in SplitShard() on shard {} in stream {} under account {} "
            "is not both greater than one plus the shard's StartingHashKey {} and less than the "
            "shard's EndingHashKey {}.",
            text, old->id(), s->name, who.account, to_decimal(old->range.first),
            to_decimal(old->range.last)));
    HEARTH_CHECK(check_room(1));
    const std::int64_t next = s->shards.back().number + 1;
    HEARTH_CHECK(close_shard(*old, now));
    HEARTH_CHECK(add_shard(s->row, {.number = next,
                                    .parent = old->number,
                                    .range = {old->range.first, *key - 1},
                                    .opened = now}));
    HEARTH_CHECK(add_shard(s->row, {.number = next + 1,
                                    .parent = old->number,
                                    .range = {*key, old->range.last},
                                    .opened = now}));
    streams_.erase(s->name);
    return {};
}

result<void> store::merge(std::string_view name,
                          std::string_view shard_id,
                          std::string_view adjacent_id,
                          stream_time now) {
    HEARTH_TRY(const stream* s, stream_of(name));
    HEARTH_TRY(const shard* one, shard_of(*s, shard_id));
    HEARTH_TRY(const shard* other, shard_of(*s, adjacent_id));
    for (const shard* each : {one, other})
        if (!each->is_open)
            return fail(stream_errc::resource_in_use,
                        fmt::format("Shard {} in stream {} is closed.", each->id(), s->name));
    const shard* low = one->range.first < other->range.first ? one : other;
    const shard* high = low == one ? other : one;
    if (low == high || low->range.last + 1 != high->range.first)
        return bad_argument(
            fmt::format("Shards {} and {} in stream {} under account {} are not an adjacent pair "
                        "of shards eligible for merging",
                        one->id(), other->id(), s->name, who.account));
    const std::int64_t next = s->shards.back().number + 1;
    HEARTH_CHECK(close_shard(*one, now));
    HEARTH_CHECK(close_shard(*other, now));
    HEARTH_CHECK(add_shard(s->row, {.number = next,
                                    .parent = one->number,
                                    .adjacent_parent = other->number,
                                    .range = {low->range.first, high->range.last},
                                    .opened = now}));
    streams_.erase(s->name);
    return {};
}

std::size_t store::open_at(const stream& s, hash_key key) {
    // Ranges leave no gap: the last that does not begin behind the key has it.
    const auto behind = std::ranges::upper_bound(
        s.open, key, {}, [&](std::size_t n) { return s.shards[n].range.first; });
    return static_cast<std::size_t>(behind - s.open.begin()) - 1;
}

result<std::size_t> store::set_shard_count(std::string_view name,
                                           std::size_t target,
                                           stream_time now) {
    HEARTH_TRY(const stream* s, stream_of(name));
    const std::size_t current = s->open.size();
    // AWS's ValidationException, of this alone.
    if (s->on_demand)
        return error(errc::invalid_argument,
                     fmt::format("Stream {} under account {} is ON_DEMAND: its shards are not "
                                 "counted by UpdateShardCount.",
                                 name, who.account));
    if (target < 1) return bad_argument("TargetShardCount must be 1 or more.");
    if (target > 2 * current || 2 * target < current)
        return fail(stream_errc::limit_exceeded,
                    fmt::format("UpdateShardCount cannot scale stream {} from {} open shards to "
                                "{}: from half of them to twice as many is what it can.",
                                name, current, target));
    if (target > current) HEARTH_CHECK(check_room(target - current));
    for (const hash_range& range : divide(target)) {
        HEARTH_TRY(s, stream_of(name));
        const shard& last = s->shards[s->open[open_at(*s, range.last)]];
        if (last.range.last != range.last) {
            const std::string id = last.id();
            HEARTH_CHECK(split(name, id, to_decimal(range.last + 1), now));
        }
        for (;;) {
            HEARTH_TRY(s, stream_of(name));
            const std::size_t low = open_at(*s, range.first);
            if (s->shards[s->open[low]].range.last == range.last) break;
            const std::string one = s->shards[s->open[low]].id(),
                              other = s->shards[s->open[low + 1]].id();
            HEARTH_CHECK(merge(name, one, other, now));
        }
    }
    return current;
}

// ---- Records ----

result<std::vector<stored_record>> store::put_records(std::string_view name,
                                                      const std::vector<outgoing_record>& records,
                                                      std::string_view after,
                                                      stream_time now) {
    HEARTH_TRY(const stream* s, stream_of(name));
    HEARTH_TRY(const std::vector<hash_key> keys, check(records));
    if (!after.empty()) {
        // What was given before is smaller than what comes now; nothing else can be asked for.
        const auto before = read_sequence_number(after);
        HEARTH_TRY(const std::int64_t last, last_sequence_number());
        if (!before || *before > last)
            return bad_argument(
                fmt::format("ExclusiveMinimumSequenceNumber {} used in PutRecord on stream {} "
                            "under account {} is invalid.",
                            after, s->name, who.account));
    }
    HEARTH_CHECK(database_.check_room());
    std::vector<stored_record> stored;
    stored.reserve(records.size());
    for (std::size_t i = 0; i < records.size(); ++i) {
        const shard& to = s->shards[s->open[open_at(*s, keys[i])]];
        put(put_, 1, to.row), put(put_, 2, number(now));
        put(put_, 3, std::string_view(records[i].partition_key));
        sqlite::put_bytes(put_, 4, records[i].data);
        HEARTH_CHECK(database_.run(put_));
        stored.push_back({to.id(), write_sequence_number(database_.last_row_id())});
        touched_.insert(std::to_string(to.row));
    }
    return stored;
}

result<cursor> store::cursor_at(const stream& s,
                                const shard& at,
                                const shard_position& from,
                                stream_time now) {
    using kind = shard_position::kind;
    HEARTH_TRY(const std::int64_t last, last_sequence_number());
    cursor c{.stream = s.name, .shard = at.row, .next = 0, .given = now};
    switch (from.from) {
        case kind::trim_horizon:
            break;
        case kind::latest:
            c.next = last + 1;
            break;
        case kind::at_sequence_number:
        case kind::after_sequence_number: {
            const auto n = read_sequence_number(from.sequence_number);
            if (!n || *n < at.first_sequence || *n > (at.is_open ? last : at.last_sequence))
                return bad_argument(
                    fmt::format("StartingSequenceNumber {} used in GetShardIterator on shard {} in "
                                "stream {} under account {} is invalid.",
                                from.sequence_number, at.id(), s.name, who.account));
            c.next = *n + (from.from == kind::after_sequence_number ? 1 : 0);
            break;
        }
        case kind::at_time: {
            c.next = last + 1;
            put(at_time_, 1, at.row), put(at_time_, 2, number(from.time));
            HEARTH_CHECK(database_.each_row(at_time_, [&](const sqlite::statement_ptr& row) {
                if (!is_null(row, 0)) c.next = number_at(row, 0);
                return false;
            }));
            break;
        }
    }
    return c;
}

result<std::string> store::iterator(std::string_view name,
                                    std::string_view shard_id,
                                    const shard_position& from,
                                    stream_time now) {
    HEARTH_TRY(const stream* s, stream_of(name));
    HEARTH_TRY(const shard* at, shard_of(*s, shard_id));
    HEARTH_TRY(const cursor c, cursor_at(*s, *at, from, now));
    return write_iterator(c);
}

result<cursor> store::open_iterator(std::string_view iterator, stream_time now) {
    auto c = read_iterator(iterator);
    if (!c) return bad_argument("Invalid ShardIterator.");
    if (now - c->given > iterator_validity)
        return fail(stream_errc::expired_iterator,
                    "Iterator expired. The iterator was created more than 300000 milliseconds ago: "
                    "a newer one is needed.");
    return std::move(*c);
}

result<record_page> store::read(const cursor& from,
                                std::size_t max_records,
                                std::size_t max_bytes,
                                stream_time now) {
    HEARTH_TRY(const stream* s, stream_of(from.stream));
    const auto at = std::ranges::find(s->shards, from.shard, &shard::row);
    if (at == s->shards.end())
        return fail(stream_errc::resource_not_found,
                    "The shard of the iterator is gone, with its stream or its last record.");
    record_page page;
    cursor next = from;
    next.given = now;
    std::size_t bytes = 0;
    bool has_more = false;
    put(read_, 1, at->row), put(read_, 2, from.next);
    put(read_, 3, number(horizon(*s, now)));
    HEARTH_CHECK(database_.each_row(read_, [&](const sqlite::statement_ptr& row) {
        const std::size_t size = static_cast<std::size_t>(sqlite3_column_bytes(row.get(), 2)) +
                                 static_cast<std::size_t>(sqlite3_column_bytes(row.get(), 3));
        const stream_time arrived = time_of(number_at(row, 1));
        has_more = page.records.size() == max_records ||
                   (!page.records.empty() && bytes + size > max_bytes);
        if (has_more) {
            page.behind_latest = std::max(now - arrived, std::chrono::milliseconds(1));
            return false;
        }
        const std::int64_t n = number_at(row, 0);
        page.records.push_back(
            {write_sequence_number(n), text_at(row, 3), text_at(row, 2), arrived});
        bytes += size;
        next.next = n + 1;
        return true;
    }));
    page.last_sequence_number = write_sequence_number(std::max(next.next - 1, at->first_sequence));
    if (at->is_open || has_more) {
        page.next_iterator = write_iterator(next);
        return page;
    }
    for (const shard& each : s->shards)
        if (each.parent == at->number || each.adjacent_parent == at->number)
            page.children.push_back(describe(each));
    return page;
}

// ---- Registered consumers ----

stream_consumer store::describe(const stream& s, std::string name, stream_time created) const {
    const auto second = std::chrono::floor<std::chrono::seconds>(created).time_since_epoch();
    std::string arn =
        fmt::format("{}{}{}:{}", arn_of(who, s.name), consumer_infix, name, second.count());
    return {.name = std::move(name), .stream = s.name, .arn = std::move(arn), .created = created};
}

result<std::size_t> store::count_consumers(const stream& s) {
    std::size_t count = 0;
    put(count_consumers_, 1, s.row);
    HEARTH_CHECK(database_.each_row(count_consumers_, [&](const sqlite::statement_ptr& row) {
        count = static_cast<std::size_t>(number_at(row, 0));
        return false;
    }));
    return count;
}

result<stream_consumer> store::register_consumer(std::string_view name,
                                                 std::string_view consumer,
                                                 stream_time now) {
    if (!is_stream_name(consumer))
        return bad_argument(
            "A consumer's name has 1 to 128 letters, digits, underscores, periods and hyphens.");
    HEARTH_TRY(const stream* s, stream_of(name));
    if (const auto there = find_consumer(name, consumer); there.has_value())
        return fail(stream_errc::resource_in_use,
                    fmt::format("Consumer {} under stream {} already exists.", consumer, s->name));
    else if (there.error().code() != stream_errc::resource_not_found)
        return there.error();
    HEARTH_TRY(const std::size_t count, count_consumers(*s));
    if (count >= max_consumers)
        return fail(stream_errc::limit_exceeded,
                    fmt::format("Stream {} under account {} has {} registered consumers, and there "
                                "may be no more.",
                                s->name, who.account, count));
    put(add_consumer_, 1, s->row), put(add_consumer_, 2, consumer);
    put(add_consumer_, 3, number(now));
    HEARTH_CHECK(database_.run(add_consumer_));
    return describe(*s, std::string(consumer), now);
}

result<stream_consumer> store::find_consumer(std::string_view name, std::string_view consumer) {
    HEARTH_TRY(const stream* s, stream_of(name));
    std::optional<stream_time> created;
    put(find_consumer_, 1, s->row), put(find_consumer_, 2, consumer);
    HEARTH_CHECK(database_.each_row(find_consumer_, [&](const sqlite::statement_ptr& row) {
        created = time_of(number_at(row, 0));
        return false;
    }));
    if (!created) return no_such_consumer(who, consumer);
    return describe(*s, std::string(consumer), *created);
}

result<stream_consumer> store::find_consumer(std::string_view arn) {
    const auto id = read_consumer_arn(who, arn);
    if (!id) return no_such_consumer(who, arn);
    HEARTH_TRY(stream_consumer found, find_consumer(id->stream, id->name));
    // Another one of the name has another ARN.
    if (found.arn != arn) return no_such_consumer(who, arn);
    return found;
}

result<void> store::deregister_consumer(std::string_view name, std::string_view consumer) {
    HEARTH_CHECK(find_consumer(name, consumer));
    HEARTH_TRY(const stream* s, stream_of(name));
    put(drop_registered_, 1, s->row), put(drop_registered_, 2, consumer);
    HEARTH_CHECK(database_.run(drop_registered_));
    // Reads that wait as this consumer are over.
    for (const shard& each : s->shards) touched_.insert(std::to_string(each.row));
    return {};
}

result<consumer_page> store::consumers(std::string_view name,
                                       std::string_view after,
                                       std::size_t max) {
    HEARTH_TRY(const stream* s, stream_of(name));
    consumer_page page;
    put(consumers_, 1, s->row), put(consumers_, 2, after);
    put(consumers_, 3, static_cast<std::int64_t>(max) + 1);
    HEARTH_CHECK(database_.each_row(consumers_, [&](const sqlite::statement_ptr& row) {
        page.has_more = page.consumers.size() == max;
        if (!page.has_more)
            page.consumers.push_back(describe(*s, text_at(row, 0), time_of(number_at(row, 1))));
        return !page.has_more;
    }));
    return page;
}

// ---- Places ----

result<void> store::start_consumer(std::string_view name,
                                   std::string_view consumer,
                                   const shard_position& from,
                                   stream_time now) {
    using kind = shard_position::kind;
    if (from.from != kind::trim_horizon && from.from != kind::latest && from.from != kind::at_time)
        return bad_argument("A consumer begins at TRIM_HORIZON, LATEST or AT_TIMESTAMP.");
    HEARTH_TRY(const stream* s, stream_of(name));
    for (const shard& each : s->shards) {
        HEARTH_TRY(const cursor c, cursor_at(*s, each, from, now));
        HEARTH_CHECK(set_place(consumer, each, c.next, false));
    }
    return {};
}

result<void> store::remove_consumer(std::string_view consumer) {
    put(drop_consumer_, 1, consumer);
    return database_.run(drop_consumer_);
}

result<std::vector<consumer_shard>> store::consumer_shards(std::string_view name,
                                                           std::string_view consumer,
                                                           stream_time now) {
    HEARTH_TRY(const stream* s, stream_of(name));
    struct found_place {
        std::int64_t next = 0;
        bool is_done = false;
        std::string note{};
    };
    std::map<std::int64_t, found_place> places;
    put(places_, 1, consumer), put(places_, 2, s->row);
    HEARTH_CHECK(database_.each_row(places_, [&](const sqlite::statement_ptr& row) {
        places.emplace(number_at(row, 0),
                       found_place{number_at(row, 1), number_at(row, 2) != 0, text_at(row, 3)});
        return true;
    }));
    std::vector<consumer_shard> all;
    all.reserve(s->shards.size());
    for (const shard& each : s->shards) {
        found_place& place = places[each.row];
        all.push_back(
            {.shard = describe(each),
             .iterator = write_iterator(
                 {.stream = s->name, .shard = each.row, .next = place.next, .given = now}),
             .is_done = place.is_done,
             .last = place.next > 0 ? write_sequence_number(place.next - 1) : std::string(),
             .note = std::move(place.note)});
    }
    return all;
}

result<void> store::checkpoint(std::string_view name,
                               std::string_view consumer,
                               std::string_view shard_id,
                               std::string_view last,
                               std::string_view note) {
    HEARTH_TRY(const stream* s, stream_of(name));
    HEARTH_TRY(const shard* at, shard_of(*s, shard_id));
    std::int64_t next = 0;
    if (!last.empty()) {
        const auto n = read_sequence_number(last);
        HEARTH_TRY(const std::int64_t newest, last_sequence_number());
        if (!n || *n > newest)
            return bad_argument(fmt::format("{} is no record's sequence number.", last));
        next = *n + 1;
    }
    return set_place(consumer, *at, next, last.empty(), note);
}

result<void> store::set_place(std::string_view consumer,
                              const shard& at,
                              std::int64_t next,
                              bool is_done,
                              std::string_view note) {
    put(set_place_, 1, consumer), put(set_place_, 2, at.row);
    put(set_place_, 3, next), put(set_place_, 4, std::int64_t{is_done});
    put(set_place_, 5, note);
    return database_.run(set_place_);
}

result<void> store::sweep(stream_time now) {
    for (std::string after;;) {
        HEARTH_TRY(const stream_page page, list(after, 1000));
        for (const std::string& name : page.names) {
            HEARTH_TRY(const stream* s, stream_of(name));
            const std::int64_t oldest = number(horizon(*s, now));
            bool is_shorter = false;
            for (const shard& each : s->shards) {
                put(expire_, 1, each.row), put(expire_, 2, oldest);
                HEARTH_CHECK(database_.run(expire_));
                if (each.is_open || number(each.closed) > oldest) continue;
                is_shorter = true;
                touched_.insert(std::to_string(each.row));
            }
            if (!is_shorter) continue;
            put(forget_shards_, 1, s->row), put(forget_shards_, 2, oldest);
            HEARTH_CHECK(database_.run(forget_shards_));
            HEARTH_CHECK(database_.run(forget_places_));
            streams_.erase(name);
        }
        if (!page.has_more) return {};
        after = page.names.back();
    }
}

}  // namespace hearth::streams
