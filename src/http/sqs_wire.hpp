#pragma once

/// The two encodings of SQS: JSON 1.0, which today's clients speak, and the older query protocol, a
/// form in and XML out. Both are read into the JSON protocol's document and written from it. Pure.
///
/// Source: botocore's models of sqs/2012-11-05 (1.29: query; 1.34: json).

#include "http/reply.hpp"
#include "http/service.hpp"

#include <hearth/error.hpp>

#include <boost/json.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace hearth::http::sqs {

inline boost::json::string_view json_text(std::string_view s) noexcept {
    return {s.data(), s.size()};
}

/// A form as the document that the JSON protocol would have had; Action and Version stay members.
/// Nothing when it is malformed.
std::optional<boost::json::object> read_form(std::string_view form);

/// An operation's answer.
reply write_answer(protocol how,
                   std::string_view operation,
                   bool has_result,
                   const boost::json::object& output,
                   std::string_view request_id);

/// @param e  of the queues, or of the library
reply write_error(protocol how, const error& e, std::string_view request_id);
/// What is not an operation's own: no such one, a document that cannot be read, and so on.
reply write_error(protocol how,
                  std::string_view type,
                  std::string_view query_code,
                  std::string_view message,
                  std::string_view request_id,
                  boost::beast::http::status status = boost::beast::http::status::bad_request);
/// One of Lambda's errors, as an access that was denied, in the words of this service.
reply translate(protocol how, const reply& refused, std::string_view request_id);

/// The code and fault of a batch entry's error.
struct entry_error {
    std::string_view code;
    bool is_senders = true;
};
entry_error entry_error_of(const error& e);

}  // namespace hearth::http::sqs
