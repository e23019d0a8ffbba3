#pragma once

/// The credentials a guest is given, and the document in which its SDK reads them.
///
/// @source Lambda guide, "Security and SnapStart" (container credentials instead of variables); AWS
///   SDKs and Tools guide, "Container credential provider"; botocore's ContainerMetadataFetcher

#include <hearth/function_credentials.hpp>

#include <chrono>
#include <string>
#include <string_view>

namespace hearth::worker {

/// Of the Runtime API, as in the emulator.
inline constexpr std::string_view credentials_path = "/2021-04-23/credentials";

/// Those of the source, or the placeholder.
function_credentials credentials_of(const credentials_source& source, const std::string& function);

/// {"AccessKeyId":…,"SecretAccessKey":…,"Token":…,"Expiration":…}; good for 20 minutes, so that an
/// SDK, which asks a quarter of an hour before the end, comes again soon.
std::string credentials_document(const function_credentials& c,
                                 std::chrono::system_clock::time_point now);

}  // namespace hearth::worker
