#pragma once

/// SQLite, owned: handles, a connection to a database that must not lose what it was told, and the
/// versions of its schema.

#include "base/room_listener.hpp"
#include "base/sqlite_log.hpp"
#include "base/system_error.hpp"
#include "base/try.hpp"

#include <hearth/error.hpp>

#include <sqlite3.h>

#include <sys/statvfs.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace hearth::sqlite {

struct close_database {
    void operator()(sqlite3* db) const noexcept { sqlite3_close_v2(db); }
};
struct finalize_statement {
    void operator()(sqlite3_stmt* s) const noexcept { sqlite3_finalize(s); }
};
using database_ptr = std::unique_ptr<sqlite3, close_database>;
using statement_ptr = std::unique_ptr<sqlite3_stmt, finalize_statement>;

/// What a file of ours says it is.
struct schema {
    int application = 0;  ///< application_id: another program's database is not taken for ours
    /// steps[n] brings version n to n + 1.
    std::span<const char* const> steps;
};

/// Used by one thread at a time. Every error is errc::storage_failed and a sentence.
class connection {
  public:
    /// `kind` ("events") names the database in errors. An empty file: the database is in memory.
    connection(std::string kind, std::filesystem::path file, room_listener told = {})
        : kind_(std::move(kind)), file_(std::move(file)), told_of_room_(std::move(told)) {}

