#include "base/sqlite.hpp"
#include "base/system_error.hpp"
#include "base/try.hpp"
#include "base/unique_fd.hpp"
#include "control/record_json.hpp"
#include "control/storage.hpp"
#include "image/sha256.hpp"

#include <sqlite3.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <map>
#include <mutex>
#include <set>

namespace hearth::control {
namespace {

namespace fs = std::filesystem;
using sqlite::database_ptr;
using sqlite::statement_ptr;

/// Written to user_version. A database of an older one is brought here step by step, in one
/// transaction.
///   1  table functions (name, document)
///   2  table versions (name, version, document): the published ones
///   3  tables layers (name, version, document) and code_signing (id, document)
///   4  table rules (name, document)
///   5  table apis (id, document)
///   6  table documents (kind, id, document)
constexpr int schema_version = 6;
constexpr const char* steps[] = {
    "CREATE TABLE functions (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;",
    "CREATE TABLE versions (name TEXT NOT NULL, version INTEGER NOT NULL, document TEXT NOT NULL,"
    " PRIMARY KEY (name, version)) STRICT;",
    "CREATE TABLE layers (name TEXT NOT NULL, version INTEGER NOT NULL, document TEXT NOT NULL,"
    " PRIMARY KEY (name, version)) STRICT;"
    "CREATE TABLE code_signing (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;",
    "CREATE TABLE rules (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;",
    "CREATE TABLE apis (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;",
    "CREATE TABLE documents (kind TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL,"
    " PRIMARY KEY (kind, id)) STRICT;",
};
static_assert(std::size(steps) == schema_version);

/// A table of documents, each under its key or keys.
struct document_table {
    const char* name;
    const char* keys;
};
constexpr document_table function_table{"functions", "name"};
constexpr document_table version_table{"versions", "name, version"};
constexpr document_table layer_table{"layers", "name, version"};
constexpr document_table code_signing_table{"code_signing", "id"};
constexpr document_table rule_table{"rules", "name"};
constexpr document_table api_table{"apis", "id"};
constexpr document_table other_table{"documents", "kind, id"};

/// "HrtH" in application_id: another program's database is not taken for ours.
constexpr int application_id = 0x48727448;

/// The data directory as files: packages, and the lock that keeps a second process out.
class package_directory {
  public:
    static result<package_directory> open(const fs::path& root) {
        std::error_code ec;
        fs::create_directories(root / "packages", ec);
        if (ec)
            return error(errc::storage_failed, "the data directory " + root.string() +
                                                   " cannot be created: " + ec.message());
        package_directory d;
        d.lock_.reset(::open((root / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        if (!d.lock_)
            return system_failure(errc::storage_failed,
                                  "the data directory " + root.string() + " is not writable");
        // flock, not a pid file: the kernel drops it with the process, however that ends.
        if (::flock(d.lock_.get(), LOCK_EX | LOCK_NB) < 0)
            return error(
                errc::storage_failed,
                "the data directory " + root.string() +
                    " is in use by another Hearth: stop it, or choose another --data directory");
        d.directory_.reset(::open((root / "packages").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!d.directory_)
            return system_failure(errc::storage_failed,
                                  "cannot open " + (root / "packages").string());
        d.path_ = root / "packages";
        return d;
    }

    [[nodiscard]] result<void> put(const std::string& sha256, std::string_view zip) const {
        const std::string name = sha256 + ".zip", temporary = name + ".new";
        // Read, for one that is damaged is mended by the same package's coming again.
        if (get(sha256).has_value()) return {};
        auto put = write(temporary, zip);
        // The name appears when the content is on disk, and the name itself with the directory's
        // fsync.
        if (put &&
            ::renameat(directory_.get(), temporary.c_str(), directory_.get(), name.c_str()) < 0)
            put = failed("store", name);
        if (put.has_error()) {
            ::unlinkat(directory_.get(), temporary.c_str(), 0);
            return put;
        }
        if (::fsync(directory_.get()) < 0) return failed("store", name);
        return {};
    }

    [[nodiscard]] result<std::string> get(const std::string& sha256) const {
        const std::string name = sha256 + ".zip";
        const unique_fd file(::openat(directory_.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
        struct stat st {};
        if (!file || ::fstat(file.get(), &st) < 0) return failed("read", name);
        std::string zip(static_cast<std::size_t>(st.st_size), '\0');
        for (std::size_t at = 0; at < zip.size();) {
            const ssize_t n = ::read(file.get(), zip.data() + at, zip.size() - at);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return failed("read", name);
            if (n == 0) zip.resize(at);
            at += static_cast<std::size_t>(n);
        }
        if (image::to_hex(image::sha256_of(zip)) != sha256)
            return error(errc::storage_failed,
                         (path_ / name).string() + " is damaged: its SHA-256 is not its name");
        return zip;
    }

    void remove(const std::string& sha256) const {
        ::unlinkat(directory_.get(), (sha256 + ".zip").c_str(), 0);
    }

    /// Removes what a crash left behind: packages nobody names, half-written ones.
    void sweep(const std::set<std::string>& named) const {
        std::error_code ec;
        std::vector<fs::path> stale;
        for (const auto& entry : fs::directory_iterator(path_, ec)) {
            const fs::path file = entry.path().filename();
            const bool ours = file.extension() == ".zip" || file.extension() == ".new";
            if (ours && !(file.extension() == ".zip" && named.contains(file.stem().string())))
                stale.push_back(entry.path());
        }
        for (const auto& file : stale) fs::remove(file, ec);
    }

  private:
    /// On disk when it returns.
    [[nodiscard]] result<void> write(const std::string& name, std::string_view content) const {
        const unique_fd file(::openat(directory_.get(), name.c_str(),
                                      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        if (!file) return failed("create", name);
        while (!content.empty()) {
            const ssize_t n = ::write(file.get(), content.data(), content.size());
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return failed("write", name);
            content.remove_prefix(static_cast<std::size_t>(n));
        }
        if (::fsync(file.get()) < 0) return failed("write", name);
        return {};
    }
    [[nodiscard]] error failed(const char* verb, const std::string& name) const {
        return system_failure(errc::storage_failed,
                              std::string("cannot ") + verb + " " + (path_ / name).string());
    }
    fs::path path_;
    unique_fd lock_, directory_;
};

class sqlite_storage final : public storage {
  public:
    static result<std::unique_ptr<storage>> open(const fs::path& root) {
        HEARTH_TRY(package_directory packages, package_directory::open(root));
        sqlite3* raw = nullptr;
        const fs::path file = root / "hearth.db";
        const int opened = sqlite3_open_v2(
            file.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
            nullptr);
        auto self = std::unique_ptr<sqlite_storage>(
            new sqlite_storage(std::move(packages), database_ptr(raw), file));
        if (opened != SQLITE_OK) return self->failed("cannot be opened");
        HEARTH_CHECK(self->prepare_schema());
        return std::unique_ptr<storage>(std::move(self));
    }

    result<std::vector<loaded_function>> load() override {
        const std::scoped_lock lock(mutex_);
        std::map<std::string, loaded_function> by_name;
        std::set<std::string> named;
        const auto keep = [&](const function_configuration& c) {
            each_package(c, [&](const std::string& sha256) {
                named.insert(image::hex_of_base64_digest(sha256));
            });
        };
        HEARTH_CHECK(
            each_row("SELECT name, document FROM functions", [&](const auto& row) -> result<void> {
                HEARTH_TRY(stored_function function, from_json(row.text(1)));
                keep(function.latest.current);
                if (function.latest.update) keep(*function.latest.update);
                by_name[std::string(row.text(0))].function = std::move(function);
                return {};
            }));
        HEARTH_CHECK(each_row(
            "SELECT name, version, document FROM versions", [&](const auto& row) -> result<void> {
                HEARTH_TRY(function_configuration version, version_from_json(row.text(2)));
                keep(version);
                const auto function = by_name.find(std::string(row.text(0)));
                if (function == by_name.end() || row.number(1) < 1)
                    return error(errc::storage_failed,
                                 "the database " + file_.string() +
                                     " is damaged: a version without a function");
                function->second.versions.emplace(static_cast<std::uint64_t>(row.number(1)),
                                                  std::move(version));
                return {};
            }));
        HEARTH_CHECK(each_row("SELECT document FROM layers", [&](const auto& row) -> result<void> {
            HEARTH_TRY(const stored_layer layer, layer_from_json(row.text(0)));
            named.insert(image::hex_of_base64_digest(layer.layer.code_sha256));
            return {};
        }));
        packages_.sweep(named);
        std::vector<loaded_function> functions;
        for (auto& [name, function] : by_name) functions.push_back(std::move(function));
        return functions;
    }

    result<void> put(const stored_function& function) override {
        const std::scoped_lock lock(mutex_);
        return write(function);
    }

    result<void> put_version(const function_configuration& version) override {
        const std::scoped_lock lock(mutex_);
        return write(version);
    }

    result<void> put_both(const stored_function& function,
                          const function_configuration& version) override {
        const std::scoped_lock lock(mutex_);
        return together([&]() -> result<void> {
            HEARTH_CHECK(write(function));
            return write(version);
        });
    }

    result<void> remove(const std::string& name) override {
        const std::scoped_lock lock(mutex_);
        return together([&]() -> result<void> {
            HEARTH_TRY(statement_ptr versions, prepare("DELETE FROM versions WHERE name = ?1"));
            bind(versions, 1, name);
            HEARTH_CHECK(run(versions));
            return erase(function_table, name);
        });
    }

    result<void> remove_version(const std::string& name, std::uint64_t version) override {
        const std::scoped_lock lock(mutex_);
        return erase(version_table, name, version);
    }

    result<std::vector<stored_layer>> load_layers() override {
        const std::scoped_lock lock(mutex_);
        return load_all(layer_table, layer_from_json);
    }
    result<void> put_layer(const stored_layer& layer) override {
        const std::scoped_lock lock(mutex_);
        return write(layer_table, to_json(layer), layer.layer.name, layer.layer.version);
    }
    result<void> remove_layer(const std::string& name, std::uint64_t version) override {
        const std::scoped_lock lock(mutex_);
        return erase(layer_table, name, version);
    }

    result<std::vector<code_signing_config>> load_code_signing() override {
        const std::scoped_lock lock(mutex_);
        return load_all(code_signing_table, code_signing_from_json);
    }
    result<void> put_code_signing(const code_signing_config& config) override {
        const std::scoped_lock lock(mutex_);
        return write(code_signing_table, to_json(config), config.id);
    }
    result<void> remove_code_signing(const std::string& id) override {
        const std::scoped_lock lock(mutex_);
        return erase(code_signing_table, id);
    }

    result<std::vector<event_rule>> load_rules() override {
        const std::scoped_lock lock(mutex_);
        return load_all(rule_table, rule_from_json);
    }
    result<void> put_rule(const event_rule& rule) override {
        const std::scoped_lock lock(mutex_);
        return write(rule_table, to_json(rule), rule.name);
    }
    result<void> remove_rule(const std::string& name) override {
        const std::scoped_lock lock(mutex_);
        return erase(rule_table, name);
    }

    result<std::vector<http_api>> load_apis() override {
        const std::scoped_lock lock(mutex_);
        return load_all(api_table, api_from_json);
    }
    result<void> put_api(const http_api& api) override {
        const std::scoped_lock lock(mutex_);
        return write(api_table, to_json(api), api.id);
    }
    result<void> remove_api(const std::string& id) override {
        const std::scoped_lock lock(mutex_);
        return erase(api_table, id);
    }

    result<std::vector<std::string>> load_documents(const std::string& kind) override {
        const std::scoped_lock lock(mutex_);
        HEARTH_TRY(statement_ptr select,
                   prepare("SELECT document FROM documents WHERE kind = ?1 ORDER BY id"));
        bind(select, 1, kind);
        std::vector<std::string> documents;
        HEARTH_CHECK(each_row(select, [&](const auto& row) -> result<void> {
            documents.emplace_back(row.text(0));
            return {};
        }));
        return documents;
    }

    result<void> put_document(const std::string& kind,
                              const std::string& id,
                              const std::string& document) override {
        const std::scoped_lock lock(mutex_);
        return write(other_table, document, kind, id);
    }

    result<void> remove_document(const std::string& kind, const std::string& id) override {
        const std::scoped_lock lock(mutex_);
        return erase(other_table, kind, id);
    }

    result<void> put_package(const std::string& sha256, std::string_view zip) override {
        const std::scoped_lock lock(mutex_);
        return packages_.put(sha256, zip);
    }
    result<std::string> get_package(const std::string& sha256) override {
        return packages_.get(sha256);
    }
    result<void> remove_package(const std::string& sha256) override {
        const std::scoped_lock lock(mutex_);
        packages_.remove(sha256);
        return {};
    }

  private:
    sqlite_storage(package_directory packages, database_ptr database, fs::path file)
        : packages_(std::move(packages)), database_(std::move(database)), file_(std::move(file)) {}

    result<void> prepare_schema() {
        // quick_check reads the whole file once: it is small (a document per function), and a
        // damaged one must not surface in the middle of a later request.
        HEARTH_TRY(std::string health, text_of("PRAGMA quick_check(1)"));
        if (health != "ok")
            return error(errc::storage_failed,
                         "the database " + file_.string() + " is damaged: " + health);
        HEARTH_TRY(std::string id_text, text_of("PRAGMA application_id"));
        HEARTH_TRY(std::string version_text, text_of("PRAGMA user_version"));
        const int id = std::atoi(id_text.c_str()), version = std::atoi(version_text.c_str());
        HEARTH_TRY(std::string tables, text_of("SELECT count(*) FROM sqlite_schema"));
        const bool is_new = id == 0 && version == 0 && std::atoi(tables.c_str()) == 0;
        if (!is_new && id != application_id)
            return error(errc::storage_failed, file_.string() + " is not a Hearth database");
        if (version > schema_version)
            return error(errc::storage_failed,
                         file_.string() + " was written by a newer Hearth (schema " + version_text +
                             ", this one knows " + std::to_string(schema_version) +
                             "): use that version, or another --data directory");
        // FULL, not NORMAL: with WAL, NORMAL may lose the last commits when the machine dies.
        HEARTH_CHECK(
            execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
                    "PRAGMA busy_timeout = 5000"));
        if (version == schema_version) return {};
        std::string sql = "BEGIN IMMEDIATE;";
        for (int step = version; step < schema_version; ++step) sql += steps[step];
        sql += "PRAGMA application_id = " + std::to_string(application_id) +
               ";PRAGMA user_version = " + std::to_string(schema_version) + ";COMMIT";
        return execute(sql);
    }

    // With mutex_ held.
    result<void> write(const stored_function& function) {
        return write(function_table, to_json(function), function.latest.current.function_name);
    }
    result<void> write(const function_configuration& version) {
        return write(version_table, to_json(version), version.function_name,
                     std::strtoull(version.version.c_str(), nullptr, 10));
    }

    /// In the order of their keys.
    template <class Document>
    result<std::vector<Document>> load_all(const document_table& table,
                                           result<Document> (*read)(std::string_view)) {
        std::vector<Document> documents;
        HEARTH_CHECK(
            each_row(std::string("SELECT document FROM ") + table.name + " ORDER BY " + table.keys,
                     [&](const auto& row) -> result<void> {
                         HEARTH_TRY(Document document, read(row.text(0)));
                         documents.push_back(std::move(document));
                         return {};
                     }));
        return documents;
    }

    /// Inserts or replaces.
    template <class... Key>
    result<void> write(const document_table& table,
                       const std::string& document,
                       const Key&... key) {
        HEARTH_TRY(statement_ptr insert,
                   prepare(std::string("INSERT INTO ") + table.name + " (" + table.keys +
                           ", document) VALUES (" + marks(sizeof...(key) + 1) + ") ON CONFLICT (" +
                           table.keys + ") DO UPDATE SET document = excluded.document"));
        int at = 0;
        (bind(insert, ++at, key), ...);
        bind(insert, ++at, document);
        return run(insert);
    }

    template <class... Key>
    result<void> erase(const document_table& table, const Key&... key) {
        HEARTH_TRY(statement_ptr statement,
                   prepare(std::string("DELETE FROM ") + table.name + " WHERE (" + table.keys +
                           ") = (" + marks(sizeof...(key)) + ")"));
        int at = 0;
        (bind(statement, ++at, key), ...);
        return run(statement);
    }

    /// "?, ?"
    static std::string marks(std::size_t count) {
        std::string text = "?";
        while (--count > 0) text += ", ?";
        return text;
    }

    /// One transaction.
    template <class Change>
    result<void> together(Change change) {
        HEARTH_CHECK(execute("BEGIN IMMEDIATE"));
        if (result<void> changed = change(); changed.has_error()) {
            sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
            return changed;
        }
        return execute("COMMIT");
    }

    struct row_view {
        sqlite3_stmt* at;
        [[nodiscard]] std::string_view text(int column) const {
            const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(at, column));
            return {text ? text : "", static_cast<std::size_t>(sqlite3_column_bytes(at, column))};
        }
        [[nodiscard]] std::int64_t number(int column) const {
            return sqlite3_column_int64(at, column);
        }
    };

    /// Until the visitor returns an error.
    template <class Visit>
    result<void> each_row(const std::string& sql, Visit visit) {
        HEARTH_TRY(statement_ptr select, prepare(sql));
        return each_row(select, std::move(visit));
    }
    template <class Visit>
    result<void> each_row(const statement_ptr& select, Visit visit) {
        int step = sqlite3_step(select.get());
        for (; step == SQLITE_ROW; step = sqlite3_step(select.get()))
            HEARTH_CHECK(visit(row_view{select.get()}));
        if (step != SQLITE_DONE) return failed("cannot be read");
        return {};
    }

    result<void> run(const statement_ptr& statement) {
        if (sqlite3_step(statement.get()) != SQLITE_DONE) return failed("cannot be written");
        return {};
    }

    result<void> execute(const std::string& sql) {
        if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
            error e = failed("cannot be written");
            sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
            return e;
        }
        return {};
    }

    result<statement_ptr> prepare(const std::string& sql) {
        sqlite3_stmt* raw = nullptr;
        if (sqlite3_prepare_v2(database_.get(), sql.c_str(), -1, &raw, nullptr) != SQLITE_OK)
            return failed("cannot be used");
        return statement_ptr(raw);
    }

    result<std::string> text_of(const char* sql) {
        HEARTH_TRY(statement_ptr statement, prepare(sql));
        if (sqlite3_step(statement.get()) != SQLITE_ROW) return failed("cannot be read");
        const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement.get(), 0));
        return std::string(text ? text : "");
    }

    static void bind(const statement_ptr& statement, int at, const std::string& text) {
        sqlite3_bind_text(statement.get(), at, text.data(), static_cast<int>(text.size()),
                          SQLITE_STATIC);
    }

    static void bind(const statement_ptr& statement, int at, std::uint64_t number) {
        sqlite3_bind_int64(statement.get(), at, static_cast<sqlite3_int64>(number));
    }

    [[nodiscard]] error failed(const char* what) const {
        return {errc::storage_failed,
                "the database " + file_.string() + " " + what + ": " +
                    (database_ ? sqlite3_errmsg(database_.get()) : "no memory")};
    }

    // The lock in packages_ is released last: after the database has been closed.
    package_directory packages_;
    std::mutex mutex_;  ///< guards database_ and changes to packages_; a leaf
    database_ptr database_;
    fs::path file_;
};

}  // namespace

result<std::unique_ptr<storage>> open_sqlite_storage(const fs::path& directory) {
    return sqlite_storage::open(directory);
}

}  // namespace hearth::control
