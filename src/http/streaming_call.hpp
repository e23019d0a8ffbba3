#pragma once

/// What becomes of an InvokeWithResponseStream: what its session is to write, in order. Knows no
/// sockets. On the session's strand.

#include "http/reply.hpp"

#include <hearth/error.hpp>
#include <hearth/response.hpp>
#include <hearth/response_stream.hpp>

#include <optional>
#include <string>
#include <utility>

namespace hearth::http {

class streaming_call {
  public:
    explicit streaming_call(bool log_tail) noexcept : log_tail_(log_tail) {}

    response_reader& reader() { return *reader_; }
    /// The client is gone: the function goes on, unread.
    void stop_reading() noexcept { reader_.reset(); }

    void ended() noexcept { stream_ended_ = true; }
    void answered(error failure, response r) {
        failure_ = std::move(failure);
        response_ = std::move(r);
    }
    /// Both the stream and the invocation have come to their end.
    [[nodiscard]] bool complete() const noexcept { return stream_ended_ && response_; }

    /// Complete, and not begun: a refusal is an ordinary error.
    [[nodiscard]] std::optional<reply> refusal() const;
    /// Complete: the last event.
    [[nodiscard]] std::string last_event() const;

    [[nodiscard]] std::string executed_version() const {
        return response_ ? response_->executed_version : reader_->executed_version();
    }

    bool begun = false;  ///< the head has been written

  private:
    const bool log_tail_;
    std::optional<response_reader> reader_{std::in_place};
    bool stream_ended_ = false;
    error failure_;
    std::optional<response> response_;
};

}  // namespace hearth::http
