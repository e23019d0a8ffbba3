#include "http/json_protocol.hpp"

#include "http/text.hpp"

#include <boost/json.hpp>

#include <string>

namespace hearth::http::json_protocol {

namespace json = boost::json;
using boost::beast::http::status;

reply answer(const json::object& output) {
    return {.body = json::serialize(output), .content_type = std::string(content_type)};
}

reply fault(std::string_view type, std::string_view message, status code) {
    const json::object body{{"__type", json::string_view(type.data(), type.size())},
                            {"message", printable(message)}};
    return {.status = code,
            .body = json::serialize(body),
            .content_type = std::string(content_type),
            .headers = {{"x-amzn-ErrorType", std::string(type)}}};
}

reply translate(const reply& error) {
    std::string type = "InternalFailure", message;
    for (const auto& [name, value] : error.headers)
        if (name == "x-amzn-ErrorType") type = value;
    boost::system::error_code ec;
    const auto body = json::parse(error.body, ec);
    if (!ec && body.is_object())
        for (const char* key : {"message", "Message"})
            if (const auto* m = body.as_object().if_contains(key); m && m->is_string())
                message.assign(m->as_string().data(), m->as_string().size());
    // In this protocol the type alone tells a caller's faults apart.
    const bool is_plain = error.status == status::forbidden || error.status == status::not_found;
    return fault(type, message, is_plain ? status::bad_request : error.status);
}

}  // namespace hearth::http::json_protocol
