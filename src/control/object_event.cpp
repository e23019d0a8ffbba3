#include "control/object_event.hpp"

#include "control/ascii.hpp"

#include <boost/json.hpp>

#include <time.h>

#include <cstdio>

namespace hearth::control {
namespace {

/// "2023-04-05T06:07:08.123Z"
std::string iso_time(std::int64_t milliseconds) {
    const time_t at = milliseconds / 1000;
    tm utc{};
    ::gmtime_r(&at, &utc);
    char text[64];
    std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900,
                  utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                  static_cast<int>(milliseconds % 1000));
    return text;
}

std::string hex(std::uint64_t n) {
    char text[32];
    std::snprintf(text, sizeof text, "%018llX", static_cast<unsigned long long>(n));
    return text;
}

}  // namespace

std::string encode_key(std::string_view key) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : key) {
        if (is_alnum(c) || c == '-' || c == '_' || c == '.' || c == '*' || c == '/') {
            out += c;
        } else if (c == ' ') {
            out += '+';
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out += '%';
            out += digits[byte >> 4];
            out += digits[byte & 15];
        }
    }
    return out;
}

std::string write_object_event(const object_change& c) {
    boost::json::object object{{"key", encode_key(c.key)}, {"sequencer", hex(c.sequencer)}};
    if (!c.removed) {
        object["size"] = c.size;
        object["eTag"] = c.etag;
    }
    const boost::json::object record{
        {"eventVersion", "2.1"},
        {"eventSource", "aws:s3"},
        {"awsRegion", c.region},
        {"eventTime", iso_time(c.milliseconds)},
        {"eventName", c.removed ? "ObjectRemoved:Delete" : "ObjectCreated:Put"},
        {"userIdentity", {{"principalId", c.account_id}}},
        {"requestParameters", {{"sourceIPAddress", "127.0.0.1"}}},
        {"responseElements", {{"x-amz-request-id", c.request_id}, {"x-amz-id-2", c.request_id}}},
        {"s3",
         {{"s3SchemaVersion", "1.0"},
          {"configurationId", c.configuration_id},
          {"bucket",
           {{"name", c.bucket},
            {"ownerIdentity", {{"principalId", c.account_id}}},
            {"arn", "arn:aws:s3:::" + c.bucket}}},
          {"object", std::move(object)}}}};
    return boost::json::serialize(
        boost::json::object{{"Records", boost::json::array{boost::json::value(record)}}});
}

}  // namespace hearth::control
