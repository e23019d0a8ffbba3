#pragma once

/// What every database of ours does when its files are damaged: each room's tests ask it of theirs.

#include "temporary_directory.hpp"

#include <hearth/error.hpp>

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>

namespace hearth::test {

struct tried_database {
    std::string file;  ///< "events.db"
    /// An open store there, in which a hundred transactions have stored a few hundred KiB.
    std::function<std::shared_ptr<void>(const std::filesystem::path& directory)> filled;
    /// Opens what is there, and reads it all.
    std::function<result<void>(const std::filesystem::path& directory)> open;
};

inline std::string bytes_of(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
inline void write_bytes(const std::filesystem::path& file, const std::string& bytes) {
    std::ofstream(file, std::ios::binary) << bytes;
}

/// As another program would.
inline void execute_sql(const std::filesystem::path& database, const char* text) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(database.c_str(), &db) == SQLITE_OK);
    CAPTURE(text);
    REQUIRE(sqlite3_exec(db, text, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(db);
}

/// A text that no page can be: what stands in its place says so.
inline std::string garbage(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 37 + 11);
    return text;
}

inline void tell_of_damage(const tried_database& tried) {
    namespace fs = std::filesystem;
    const temporary_directory place;
    const fs::path live = place.path() / "live", here = place.path() / "here";
    const fs::path file = here / tried.file, log = here / (tried.file + "-wal");
    fs::create_directory(live);
    std::string changes, unwritten, database;
    {
        const auto store = tried.filled(live);
        // As kill -9 leaves them.
        unwritten = bytes_of(live / tried.file);
        changes = bytes_of(live / (tried.file + "-wal"));
    }
    database = bytes_of(live / tried.file);
    REQUIRE(database.size() > 20 * 4096);
    REQUIRE(changes.size() > 100 * 4096);

    const auto found = [&](const std::string& with_database, const std::string& with_log) {
        fs::remove_all(here);
        fs::create_directory(here);
        write_bytes(file, with_database);
        if (!with_log.empty()) write_bytes(log, with_log);
    };
    const auto stays = [&](const std::string& why, const std::string& cure) {
        const std::string before = bytes_of(file), log_before = bytes_of(log);
        for (int i = 0; i < 2; ++i) {
            const auto opened = tried.open(here);
            REQUIRE(opened.has_error());
            CHECK(opened.error() == errc::storage_failed);
            CHECK_THAT(opened.error().message(), Catch::Contains(file.string()) &&
                                                     Catch::Matches(".*(" + why + ").*") &&
                                                     Catch::Contains(cure));
        }
        CHECK(bytes_of(file) == before);
        CHECK(bytes_of(log) == log_before);
    };
    const std::string cure = "; restore it from a copy",
                      cure_of_log = "; restore both files from a copy";
    const auto with = [](std::string bytes, std::size_t at, std::size_t size) {
        return bytes.replace(at, size, garbage(size));
    };

    found(unwritten, changes);
    CHECK(tried.open(here).has_value());
    found(database, "");
    CHECK(tried.open(here).has_value());
    {
        INFO("pages in the middle");
        // Among them are pages of a tree, not only what is too long for one.
        const std::string damaged = with(database, database.size() / 4096 / 2 * 4096, 8 * 4096);
        found(damaged, "");
        stays("is damaged: ", cure);
        INFO("while there is a log");
        found(database, "");
        sqlite3* db = nullptr;
        REQUIRE(sqlite3_open(file.c_str(), &db) == SQLITE_OK);
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
        REQUIRE(sqlite3_exec(db, "CREATE TABLE later (x)", nullptr, nullptr, nullptr) == SQLITE_OK);
        sqlite3_close(db);
        REQUIRE_FALSE(bytes_of(log).empty());
        write_bytes(file, damaged);
        stays("is damaged: ", cure);
    }
    {
        INFO("its first page");
        found(with(database, 0, 4096), "");
        stays("not a database", cure);
    }
    {
        INFO("its end is cut off");
        found(database.substr(0, database.size() / 2), "");
        stays("malformed", cure);
    }
    {
        INFO("all of it is cut off, but for the log");
        found("", changes);
        stays("its log .*-wal holds changes of a database that is not there any more", cure_of_log);
    }
    {
        INFO("the log's beginning");
        found(unwritten, with(changes, 8, 8));
        stays("its log .*-wal does not begin as a log does", cure_of_log);
    }
    {
        INFO("a bit in the middle of the log");
        std::string damaged = changes;
        damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 4);
        found(unwritten, damaged);
        stays(
            "its log .*-wal is not what was written: the checksum of its frame [0-9]+ is wrong, "
            "and whole transactions follow",
            cure_of_log);
    }
    {
        INFO("a piece in the middle of the log");
        found(unwritten, with(changes, changes.size() / 3, 9000));
        stays("its log .*-wal is not what was written", cure_of_log);
    }
    {
        INFO("of the log what was written last: a power failure's, which is taken as it is");
        found(unwritten, changes.substr(0, changes.size() - 100));
        CHECK(tried.open(here).has_value());
    }
    {
        INFO("a newer Hearth's");
        found(database, "");
        execute_sql(file, "PRAGMA user_version = 99");
        stays("was written by a newer Hearth \\(schema 99",
              "use that version, or another --data directory");
    }
    {
        INFO("its schema's number");
        found(database, "");
        execute_sql(file, "PRAGMA user_version = -1");
        stays("is damaged: it has no schema", cure);
    }
    {
        INFO("another program's");
        found(database, "");
        execute_sql(file, "PRAGMA journal_mode = DELETE; PRAGMA application_id = 1");
        stays("is not Hearth's database of ", "");
    }
}

/// Pages of a database in use are lost, and found again when it is not.
class lost_pages {
  public:
    /// All but the first, which says what there is.
    explicit lost_pages(std::filesystem::path file)
        : file_(std::move(file)), before_(bytes_of(file_)) {
        overwrite(garbage(before_.size() - 4096));
    }
    void find_again() { overwrite(before_.substr(4096)); }

  private:
    /// In place: the store has the file open.
    void overwrite(const std::string& bytes) {
        std::fstream out(file_, std::ios::in | std::ios::out | std::ios::binary);
        out.seekp(4096);
        out << bytes;
    }
    std::filesystem::path file_;
    std::string before_;
};

/// Of an operation that met them.
template <class Result>
void tells_of_lost_pages(const Result& r, const std::string& file) {
    REQUIRE(r.has_error());
    CHECK(r.error() == errc::storage_failed);
    CHECK_THAT(r.error().message(), Catch::Contains(file) && Catch::Contains("malformed") &&
                                        Catch::Contains("; restore it from a copy"));
}

}  // namespace hearth::test
