#include "http/function_url.hpp"

#include "http/aws_error.hpp"
#include "http/function_answer.hpp"
#include "http/own_host.hpp"
#include "http/text.hpp"

#include <boost/json.hpp>

#include <algorithm>

namespace hearth::http {
namespace {

namespace beast_http = boost::beast::http;
namespace json = boost::json;

json::string_view to_json(std::string_view s) { return {s.data(), s.size()}; }

/// Of "arn:aws:lambda:REGION:…".
std::string_view region_of(std::string_view arn) {
    for (int i = 0; i < 3; ++i) arn.remove_prefix(std::min(arn.find(':'), arn.size() - 1) + 1);
    return arn.substr(0, arn.find(':'));
}

reply bad_gateway() {
    return {.status = beast_http::status::bad_gateway,
            .body = "Internal Server Error",
            .content_type = "text/plain",
            .headers = {{"x-amzn-ErrorType", "InternalServerErrorException"}}};
}

/// Of what was streamed and says no other.
constexpr const char* streamed_type = "application/octet-stream";

/// Nothing when the payload is not what streaming functions write.
std::optional<reply> streamed(std::string_view payload) {
    const auto end = payload.find(prelude_end);
    if (end != payload.npos) {
        boost::system::error_code ec;
        const json::value prelude = json::parse(to_json(payload.substr(0, end)), ec);
        if (!ec && prelude.is_object()) {
            auto r = read_prelude(payload.substr(0, end));
            if (!r) return bad_gateway();
            r->body = payload.substr(end + prelude_end.size());
            return r;
        }
    }
    if (json_fault(payload).empty()) return std::nullopt;
    return reply{.body = std::string(payload), .content_type = streamed_type};
}

}  // namespace

std::string function_url_of(const function_url_config& config, std::string_view origin) {
    return address_of(url_host, config.url_id, region_of(config.function_arn), origin) + "/";
}

std::string write_url_event(const function_url_config& config,
                            bool by_own_host,
                            const http_request& request,
                            const request_context& context) {
    return write_event_2(
        {.account_id = "anonymous",
         .api_id = config.url_id,
         .domain_name = domain_of(url_host, config.url_id, region_of(config.function_arn)),
         .by_own_host = by_own_host},
        request, context);
}

reply read_url_response(const function_url_config& config, const response& r) {
    if (!r.ok()) return bad_gateway();
    if (config.invoke_mode == "RESPONSE_STREAM")
        if (auto answer = streamed(r.payload)) return std::move(*answer);
    return read_inferred_answer(r.payload).value_or(bad_gateway());
}

std::optional<reply> read_prelude(std::string_view document) {
    boost::system::error_code ec;
    const json::value prelude = json::parse(to_json(document), ec);
    if (ec || !prelude.is_object()) return std::nullopt;
    return read_answer(prelude.get_object(), payload_format::v2, {.content_type = streamed_type});
}

reply write_url_failure(const error& e) {
    if (e == errc::init_failed) return bad_gateway();
    if (e == errc::not_ready) return make_error(aws_error::service_unavailable, e.message());
    return make_error(e);
}

}  // namespace hearth::http
