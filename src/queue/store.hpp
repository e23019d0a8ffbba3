#pragma once

/// Queues and their messages in a database, and every rule of theirs that needs no waiting: what a
/// send, a receive or a removal does, and to what. The clock is an argument.
///
/// Used by one thread. Calls that change something stand between `begin` and `commit`; a call that
/// is refused (a queue_errc) has changed nothing, one that fails with errc::storage_failed wants
/// `roll_back`. Message texts are only in the database: memory does not grow with the queues.

#include "base/identity.hpp"
#include "base/sqlite.hpp"
#include "queue/settings.hpp"

#include <hearth/queue.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::queues {

struct identity : hearth::identity {
    /// arn:aws:sqs:REGION:ACCOUNT:NAME
    [[nodiscard]] std::string arn_of(std::string_view name) const;
    /// Empty: not of this region and account, or no queue's.
    [[nodiscard]] std::string name_of(std::string_view arn) const;
};

class store {
  public:
    /// Messages of a queue that have been received and not removed (AWS's quota).
    static constexpr std::int64_t max_in_flight = 120'000;
    /// How far a FIFO queue's messages are looked through for a group that is free (AWS's figure).
    static constexpr std::size_t max_looked_through = 120'000;

    /// An empty file: in memory. @errors errc::storage_failed
    static result<std::unique_ptr<store>> open(const std::filesystem::path& file,
                                               identity who,
                                               room_listener told = {});

    result<void> begin();
    result<void> commit() { return database_.execute("COMMIT"); }
    void roll_back();

    result<void> create(std::string_view name,
                        const queue_attributes& attributes,
                        const queue_tags& tags,
                        queue_time now);
    result<void> remove(std::string_view name);
    result<void> find(std::string_view name);
    result<queue_page> list(std::string_view prefix, std::string_view token, std::size_t max);
    result<queue_page> list_sources(std::string_view name, std::string_view token, std::size_t max);
    result<queue_attributes> attributes(std::string_view name, queue_time now);
    result<void> set_attributes(std::string_view name,
                                const queue_attributes& changes,
                                queue_time now);
    result<void> purge(std::string_view name, queue_time now);
    result<queue_tags> tags(std::string_view name);
    result<void> tag(std::string_view name, const queue_tags& tags);
    result<void> untag(std::string_view name, const std::vector<std::string>& keys);

    result<sent_message> send(std::string_view name, const outgoing_message& m, queue_time now);
    /// What can be had now; `wait` says whether the caller would wait (it changes an error).
    result<std::vector<queue_message>> receive(std::string_view name,
                                               const receive_options& options,
                                               bool would_wait,
                                               queue_time now);
    result<void> remove_message(std::string_view name, std::string_view handle, queue_time now);
    result<void> change_visibility(std::string_view name,
                                   const visibility_change& change,
                                   queue_time now);

    /// The queue's ReceiveMessageWaitTimeSeconds.
    result<std::chrono::seconds> default_wait(std::string_view name);
    /// When the next message of the queue becomes visible after `now`; nothing: none will by
    /// itself.
    result<std::optional<queue_time>> next_due(std::string_view name, queue_time now);
    /// Deletes what is kept no longer, in all queues.
    result<void> sweep(queue_time now);

    /// Names of queues in which something may have become receivable since the last call, or that
    /// are gone.
    std::set<std::string, std::less<>> take_touched() { return std::exchange(touched_, {}); }

    const identity who;

  private:
    struct record {
        std::int64_t id = 0;
        std::string name;
        settings attributes;
        queue_tags tags;
        std::int64_t created = 0, modified = 0, purged = 0;  ///< ms
    };
    struct row;

    store(const std::filesystem::path& file, identity i, room_listener told)
        : who(std::move(i)), database_("queues", file, std::move(told)) {}
    result<void> prepare();
    result<const record*> record_of(std::string_view name);
    result<void> save(const record& r);
    result<void> check_redrive(const record& r);
    result<void> expire(const record& r, queue_time now);
    result<void> deliver(const record& r,
                         row& message,
                         std::chrono::seconds visibility,
                         queue_time now,
                         std::vector<queue_message>& to);
    struct handle {
        std::int64_t queue = 0, message = 0, nonce = 0;
    };
    static std::string write_handle(const handle& h);
    static std::optional<handle> read_handle(std::string_view text);

    // Statements go before the connection.
    sqlite::connection database_;
    sqlite::statement_ptr find_, add_, save_, drop_, drop_messages_, drop_seen_;
    sqlite::statement_ptr send_, seen_, see_, forget_;
    sqlite::statement_ptr ready_, ordered_, deliver_, move_, expire_, in_flight_, counts_;
    sqlite::statement_ptr remove_message_, look_, show_again_, next_;
    std::map<std::string, record, std::less<>> records_;  ///< a cache: dropped where in doubt
    std::set<std::string, std::less<>> touched_;
    std::mt19937_64 nonces_{std::random_device{}()};  ///< of receipt handles
};

}  // namespace hearth::queues
