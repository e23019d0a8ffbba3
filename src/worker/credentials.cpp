#include "worker/credentials.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

namespace hearth::worker {

function_credentials credentials_of(const credentials_source& source, const std::string& function) {
    function_credentials c;
    if (source) c = source(function);
    if (c.access_key_id.empty()) c = {no_credentials_id, "none", ""};
    return c;
}

std::string credentials_document(const function_credentials& c,
                                 std::chrono::system_clock::time_point now) {
    constexpr std::chrono::minutes good_for(20);
    const std::time_t end = std::chrono::system_clock::to_time_t(now + good_for);
    return boost::json::serialize(boost::json::object{
        {"AccessKeyId", c.access_key_id},
        {"SecretAccessKey", c.secret_access_key},
        {"Token", c.session_token},
        {"Expiration", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(end))}});
}

}  // namespace hearth::worker
