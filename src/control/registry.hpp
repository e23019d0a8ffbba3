#pragma once

/// The functions of one control plane, by name. The mutex is a leaf and held for map operations
/// only, so an invocation's lookup never waits for a disk. The fields of entries and versions are
/// read and written under it.

#include "control/run_policy.hpp"
#include "control/storage.hpp"
#include "image/package_image.hpp"
#include "worker/worker.hpp"

#include <hearth/error.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace hearth::control {

/// $LATEST, or a published version.
struct version_entry {
    stored_version stored;
    run_policy policy;
    /// Merged; null: none. Only deploy gives them, so they live as long as the entry.
    std::shared_ptr<const image::package_image> layers;
    /// Null after a restart until the first invocation, and while the first activation runs.
    std::shared_ptr<worker::deployed_version> serving;
    /// The package that waits for activation, if it is in memory already.
    std::shared_ptr<const image::package_image> candidate_image;
    /// Counts changes of what is to run: an activation of an older one is dropped.
    std::uint64_t generation = 0;
    /// Why its provisioned concurrency is not there; empty: it is, or is being made.
    std::string provisioned_failure;
    bool is_scaled = false;  ///< it was given other bounds than `policy` has
    /// One load at a time. Taken before the registry's mutex, held over disk reads.
    std::mutex loading;

    [[nodiscard]] const function_configuration& candidate() const {
        return stored.update ? *stored.update : stored.current;
    }
    [[nodiscard]] bool in_transition() const {
        return stored.update || stored.current.state == function_state::pending;
    }
};

using version_ptr = std::shared_ptr<version_entry>;

struct entry {
    explicit entry(std::string name) : name_(std::move(name)) {}

    function_attributes attributes;
    bool durable = true;  ///< the storage knows it; false for packages that are not zips
    version_ptr latest = std::make_shared<version_entry>();  ///< never null
    std::map<std::uint64_t, version_ptr> published;          ///< by number
    /// How often what is provisioned has changed since it was last given to the versions.
    std::size_t provisionings = 0;
    std::uint64_t recursive_dropped = 0;  ///< invocations

    [[nodiscard]] bool allows_loops() const { return attributes.recursive_loop == "Allow"; }
    /// Of the attributes, else of what deploy was given.
    [[nodiscard]] std::optional<std::size_t> reserved() const {
        return attributes.reserved_concurrency ? attributes.reserved_concurrency
                                               : latest->policy.pool.reserved_concurrency;
    }
    /// The one thing here that is read without the registry's lock: it never changes.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// $LATEST first, then by number.
    template <class Visit>
    void each_version(Visit visit) const {
        visit(*latest);
        for (const auto& [number, version] : published) visit(*version);
    }

  private:
    const std::string name_;
};

using entry_ptr = std::shared_ptr<entry>;

class registry {
  public:
    [[nodiscard]] entry_ptr find(std::string_view name) const;
    /// With `lock` held.
    [[nodiscard]] entry_ptr find_locked(std::string_view name) const;
    void insert(const std::string& name, entry_ptr e);
    void erase(std::string_view name);
    [[nodiscard]] std::size_t size() const;

    /// Calls `visit` for each function after `marker`, in order of name, until it returns false.
    void visit_after(std::string_view marker, const std::function<bool(const entry&)>& visit) const;

    /// The same from that name on.
    void visit_from(std::string_view first, const std::function<bool(const entry&)>& visit) const;

    /// The bytes of all packages, each counted as often as versions use it (as AWS does).
    [[nodiscard]] std::uint64_t total_code_size() const;
    [[nodiscard]] bool uses_package(std::string_view code_sha256) const;

    /// Replaces the entry's attributes, and keeps `find_url` right. With `lock` held.
    void set_attributes_locked(entry& e, function_attributes next);
    /// Whose URL has that id. @errors errc::not_found
    [[nodiscard]] result<function_url_config> find_url(std::string_view url_id) const;

    /// To read or write the fields of an entry.
    [[nodiscard]] std::unique_lock<std::mutex> lock() const { return std::unique_lock(mutex_); }

  private:
    void add_urls(const entry& e);
    void remove_urls(const entry& e);

    mutable std::mutex mutex_;
    std::map<std::string, entry_ptr, std::less<>> entries_;         // under mutex_
    std::map<std::string, function_url_config, std::less<>> urls_;  // by id; under mutex_
};

}  // namespace hearth::control
