#include "logs/log_store.hpp"

#include "logs/log_text.hpp"

#include <fmt/format.h>

#include <chrono>
#include <exception>
#include <system_error>
#include <utility>

namespace hearth::logs {
namespace {

using namespace std::chrono_literals;

/// Lines are gathered for so long, so that a busy producer wakes the thread twenty times a second
/// and not with every line.
constexpr auto gathering = 50ms;
/// A disk that takes longer is not waited for by who reads.
constexpr auto flush_limit = 5s;
/// Written at once at most, about.
constexpr std::size_t write_size = 256u << 10;
/// Descriptors held between batches.
constexpr std::size_t max_open_files = 64;

}  // namespace

result<std::shared_ptr<store>> store::open(log_options options,
                                           std::shared_ptr<hearth::observer> observer) {
    if (options.files_per_group < 2 || options.file_size < byte_count(4096) ||
        options.queue_size < byte_count(4096))
        return error(errc::invalid_argument,
                     "log_options: at least two files of 4 KiB for a group, and a queue of 4 KiB");
    std::error_code failed;
    std::filesystem::create_directories(options.directory, failed);
    if (failed)
        return error(errc::storage_failed,
                     fmt::format("the directory for logs, {}, cannot be made: {}",
                                 options.directory.string(), failed.message()));
    return std::shared_ptr<store>(new store(std::move(options), std::move(observer)));
}

store::store(log_options options, std::shared_ptr<hearth::observer> observer)
    : options_(std::move(options)), observer_(std::move(observer)), thread_([this] { run(); }) {}

store::~store() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

std::shared_ptr<source> store::make_source(source_settings settings) {
    if (!is_group_name(settings.group) || !is_stream_name(settings.stream)) return nullptr;
    return std::make_shared<source>(std::move(settings));
}

void store::write(const std::shared_ptr<source>& from,
                  std::initializer_list<piece> pieces) noexcept {
    if (!from) return;
    const std::uint64_t limit = options_.queue_size.bytes();
    bool must_wake = false;
    {
        const std::lock_guard lock(mutex_);
        for (const piece& p : pieces) {
            if (p.text.empty()) continue;
            const std::uint64_t held =
                filling_.bytes.size() + filling_.entries.size() * sizeof(entry);
            if (held + p.text.size() + sizeof(entry) > limit) {
                ++counted_.lost;
                continue;
            }
            const std::size_t before = filling_.bytes.size();
            try {
                filling_.bytes.append(p.text);
                filling_.entries.push_back({from, p.timestamp_ms, p.text.size(), p.is_whole});
            } catch (const std::bad_alloc&) {
                filling_.bytes.resize(before);
                ++counted_.lost;
                continue;
            }
            ++accepted_;
            must_wake |= filling_.entries.size() == 1 ||
                         (held < limit / 2 && held + p.text.size() + sizeof(entry) >= limit / 2);
        }
    }
    if (must_wake) wake_.notify_one();
}

void store::flush() const {
    std::unique_lock lock(mutex_);
    const std::uint64_t target = accepted_;
    if (done_ >= target) return;
    ++flushes_;
    wake_.notify_one();
    flushed_.wait_for(lock, flush_limit, [&] { return done_ >= target; });
    --flushes_;
}

log_metrics store::metrics() const {
    const std::lock_guard lock(mutex_);
    return counted_;
}

void store::run() {
    batch taken;
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return stop_ || !filling_.entries.empty(); });
        if (filling_.entries.empty()) return;
        wake_.wait_for(lock, gathering, [this] {
            return stop_ || flushes_ != 0 ||
                   filling_.bytes.size() > options_.queue_size.bytes() / 2;
        });
        std::swap(taken, filling_);
        const std::uint64_t upto = accepted_;
        lock.unlock();
        process(taken);
        taken.entries.clear();
        taken.bytes.clear();
        lock.lock();
        done_ = upto;
        flushed_.notify_all();
        if (counted_.lost != 0 && !told_) {
            lock.unlock();
            tell_losses();
            lock.lock();
        }
    }
}

void store::process(const batch& b) {
    std::string_view bytes = b.bytes;
    for (const entry& e : b.entries) {
        const std::string_view text = bytes.substr(0, e.size);
        bytes.remove_prefix(e.size);
        if (!e.is_whole) {
            take_output(*e.from, e.timestamp_ms, text);
            continue;
        }
        end_partial(*e.from);
        emit(*e.from, e.timestamp_ms, text);
    }
    for (auto& [group, f] : files_) write_out(f);
    if (files_.size() > max_open_files) files_.clear();
}

void store::take_output(source& s, std::int64_t timestamp_ms, std::string_view text) {
    while (!text.empty()) {
        if (s.partial_.empty()) s.partial_ms_ = timestamp_ms;
        const auto newline = text.find('\n');
        const bool is_end = newline != text.npos;
        const std::size_t size = is_end ? newline + 1 : text.size();
        s.partial_.append(text.substr(0, size));
        partial_bytes_ += size;
        text.remove_prefix(size);
        // Many functions that end no line must not hold more than what waits for the disk may.
        if (is_end || s.partial_.size() > max_message ||
            partial_bytes_ > options_.queue_size.bytes())
            end_partial(s);
    }
}

void store::end_partial(source& s) {
    if (s.partial_.empty()) return;
    const std::string line = std::exchange(s.partial_, {});
    partial_bytes_ -= line.size();
    if (s.settings_.is_json && level_of_line(line) < s.settings_.application) return;
    for (std::string_view rest = line; !rest.empty();) {
        const std::size_t size = cut_at(rest, max_message);
        emit(s, s.partial_ms_, rest.substr(0, size));
        rest.remove_prefix(size);
    }
}

void store::emit(const source& s, std::int64_t timestamp_ms, std::string_view message) {
    const std::string& group = s.settings_.group;
    auto at = files_.find(group);
    if (at == files_.end())
        at = files_.emplace(group, pending_file{log_file(options_, group)}).first;
    append_record(at->second.records, timestamp_ms, s.settings_.stream, message);
    ++at->second.events;
    if (at->second.records.size() > write_size) write_out(at->second);
}

void store::write_out(pending_file& f) {
    if (f.records.empty()) return;
    const auto written = f.file.write(f.records);
    {
        const std::lock_guard lock(mutex_);
        if (written.has_error()) {
            counted_.lost += f.events;
        } else {
            counted_.events += f.events;
            counted_.bytes += f.records.size();
        }
    }
    if (written.has_error()) failure_ = written.error().message();
    f.records.clear();
    f.events = 0;
}

void store::tell_losses() {
    told_ = true;
    if (!observer_) return;
    const std::string why =
        failure_.empty() ? "more was written than the disk takes in the time" : failure_;
    observer_->on_log(
        {log_record::severity::warning, "logs",
         "lines of functions' logs are lost (hearth_log_lost_total counts them): " + why});
}

}  // namespace hearth::logs
