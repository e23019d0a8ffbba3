#pragma once

/// Where asynchronous invocations wait: one interface, an engine per file (memory, SQLite).
///
/// They have a database of their own, events.db beside hearth.db. A commit holds a database's write
/// lock for as long as the disk takes: with one file, every change of a function would wait for the
/// events' commits and every accept for the functions'. And hearth.db is small and checked whole at
/// each start, which a hundred thousand payloads would make slow.
///
/// Contract of every engine, which tests/control/event_store_test.cpp asks of each:
/// - `apply` is one transaction: all changes are durable when it returns success, none has happened
///   when it returns an error. (The memory engine's are durable while the process lives.)
/// - Changes of an event that is no longer there change nothing.
/// - `apply` is called from one thread at a time, `read` from another; the rest from any.
/// All fail with errc::storage_failed and a sentence; the memory engine with errc::no_room when
/// full.

#include "base/room_listener.hpp"
#include "control/event.hpp"

#include <hearth/error.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::control {

/// What is to be written, all of it or nothing.
struct event_change {
    std::vector<queued_event> add{};  ///< their ids are the store's to give
    std::uint64_t remove = 0;         ///< zero: none
    struct postponement {
        std::uint64_t id = 0;
        event_time due{};
        std::uint32_t failures = 0, setbacks = 0;
    };
    std::optional<postponement> postpone{};
    /// All events of this function, or only those that await no deploy.
    std::string drop_function{};
    bool spare_awaiting = false;
};

class event_store {
  public:
    virtual ~event_store() = default;

    virtual result<void> apply(std::span<const event_change* const> changes) = 0;

    struct reading {
        std::vector<queued_event> events;  ///< by due time, then in the order of their acceptance
        /// When the first of the rest is due; it may be already. Nothing: there is none.
        std::optional<event_time> next_due;
    };
    /// The lane's first events that are due and not among `skip`: at most `want`, and none after
    /// those that hold `max_bytes` of payload together.
    virtual result<reading> read(std::string_view lane,
                                 event_time now,
                                 std::size_t want,
                                 std::size_t max_bytes,
                                 const std::set<std::uint64_t>& skip) = 0;

    /// Those that have events.
    virtual result<std::vector<std::string>> lanes() = 0;

    /// Events that are there.
    [[nodiscard]] virtual std::uint64_t size() const = 0;
};

/// Payloads of more than `max_bytes` together are refused: nothing but this process's memory holds
/// them.
std::unique_ptr<event_store> open_memory_events(std::size_t max_bytes = std::size_t{256} << 20);

/// `directory`/events.db. The directory is there, and locked by the storage of the functions.
result<std::unique_ptr<event_store>> open_sqlite_events(const std::filesystem::path& directory,
                                                        room_listener told = {});

}  // namespace hearth::control
