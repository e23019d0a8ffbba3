#include "queue/store.hpp"

#include "base/try.hpp"
#include "base/uuid.hpp"
#include "queue/message.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace hearth::queues {

using sqlite::number_at;
using sqlite::put;
using sqlite::text_at;

namespace {

/// As in sqlite_storage.cpp. Times are milliseconds of the wall clock.
///   1  tables queues, messages, seen (deduplication ids)
constexpr const char* steps[] = {
    "CREATE TABLE queues (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
    " created INTEGER NOT NULL, modified INTEGER NOT NULL, purged INTEGER NOT NULL,"
    " attributes TEXT NOT NULL, tags TEXT NOT NULL) STRICT;"
    // Ids are sequence numbers too, so none is given twice.
    "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL,"
    " message_id TEXT NOT NULL, visible INTEGER NOT NULL, sent INTEGER NOT NULL,"
    " received INTEGER NOT NULL, receives INTEGER NOT NULL, nonce INTEGER NOT NULL,"
    " group_id TEXT NOT NULL, deduplication_id TEXT NOT NULL, trace TEXT NOT NULL,"
    " sender TEXT NOT NULL, source TEXT NOT NULL, attributes BLOB NOT NULL, body TEXT NOT NULL)"
    " STRICT;"
    "CREATE INDEX messages_visible ON messages (queue, visible, receives);"
    "CREATE INDEX messages_order ON messages (queue);"  // and id, which SQLite appends
    "CREATE INDEX messages_age ON messages (queue, sent);"
    "CREATE TABLE seen (queue INTEGER NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL,"
    " message_id TEXT NOT NULL, message INTEGER NOT NULL, PRIMARY KEY (queue, key))"
    " STRICT, WITHOUT ROWID;"
    "CREATE INDEX seen_age ON seen (at);"};
constexpr sqlite::schema queues_schema{.application = 0x48727451, .steps = steps};  // "HrtQ"

/// Developer Guide, "Exactly-once processing": the deduplication interval.
constexpr std::chrono::minutes deduplication_interval{5};
constexpr std::chrono::seconds purge_interval{60};
constexpr std::chrono::seconds max_delay{900}, max_visibility{43'200};
constexpr std::size_t max_tags = 50;
constexpr std::size_t max_cached_records = 10'000;

std::int64_t number(queue_time t) { return t.time_since_epoch().count(); }
queue_time time_of(std::int64_t n) { return queue_time(std::chrono::milliseconds(n)); }

error no_such_queue() {
    return fail(queue_errc::queue_does_not_exist, "The specified queue does not exist.");
}

std::string sequence_number(std::int64_t id) { return fmt::format("{:020}", id); }

/// MessageGroupId and MessageDeduplicationId: up to 128 printable ASCII characters, no space.
bool is_id(std::string_view s) {
    return s.size() <= 128 && std::ranges::all_of(s, [](char c) { return c > ' ' && c < 0x7f; });
}

result<void> check_ids(const outgoing_message& m, const settings& s) {
    for (const auto& [name, value] :
         {std::pair("MessageGroupId", std::string_view(m.group_id)),
          std::pair("MessageDeduplicationId", std::string_view(m.deduplication_id))})
        if (!is_id(value))
            return bad_value(value, name,
                             std::string(name) +
                                 " can only include alphanumeric and punctuation characters. 1 to "
                                 "128 in length.");
    constexpr std::string_view not_here =
        "The request include parameter that is not valid for this queue type.";
    if (!s.is_fifo) {
        if (!m.deduplication_id.empty())
            return bad_value(m.deduplication_id, "MessageDeduplicationId", not_here);
        return {};
    }
    if (m.group_id.empty())
        return fail(queue_errc::missing_parameter,
                    "The request must contain the parameter MessageGroupId.");
    if (m.deduplication_id.empty() && !s.deduplicates_by_content)
        return fail(queue_errc::invalid_parameter_value,
                    "The queue should either have ContentBasedDeduplication enabled or "
                    "MessageDeduplicationId provided explicitly");
    if (m.delay && m.delay->count() != 0)
        return bad_value(std::to_string(m.delay->count()), "DelaySeconds", not_here);
    return {};
}

}  // namespace

std::string identity::arn_of(std::string_view name) const {
    return hearth::identity::arn("sqs", name);
}

std::string identity::name_of(std::string_view arn) const {
    const std::string_view name = resource_in("sqs", arn);
    return check_queue_name(name, name.ends_with(".fifo")) ? std::string(name) : std::string();
}

struct store::row {
    std::int64_t id = 0, visible = 0, receives = 0, received = 0;
    queue_message message;
};

result<std::unique_ptr<store>> store::open(const std::filesystem::path& file,
                                           identity who,
                                           room_listener told) {
    std::unique_ptr<store> s(new store(file, std::move(who), std::move(told)));
    HEARTH_CHECK(s->prepare());
    return s;
}

result<void> store::prepare() {
    HEARTH_CHECK(database_.open());
    HEARTH_CHECK(database_.prepare_schema(queues_schema));
    struct text {
        sqlite::statement_ptr& to;
        const char* sql;
    };
    const text all[] = {
        {find_,
         "SELECT id, created, modified, purged, attributes, tags FROM queues WHERE name = ?1"},
        {add_,
         "INSERT INTO queues (name, created, modified, purged, attributes, tags)"
         " VALUES (?1, ?2, ?2, 0, ?3, ?4)"},
        {save_,
         "UPDATE queues SET modified = ?2, purged = ?3, attributes = ?4, tags = ?5 WHERE id = ?1"},
        {drop_, "DELETE FROM queues WHERE id = ?1"},
        {drop_messages_, "DELETE FROM messages WHERE queue = ?1"},
        {drop_seen_, "DELETE FROM seen WHERE queue = ?1"},
        {send_,
         "INSERT INTO messages (queue, message_id, visible, sent, received, receives, nonce,"
         " group_id, deduplication_id, trace, sender, source, attributes, body)"
         " VALUES (?1, ?2, ?3, ?4, 0, 0, 0, ?5, ?6, ?7, ?8, '', ?9, ?10)"},
        {seen_, "SELECT message_id, message FROM seen WHERE queue = ?1 AND key = ?2 AND at > ?3"},
        {see_,
         "INSERT INTO seen (queue, key, at, message_id, message) VALUES (?1, ?2, ?3, ?4, ?5)"
         " ON CONFLICT (queue, key) DO UPDATE SET at = excluded.at,"
         " message_id = excluded.message_id, message = excluded.message"},
        {forget_, "DELETE FROM seen WHERE at <= ?1"},
        {ready_,
         "SELECT id, message_id, visible, sent, received, receives, group_id, deduplication_id,"
         " trace, sender, source, attributes, body FROM messages INDEXED BY messages_visible"
         " WHERE queue = ?1 AND visible <= ?2 ORDER BY visible, receives, id"},
        {ordered_,
         "SELECT id, message_id, visible, sent, received, receives, group_id, deduplication_id,"
         " trace, sender, source, attributes, body FROM messages INDEXED BY messages_order"
         " WHERE queue = ?1 ORDER BY id"},
        {deliver_,
         "UPDATE messages SET visible = ?2, receives = ?3, received = ?4, nonce = ?5"
         " WHERE id = ?1"},
        {move_,
         "UPDATE messages SET queue = ?2, visible = ?3, sent = ?4, source = ?5, receives = 0,"
         " received = 0, nonce = 0 WHERE id = ?1"},
        {expire_, "DELETE FROM messages WHERE queue = ?1 AND sent <= ?2"},
        {in_flight_,
         "SELECT count(*) FROM messages INDEXED BY messages_visible"
         " WHERE queue = ?1 AND visible > ?2 AND receives > 0"},
        {counts_,
         "SELECT count(*) FILTER (WHERE visible <= ?2),"
         " count(*) FILTER (WHERE visible > ?2 AND receives > 0),"
         " count(*) FILTER (WHERE visible > ?2 AND receives = 0)"
         " FROM messages INDEXED BY messages_visible WHERE queue = ?1"},
        {remove_message_, "DELETE FROM messages WHERE id = ?1 AND queue = ?2 AND nonce = ?3"},
        {look_, "SELECT visible FROM messages WHERE id = ?1 AND queue = ?2 AND nonce = ?3"},
        {show_again_, "UPDATE messages SET visible = ?2 WHERE id = ?1"},
        {next_,
         "SELECT min(visible) FROM messages INDEXED BY messages_visible"
         " WHERE queue = ?1 AND visible > ?2"},
    };
    for (const text& each : all) {
        HEARTH_TRY(each.to, database_.prepare(each.sql));
    }
    return {};
}

result<void> store::begin() {
    if (records_.size() > max_cached_records) records_.clear();
    return database_.execute("BEGIN IMMEDIATE");
}

void store::roll_back() {
    database_.roll_back();
    records_.clear();
    touched_.clear();
}

result<const store::record*> store::record_of(std::string_view name) {
    if (const auto at = records_.find(name); at != records_.end()) return &at->second;
    record r;
    r.name = name;
    bool is_there = false;
    put(find_, 1, name);
    HEARTH_CHECK(database_.each_row(find_, [&](const sqlite::statement_ptr& s) {
        is_there = true;
        r.id = number_at(s, 0), r.created = number_at(s, 1), r.modified = number_at(s, 2);
        r.purged = number_at(s, 3);
        r.attributes = read_settings(from_json(text_at(s, 4)));
        r.tags = from_json(text_at(s, 5));
        return false;
    }));
    if (!is_there) return no_such_queue();
    // A queue has some always.
    if (r.attributes.values.empty())
        return database_.damaged("the attributes of the queue " + r.name + " cannot be read");
    return &records_.emplace(r.name, std::move(r)).first->second;
}

result<void> store::save(const record& r) {
    const std::string attributes = to_json(r.attributes.values), tags = to_json(r.tags);
    put(save_, 1, r.id), put(save_, 2, r.modified), put(save_, 3, r.purged);
    put(save_, 4, attributes), put(save_, 5, tags);
    HEARTH_CHECK(database_.run(save_));
    records_.insert_or_assign(r.name, r);
    return {};
}

result<void> store::check_redrive(const record& r) {
    if (r.attributes.dead_letter_target.empty()) return {};
    const auto refused = [&](std::string_view why) {
        return bad_value(r.attributes.values.at("RedrivePolicy"), "RedrivePolicy", why);
    };
    const auto target = record_of(who.name_of(r.attributes.dead_letter_target));
    if (target.has_error() && target.error().code() == queue_errc::queue_does_not_exist)
        return refused("Dead letter target does not exist.");
    if (target.has_error()) return target.error();
    if ((*target)->name == r.name) return refused("A queue cannot be its own dead-letter queue.");
    const settings& dead = (*target)->attributes;
    if (dead.is_fifo != r.attributes.is_fifo)
        return refused("Dead-letter queue must be same type of queue as the source.");
    if (dead.allowed_sources == settings::sources::none ||
        (dead.allowed_sources == settings::sources::listed &&
         std::ranges::find(dead.listed_sources, who.arn_of(r.name)) == dead.listed_sources.end()))
        return refused("Queue " + r.name + " does not have permission to redrive to it.");
    return {};
}

result<void> store::create(std::string_view name,
                           const queue_attributes& attributes,
                           const queue_tags& tags,
                           queue_time now) {
    record r;
    r.name = name;
    HEARTH_TRY(r.attributes, make_settings(attributes));
    HEARTH_CHECK(check_queue_name(name, r.attributes.is_fifo));
    if (const auto there = record_of(name); there.has_value()) {
        const queue_attributes& values = (*there)->attributes.values;
        for (const auto& [key, value] : attributes) {
            const auto at = values.find(key);
            if ((at == values.end() ? std::string_view() : at->second) != value)
                return fail(queue_errc::queue_name_exists,
                            "A queue already exists with the same name and a different value for "
                            "attribute " +
                                key);
        }
        return {};
    } else if (there.error().code() != queue_errc::queue_does_not_exist) {
        return there.error();
    }
    if (tags.size() > max_tags)
        return fail(queue_errc::invalid_parameter_value,
                    "Too many tags added for queue " + r.name + ".");
    HEARTH_CHECK(check_redrive(r));
    const std::string values = to_json(r.attributes.values), tagged = to_json(tags);
    put(add_, 1, name), put(add_, 2, number(now)), put(add_, 3, values), put(add_, 4, tagged);
    return database_.run(add_);
}

result<void> store::remove(std::string_view name) {
    HEARTH_TRY(const record* r, record_of(name));
    for (const auto* each : {&drop_, &drop_messages_, &drop_seen_}) {
        put(*each, 1, r->id);
        HEARTH_CHECK(database_.run(*each));
    }
    touched_.insert(r->name);
    records_.erase(r->name);
    return {};
}

result<void> store::find(std::string_view name) {
    HEARTH_TRY([[maybe_unused]] const record* r, record_of(name));
    return {};
}

result<queue_page> store::list(std::string_view prefix, std::string_view token, std::size_t max) {
    HEARTH_TRY(const auto select,
               database_.prepare("SELECT name FROM queues WHERE name > ?1 AND"
                                 " substr(name, 1, length(?2)) = ?2 ORDER BY name LIMIT ?3"));
    put(select, 1, token), put(select, 2, prefix);
    put(select, 3, static_cast<std::int64_t>(max) + 1);
    queue_page page;
    HEARTH_CHECK(database_.each_row(select, [&](const sqlite::statement_ptr& s) {
        if (page.names.size() == max) {
            page.next_token = page.names.back();
            return false;
        }
        page.names.push_back(text_at(s, 0));
        return true;
    }));
    return page;
}

result<queue_page> store::list_sources(std::string_view name,
                                       std::string_view token,
                                       std::size_t max) {
    HEARTH_CHECK(find(name));
    const std::string arn = who.arn_of(name);
    HEARTH_TRY(const auto select,
               database_.prepare("SELECT name, attributes FROM queues WHERE name > ?1"
                                 " ORDER BY name"));
    put(select, 1, token);
    queue_page page;
    HEARTH_CHECK(database_.each_row(select, [&](const sqlite::statement_ptr& s) {
        if (read_settings(from_json(text_at(s, 1))).dead_letter_target != arn) return true;
        if (page.names.size() == max) {
            page.next_token = page.names.back();
            return false;
        }
        page.names.push_back(text_at(s, 0));
        return true;
    }));
    return page;
}

result<queue_attributes> store::attributes(std::string_view name, queue_time now) {
    HEARTH_TRY(const record* r, record_of(name));
    HEARTH_CHECK(expire(*r, now));
    queue_attributes all = r->attributes.values;
    all["QueueArn"] = who.arn_of(r->name);
    all["CreatedTimestamp"] = std::to_string(r->created / 1000);
    all["LastModifiedTimestamp"] = std::to_string(r->modified / 1000);
    put(counts_, 1, r->id), put(counts_, 2, number(now));
    HEARTH_CHECK(database_.each_row(counts_, [&](const sqlite::statement_ptr& s) {
        all["ApproximateNumberOfMessages"] = std::to_string(number_at(s, 0));
        all["ApproximateNumberOfMessagesNotVisible"] = std::to_string(number_at(s, 1));
        all["ApproximateNumberOfMessagesDelayed"] = std::to_string(number_at(s, 2));
        return false;
    }));
    return all;
}

result<void> store::set_attributes(std::string_view name,
                                   const queue_attributes& changes,
                                   queue_time now) {
    HEARTH_TRY(const record* r, record_of(name));
    record next = *r;
    HEARTH_TRY(next.attributes, change_settings(r->attributes, changes));
    if (changes.contains("RedrivePolicy")) HEARTH_CHECK(check_redrive(next));
    next.modified = number(now);
    return save(next);
}

result<void> store::purge(std::string_view name, queue_time now) {
    HEARTH_TRY(const record* r, record_of(name));
    if (now < time_of(r->purged) + purge_interval)
        return fail(
            queue_errc::purge_queue_in_progress,
            "Only one PurgeQueue operation on " + r->name + " is allowed every 60 seconds.");
    put(drop_messages_, 1, r->id);
    HEARTH_CHECK(database_.run(drop_messages_));
    record next = *r;
    next.purged = number(now);
    return save(next);
}

result<queue_tags> store::tags(std::string_view name) {
    HEARTH_TRY(const record* r, record_of(name));
    return r->tags;
}

result<void> store::tag(std::string_view name, const queue_tags& tags) {
    HEARTH_TRY(const record* r, record_of(name));
    record next = *r;
    for (const auto& [key, value] : tags) {
        if (key.empty() || key.size() > 128 || value.size() > 256)
            return fail(queue_errc::invalid_parameter_value,
                        "A tag's key has 1 to 128 characters, its value at most 256.");
        next.tags[key] = value;
    }
    if (next.tags.size() > max_tags)
        return fail(queue_errc::invalid_parameter_value,
                    "Too many tags added for queue " + next.name + ".");
    return save(next);
}

result<void> store::untag(std::string_view name, const std::vector<std::string>& keys) {
    HEARTH_TRY(const record* r, record_of(name));
    record next = *r;
    for (const std::string& key : keys) next.tags.erase(key);
    return save(next);
}

result<sent_message> store::send(std::string_view name, const outgoing_message& m, queue_time now) {
    HEARTH_TRY(const record* r, record_of(name));
    HEARTH_CHECK(check_contents(m));
    HEARTH_CHECK(check_ids(m, r->attributes));
    if (size_of(m) > r->attributes.max_bytes)
        return fail(queue_errc::invalid_parameter_value,
                    fmt::format("One or more parameters are invalid. Reason: Message must be "
                                "shorter than {} bytes.",
                                r->attributes.max_bytes));
    if (m.delay && (m.delay->count() < 0 || *m.delay > max_delay))
        return bad_value(std::to_string(m.delay->count()), "DelaySeconds",
                         "DelaySeconds must be >= 0 and <= 900.");
    const std::string attributes = encode(m.attributes);
    sent_message sent{.message_id = make_uuid(), .body_md5 = md5(m.body)};
    if (!attributes.empty()) sent.attributes_md5 = md5(attributes);
    if (!m.trace_header.empty())
        sent.system_attributes_md5 = md5(encode({{"AWSTraceHeader", {"String", m.trace_header}}}));

    const bool is_fifo = r->attributes.is_fifo;
    const std::string deduplication =
        is_fifo && m.deduplication_id.empty() ? sha256(m.body) : m.deduplication_id;
    // Ids hold no space.
    const std::string key =
        (r->attributes.deduplicates_in_group ? m.group_id + " " : std::string()) + deduplication;
    if (is_fifo) {
        bool is_seen = false;
        put(seen_, 1, r->id), put(seen_, 2, key);
        put(seen_, 3, number(now - deduplication_interval));
        HEARTH_CHECK(database_.each_row(seen_, [&](const sqlite::statement_ptr& s) {
            is_seen = true;
            sent.message_id = text_at(s, 0);
            sent.sequence_number = sequence_number(number_at(s, 1));
            return false;
        }));
        if (is_seen) return sent;
    }
    HEARTH_CHECK(database_.check_room());
    const queue_time visible =
        now + (is_fifo ? r->attributes.delay : m.delay.value_or(r->attributes.delay));
    const std::string_view sender = m.sender_id.empty() ? who.account : m.sender_id;
    put(send_, 1, r->id), put(send_, 2, sent.message_id), put(send_, 3, number(visible));
    put(send_, 4, number(now)), put(send_, 5, m.group_id), put(send_, 6, deduplication);
    put(send_, 7, m.trace_header), put(send_, 8, sender);
    sqlite::put_bytes(send_, 9, attributes);
    put(send_, 10, m.body);
    HEARTH_CHECK(database_.run(send_));
    if (is_fifo) {
        const std::int64_t id = database_.last_row_id();
        sent.sequence_number = sequence_number(id);
        put(see_, 1, r->id), put(see_, 2, key), put(see_, 3, number(now));
        put(see_, 4, sent.message_id), put(see_, 5, id);
        HEARTH_CHECK(database_.run(see_));
    }
    touched_.insert(r->name);
    return sent;
}

result<std::vector<queue_message>> store::receive(std::string_view name,
                                                  const receive_options& options,
                                                  bool would_wait,
                                                  queue_time now) {
    HEARTH_TRY(const record* r, record_of(name));
    const std::chrono::seconds visibility = options.visibility.value_or(r->attributes.visibility);
    if (visibility.count() < 0 || visibility > max_visibility)
        return bad_value(std::to_string(visibility.count()), "VisibilityTimeout",
                         "Must be between 0 and 43200, if provided.");
    HEARTH_CHECK(expire(*r, now));
    const bool is_fifo = r->attributes.is_fifo;
    std::int64_t in_flight = 0;
    put(in_flight_, 1, r->id), put(in_flight_, 2, number(now));
    HEARTH_CHECK(database_.each_row(in_flight_, [&](const sqlite::statement_ptr& s) {
        in_flight = number_at(s, 0);
        return false;
    }));
    std::vector<queue_message> given;
    if (in_flight >= max_in_flight) {
        // Developer Guide, "Amazon SQS message quotas": no error to a long poll or of a FIFO queue.
        if (!is_fifo && !would_wait)
            return fail(queue_errc::over_limit,
                        "Too many messages in flight for queue " + r->name + ".");
        return given;
    }
    const record* dead = nullptr;
    if (r->attributes.max_receives) {
        const auto target = record_of(who.name_of(r->attributes.dead_letter_target));
        if (target.has_value()) dead = *target;
        if (target.has_error() && target.error() == errc::storage_failed) return target.error();
    }
    std::vector<row> taken;
    std::vector<std::pair<std::int64_t, std::int64_t>> moved;  // id, sent
    std::set<std::string, std::less<>> held;  // groups of which something is out, or not yet due
    std::size_t looked = 0;
    const auto& select = is_fifo ? ordered_ : ready_;
    put(select, 1, r->id);
    if (!is_fifo) put(select, 2, number(now));
    HEARTH_CHECK(database_.each_row(select, [&](const sqlite::statement_ptr& s) {
        if (taken.size() >= options.max_messages || ++looked > max_looked_through) return false;
        row m;
        m.id = number_at(s, 0), m.visible = number_at(s, 2);
        m.message.group_id = text_at(s, 6);
        if (is_fifo) {
            if (held.contains(m.message.group_id)) return true;
            if (m.visible > number(now)) {
                held.insert(std::move(m.message.group_id));
                return true;
            }
        }
        m.receives = number_at(s, 5);
        const std::int64_t sent = number_at(s, 3);
        if (dead && m.receives >= r->attributes.max_receives) {
            moved.emplace_back(m.id, sent);
            return true;
        }
        m.message.message_id = text_at(s, 1);
        m.message.sent = time_of(sent);
        m.received = number_at(s, 4);
        m.message.deduplication_id = text_at(s, 7);
        m.message.trace_header = text_at(s, 8);
        m.message.sender_id = text_at(s, 9);
        m.message.dead_letter_source = text_at(s, 10);
        m.message.attributes = decode(text_at(s, 11)).value_or(message_attributes());
        m.message.body = text_at(s, 12);
        taken.push_back(std::move(m));
        return true;
    }));
    for (const auto& [id, sent] : moved) {
        // A standard queue's message keeps its age, a FIFO queue's begins anew (Developer Guide,
        // "Dead-letter queues and message retention").
        const std::string source = who.arn_of(r->name);
        put(move_, 1, id), put(move_, 2, dead->id), put(move_, 3, number(now));
        put(move_, 4, is_fifo ? number(now) : sent), put(move_, 5, source);
        HEARTH_CHECK(database_.run(move_));
        touched_.insert(dead->name);
    }
    for (row& m : taken) HEARTH_CHECK(deliver(*r, m, visibility, now, given));
    if (visibility.count() == 0 && !taken.empty()) touched_.insert(r->name);
    return given;
}

result<void> store::deliver(const record& r,
                            row& m,
                            std::chrono::seconds visibility,
                            queue_time now,
                            std::vector<queue_message>& to) {
    const handle h{r.id, m.id, static_cast<std::int64_t>(nonces_())};
    const std::int64_t first = m.received ? m.received : number(now);
    put(deliver_, 1, m.id), put(deliver_, 2, number(now + visibility));
    put(deliver_, 3, m.receives + 1), put(deliver_, 4, first), put(deliver_, 5, h.nonce);
    HEARTH_CHECK(database_.run(deliver_));
    m.message.receipt_handle = write_handle(h);
    m.message.body_md5 = md5(m.message.body);
    m.message.first_received = time_of(first);
    m.message.hidden_until = now + visibility;
    m.message.receive_count = static_cast<std::uint32_t>(m.receives + 1);
    if (r.attributes.is_fifo) m.message.sequence_number = sequence_number(m.id);
    to.push_back(std::move(m.message));
    return {};
}

std::string store::write_handle(const handle& h) {
    return fmt::format("{:016x}{:016x}{:016x}", static_cast<std::uint64_t>(h.queue),
                       static_cast<std::uint64_t>(h.message), static_cast<std::uint64_t>(h.nonce));
}

std::optional<store::handle> store::read_handle(std::string_view text) {
    if (text.size() != 48) return std::nullopt;
    std::array<std::uint64_t, 3> parts{};
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const char* from = text.data() + 16 * i;
        const auto [end, ec] = std::from_chars(from, from + 16, parts[i], 16);
        if (ec != std::errc() || end != from + 16) return std::nullopt;
    }
    return handle{static_cast<std::int64_t>(parts[0]), static_cast<std::int64_t>(parts[1]),
                  static_cast<std::int64_t>(parts[2])};
}

