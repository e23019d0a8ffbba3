#include "base/complete.hpp"
#include "base/response_writer.hpp"

#include <hearth/response_stream.hpp>

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>

namespace hearth {

namespace asio = boost::asio;

struct response_reader::pipe {
    using handler = asio::any_completion_handler<void(error_code, std::string)>;

    explicit pipe(std::size_t most) noexcept : capacity(most) {}

    /// A read that waits, and the executor it completes on. Never assigned: Boost 1.81's handler
    /// recurses in its move assignment.
    struct pending {
        handler to;
        asio::any_completion_executor executor;
    };
    static void finish(std::optional<pending> p, error_code ec, std::string bytes = {}) {
        if (p) complete(std::move(p->executor), std::move(p->to), ec, std::move(bytes));
    }
    /// With the mutex held.
    std::optional<pending> take_read() {
        std::optional<pending> taken;
        if (read) taken.emplace(std::move(*read));
        read.reset();
        return taken;
    }

    const std::size_t capacity;
    std::atomic<std::size_t> waiting_bytes{0};  ///< bytes.size(); written with the mutex held
    mutable std::mutex mutex;                   // guards all below
    std::string bytes;
    std::string content_type, executed_version;
    std::optional<pending> read;
    bool ended = false;   ///< no writer any more
    bool closed = false;  ///< no reader any more

    std::mutex listener_mutex;  // after `mutex`, never inside it; guards `listener`
    response_writer::listener* listener = nullptr;

    /// False: nothing to take yet.
    bool take(error_code& ec, std::string& to) {
        bool was_full = false;
        {
            const std::lock_guard lock(mutex);
            if (bytes.empty() && !ended) return false;
            was_full = bytes.size() >= capacity;
            to = std::exchange(bytes, {});
            waiting_bytes = 0;
        }
        if (was_full) room();
        ec = to.empty() ? error_code(asio::error::eof) : error_code();
        return true;
    }

    void room() noexcept {
        const std::lock_guard lock(listener_mutex);
        if (listener) listener->room();
    }
};

response_reader::response_reader(byte_count capacity)
    : pipe_(std::make_shared<pipe>(capacity.bytes())) {}
response_reader::response_reader(response_reader&&) noexcept = default;

response_reader& response_reader::operator=(response_reader&& other) noexcept {
    response_reader gone(std::move(*this));
    pipe_ = std::move(other.pipe_);
    return *this;
}

response_reader::~response_reader() {
    if (!pipe_) return;
    std::unique_lock lock(pipe_->mutex);
    pipe_->closed = true;
    pipe_->bytes = {};
    pipe_->waiting_bytes = 0;
    auto read = pipe_->take_read();
    lock.unlock();
    pipe_->room();
    pipe::finish(std::move(read), asio::error::operation_aborted);
}

std::shared_ptr<response_writer> response_reader::writer() {
    return std::make_shared<response_writer>(pipe_);
}

std::string response_reader::content_type() const {
    const std::lock_guard lock(pipe_->mutex);
    return pipe_->content_type;
}

std::string response_reader::executed_version() const {
    const std::lock_guard lock(pipe_->mutex);
    return pipe_->executed_version;
}

bool response_reader::take(error_code& ec, std::string& bytes) { return pipe_->take(ec, bytes); }

void response_reader::start_read(pipe::handler handler) {
    auto executor = tracked_executor(handler);
    pipe::pending read{std::move(handler), std::move(executor)};
    {
        const std::lock_guard lock(pipe_->mutex);
        if (pipe_->bytes.empty() && !pipe_->ended) {
            pipe_->read.emplace(std::move(read));
            return;
        }
    }
    // Something came meanwhile. Never inside the initiating call.
    asio::post(asio::system_executor(), [from = pipe_, read = std::move(read)]() mutable {
        error_code ec;
        std::string bytes;
        from->take(ec, bytes);
        pipe::finish(std::move(read), ec, std::move(bytes));
    });
}

response_writer::response_writer(std::shared_ptr<response_reader::pipe> pipe) noexcept
    : pipe_(std::move(pipe)) {}

response_writer::~response_writer() {
    std::unique_lock lock(pipe_->mutex);
    pipe_->ended = true;
    auto read = pipe_->take_read();
    lock.unlock();
    response_reader::pipe::finish(std::move(read), asio::error::eof);
}

void response_writer::set_content_type(std::string_view type) {
    const std::lock_guard lock(pipe_->mutex);
    pipe_->content_type = type;
}

void response_writer::set_executed_version(std::string_view version) {
    const std::lock_guard lock(pipe_->mutex);
    pipe_->executed_version = version;
}

void response_writer::write(std::string bytes) {
    if (bytes.empty()) return;
    std::unique_lock lock(pipe_->mutex);
    if (pipe_->closed) return;
    if (auto read = pipe_->take_read()) {
        lock.unlock();
        return response_reader::pipe::finish(std::move(read), {}, std::move(bytes));
    }
    if (pipe_->bytes.empty())
        pipe_->bytes = std::move(bytes);
    else
        pipe_->bytes.append(bytes);
    pipe_->waiting_bytes = pipe_->bytes.size();
}

bool response_writer::full() const noexcept { return pipe_->waiting_bytes >= pipe_->capacity; }

void response_writer::set_listener(listener* l) noexcept {
    const std::lock_guard lock(pipe_->listener_mutex);
    pipe_->listener = l;
}

}  // namespace hearth
