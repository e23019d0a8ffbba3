#include "http/streaming_call.hpp"

#include "http/aws_error.hpp"
#include "http/event_stream.hpp"
#include "http/invocation.hpp"
#include "http/text.hpp"

namespace hearth::http {

std::optional<std::string> event_streaming_call::take(std::string bytes) {
    return payload_chunks(bytes);
}

reply event_streaming_call::head() const {
    reply r{.content_type = std::string(event_stream_content_type)};
    const std::string version =
        response_ ? response_->executed_version : reader_->executed_version();
    if (!version.empty()) r.headers.emplace_back("X-Amz-Executed-Version", version);
    return r;
}

std::optional<reply> event_streaming_call::whole() {
    if (begun || !failure_.code() || failure_ == errc::init_failed) return std::nullopt;
    return make_error(failure_);
}

std::optional<std::string> event_streaming_call::rest() const {
    if (failure_.code() && !(failure_ == errc::init_failed))
        return invoke_complete("ServiceException", failure_.message(), {});
    const response r = failure_.code() ? failed_init(failure_, response_->log_tail) : *response_;
    return invoke_complete(r.function_error, r.ok() ? std::string_view() : r.payload,
                           log_tail_ ? to_base64(r.log_tail) : std::string());
}

}  // namespace hearth::http
