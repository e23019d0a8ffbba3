#pragma once

/// AWS's JSON protocol, as its services but Lambda speak it: the operation in X-Amz-Target, errors
/// told by their type. Pure.

#include "http/reply.hpp"

#include <boost/json/object.hpp>

#include <string_view>

namespace hearth::http::json_protocol {

inline constexpr std::string_view content_type = "application/x-amz-json-1.1";

reply answer(const boost::json::object& output);
reply fault(std::string_view type,
            std::string_view message,
            boost::beast::http::status status = boost::beast::http::status::bad_request);
/// One of Lambda's errors in this form.
reply translate(const reply& error);

}  // namespace hearth::http::json_protocol
