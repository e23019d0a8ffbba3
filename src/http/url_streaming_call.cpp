#include "http/url_streaming_call.hpp"

#include "http/function_url.hpp"

#include <algorithm>
#include <utility>

namespace hearth::http {

std::optional<std::string> url_streaming_call::take(std::string bytes) {
    if (at_ == part::nothing) {
        const std::string type = reader_->content_type();
        at_ = type.empty()               ? part::one_piece
              : type == integration_type ? part::prelude
                                         : part::body;
        if (at_ == part::body) head_ = with_also({.content_type = type});
    }
    switch (at_) {
        case part::body:
            return bytes;
        case part::prelude:
            // The mark may have begun before.
            held_ += bytes;
            return take_prelude(held_.size() -
                                std::min(held_.size(), bytes.size() + prelude_end.size() - 1));
        case part::one_piece:
            held_ += bytes;
            break;
        default:
            break;
    }
    return std::nullopt;
}

std::optional<std::string> url_streaming_call::take_prelude(std::size_t from) {
    const auto end = held_.find(prelude_end, from);
    if (end == held_.npos && held_.size() <= max_prelude) return std::nullopt;
    auto head =
        end <= max_prelude ? read_prelude(std::string_view(held_).substr(0, end)) : std::nullopt;
    if (!head) {
        at_ = part::nonsense;
        held_ = {};
        return std::nullopt;
    }
    at_ = part::body;
    head_ = with_also(std::move(*head));
    return std::exchange(held_, {}).substr(end + prelude_end.size());
}

std::optional<reply> url_streaming_call::whole() {
    if (begun) return std::nullopt;
    if (failure_.code()) return with_also(write_url_failure(failure_));
    if (at_ == part::prelude || at_ == part::nonsense)
        response_->function_error = "Unhandled";  // said nothing that could be sent
    response_->payload = std::exchange(held_, {});
    return with_also(read_url_response(config_, *response_));
}

std::optional<std::string> url_streaming_call::rest() const {
    if (failure_.code() || !response_->ok()) return std::nullopt;
    return std::string();
}

reply url_streaming_call::with_also(reply r) const {
    r.headers.insert(r.headers.end(), also_.headers.begin(), also_.headers.end());
    r.own_headers.insert(r.own_headers.end(), also_.own_headers.begin(), also_.own_headers.end());
    return r;
}

}  // namespace hearth::http
