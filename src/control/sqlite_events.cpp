#include "base/sqlite.hpp"
#include "base/try.hpp"
#include "control/event_store.hpp"

#include <atomic>
#include <mutex>

namespace hearth::control {
namespace {

using sqlite::connection;
using sqlite::put;
using sqlite::statement_ptr;
using sqlite::text_at;

/// As in sqlite_storage.cpp.
///   1  table events
constexpr const char* events_steps[] = {
    "CREATE TABLE events (id INTEGER PRIMARY KEY, lane TEXT NOT NULL, due INTEGER NOT NULL,"
    " received INTEGER NOT NULL, failures INTEGER NOT NULL, setbacks INTEGER NOT NULL,"
    " awaits_deploy INTEGER NOT NULL, request_id TEXT NOT NULL, trace_id TEXT NOT NULL,"
    " tenant_id TEXT NOT NULL, payload BLOB NOT NULL) STRICT;"
    "CREATE INDEX events_due ON events (lane, due);",  // and id, which SQLite appends
};
constexpr sqlite::schema events_schema{.application = 0x48727445, .steps = events_steps};  // "HrtE"

std::int64_t number(event_time t) { return t.time_since_epoch().count(); }
event_time time_of(std::int64_t n) { return event_time(std::chrono::milliseconds(n)); }

class sqlite_events final : public event_store {
  public:
    sqlite_events(const std::filesystem::path& file, room_listener told)
        : writer_("events", file, std::move(told)), reader_("events", file) {}

    result<void> open() {
        HEARTH_CHECK(writer_.open());
        HEARTH_CHECK(writer_.prepare_schema(events_schema));
        HEARTH_CHECK(reader_.open());
        HEARTH_TRY(insert_, writer_.prepare(
                                "INSERT INTO events (id, lane, due, received, failures, setbacks, "
                                "awaits_deploy, request_id, trace_id, tenant_id, payload) "
                                "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"));
        HEARTH_TRY(remove_, writer_.prepare("DELETE FROM events WHERE id = ?1"));
        HEARTH_TRY(postpone_,
                   writer_.prepare("UPDATE events SET due = ?2, failures = ?3, setbacks = ?4 "
                                   "WHERE id = ?1"));
        // Names hold no colon, and ';' comes after ':'.
        HEARTH_TRY(drop_,
                   writer_.prepare("DELETE FROM events WHERE (lane = ?1 OR (lane > ?1 || ':' AND "
                                   "lane < ?1 || ';')) AND awaits_deploy <= ?2"));
        HEARTH_TRY(read_,
                   reader_.prepare("SELECT id, due, received, failures, setbacks, awaits_deploy, "
                                   "request_id, trace_id, tenant_id, payload "
                                   "FROM events WHERE lane = ?1 ORDER BY due, id"));
        HEARTH_TRY(const std::int64_t last,
                   writer_.number_of("SELECT coalesce(max(id), 0) FROM events"));
        HEARTH_TRY(const std::int64_t size, writer_.number_of("SELECT count(*) FROM events"));
        next_id_ = static_cast<std::uint64_t>(last) + 1;
        size_ = static_cast<std::uint64_t>(size);
        return {};
    }

    result<void> apply(std::span<const event_change* const> changes) override {
        HEARTH_CHECK(writer_.execute("BEGIN IMMEDIATE"));
        const std::uint64_t first_id = next_id_;
        std::uint64_t added = 0, removed = 0;
        const result<void> written = [&]() -> result<void> {
            for (const event_change* change : changes) {
                // The record of an event's end takes its place.
                if (!change->add.empty() && !change->remove) HEARTH_CHECK(writer_.check_room());
                HEARTH_CHECK(write(*change, added, removed));
            }
            return writer_.execute("COMMIT");
        }();
        if (written.has_error()) {
            writer_.roll_back();
            next_id_ = first_id;
            return written;
        }
        size_ += added - removed;
        return {};
    }

