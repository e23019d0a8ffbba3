#pragma once

/// What becomes of a request whose answer is streamed: what its session is to write, in order.
/// Mostly an invocation. Knows no sockets. On the session's strand.

#include "http/reply.hpp"

#include <hearth/error.hpp>
#include <hearth/response.hpp>
#include <hearth/response_stream.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_executor.hpp>

#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace hearth::http {

class streaming_call {
  public:
    virtual ~streaming_call() = default;

    response_reader& reader() { return *reader_; }
    using read_handler = std::function<void(error_code, std::string)>;
    /// What came, and asio::error::eof with its end. One at a time. The handler is called on
    /// `executor`, never inside this call.
    virtual void async_read(const boost::asio::any_io_executor& executor, read_handler handler) {
        reader_->async_read(boost::asio::bind_executor(executor, std::move(handler)));
    }
    /// The client is gone: the function goes on, unread.
    virtual void stop_reading() noexcept { reader_.reset(); }
    /// The server is stopping: what has no end of its own ends now.
    virtual void hurry() noexcept {}

    void ended() noexcept { stream_ended_ = true; }
    void answered(error failure, response r) {
        failure_ = std::move(failure);
        response_ = std::move(r);
    }
    /// Both the stream and the invocation have come to their end.
    [[nodiscard]] bool complete() const noexcept { return stream_ended_ && response_; }

    /// What is to be sent for what the function wrote, after the head; nothing: not even the head
    /// is known.
    virtual std::optional<std::string> take(std::string bytes) = 0;
    /// Status and headers, of which the body is not part. Once `take` gave something, or complete.
    [[nodiscard]] virtual reply head() const = 0;
    /// Complete, and not begun: what is no stream is an ordinary answer.
    [[nodiscard]] virtual std::optional<reply> whole() = 0;
    /// Complete: the last bytes. Nothing: the client is to see that the answer broke off.
    [[nodiscard]] virtual std::optional<std::string> rest() const = 0;

    bool begun = false;  ///< the head has been written

  protected:
    std::optional<response_reader> reader_{std::in_place};
    error failure_;
    std::optional<response> response_;

  private:
    bool stream_ended_ = false;
};

/// InvokeWithResponseStream: events, of which the last tells how it went.
class event_streaming_call final : public streaming_call {
  public:
    explicit event_streaming_call(bool log_tail) noexcept : log_tail_(log_tail) {}

    std::optional<std::string> take(std::string bytes) override;
    [[nodiscard]] reply head() const override;
    [[nodiscard]] std::optional<reply> whole() override;
    [[nodiscard]] std::optional<std::string> rest() const override;

  private:
    const bool log_tail_;
};

}  // namespace hearth::http
