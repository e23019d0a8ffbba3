#include "base/try.hpp"
#include "control/event_store.hpp"
#include "control/sqlite_handles.hpp"

#include <atomic>
#include <cstdlib>
#include <iterator>
#include <mutex>

namespace hearth::control {
namespace {

/// As in sqlite_storage.cpp.
///   1  table events
constexpr int events_schema = 1;
constexpr const char* events_steps[] = {
    "CREATE TABLE events (id INTEGER PRIMARY KEY, lane TEXT NOT NULL, due INTEGER NOT NULL,"
    " received INTEGER NOT NULL, failures INTEGER NOT NULL, setbacks INTEGER NOT NULL,"
    " awaits_deploy INTEGER NOT NULL, request_id TEXT NOT NULL, trace_id TEXT NOT NULL,"
    " tenant_id TEXT NOT NULL, payload BLOB NOT NULL) STRICT;"
    "CREATE INDEX events_due ON events (lane, due);",  // and id, which SQLite appends
};
static_assert(std::size(events_steps) == events_schema);
/// "HrtE" in events_application.
constexpr int events_application = 0x48727445;

std::int64_t number(event_time t) { return t.time_since_epoch().count(); }
event_time time_of(std::int64_t n) { return event_time(std::chrono::milliseconds(n)); }

/// One connection, and a statement that is prepared once. Used by one thread at a time.
class connection {
  public:
    explicit connection(std::filesystem::path file) : file_(std::move(file)) {}

    result<void> open() {
        sqlite3* raw = nullptr;
        const int opened = sqlite3_open_v2(
            file_.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
            nullptr);
        database_.reset(raw);
        if (opened != SQLITE_OK) return failed("cannot be opened");
        // FULL: with WAL, NORMAL may lose the last commits when the machine dies.
        return execute(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
            "PRAGMA journal_size_limit = 67108864");
    }
    result<void> execute(const std::string& sql) {
        if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK)
            return {};
        return failed("cannot be used");
    }
    result<statement_ptr> prepare(const char* sql) {
        sqlite3_stmt* raw = nullptr;
        if (sqlite3_prepare_v3(database_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &raw,
                               nullptr) != SQLITE_OK)
            return failed("cannot be used");
        return statement_ptr(raw);
    }
    result<std::int64_t> number_of(const char* sql) {
        HEARTH_TRY(const statement_ptr s, prepare(sql));
        if (sqlite3_step(s.get()) != SQLITE_ROW) return failed("cannot be read");
        return sqlite3_column_int64(s.get(), 0);
    }
    /// Of a statement that gives no rows.
    result<void> run(const statement_ptr& s) {
        const int step = sqlite3_step(s.get());
        error e;
        if (step != SQLITE_DONE) e = failed("cannot be written");
        sqlite3_reset(s.get());
        if (step != SQLITE_DONE) return e;
        return {};
    }
    [[nodiscard]] sqlite3* raw() const { return database_.get(); }
    [[nodiscard]] std::uint64_t changes() const {
        return static_cast<std::uint64_t>(sqlite3_changes64(database_.get()));
    }
    [[nodiscard]] error failed(const char* what) const {
        return {errc::storage_failed,
                "the database of events " + file_.string() + " " + what + ": " +
                    (database_ ? sqlite3_errmsg(database_.get()) : "no memory")};
    }

  private:
    std::filesystem::path file_;
    database_ptr database_;
};

/// The text lives until the statement has been run.
void put(const statement_ptr& s, int at, std::string_view text) {
    sqlite3_bind_text(s.get(), at, text.data() ? text.data() : "", static_cast<int>(text.size()),
                      SQLITE_STATIC);
}
void put(const statement_ptr& s, int at, std::int64_t n) { sqlite3_bind_int64(s.get(), at, n); }
void put_id(const statement_ptr& s, int at, std::uint64_t id) {
    sqlite3_bind_int64(s.get(), at, static_cast<sqlite3_int64>(id));
}

std::string text_at(const statement_ptr& s, int column) {
    const auto* text = static_cast<const char*>(sqlite3_column_blob(s.get(), column));
    return {text ? text : "", static_cast<std::size_t>(sqlite3_column_bytes(s.get(), column))};
}

class sqlite_events final : public event_store {
  public:
    explicit sqlite_events(const std::filesystem::path& file) : writer_(file), reader_(file) {}

