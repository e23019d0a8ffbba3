/// InvokeWithResponseStream on a connection: head, chunks of events as the function writes, and the
/// last event.

#include "http/aws_error.hpp"
#include "http/event_stream.hpp"
#include "http/session.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/write.hpp>

namespace hearth::http {

namespace asio = boost::asio;
namespace beast_http = boost::beast::http;

void session::invoke_streaming(invocation what) {
    if (parser_->get().version() < 11)
        return respond(
            make_error(aws_error::invalid_parameter_value, "A response stream needs HTTP/1.1"));
    stream_.emplace(what.log_tail);
    what.options.stream = stream_->reader().writer();
    owner_->control_.async_invoke(
        asked_->argument, std::move(what.payload), std::move(what.options),
        asked_->parameter("Qualifier"),
        asio::bind_executor(connection_.get_executor(),
                            [self = shared_from_this()](const error& failure, response r) {
                                self->stream_->answered(failure, std::move(r));
                                self->finish_stream();
                            }));
    read_stream();
}

void session::read_stream() {
    stream_->reader().async_read(asio::bind_executor(
        connection_.get_executor(), [self = shared_from_this()](error_code ec, std::string bytes) {
            if (!ec) return self->write_stream(payload_chunks(bytes), false);
            self->stream_->ended();
            self->finish_stream();
        }));
}

void session::finish_stream() {
    if (!stream_->complete()) return;
    if (auto refused = stream_->refusal()) return respond(std::move(*refused));
    write_stream(stream_->last_event(), true);
}

void session::write_stream(std::string events, bool last) {
    events_ = std::move(events);
    connection_.expires_after(time_for(events_.size()));
    if (stream_->begun) return write_events(last);
    stream_->begun = true;
    auto& head = stream_head_.emplace(beast_http::status::ok, 11u);
    head.set("x-amzn-RequestId", request_id_);
    head.set("X-Amzn-Trace-Id", trace_id_);
    if (const auto version = stream_->executed_version(); !version.empty())
        head.set("X-Amz-Executed-Version", version);
    head.set(beast_http::field::content_type,
             boost::beast::string_view(event_stream_content_type.data(),
                                       event_stream_content_type.size()));
    head.keep_alive(parser_->keep_alive() && !stopping_);
    head.chunked(true);
    auto serializer =
        std::make_shared<beast_http::response_serializer<beast_http::empty_body>>(head);
    connection_.with_stream([&](auto& stream) {
        beast_http::async_write_header(
            stream, *serializer,
            [self = shared_from_this(), serializer, last](error_code ec, std::size_t) {
                if (ec) return self->lose_stream();
                self->write_events(last);
            });
    });
}

void session::write_events(bool last) {
    const auto written = [self = shared_from_this(), last](error_code ec, std::size_t) {
        if (ec) return self->lose_stream();
        if (!last) return self->read_stream();
        const bool close = self->stopping_ || !self->stream_head_->keep_alive();
        self->stream_.reset();
        self->on_written(ec, close, false);
    };
    connection_.with_stream([&](auto& stream) {
        const beast_http::chunk_body chunk(asio::buffer(events_));
        if (last)
            asio::async_write(
                stream, boost::beast::buffers_cat(chunk, beast_http::make_chunk_last()), written);
        else
            asio::async_write(stream, chunk, written);
    });
}

/// The client is gone. The function goes on; its end finds nobody to tell.
void session::lose_stream() {
    stream_->stop_reading();
    close();
}

}  // namespace hearth::http
