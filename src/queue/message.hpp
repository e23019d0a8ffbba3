#pragma once

/// Messages as AWS checks, measures and hashes them. Pure.
///
/// Sources: SendMessage and MessageAttributeValue in the Amazon SQS API Reference; Developer Guide,
/// "Message attribute components", "Calculating the MD5 message digest for message attributes".

#include <hearth/queue.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::queues {

/// In hex.
std::string md5(std::string_view bytes);
std::string sha256(std::string_view bytes);

/// The bytes AWS hashes: of each attribute by name its name, its type, how its value is carried and
/// the value. They are also how attributes are stored.
std::string encode(const message_attributes& attributes);
/// What `encode` made; nothing if it did not.
std::optional<message_attributes> decode(std::string_view bytes);

/// The part of a message that counts against its size.
std::size_t size_of(const outgoing_message& m);

/// Whether the body and attributes are what a message may have.
/// @errors invalid_parameter_value, invalid_message_contents, missing_parameter
result<void> check_contents(const outgoing_message& m);

/// AWS's sentence of a value that is not among what a parameter may have.
error bad_value(std::string_view value, std::string_view parameter, std::string_view reason);

inline error fail(queue_errc code, std::string message) {
    return {make_error_code(code), std::move(message)};
}

}  // namespace hearth::queues
