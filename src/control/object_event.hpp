#pragma once

/// Events of Amazon S3's format. Pure.
///
/// @source S3 user guide, "Event message structure" (version 2.1).

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::control {

struct object_change {
    bool removed = false;
    std::string bucket{}, key{};
    std::uint64_t size = 0;
    std::string etag{};             ///< the content's MD5, in hex
    std::uint64_t sequencer = 0;    ///< a key's later change has a greater one
    std::int64_t milliseconds = 0;  ///< since 1970
    std::string configuration_id{}, request_id{}, region{}, account_id{};
};

std::string write_object_event(const object_change& c);

/// As S3 writes keys in events: percent-encoded, a space as '+', a slash as it is.
std::string encode_key(std::string_view key);

}  // namespace hearth::control
