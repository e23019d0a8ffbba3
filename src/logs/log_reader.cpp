/// The reading half of the store. It knows the files only by their names and their text.

#include "base/system_error.hpp"
#include "base/unique_fd.hpp"
#include "logs/log_store.hpp"
#include "logs/log_text.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <system_error>
#include <utility>

namespace hearth::logs {
namespace {

namespace fs = std::filesystem;

/// Of files, in one call of read.
constexpr std::uint64_t max_scanned = 64u << 20;
/// Slack between a file's time and the clock that stamps records.
constexpr std::int64_t clock_slack_ms = 1000;

struct file_text {
    std::string text;
    std::int64_t modified_ms = 0;
};

/// More than any header has.
constexpr std::size_t header_size = 1024;

/// A file's text, whole or its beginning. Empty: it is gone, or nothing is in it.
/// @errors errc::io_failed
result<file_text> read_file(const fs::path& file,
                            std::int64_t unless_older_than_ms,
                            std::size_t most = std::string::npos) {
    file_text t;
    const unique_fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd && errno == ENOENT) return t;  // rotated away meanwhile
    struct ::stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0)
        return system_failure(errc::io_failed, "cannot read " + file.string());
    t.modified_ms = status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1'000'000;
    if (t.modified_ms + clock_slack_ms < unless_older_than_ms) return t;
    t.text.resize(std::min(most, static_cast<std::size_t>(status.st_size)));
    std::size_t have = 0;
    while (have < t.text.size()) {
        const ssize_t n =
            ::pread(fd.get(), t.text.data() + have, t.text.size() - have, static_cast<off_t>(have));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return system_failure(errc::io_failed, "cannot read " + file.string());
        if (n == 0) break;
        have += static_cast<std::size_t>(n);
    }
    t.text.resize(have);
    return t;
}

/// Calls `visit(offset, end, record)` for each whole record from `offset` on, until it is false.
/// @return where it stopped: the beginning of what was not visited
template <class Visit>
std::uint64_t visit_records(std::string_view text, std::uint64_t offset, Visit visit) {
    while (offset < text.size()) {
        const auto end = text.find('\n', offset);
        if (end == text.npos) break;  // cut, or being written
        const auto record = parse_record(text.substr(offset, end - offset));
        if (record && !visit(offset, end + 1, *record)) break;
        offset = end + 1;
    }
    return offset;
}

bool is_wanted(const log_query& q, const record_view& r) {
    if (r.timestamp_ms < q.from_ms || r.timestamp_ms > q.to_ms) return false;
    if (!r.stream.starts_with(q.stream_prefix)) return false;
    return q.streams.empty() || std::ranges::find(q.streams, r.stream) != q.streams.end();
}

/// The event, if its message is wanted too.
std::optional<log_event> take(const log_query& q, log_position at, const record_view& r) {
    if (!is_wanted(q, r)) return std::nullopt;
    log_event e{at, r.timestamp_ms, std::string(r.stream), unescaped(r.message)};
    if (q.matches && !q.matches(e.message)) return std::nullopt;
    return e;
}

error no_group(std::string_view group) {
    return {errc::not_found, "The specified log group does not exist: " + std::string(group)};
}

result<log_page> read_forward(const log_query& q,
                              const fs::path& directory,
                              const std::vector<std::uint64_t>& numbers) {
    log_page page;
    page.next = q.start.value_or(log_position{});
    std::uint64_t scanned = 0, bytes = 0;
    for (auto number = std::ranges::lower_bound(numbers, page.next.file); number != numbers.end();
         ++number) {
        if (scanned > max_scanned) return page;
        auto file = read_file(directory / file_name(*number), q.from_ms);
        if (file.has_error()) return file.error();
        scanned += file->text.size();
        bool is_full = false;
        const std::uint64_t from = *number == page.next.file ? page.next.offset : 0;
        const std::uint64_t stopped = visit_records(
            file->text, from, [&](std::uint64_t offset, std::uint64_t, const record_view& r) {
                auto e = take(q, {*number, offset}, r);
                if (!e) return true;
                is_full = page.events.size() >= q.max_events ||
                          (!page.events.empty() && bytes + e->message.size() > q.max_bytes.bytes());
                if (is_full) return false;
                bytes += e->message.size();
                page.events.push_back(std::move(*e));
                return true;
            });
        page.next = {*number, std::max(stopped, from)};
        if (is_full) return page;
    }
    page.complete = true;
    return page;
}

