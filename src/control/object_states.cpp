#include "control/object_states.hpp"

#include "base/try.hpp"

#include <algorithm>
#include <utility>

namespace hearth::control {
namespace {

using sqlite::number_at;
using sqlite::put_bytes;
using sqlite::text_at;

/// As in sqlite_storage.cpp. Keys are file names: bytes.
///   1  tables watches, objects and sequence
constexpr const char* watch_steps[] = {
    "CREATE TABLE watches (watch BLOB PRIMARY KEY) STRICT;"
    "CREATE TABLE objects (watch BLOB NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL,"
    " inode INTEGER NOT NULL, modified INTEGER NOT NULL, etag TEXT NOT NULL,"
    " PRIMARY KEY (watch, key)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE sequence (last INTEGER NOT NULL) STRICT;"
    "INSERT INTO sequence VALUES (0);",
};
constexpr sqlite::schema watch_schema{.application = 0x48727457, .steps = watch_steps};  // "HrtW"

}  // namespace

result<std::unique_ptr<object_states>> object_states::open(const std::filesystem::path& file) {
    std::unique_ptr<object_states> self(new object_states(file));
    HEARTH_CHECK(self->prepare());
    return self;
}

result<void> object_states::prepare() {
    HEARTH_CHECK(database_.open());
    HEARTH_CHECK(database_.prepare_schema(watch_schema));
    HEARTH_TRY(is_known_, database_.prepare("SELECT 1 FROM watches WHERE watch = ?1"));
    HEARTH_TRY(make_known_, database_.prepare("INSERT OR IGNORE INTO watches VALUES (?1)"));
    HEARTH_TRY(find_, database_.prepare("SELECT size, inode, modified, etag FROM objects "
                                        "WHERE watch = ?1 AND key = ?2"));
    HEARTH_TRY(put_, database_.prepare("INSERT OR REPLACE INTO objects (watch, key, size, inode, "
                                       "modified, etag) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"));
    HEARTH_TRY(remove_, database_.prepare("DELETE FROM objects WHERE watch = ?1 AND key = ?2"));
    HEARTH_TRY(keys_, database_.prepare("SELECT key FROM objects WHERE watch = ?1 AND key > ?2 "
                                        "ORDER BY key LIMIT ?3"));
    HEARTH_TRY(sequence_, database_.prepare("UPDATE sequence SET last = ?1"));
    HEARTH_TRY(const std::int64_t last, database_.number_of("SELECT last FROM sequence"));
    last_ = static_cast<std::uint64_t>(last);
    return {};
}

result<bool> object_states::is_known(std::string_view watch) {
    const std::scoped_lock lock(mutex_);
    put_bytes(is_known_, 1, watch);
    bool known = false;
    HEARTH_CHECK(database_.each_row(is_known_, [&](const auto&) { return known = true; }));
    return known;
}

result<void> object_states::make_known(std::string_view watch) {
    const std::scoped_lock lock(mutex_);
    put_bytes(make_known_, 1, watch);
    return database_.run(make_known_);
}

result<std::optional<object_state>> object_states::find(std::string_view watch,
                                                        std::string_view key) {
    const std::scoped_lock lock(mutex_);
    put_bytes(find_, 1, watch);
    put_bytes(find_, 2, key);
    std::optional<object_state> found;
    HEARTH_CHECK(database_.each_row(find_, [&](const sqlite::statement_ptr& s) {
        found = {.size = static_cast<std::uint64_t>(number_at(s, 0)),
                 .inode = static_cast<std::uint64_t>(number_at(s, 1)),
                 .modified = number_at(s, 2),
                 .etag = text_at(s, 3)};
        return true;
    }));
    return found;
}

result<void> object_states::put(std::string_view watch,
                                std::string_view key,
                                const object_state& state) {
    const std::scoped_lock lock(mutex_);
    put_bytes(put_, 1, watch);
    put_bytes(put_, 2, key);
    sqlite::put(put_, 3, static_cast<std::int64_t>(state.size));
    sqlite::put(put_, 4, static_cast<std::int64_t>(state.inode));
    sqlite::put(put_, 5, state.modified);
    sqlite::put(put_, 6, state.etag);
    return database_.run(put_);
}

result<void> object_states::remove(std::string_view watch, std::string_view key) {
    const std::scoped_lock lock(mutex_);
    put_bytes(remove_, 1, watch);
    put_bytes(remove_, 2, key);
    return database_.run(remove_);
}

result<std::vector<std::string>> object_states::keys(std::string_view watch,
                                                     std::string_view after,
                                                     std::size_t most) {
    const std::scoped_lock lock(mutex_);
    put_bytes(keys_, 1, watch);
    put_bytes(keys_, 2, after);
    sqlite::put(keys_, 3, static_cast<std::int64_t>(most));
    std::vector<std::string> found;
    HEARTH_CHECK(database_.each_row(keys_, [&](const sqlite::statement_ptr& s) {
        found.push_back(text_at(s, 0));
        return true;
    }));
    return found;
}

result<std::uint64_t> object_states::next_sequencer(std::uint64_t least) {
    const std::scoped_lock lock(mutex_);
    const std::uint64_t next = std::max(last_ + 1, least);
    sqlite::put(sequence_, 1, static_cast<std::int64_t>(next));
    HEARTH_CHECK(database_.run(sequence_));
    last_ = next;
    return next;
}

}  // namespace hearth::control