result<void> store::remove_message(std::string_view name, std::string_view text, queue_time now) {
    HEARTH_TRY(const record* r, record_of(name));
    const auto h = read_handle(text);
    if (!h || h->queue != r->id)
        return fail(queue_errc::receipt_handle_is_invalid, "The input receipt handle is invalid.");
    if (r->attributes.is_fifo) {
        bool is_late = false;
        put(look_, 1, h->message), put(look_, 2, r->id), put(look_, 3, h->nonce);
        HEARTH_CHECK(database_.each_row(look_, [&](const sqlite::statement_ptr& s) {
            is_late = number_at(s, 0) <= number(now);
            return false;
        }));
        if (is_late) return bad_value(text, "ReceiptHandle", "The receipt handle has expired.");
    }
    put(remove_message_, 1, h->message), put(remove_message_, 2, r->id);
    put(remove_message_, 3, h->nonce);
    HEARTH_CHECK(database_.run(remove_message_));
    // The next of its group may go.
    if (r->attributes.is_fifo) touched_.insert(r->name);
    return {};
}

result<void> store::change_visibility(std::string_view name,
                                      const visibility_change& change,
                                      queue_time now) {
    HEARTH_TRY(const record* r, record_of(name));
    if (change.timeout.count() < 0 || change.timeout > max_visibility)
        return bad_value(std::to_string(change.timeout.count()), "VisibilityTimeout",
                         "Must be between 0 and 43200, if provided.");
    const auto h = read_handle(change.receipt_handle);
    if (!h || h->queue != r->id)
        return fail(queue_errc::receipt_handle_is_invalid, "The input receipt handle is invalid.");
    std::optional<std::int64_t> visible;
    put(look_, 1, h->message), put(look_, 2, r->id), put(look_, 3, h->nonce);
    HEARTH_CHECK(database_.each_row(look_, [&](const sqlite::statement_ptr& s) {
        visible = number_at(s, 0);
        return false;
    }));
    if (!visible)
        return bad_value(change.receipt_handle, "ReceiptHandle",
                         "Message does not exist or is not available for visibility timeout "
                         "change.");
    if (*visible <= number(now))
        return fail(queue_errc::message_not_inflight, "The message referred to isn't in flight.");
    put(show_again_, 1, h->message), put(show_again_, 2, number(now + change.timeout));
    HEARTH_CHECK(database_.run(show_again_));
    touched_.insert(r->name);
    return {};
}