result<log_page> read_backward(const log_query& q,
                               const fs::path& directory,
                               const std::vector<std::uint64_t>& numbers) {
    log_page page;
    const log_position end = q.start.value_or(log_position{~std::uint64_t{0}, ~std::uint64_t{0}});
    page.next = end;
    std::deque<log_event> events;  // the last that fit
    std::uint64_t bytes = 0, scanned = 0;
    bool is_full = false;
    for (auto number = numbers.rbegin(); number != numbers.rend() && !is_full; ++number) {
        if (*number > end.file) continue;
        if (scanned > max_scanned) {
            page.events.assign(std::move_iterator(events.begin()),
                               std::move_iterator(events.end()));
            return page;
        }
        auto file = read_file(directory / file_name(*number), q.from_ms);
        if (file.has_error()) return file.error();
        scanned += file->text.size();
        std::deque<log_event> here;
        std::uint64_t here_bytes = 0;
        visit_records(file->text, 0,
                      [&](std::uint64_t offset, std::uint64_t, const record_view& r) {
                          if (log_position{*number, offset} >= end) return false;
                          auto e = take(q, {*number, offset}, r);
                          if (!e) return true;
                          here_bytes += e->message.size();
                          here.push_back(std::move(*e));
                          while (here.size() > 1 && (here.size() + events.size() > q.max_events ||
                                                     here_bytes + bytes > q.max_bytes.bytes())) {
                              here_bytes -= here.front().message.size();
                              here.pop_front();
                              is_full = true;
                          }
                          return true;
                      });
        page.next = {*number, 0};
        // The one that stays in `here` may still be too much beside what came later.
        if (!events.empty() && !here.empty() &&
            (here.size() + events.size() > q.max_events ||
             here_bytes + bytes > q.max_bytes.bytes())) {
            is_full = true;
            here.pop_front();
        }
        for (auto e = here.rbegin(); e != here.rend(); ++e) events.push_front(std::move(*e));
        bytes += here_bytes;
        if (is_full && !events.empty()) page.next = events.front().at;
    }
    page.events.assign(std::move_iterator(events.begin()), std::move_iterator(events.end()));
    page.complete = !is_full;
    return page;
}

}  // namespace

result<log_page> store::read(const log_query& query) const {
    flush();
    if (!is_group_name(query.group)) return no_group(query.group);
    const fs::path directory = options_.directory / directory_of_group(query.group);
    const auto numbers = file_numbers(directory);
    if (numbers.empty()) return no_group(query.group);
    if (query.max_events == 0) return log_page{.next = query.start.value_or(log_position{})};
    return query.backward ? read_backward(query, directory, numbers)
                          : read_forward(query, directory, numbers);
}

result<std::vector<log_group>> store::groups() const {
    flush();
    std::vector<log_group> all;
    std::error_code failed;
    const auto add = [&](const fs::path& directory) {
        const auto numbers = file_numbers(directory);
        if (numbers.empty()) return;
        log_group g;
        g.name = group_of_directory(directory.lexically_relative(options_.directory).string());
        for (const std::uint64_t n : numbers) {
            std::error_code gone;
            const auto size = fs::file_size(directory / file_name(n), gone);
            if (!gone) g.stored = g.stored + byte_count(size);
        }
        if (const auto first = read_file(directory / file_name(numbers.front()), 0, header_size);
            first.has_value())
            g.created_ms =
                parse_header(std::string_view(first->text).substr(0, first->text.find('\n')))
                    .value_or(first->modified_ms);
        all.push_back(std::move(g));
    };
    for (fs::recursive_directory_iterator it(options_.directory, failed), end; !failed && it != end;
         it.increment(failed)) {
        std::error_code unknown;
        if (it->is_directory(unknown)) add(it->path());
    }
    if (failed) return error(errc::io_failed, "the logs cannot be listed: " + failed.message());
    std::ranges::sort(all, {}, &log_group::name);
    return all;
}

result<std::vector<log_stream>> store::streams(std::string_view group) const {
    flush();
    if (!is_group_name(group)) return no_group(group);
    const fs::path directory = options_.directory / directory_of_group(group);
    const auto numbers = file_numbers(directory);
    if (numbers.empty()) return no_group(group);
    std::map<std::string, log_stream, std::less<>> found;
    for (const std::uint64_t number : numbers) {
        auto file = read_file(directory / file_name(number), 0);
        if (file.has_error()) return file.error();
        visit_records(file->text, 0,
                      [&](std::uint64_t offset, std::uint64_t end, const record_view& r) {
                          auto at = found.find(r.stream);
                          if (at == found.end()) {
                              log_stream s{.name = std::string(r.stream),
                                           .first_event_ms = r.timestamp_ms,
                                           .last_event_ms = r.timestamp_ms};
                              at = found.emplace(s.name, std::move(s)).first;
                          }
                          log_stream& s = at->second;
                          s.first_event_ms = std::min(s.first_event_ms, r.timestamp_ms);
                          s.last_event_ms = std::max(s.last_event_ms, r.timestamp_ms);
                          s.stored = s.stored + byte_count(end - offset);
                          return true;
                      });
    }
    std::vector<log_stream> all;
    all.reserve(found.size());
    for (auto& [name, s] : found) all.push_back(std::move(s));
    return all;
}

}  // namespace hearth::logs
