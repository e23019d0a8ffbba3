/// Streamed responses on a connection: head, chunks as the function writes, and the end.

#include "http/aws_error.hpp"
#include "http/session.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/beast/core/buffers_cat.hpp>
#include <boost/beast/http/chunk_encode.hpp>

namespace hearth::http {

namespace asio = boost::asio;
namespace beast_http = boost::beast::http;

void session::invoke_streaming(invocation what) {
    if (parser_->get().version() < 11)
        return respond(
            make_error(aws_error::invalid_parameter_value, "A response stream needs HTTP/1.1"));
    stream_ = std::make_unique<event_streaming_call>(what.log_tail);
    start_stream(asked_->argument, std::move(what.payload), std::move(what.options),
                 asked_->parameter("Qualifier"));
}

void session::start_stream(std::string_view function,
                           std::string payload,
                           invoke_options options,
                           std::string_view qualifier) {
    options.stream = stream_->reader().writer();
    owner_->control_.async_invoke(
        function, std::move(payload), std::move(options), qualifier,
        asio::bind_executor(connection_.get_executor(),
                            [self = shared_from_this()](const error& failure, response r) {
                                self->stream_->answered(failure, std::move(r));
                                self->finish_stream();
                            }));
    read_stream();
}

void session::read_stream() {
    stream_->async_read(connection_.get_executor(),
                        [self = shared_from_this()](error_code ec, std::string bytes) {
                            if (ec) {
                                self->stream_->ended();
                                return self->finish_stream();
                            }
                            auto part = self->stream_->take(std::move(bytes));
                            if (!part) return self->read_stream();
                            self->write_stream(std::move(*part), false);
                        });
}

void session::finish_stream() {
    if (!stream_->complete()) return;
    if (auto whole = stream_->whole()) {
        stream_.reset();
        return respond(std::move(*whole));
    }
    auto rest = stream_->rest();
    if (!rest) return break_stream();
    write_stream(std::move(*rest), true);
}

void session::write_stream(std::string bytes, bool last) {
    part_ = std::move(bytes);
    if (stream_->begun) return write_part(last);
    stream_->begun = true;
    const auto& request = parser_->get();
    const reply r = stream_->head();
    stream_has_body_ = request.method() != beast_http::verb::head &&
                       r.status != beast_http::status::no_content &&
                       r.status != beast_http::status::not_modified;
    // HTTP/1.0 has no chunks: there the connection's end is the body's.
    const bool in_chunks = request.version() == 11;
    auto& head = stream_head_.emplace(r.status, in_chunks ? 11u : 10u);
    set_fields(head, r);
    head.keep_alive(in_chunks && parser_->keep_alive() && !stopping_);
    if (in_chunks && r.status != beast_http::status::no_content) head.chunked(true);
    write_head(head);
    connection_.async_write(asio::buffer(head_), time_for(0),
                            [self = shared_from_this(), last](error_code ec) {
                                if (ec) return self->lose_stream();
                                self->write_part(last);
                            });
}

void session::write_part(bool last) {
    auto written = [self = shared_from_this(), last](error_code ec) {
        if (ec) return self->lose_stream();
        if (!last) return self->read_stream();
        const bool close = self->stopping_ || !self->stream_head_->keep_alive();
        self->stream_.reset();
        self->on_written(ec, close, false);
    };
    const bool in_chunks = stream_head_->chunked();
    // An empty chunk would be the last one.
    if (!stream_has_body_ || (part_.empty() && !(last && in_chunks))) return written({});
    const auto bytes = asio::buffer(part_);
    const auto time = time_for(part_.size());
    if (!in_chunks)
        connection_.async_write(bytes, time, std::move(written));
    else if (part_.empty())
        connection_.async_write(beast_http::make_chunk_last(), time, std::move(written));
    else if (last)
        connection_.async_write(
            boost::beast::buffers_cat(beast_http::chunk_body(bytes), beast_http::make_chunk_last()),
            time, std::move(written));
    else
        connection_.async_write(beast_http::chunk_body(bytes), time, std::move(written));
}

/// The client is gone. The function goes on; its end finds nobody to tell.
void session::lose_stream() {
    stream_->stop_reading();
    close();
}

/// The client is to see that there is no more of it.
void session::break_stream() {
    stream_.reset();
    stream_head_->chunked() ? close() : connection_.reset();
}

}  // namespace hearth::http
