#pragma once

#include <hearth/error.hpp>
#include <hearth/units.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>

#include <memory>
#include <string>
#include <utility>

namespace hearth {

class response_writer;

/// Reads a response while the function makes it, as Lambda's InvokeWithResponseStream does:
///
///     response_reader reader;
///     f.async_invoke(event, {.stream = reader.writer()}, handler);
///     … reader.async_read(…) until asio::error::eof; `handler` tells how the invocation went
///
/// A function that streams (Lambda-Runtime-Function-Response-Mode: streaming) is read as it writes,
/// up to 200 MB; any other one's response comes in one piece. The response of the invocation has no
/// payload then, unless the function failed: its error document, after what had been streamed. While
/// `capacity` bytes wait to be read the function does not run; its timeout does. So a blocking
/// `invoke` is read on another thread.
///
/// One read at a time; otherwise thread-safe.
///
/// @source Lambda guide, "Response streaming for Lambda functions" and "… for custom runtimes".
class response_reader {
  public:
    explicit response_reader(byte_count capacity = byte_count(256u << 10));
    /// What is written from now on is thrown away; the function goes on. A pending read ends with
    /// asio::error::operation_aborted.
    ~response_reader();
    response_reader(response_reader&&) noexcept;
    response_reader& operator=(response_reader&&) noexcept;

    /// For one invocation's options. The stream ends when the last copy is gone, which is when the
    /// invocation has ended, or was refused.
    [[nodiscard]] std::shared_ptr<response_writer> writer();

    /// All that waits, at least a byte; with asio::error::eof, nothing, and it is the end.
    /// Completes on the handler's executor, never inside this call.
    template <class CompletionToken = boost::asio::deferred_t>
    auto async_read(CompletionToken&& token = {}) {
        return boost::asio::async_initiate<CompletionToken, void(error_code, std::string)>(
            [this](auto handler) {
                error_code ec;
                std::string bytes;
                if (take(ec, bytes))
                    boost::asio::post(
                        boost::asio::append(std::move(handler), ec, std::move(bytes)));
                else
                    start_read(std::move(handler));
            },
            token);
    }

    /// Of a streamed response the Content-Type that the function gave, or application/octet-stream;
    /// empty before its first byte and of a response in one piece.
    [[nodiscard]] std::string content_type() const;
    /// As response::executed_version; empty before its first byte.
    [[nodiscard]] std::string executed_version() const;

  private:
    bool take(error_code& ec, std::string& bytes);
    void start_read(boost::asio::any_completion_handler<void(error_code, std::string)> handler);
    struct pipe;
    friend class response_writer;
    std::shared_ptr<pipe> pipe_;
};

}  // namespace hearth
