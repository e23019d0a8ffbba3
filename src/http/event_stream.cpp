#include "http/event_stream.hpp"

#include <boost/crc.hpp>
#include <boost/endian/conversion.hpp>
#include <boost/json.hpp>

#include <cstdint>

namespace hearth::http {
namespace {

/// A message's payload has 16 MB at most for AWS's own clients; less is nicer to their buffers.
constexpr std::size_t max_chunk = 256 * 1024;
constexpr std::string_view event_message = "event";

template <class Integer>
void append(std::string& out, Integer value) {
    boost::endian::native_to_big_inplace(value);
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::uint32_t crc(std::string_view bytes) {
    boost::crc_32_type sum;
    sum.process_bytes(bytes.data(), bytes.size());
    return sum.checksum();
}

/// A header whose value is a string. Both are literals of ours and short.
void append_header(std::string& out, std::string_view name, std::string_view value) {
    constexpr char string_type = 7;
    append(out, static_cast<std::uint8_t>(name.size()));
    out.append(name).push_back(string_type);
    append(out, static_cast<std::uint16_t>(value.size()));
    out.append(value);
}

/// `kind`: an "event" or an "exception".
void append_message(std::string& out,
                    std::string_view kind,
                    std::string_view type,
                    std::string_view content_type,
                    std::string_view payload) {
    constexpr std::size_t prelude = 8, checksum = 4;
    std::string headers;
    append_header(headers, ':' + std::string(kind) + "-type", type);
    append_header(headers, ":content-type", content_type);
    append_header(headers, ":message-type", kind);
    const std::size_t start = out.size();
    append(out, static_cast<std::uint32_t>(prelude + checksum + headers.size() + payload.size() +
                                           checksum));
    append(out, static_cast<std::uint32_t>(headers.size()));
    append(out, crc({out.data() + start, prelude}));
    out.append(headers).append(payload);
    append(out, crc({out.data() + start, out.size() - start}));
}

}  // namespace

std::string payload_chunks(std::string_view bytes) {
    std::string out;
    while (!bytes.empty()) {
        const auto chunk = bytes.substr(0, max_chunk);
        append_message(out, event_message, "PayloadChunk", "application/octet-stream", chunk);
        bytes.remove_prefix(chunk.size());
    }
    return out;
}

std::string invoke_complete(std::string_view error_code,
                            std::string_view error_details,
                            std::string_view log_result) {
    boost::json::object told;
    if (!error_code.empty()) told["ErrorCode"] = error_code;
    if (!error_details.empty()) told["ErrorDetails"] = error_details;
    if (!log_result.empty()) told["LogResult"] = log_result;
    return json_event("InvokeComplete", boost::json::serialize(told));
}

std::string json_event(std::string_view type, std::string_view document) {
    std::string out;
    append_message(out, event_message, type, "application/json", document);
    return out;
}

std::string json_exception(std::string_view type, std::string_view document) {
    std::string out;
    append_message(out, "exception", type, "application/json", document);
    return out;
}

}  // namespace hearth::http