    result<void> open() {
        if (!file_.empty())
            if (const std::string damage = damage_of_log(file_); !damage.empty())
                return error(errc::storage_failed,
                             name() + " cannot be used: its log " + log_of(file_).string() + " " +
                                 damage +
                                 "; restore both files from a copy, or move the log away: then the "
                                 "changes it holds are lost");
        sqlite3* raw = nullptr;
        const int opened = sqlite3_open_v2(
            file_.empty() ? ":memory:" : file_.c_str(), &raw,
            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
        database_.reset(raw);
        if (opened != SQLITE_OK) return failed("cannot be opened");
        // Until it is known for ours and whole, it stays as it is.
        write_log_on_close(false);
        // FULL: with WAL, NORMAL may lose the last commits when the machine dies.
        return execute(
            "PRAGMA busy_timeout = 5000; PRAGMA synchronous = FULL; "
            "PRAGMA journal_size_limit = 67108864");
    }

    /// Looks whether it is whole and brings it to the schema's last version, in one transaction.
    result<void> prepare_schema(const schema& s) {
        HEARTH_TRY(const std::int64_t id, number_of("PRAGMA application_id"));
        HEARTH_TRY(const std::int64_t version, number_of("PRAGMA user_version"));
        HEARTH_TRY(const std::int64_t tables, number_of("SELECT count(*) FROM sqlite_schema"));
        const auto last = static_cast<std::int64_t>(s.steps.size());
        const bool is_new = id == 0 && version == 0 && tables == 0;
        if (!is_new && id != s.application)
            return error(errc::storage_failed,
                         file_.string() + " is not Hearth's database of " + kind_);
        if (version > last)
            return error(errc::storage_failed,
                         file_.string() + " was written by a newer Hearth (schema " +
                             std::to_string(version) + ", this one knows " + std::to_string(last) +
                             "): use that version, or another --data directory");
        if (version < 0) return damaged("it has no schema");
        HEARTH_CHECK(check());
        write_log_on_close(true);
        HEARTH_CHECK(execute("PRAGMA journal_mode = WAL"));
        if (version == last) return {};
        std::string sql = "BEGIN IMMEDIATE;";
        for (const char* step : s.steps.subspan(static_cast<std::size_t>(version))) sql += step;
        sql += "PRAGMA application_id = " + std::to_string(s.application) +
               ";PRAGMA user_version = " + std::to_string(last) + ";COMMIT";
        return execute(sql);
    }

    result<void> execute(const std::string& sql) {
        if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK)
            return {};
        return failed("cannot be used");
    }
    /// What was to be rolled back may be so already; then this fails, and is welcome to.
    void roll_back() noexcept {
        sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
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
    /// `visit` is called with the statement at each row until it returns false. The statement can
    /// be run again after.
    template <class Visit>
    result<void> each_row(const statement_ptr& s, Visit visit) {
        int step = sqlite3_step(s.get());
        for (; step == SQLITE_ROW; step = sqlite3_step(s.get()))
            if (!visit(s)) break;
        error e;
        if (step != SQLITE_ROW && step != SQLITE_DONE) e = failed("cannot be read");
        sqlite3_reset(s.get());
        sqlite3_clear_bindings(s.get());
        if (e.code()) return e;
        return {};
    }
    /// To be asked before something is added: taking things out writes too, and on a disk that is
    /// full to the last byte nothing could make room. `beside`: bytes for files beside it.
    result<void> check_room(std::uint64_t beside = 0) {
        struct statvfs disk {};
        if (file_.empty() || ::statvfs(file_.c_str(), &disk) != 0) return {};
        const std::uint64_t kept = std::min(kept_bytes, disk.f_blocks * disk.f_frsize / 4);
        const std::uint64_t free = disk.f_bavail * disk.f_frsize;
        if (free >= kept + beside) return note_room();
        // What was taken out has left room in the file itself.
        HEARTH_TRY(const std::int64_t pages, number_of("PRAGMA freelist_count"));
        HEARTH_TRY(const std::int64_t page_bytes, number_of("PRAGMA page_size"));
        if (free >= beside &&
            free - beside + static_cast<std::uint64_t>(pages * page_bytes) >= kept)
            return note_room();
        std::string why = name() + " takes in nothing more: the last " +
                          std::to_string(kept >> 20) +
                          " MiB of its disk are kept for taking out what is there";
        why.append(cure_of_full_disk);
        if (free < kept) note_no_room(why);  // not of a package that is too large alone
        return error(errc::storage_failed, std::move(why));
    }
    [[nodiscard]] std::uint64_t changes() const {
        return static_cast<std::uint64_t>(sqlite3_changes64(database_.get()));
    }
    [[nodiscard]] std::int64_t last_row_id() const {
        return sqlite3_last_insert_rowid(database_.get());
    }
    /// What the last call met, and what helps against it.
    [[nodiscard]] error failed(const char* what) {
        if (!database_) return {errc::storage_failed, name() + " " + what + ": no memory"};
        sqlite3* const db = database_.get();
        std::string text = name() + " " + what + ": " + sqlite3_errmsg(db);
        switch (sqlite3_errcode(db) & 0xff) {
            case SQLITE_FULL:
                text.append(cure_of_full_disk);
                note_no_room(text);
                return {errc::storage_failed, std::move(text)};
            case SQLITE_CORRUPT:
            case SQLITE_NOTADB:
                return {errc::storage_failed, text.append(cure_of_damage)};
            case SQLITE_IOERR:
            case SQLITE_CANTOPEN:
                if (const int why = sqlite3_system_errno(db))
                    return system_failure(errc::storage_failed, text, why);
                break;
            default:
                break;
        }
        return {errc::storage_failed, std::move(text)};
    }
    /// The file is a database, but what it holds is not what was stored.
    [[nodiscard]] error damaged(const std::string& how) const {
        return {errc::storage_failed, (name() + " is damaged: " + how).append(cure_of_damage)};
    }

  private:
    static constexpr std::string_view cure_of_damage =
        "; restore it from a copy, save what can be read with sqlite3's .recover, or move it away "
        "to begin without what it holds";
    /// The log grows to 4 MiB before what it holds goes into the database; four databases have one.
    static constexpr std::uint64_t kept_bytes = std::uint64_t{16} << 20;
    /// Of larger ones a check would hold up the start; SQLite finds damage where it meets it.
    static constexpr std::int64_t max_checked_bytes = std::int64_t{256} << 20;

    [[nodiscard]] std::string name() const {
        return "the database of " + kind_ + " " + file_.string();
    }

    void note_no_room(const std::string& why) {
        if (!std::exchange(has_no_room_, true) && told_of_room_) told_of_room_(why);
    }
    result<void> note_room() {
        if (std::exchange(has_no_room_, false) && told_of_room_)
            told_of_room_(name() + " has room again");
        return {};
    }

    void write_log_on_close(bool does) {
        sqlite3_db_config(database_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, does ? 0 : 1, nullptr);
    }

    /// Reads it once as a whole, so that damage does not surface in the midst of a later request.
    result<void> check() {
        HEARTH_TRY(const std::int64_t pages, number_of("PRAGMA page_count"));
        HEARTH_TRY(const std::int64_t page_bytes, number_of("PRAGMA page_size"));
        if (pages > max_checked_bytes / page_bytes) return {};
        HEARTH_TRY(const statement_ptr s, prepare("PRAGMA quick_check(1)"));
        if (sqlite3_step(s.get()) != SQLITE_ROW) return failed("cannot be read");
        const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(s.get(), 0));
        const std::string health = text ? text : "no memory";
        if (health != "ok") return damaged(health.substr(health.rfind('\n') + 1));
        return {};
    }

    std::string kind_;
    std::filesystem::path file_;
    room_listener told_of_room_;
    bool has_no_room_ = false;  ///< and somebody was told
    database_ptr database_;
};

/// Text and bytes live until the statement has been run.
inline void put(const statement_ptr& s, int at, std::string_view text) {
    sqlite3_bind_text(s.get(), at, text.data() ? text.data() : "", static_cast<int>(text.size()),
                      SQLITE_STATIC);
}
inline void put(const statement_ptr& s, int at, std::int64_t n) {
    sqlite3_bind_int64(s.get(), at, n);
}
inline void put_bytes(const statement_ptr& s, int at, std::string_view bytes) {
    sqlite3_bind_blob(s.get(), at, bytes.data() ? bytes.data() : "", static_cast<int>(bytes.size()),
                      SQLITE_STATIC);
}
inline std::string text_at(const statement_ptr& s, int column) {
    const auto* text = static_cast<const char*>(sqlite3_column_blob(s.get(), column));
    return {text ? text : "", static_cast<std::size_t>(sqlite3_column_bytes(s.get(), column))};
}
inline std::int64_t number_at(const statement_ptr& s, int column) {
    return sqlite3_column_int64(s.get(), column);
}

}  // namespace hearth::sqlite
