#include "control/directory_watcher.hpp"

#include "base/system_error.hpp"
#include "base/try.hpp"
#include "base/uuid.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <openssl/evp.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace hearth::control {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using kind = directory_event::kind;

constexpr std::chrono::milliseconds first_back_off{1000}, last_back_off{60'000};
constexpr std::size_t keys_at_once = 1000;

std::int64_t nanoseconds_of(const timespec& t) { return t.tv_sec * 1'000'000'000LL + t.tv_nsec; }

object_state state_of(const struct stat& st) {
    return {.size = static_cast<std::uint64_t>(st.st_size),
            .inode = st.st_ino,
            .modified = nanoseconds_of(st.st_mtim),
            .etag = {}};
}

bool is_same_file(const object_state& a, const object_state& b) {
    return a.size == b.size && a.inode == b.inode && a.modified == b.modified;
}

/// The content's MD5 in hex.
result<std::string> md5_of(int file, const std::atomic<bool>& stopped) {
    struct free_context {
        void operator()(EVP_MD_CTX* c) const noexcept { EVP_MD_CTX_free(c); }
    };
    const std::unique_ptr<EVP_MD_CTX, free_context> context(EVP_MD_CTX_new());
    if (!context || !EVP_DigestInit_ex(context.get(), EVP_md5(), nullptr))
        return error(errc::io_failed, "MD5 is not to be had from OpenSSL");
    std::vector<char> piece(256 * 1024);
    for (;;) {
        if (stopped) return error(errc::shutting_down);
        const ssize_t n = ::read(file, piece.data(), piece.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return system_failure(errc::io_failed, "cannot read");
        if (n == 0) break;
        EVP_DigestUpdate(context.get(), piece.data(), static_cast<std::size_t>(n));
    }
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    EVP_DigestFinal_ex(context.get(), digest.data(), &size);
    static constexpr char digits[] = "0123456789abcdef";
    std::string hex;
    for (unsigned i = 0; i < size; ++i) {
        hex += digits[digest[i] >> 4];
        hex += digits[digest[i] & 15];
    }
    return hex;
}

}  // namespace

directory_watcher::directory_watcher(directory_watch what, object_states& states, sink to)
    : what_(std::move(what)),
      // Who else watches the directory for other keys, or for another function, has its own states.
      id_(what_.directory.string() + '\0' + what_.function + '\0' + what_.prefix + '\0' +
          what_.suffix),
      states_(states),
      sink_(std::move(to)) {}

result<std::unique_ptr<directory_watcher>> directory_watcher::start(directory_watch what,
                                                                    object_states& states,
                                                                    sink to) {
    std::error_code ec;
    const fs::path given = what.directory;
    what.directory = fs::canonical(given, ec);
    if (ec || !fs::is_directory(what.directory, ec))
        return error(errc::invalid_argument,
                     "cannot watch '" + given.string() + "': it is no directory that is there");
    if (what.bucket.empty()) what.bucket = what.directory.filename().string();
    std::unique_ptr<directory_watcher> self(
        new directory_watcher(std::move(what), states, std::move(to)));
    self->thread_ = std::thread([w = self.get()] { w->run(); });
    return self;
}

directory_watcher::~directory_watcher() {
    stopped_ = true;
    io_.stop();
    if (thread_.joinable()) thread_.join();
}

void directory_watcher::run() {
    asio::post(io_, [this] { begin(); });
    const auto work = asio::make_work_guard(io_);
    io_.run();
}

void directory_watcher::begin() {
    inotify_.reset();
    directories_.clear();
    waiting_directories_.clear();
    waiting_.clear();
    all_ = true;
    const result<void> begun = [&]() -> result<void> {
        HEARTH_TRY(const unique_fd fd, open_inotify());
        const int shared = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0);
        if (shared < 0) return system_failure(errc::io_failed, "cannot watch directories");
        inotify_.emplace(io_, shared);
        HEARTH_TRY(root_, watch_directory(inotify_->native_handle(), what_.directory));
        directories_.emplace(root_, "");
        return {};
    }();
    if (begun.has_error()) {
        inotify_.reset();
        return fail(begun.error());
    }
    read();
    work();
}

void directory_watcher::fail(const error& why) {
    if (stopped_) return;
    if (back_off_ < last_back_off) {  // then it has been said
        sink_.tell("the watched directory " + what_.directory.string() + ": " + why.message());
        back_off_ = std::clamp(back_off_ * 2, first_back_off, last_back_off);
    }
    timer_.expires_after(back_off_);
    timer_.async_wait([this](error_code cancelled) {
        if (cancelled) return;
        inotify_ ? work() : begin();
    });
}

void directory_watcher::read() {
    inotify_->async_read_some(
        asio::buffer(buffer_.data(), buffer_.size()), [this](error_code ec, std::size_t n) {
            if (ec == asio::error::operation_aborted || !inotify_) return;
            if (ec) {
                inotify_.reset();
                return fail(error(ec));
            }
            for (const directory_event& e : read_directory_events(std::span(buffer_.data(), n))) {
                take(e);
                if (!inotify_) return;
            }
            if (back_off_.count() == 0) work();
            if (inotify_) read();
        });
}

void directory_watcher::take(const directory_event& e) {
    const auto directory = directories_.find(e.watch);
    switch (e.what) {
        case kind::overflow:
            all_ = true;
            return;
        case kind::root_gone:
            if (e.watch != root_) return;
            [[fallthrough]];
        case kind::lost_directory:
            // What was moved away is still watched by its old name: all watches are made anew.
            inotify_.reset();
            timer_.cancel();
            back_off_ = {};
            asio::post(io_, [this] { begin(); });
            return;
        case kind::unwatched:
            if (directory != directories_.end()) directories_.erase(directory);
            return;
        case kind::new_directory:
            if (directory != directories_.end())
                waiting_directories_.insert(directory->second + e.name + "/");
            break;
        case kind::written:
        case kind::gone:
            if (directory != directories_.end()) waiting_.insert(directory->second + e.name);
            break;
    }
    if (waiting_.size() + waiting_directories_.size() <= max_waiting) return;
    all_ = true;
    waiting_.clear();
    waiting_directories_.clear();
}

void directory_watcher::work() {
    const result<void> done = [&]() -> result<void> {
        HEARTH_TRY(is_known_, states_.is_known(id_));
        if (all_) {
            HEARTH_CHECK(look_at_all());
            all_ = false;
        }
        while (!waiting_directories_.empty() && !stopped_) {
            HEARTH_CHECK(look_below(*waiting_directories_.begin()));
            waiting_directories_.erase(waiting_directories_.begin());
        }
        while (!waiting_.empty() && !stopped_) {
            HEARTH_CHECK(look_at(*waiting_.begin(), false));
            waiting_.erase(waiting_.begin());
        }
        return {};
    }();
    if (done.has_error()) return fail(done.error());
    back_off_ = {};
}

result<void> directory_watcher::look_at_all() {
    HEARTH_CHECK(look_below(""));
    // Those that are kept and may be gone.
    std::string last;
    for (;;) {
        HEARTH_TRY(const auto keys, states_.keys(id_, last, keys_at_once));
        if (keys.empty() || stopped_) break;
        for (const std::string& key : keys) {
            struct stat st {};
            if (::lstat(path_of(key).c_str(), &st) != 0 && (errno == ENOENT || errno == ENOTDIR))
                HEARTH_CHECK(look_at(key, true));
        }
        last = keys.back();
    }
    if (stopped_ || is_known_) return {};
    HEARTH_CHECK(states_.make_known(id_));
    is_known_ = true;
    return {};
}

result<void> directory_watcher::look_below(const std::string& directory) {
    std::vector<std::string> rest{directory};
    while (!rest.empty() && !stopped_) {
        const std::string here = std::move(rest.back());
        rest.pop_back();
        // Watched before it is read, so that nothing falls between.
        const auto watch = watch_directory(inotify_->native_handle(), path_of(here));
        if (watch.has_error() && watch.error() == errc::not_found && !here.empty()) continue;
        if (watch.has_error() && !here.empty()) {
            // One that may not be read keeps none of the others from it.
            sink_.tell(watch.error().message());
            continue;
        }
        if (watch.has_error()) return watch.error();
        directories_.insert_or_assign(*watch, here);
        std::error_code ec;
        for (fs::directory_iterator at(path_of(here), ec), end; !ec && at != end;
             at.increment(ec)) {
            if (stopped_) return {};
            const std::string name = at->path().filename().string();
            std::error_code unknown;
            const fs::file_status status = at->symlink_status(unknown);
            if (fs::is_directory(status)) rest.push_back(here + name + "/");
            if (fs::is_regular_file(status)) HEARTH_CHECK(look_at(here + name, true));
        }
        if (ec && ec != std::errc::no_such_file_or_directory)
            sink_.tell("cannot read " + path_of(here).string() + ": " + ec.message());
    }
    return {};
}

result<void> directory_watcher::look_at(const std::string& key, bool in_scan) {
    if (!counts(key)) return {};
    HEARTH_TRY(const std::optional<object_state> known, states_.find(id_, key));
    const fs::path path = path_of(key);
    const unique_fd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    const int why = errno;
    struct stat st {};
    const bool is_file = file && ::fstat(file.get(), &st) == 0 && S_ISREG(st.st_mode);
    if (!is_file) {
        const bool is_gone = file || why == ENOENT || why == ENOTDIR || why == ELOOP;
        if (!is_gone && (why == EACCES || why == EPERM)) {
            sink_.tell("may not read " + path.string());
            return {};
        }
        if (!is_gone) return system_failure(errc::io_failed, "cannot open " + path.string(), why);
        if (!known) return {};
        std::error_code ec;
        if (!fs::is_directory(what_.directory, ec))  // it took its files with it
            return error(errc::io_failed, "it is not there any more");
        HEARTH_CHECK(report({.removed = true, .key = key}));
        return states_.remove(id_, key);
    }
    object_state now = state_of(st);
    if (known && is_same_file(*known, now)) return {};
    // All there is need not be read to be taken down.
    if (!is_known_ && in_scan) return states_.put(id_, key, now);
    HEARTH_TRY(now.etag, md5_of(file.get(), stopped_));
    if (::fstat(file.get(), &st) != 0 || !is_same_file(now, state_of(st)))
        return {};  // it is being written: its writer's end will be told of
    const bool is_same_content = known && known->etag == now.etag && known->size == now.size;
    if (is_known_ && !(in_scan && is_same_content))
        HEARTH_CHECK(report({.key = key, .size = now.size, .etag = now.etag}));
    return states_.put(id_, key, now);
}

result<void> directory_watcher::report(object_change change) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto since = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
    HEARTH_TRY(change.sequencer, states_.next_sequencer(static_cast<std::uint64_t>(since)));
    change.bucket = what_.bucket;
    change.milliseconds = since / 1000;
    change.configuration_id = what_.function;
    change.request_id = make_uuid();
    change.region = sink_.region;
    change.account_id = sink_.account_id;
    return sink_.deliver(write_object_event(change));
}

bool directory_watcher::counts(std::string_view key) const {
    return key.starts_with(what_.prefix) && key.ends_with(what_.suffix);
}

fs::path directory_watcher::path_of(const std::string& key) const { return what_.directory / key; }

}  // namespace hearth::control