    result<void> open(const std::filesystem::path& file) {
        HEARTH_CHECK(writer_.open());
        HEARTH_CHECK(prepare_schema(file));
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
            for (const event_change* change : changes) HEARTH_CHECK(write(*change, added, removed));
            return writer_.execute("COMMIT");
        }();
        if (written.has_error()) {
            // What was to be rolled back may be so already; then this fails, and is welcome to.
            sqlite3_exec(writer_.raw(), "ROLLBACK", nullptr, nullptr, nullptr);
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
    result<void> prepare_schema(const std::filesystem::path& file) {
        HEARTH_TRY(const std::int64_t id, writer_.number_of("PRAGMA application_id"));
        HEARTH_TRY(const std::int64_t version, writer_.number_of("PRAGMA user_version"));
        HEARTH_TRY(const std::int64_t tables,
                   writer_.number_of("SELECT count(*) FROM sqlite_schema"));
        const bool is_new = id == 0 && version == 0 && tables == 0;
        if (!is_new && id != events_application)
            return error(errc::storage_failed,
                         file.string() + " is not Hearth's database of events");
        if (version > events_schema)
            return error(errc::storage_failed,
                         file.string() + " was written by a newer Hearth (schema " +
                             std::to_string(version) + ", this one knows " +
                             std::to_string(events_schema) +
                             "): use that version, or another --data directory");
        if (version == events_schema) return {};
        std::string sql = "BEGIN IMMEDIATE;";
        for (auto step = static_cast<std::size_t>(version); step < std::size(events_steps); ++step)
            sql += events_steps[step];
        sql += "PRAGMA application_id = " + std::to_string(events_application) +
               ";PRAGMA user_version = " + std::to_string(events_schema) + ";COMMIT";
        return writer_.execute(sql);
    }

    /// Inside a transaction.
    result<void> write(const event_change& change, std::uint64_t& added, std::uint64_t& removed) {
        if (!change.drop_function.empty()) {
            put(drop_, 1, change.drop_function);
            put(drop_, 2, change.spare_awaiting ? 0 : 1);
            HEARTH_CHECK(writer_.run(drop_));
            removed += writer_.changes();
        }
        if (change.remove) {
            put_id(remove_, 1, change.remove);
            HEARTH_CHECK(writer_.run(remove_));
            removed += writer_.changes();
        }
        if (change.postpone) {
            put_id(postpone_, 1, change.postpone->id);
            put(postpone_, 2, number(change.postpone->due));
            put(postpone_, 3, change.postpone->failures);
            put(postpone_, 4, change.postpone->setbacks);
            HEARTH_CHECK(writer_.run(postpone_));
        }
        for (const queued_event& e : change.add) {
            put_id(insert_, 1, next_id_);
            put(insert_, 2, e.lane);
            put(insert_, 3, number(e.due)), put(insert_, 4, number(e.received));
            put(insert_, 5, e.failures), put(insert_, 6, e.setbacks);
            put(insert_, 7, e.awaits_deploy ? 1 : 0);
            put(insert_, 8, e.request_id), put(insert_, 9, e.trace_id);
            put(insert_, 10, e.tenant_id);
            sqlite3_bind_blob(insert_.get(), 11, e.payload.data() ? e.payload.data() : "",
                              static_cast<int>(e.payload.size()), SQLITE_STATIC);
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

result<std::unique_ptr<event_store>> open_sqlite_events(const std::filesystem::path& directory) {
    const auto file = directory / "events.db";
    auto store = std::make_unique<sqlite_events>(file);
    HEARTH_CHECK(store->open(file));
    return std::unique_ptr<event_store>(std::move(store));
}

}  // namespace hearth::control
