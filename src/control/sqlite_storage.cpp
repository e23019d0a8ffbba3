#include "base/sqlite.hpp"
#include "base/system_error.hpp"
#include "base/try.hpp"
#include "base/unique_fd.hpp"
#include "control/record_json.hpp"
#include "control/storage.hpp"
#include "image/sha256.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>

namespace hearth::control {
namespace {

namespace fs = std::filesystem;
using sqlite::number_at;
using sqlite::statement_ptr;
using sqlite::text_at;

/// Written to user_version. A database of an older one is brought here step by step, in one
/// transaction.
///   1  table functions (name, document)
///   2  table versions (name, version, document): the published ones
///   3  tables layers (name, version, document) and code_signing (id, document)
///   4  table rules (name, document)
///   5  table apis (id, document)
///   6  table documents (kind, id, document)
constexpr const char* storage_steps[] = {
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
constexpr sqlite::schema storage_schema{.application = 0x48727448,
                                        .steps = storage_steps};  // "HrtH"

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
        const int why = errno;
        const error e =
            system_failure(errc::storage_failed,
                           std::string("cannot ") + verb + " " + (path_ / name).string(), why);
        if (why != ENOSPC && why != EDQUOT) return e;
        return {errc::storage_failed, e.detail() + std::string(cure_of_full_disk)};
    }
    fs::path path_;
    unique_fd lock_, directory_;
};

class sqlite_storage final : public storage {
  public:
    static result<std::unique_ptr<storage>> open(const fs::path& root, room_listener told) {
        HEARTH_TRY(package_directory packages, package_directory::open(root));
        auto self = std::unique_ptr<sqlite_storage>(
            new sqlite_storage(std::move(packages), root / "hearth.db", std::move(told)));
        HEARTH_CHECK(self->database_.open());
        HEARTH_CHECK(self->database_.prepare_schema(storage_schema));
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
        HEARTH_CHECK(each_row("SELECT name, document FROM functions",
                              [&](const statement_ptr& row) -> result<void> {
                                  HEARTH_TRY(stored_function function, from_json(text_at(row, 1)));
                                  keep(function.latest.current);
                                  if (function.latest.update) keep(*function.latest.update);
                                  by_name[text_at(row, 0)].function = std::move(function);
                                  return {};
                              }));
        HEARTH_CHECK(each_row(
            "SELECT name, version, document FROM versions",
            [&](const statement_ptr& row) -> result<void> {
                HEARTH_TRY(function_configuration version, version_from_json(text_at(row, 2)));
                keep(version);
                const auto function = by_name.find(text_at(row, 0));
                if (function == by_name.end() || number_at(row, 1) < 1)
                    return error(errc::storage_failed, "a version without a function");
                function->second.versions.emplace(static_cast<std::uint64_t>(number_at(row, 1)),
                                                  std::move(version));
                return {};
            }));
        HEARTH_CHECK(
            each_row("SELECT document FROM layers", [&](const statement_ptr& row) -> result<void> {
                HEARTH_TRY(const stored_layer layer, layer_from_json(text_at(row, 0)));
                named.insert(image::hex_of_base64_digest(layer.layer.code_sha256));
                return {};
            }));
        // A database that names none may have taken the place of one that was lost: then they are
        // what is left.
        if (!named.empty()) packages_.sweep(named);
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
            HEARTH_TRY(statement_ptr versions,
                       database_.prepare("DELETE FROM versions WHERE name = ?1"));
            bind(versions, 1, name);
            HEARTH_CHECK(database_.run(versions));
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
                   database_.prepare("SELECT document FROM documents WHERE kind = ?1 ORDER BY id"));
        bind(select, 1, kind);
        std::vector<std::string> documents;
        HEARTH_CHECK(each_row(select, [&](const statement_ptr& row) -> result<void> {
            documents.emplace_back(text_at(row, 0));
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
        HEARTH_CHECK(database_.check_room(zip.size()));
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
    sqlite_storage(package_directory packages, const fs::path& file, room_listener told)
        : packages_(std::move(packages)), database_("functions", file, std::move(told)) {}

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
                     [&](const statement_ptr& row) -> result<void> {
                         HEARTH_TRY(Document document, read(text_at(row, 0)));
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
        return database_.run(insert);
    }

    template <class... Key>
    result<void> erase(const document_table& table, const Key&... key) {
        HEARTH_TRY(statement_ptr statement,
                   prepare(std::string("DELETE FROM ") + table.name + " WHERE (" + table.keys +
                           ") = (" + marks(sizeof...(key)) + ")"));
        int at = 0;
        (bind(statement, ++at, key), ...);
        return database_.run(statement);
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
        HEARTH_CHECK(database_.execute("BEGIN IMMEDIATE"));
        const result<void> changed = [&]() -> result<void> {
            HEARTH_CHECK(change());
            return database_.execute("COMMIT");
        }();
        if (changed.has_error()) database_.roll_back();
        return changed;
    }

    /// Until the visitor returns an error, which says how what is stored is damaged.
    template <class Visit>
    result<void> each_row(const std::string& sql, Visit visit) {
        HEARTH_TRY(const statement_ptr select, prepare(sql));
        return each_row(select, std::move(visit));
    }
    template <class Visit>
    result<void> each_row(const statement_ptr& select, Visit visit) {
        result<void> read;
        HEARTH_CHECK(database_.each_row(select, [&](const statement_ptr& row) {
            read = visit(row);
            return read.has_value();
        }));
        if (read.has_error()) return database_.damaged(read.error().detail());
        return {};
    }

    result<statement_ptr> prepare(const std::string& sql) { return database_.prepare(sql.c_str()); }

    static void bind(const statement_ptr& statement, int at, const std::string& text) {
        sqlite::put(statement, at, text);
    }
    static void bind(const statement_ptr& statement, int at, std::uint64_t number) {
        sqlite::put(statement, at, static_cast<std::int64_t>(number));
    }

    // The lock in packages_ is released last: after the database has been closed.
    package_directory packages_;
    std::mutex mutex_;  ///< guards database_ and changes to packages_; a leaf
    sqlite::connection database_;
};

}  // namespace

result<std::unique_ptr<storage>> open_sqlite_storage(const fs::path& directory,
                                                     room_listener told) {
    return sqlite_storage::open(directory, std::move(told));
}

}  // namespace hearth::control
