#include "http/streaming_call.hpp"

#include "http/aws_error.hpp"
#include "http/event_stream.hpp"
#include "http/invocation.hpp"
#include "http/text.hpp"

namespace hearth::http {

std::optional<reply> streaming_call::refusal() const {
    if (begun || !failure_.code() || failure_ == errc::init_failed) return std::nullopt;
    return make_error(failure_);
}

std::string streaming_call::last_event() const {
    if (failure_.code() && !(failure_ == errc::init_failed))
        return invoke_complete("ServiceException", failure_.message(), {});
    const response r = failure_.code() ? failed_init(failure_, response_->log_tail) : *response_;
    return invoke_complete(r.function_error, r.ok() ? std::string_view() : r.payload,
                           log_tail_ ? to_base64(r.log_tail) : std::string());
}

}  // namespace hearth::http
