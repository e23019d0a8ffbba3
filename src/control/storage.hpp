#pragma once

/// Where functions live across restarts: one interface, an engine per file (memory, SQLite;
/// PostgreSQL when clustered).
///
/// Contract of every engine, which tests/control/storage_contract_test.cpp asks of each:
/// - A call that returns success is durable: it survives a crash of this process and, on disk, of
///   the machine. (What is in memory lives as long as its engine.)
/// - A call that returns an error changed nothing that a later `load` shows.
/// - `put_package` comes before the `put` of a record that names it; `remove_package` after the
///   last one that does is gone. A crash between leaves a package nobody names: `load` sweeps such
///   away, unless nothing is there that names any.
/// - Calls may come from any thread; each engine serialises for itself.
/// Every error is errc::storage_failed and a sentence: what is wrong, and what helps.

#include "base/room_listener.hpp"
#include "control/policy.hpp"

#include <hearth/control.hpp>
#include <hearth/error.hpp>
#include <hearth/event_rule.hpp>
#include <hearth/http_api.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::control {

/// Provisioned concurrency as asked for.
struct provisioned_request {
    std::uint64_t requested = 0;
    std::string last_modified;
    bool operator==(const provisioned_request&) const = default;
};

/// What a function is beside its versions.
struct function_attributes {
    std::map<std::string, std::string> tags;
    /// The highest number ever published; numbers are not used again. Zero: none.
    std::uint64_t last_version = 0;
    /// $LATEST's description when that was published, as the version may have been given another.
    std::string published_description;
    std::map<std::string, alias_configuration, std::less<>> aliases;  ///< by name
    std::optional<std::uint64_t> reserved_concurrency;
    /// By version or alias.
    std::map<std::string, provisioned_request, std::less<>> provisioned;
    /// By version, alias or "$LATEST".
    std::map<std::string, event_invoke_config, std::less<>> event_invoke;
    /// By alias or "$LATEST".
    std::map<std::string, function_url_config, std::less<>> urls;
    /// By version, alias or "$LATEST".
    std::map<std::string, resource_policy, std::less<>> policies;
    /// By version or "$LATEST".
    std::map<std::string, runtime_management_config, std::less<>> runtime_management;
    std::map<std::string, function_scaling_config, std::less<>> scaling;
    std::string recursive_loop;  ///< empty: nothing was said
    std::string code_signing_config_arn;
    bool operator==(const function_attributes&) const = default;
};

/// A version as stored: what serves, and beside it the update that is to replace it ($LATEST only).
struct stored_version {
    function_configuration current;
    std::optional<function_configuration> update;
    bool operator==(const stored_version&) const = default;
};

/// The record of a function: $LATEST and the attributes. Published versions have records of their
/// own.
struct stored_function {
    stored_version latest;
    function_attributes attributes;
    bool operator==(const stored_function&) const = default;
};

/// A layer's version as stored.
struct stored_layer {
    layer_version layer;
    resource_policy policy;
    bool deleted = false;  ///< the highest number ever given: all that is left of it
    bool operator==(const stored_layer&) const = default;
};

/// Calls `visit` with the SHA-256 of each package that a version runs with: its own, its layers'.
template <class Visit>
void each_package(const function_configuration& c, Visit visit) {
    visit(c.code_sha256);
    for (const layer_reference& each : c.settings.layers) visit(each.code_sha256);
}

struct loaded_function {
    stored_function function;
    std::map<std::uint64_t, function_configuration> versions;  ///< published ones, by number
};

class storage {
  public:
    virtual ~storage() = default;
    /// Every function, by name. Called once, first.
    virtual result<std::vector<loaded_function>> load() = 0;
    /// Inserts or replaces the function of that name.
    virtual result<void> put(const stored_function& function) = 0;
    /// Inserts or replaces a published version of a function that is there.
    virtual result<void> put_version(const function_configuration& version) = 0;
    /// The function and a published version of it: both or neither.
    virtual result<void> put_both(const stored_function& function,
                                  const function_configuration& version) = 0;
    /// The function and its versions. Removing what is not there is success, here and below.
    virtual result<void> remove(const std::string& name) = 0;
    virtual result<void> remove_version(const std::string& name, std::uint64_t version) = 0;
    /// Every layer's versions. Called once, after `load`.
    virtual result<std::vector<stored_layer>> load_layers() = 0;
    /// Inserts or replaces.
    virtual result<void> put_layer(const stored_layer& layer) = 0;
    virtual result<void> remove_layer(const std::string& name, std::uint64_t version) = 0;
    /// Called once, after `load`; by id.
    virtual result<std::vector<code_signing_config>> load_code_signing() = 0;
    virtual result<void> put_code_signing(const code_signing_config& config) = 0;
    virtual result<void> remove_code_signing(const std::string& id) = 0;
    /// Called once, after `load`; by name.
    virtual result<std::vector<event_rule>> load_rules() = 0;
    virtual result<void> put_rule(const event_rule& rule) = 0;
    virtual result<void> remove_rule(const std::string& name) = 0;
    /// Called once, after `load`; by id.
    virtual result<std::vector<http_api>> load_apis() = 0;
    virtual result<void> put_api(const http_api& api) = 0;
    virtual result<void> remove_api(const std::string& id) = 0;
    /// Records of a kind that wants nothing but to be kept under an id; all of it, by id.
    virtual result<std::vector<std::string>> load_documents(const std::string& kind) = 0;
    /// Inserts or replaces.
    virtual result<void> put_document(const std::string& kind,
                                      const std::string& id,
                                      const std::string& document) = 0;
    virtual result<void> remove_document(const std::string& kind, const std::string& id) = 0;
    /// Named by the SHA-256 of its content, in hex; putting the same again is success.
    virtual result<void> put_package(const std::string& sha256, std::string_view zip) = 0;
    /// @errors errc::storage_failed also when the content no longer has that SHA-256
    virtual result<std::string> get_package(const std::string& sha256) = 0;
    virtual result<void> remove_package(const std::string& sha256) = 0;
};

std::unique_ptr<storage> open_memory_storage();

/// `directory` holds hearth.db, packages/SHA256.zip and lock. Created if absent; one process at a
/// time.
/// @errors errc::storage_failed: cannot be created or written, in use, damaged, or of a newer
/// version
result<std::unique_ptr<storage>> open_sqlite_storage(const std::filesystem::path& directory,
                                                     room_listener told = {});

}  // namespace hearth::control