result<std::chrono::seconds> store::default_wait(std::string_view name) {
    HEARTH_TRY(const record* r, record_of(name));
    return r->attributes.wait;
}

result<std::optional<queue_time>> store::next_due(std::string_view name, queue_time now) {
    HEARTH_TRY(const record* r, record_of(name));
    std::optional<queue_time> next;
    put(next_, 1, r->id), put(next_, 2, number(now));
    HEARTH_CHECK(database_.each_row(next_, [&](const sqlite::statement_ptr& s) {
        if (sqlite3_column_type(s.get(), 0) != SQLITE_NULL) next = time_of(number_at(s, 0));
        return false;
    }));
    return next;
}

result<void> store::expire(const record& r, queue_time now) {
    put(expire_, 1, r.id), put(expire_, 2, number(now - r.attributes.retention));
    HEARTH_CHECK(database_.run(expire_));
    return {};
}

result<void> store::sweep(queue_time now) {
    put(forget_, 1, number(now - deduplication_interval));
    HEARTH_CHECK(database_.run(forget_));
    for (std::string after;;) {
        HEARTH_TRY(const queue_page page, list({}, after, 1000));
        for (const std::string& name : page.names) {
            HEARTH_TRY(const record* r, record_of(name));
            HEARTH_CHECK(expire(*r, now));
            if (database_.changes() != 0) touched_.insert(name);
        }
        if (page.next_token.empty()) return {};
        after = page.next_token;
    }
}

}  // namespace hearth::queues
