#pragma once

/// The snapshots of a worker's versions on disk, one file each (sandbox/snapshot_format.hpp), so
/// that a function starts restored after the process was started anew. A snapshot that cannot be
/// used is told to the observer and made again; it never fails an invocation. Thread-safe.

#include "worker/guest_files.hpp"
#include "worker/version_snapshot.hpp"
#include "worker/worker.hpp"

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace hearth::worker {

class snapshot_store {
  public:
    /// The directory is made; an empty path: nothing is kept. `observer` may be null.
    /// @errors errc::storage_failed
    static result<std::unique_ptr<snapshot_store>> open(const worker_options& options);
    snapshot_store(const snapshot_store&) = delete;
    snapshot_store& operator=(const snapshot_store&) = delete;
    ~snapshot_store();
    /// Waits for what was handed to `save_later`; nothing more is taken. By one thread.
    void finish();

    /// Whether snapshots of it are stored.
    [[nodiscard]] bool keeps(const version_data& version) const noexcept;
    /// The stored snapshot of exactly this code and configuration; null: none that can be used.
    std::shared_ptr<const version_snapshot> load(const version_data& version);
    /// Durable when it returns; a failure is told to the observer.
    void save(const version_data& version, const version_snapshot& snapshot);
    /// The same, on a thread of its own.
    void save_later(std::shared_ptr<const version_data> version,
                    std::shared_ptr<const version_snapshot> snapshot);
    /// Removes the files of all functions but these.
    void keep_only(const std::vector<std::string>& functions);
    void remove(const std::string& function);

  private:
    struct pending {
        std::shared_ptr<const version_data> version;
        std::shared_ptr<const version_snapshot> snapshot;
    };
    snapshot_store(std::filesystem::path directory,
                   std::string region,
                   std::string guest_root,
                   std::shared_ptr<hearth::observer> observer);
    [[nodiscard]] std::string key_of(const version_spec& spec) const;
    void write();
    void tell(const version_spec& spec, const std::string& what) const;
    template <class Unwanted>
    void remove_files(Unwanted unwanted);

    const std::filesystem::path directory_;
    const std::string region_, guest_root_;
    const std::shared_ptr<hearth::observer> observer_;

    std::mutex files_mutex_;  // one writer at a time; before mutex_
    std::mutex mutex_;        // guards all below but the thread
    std::condition_variable changed_;
    std::deque<pending> pending_;
    bool stop_ = false;
    std::thread writer_;
};

}  // namespace hearth::worker