    result<reading> read(std::string_view lane,
                         event_time now,
                         std::size_t want,
                         std::size_t max_bytes,
                         const std::set<std::uint64_t>& skip) override {
        const std::scoped_lock lock(reading_);
        put(read_, 1, lane);
        reading found;
        std::size_t bytes = 0;
        int step = sqlite3_step(read_.get());
        for (; step == SQLITE_ROW; step = sqlite3_step(read_.get())) {
            const auto id = static_cast<std::uint64_t>(sqlite3_column_int64(read_.get(), 0));
            if (skip.contains(id)) continue;
            const event_time due = time_of(sqlite3_column_int64(read_.get(), 1));
            if (due > now || found.events.size() >= want || bytes >= max_bytes) {
                found.next_due = due;
                break;
            }
            queued_event e{.id = id, .lane = std::string(lane), .due = due};
            e.received = time_of(sqlite3_column_int64(read_.get(), 2));
            e.failures = static_cast<std::uint32_t>(sqlite3_column_int64(read_.get(), 3));
            e.setbacks = static_cast<std::uint32_t>(sqlite3_column_int64(read_.get(), 4));
            e.awaits_deploy = sqlite3_column_int64(read_.get(), 5) != 0;
            e.request_id = text_at(read_, 6), e.trace_id = text_at(read_, 7);
            e.tenant_id = text_at(read_, 8), e.payload = text_at(read_, 9);
            bytes += e.payload.size();
            found.events.push_back(std::move(e));
        }
        error e;
        if (step != SQLITE_ROW && step != SQLITE_DONE) e = reader_.failed("cannot be read");
        sqlite3_reset(read_.get());
        sqlite3_clear_bindings(read_.get());
        if (e.code()) return e;
        return found;
    }

    result<std::vector<std::string>> lanes() override {
        const std::scoped_lock lock(reading_);
        // A step of the index for each lane, however many events there are.
        HEARTH_TRY(const statement_ptr next,
                   reader_.prepare("SELECT min(lane) FROM events WHERE lane > ?1"));
        std::vector<std::string> found;
        for (std::string after;;) {
            put(next, 1, after);
            if (sqlite3_step(next.get()) != SQLITE_ROW) return reader_.failed("cannot be read");
            if (sqlite3_column_type(next.get(), 0) == SQLITE_NULL) return found;
            found.push_back(text_at(next, 0));
            sqlite3_reset(next.get());
            after = found.back();
        }
    }

    [[nodiscard]] std::uint64_t size() const override { return size_; }

  private:
    /// Inside a transaction.
    result<void> write(const event_change& change, std::uint64_t& added, std::uint64_t& removed) {
        if (!change.drop_function.empty()) {
            put(drop_, 1, change.drop_function);
            put(drop_, 2, change.spare_awaiting ? 0 : 1);
            HEARTH_CHECK(writer_.run(drop_));
            removed += writer_.changes();
        }
        if (change.remove) {
            put(remove_, 1, static_cast<std::int64_t>(change.remove));
            HEARTH_CHECK(writer_.run(remove_));
            removed += writer_.changes();
        }
        if (change.postpone) {
            put(postpone_, 1, static_cast<std::int64_t>(change.postpone->id));
            put(postpone_, 2, number(change.postpone->due));
            put(postpone_, 3, change.postpone->failures);
            put(postpone_, 4, change.postpone->setbacks);
            HEARTH_CHECK(writer_.run(postpone_));
        }
        for (const queued_event& e : change.add) {
            put(insert_, 1, static_cast<std::int64_t>(next_id_));
            put(insert_, 2, e.lane);
            put(insert_, 3, number(e.due)), put(insert_, 4, number(e.received));
            put(insert_, 5, e.failures), put(insert_, 6, e.setbacks);
            put(insert_, 7, e.awaits_deploy ? 1 : 0);
            put(insert_, 8, e.request_id), put(insert_, 9, e.trace_id);
            put(insert_, 10, e.tenant_id);
            sqlite::put_bytes(insert_, 11, e.payload);
            HEARTH_CHECK(writer_.run(insert_));
            ++next_id_, ++added;
        }
        return {};
    }

    // Statements go before their connections.
    connection writer_;  ///< the thread that calls `apply`
    connection reader_;  ///< under reading_: a read never waits for a commit's fsync
    std::mutex reading_;
    statement_ptr insert_, remove_, postpone_, drop_;  // writer_'s
    statement_ptr read_;                               // reader_'s
    std::uint64_t next_id_ = 1;
    std::atomic<std::uint64_t> size_ = 0;
};

}  // namespace

result<std::unique_ptr<event_store>> open_sqlite_events(const std::filesystem::path& directory,
                                                        room_listener told) {
    const auto file = directory / "events.db";
    auto store = std::make_unique<sqlite_events>(file, std::move(told));
    HEARTH_CHECK(store->open());
    return std::unique_ptr<event_store>(std::move(store));
}

}  // namespace hearth::control
