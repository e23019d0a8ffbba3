#pragma once

/// A function's answer in AWS's proxy form, {"statusCode": …, "headers": …, "body": …}, as an HTTP
/// response. Whatever a hostile function writes becomes a response or none. Pure.

#include "http/reply.hpp"

#include <boost/json/object.hpp>

#include <optional>
#include <string>

namespace hearth::http {

/// What payload formats have beside status, headers and body: 2.0 `cookies`, 1.0
/// `multiValueHeaders`, which stand over the single ones.
enum class payload_format { v1, v2 };

/// `otherwise` has what is not given. Nothing: it cannot be a response.
std::optional<reply> read_answer(const boost::json::object& answer,
                                 payload_format format,
                                 reply otherwise = {});

/// Format 2.0's: without a statusCode any JSON document is the body of a 200, a string as its text.
std::optional<reply> read_inferred_answer(const std::string& payload);

}  // namespace hearth::http
