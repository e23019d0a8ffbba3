#pragma once

/// What watched directories held when last told of: per watch, its keys with what tells a change.
/// In a database of its own, or in memory. Thread-safe.

#include "base/sqlite.hpp"

#include <hearth/error.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::control {

struct object_state {
    std::uint64_t size = 0, inode = 0;
    std::int64_t modified = 0;  ///< nanoseconds since 1970
    std::string etag{};
    bool operator==(const object_state&) const = default;
};

/// What returns success is durable. Every error is errc::storage_failed.
class object_states {
  public:
    /// An empty file: in memory.
    static result<std::unique_ptr<object_states>> open(const std::filesystem::path& file);

    /// Whether all that the watch's directory held has been taken down once.
    result<bool> is_known(std::string_view watch);
    result<void> make_known(std::string_view watch);
    result<std::optional<object_state>> find(std::string_view watch, std::string_view key);
    result<void> put(std::string_view watch, std::string_view key, const object_state& state);
    result<void> remove(std::string_view watch, std::string_view key);
    /// Up to so many after that one, in order; empty: from the first.
    result<std::vector<std::string>> keys(std::string_view watch,
                                          std::string_view after,
                                          std::size_t most);
    /// Greater than all before, and not less than `least`. What a crash keeps from being used is
    /// left out.
    result<std::uint64_t> next_sequencer(std::uint64_t least);

  private:
    explicit object_states(const std::filesystem::path& file) : database_("watched files", file) {}
    result<void> prepare();

    std::mutex mutex_;
    sqlite::connection database_;  // under mutex_, with all below
    sqlite::statement_ptr is_known_, make_known_, find_, put_, remove_, keys_, sequence_;
    std::uint64_t last_ = 0;
};

}  // namespace hearth::control
