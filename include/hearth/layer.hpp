#pragma once

/// Layers: zips that functions see merged at /opt. A version of a layer never changes; functions
/// that use one keep it also when it is deleted.

#include <cstdint>
#include <string>
#include <vector>

namespace hearth {

/// A layer's version as a function uses it. Callers give the ARN; the rest is found with it.
struct layer_reference {
    std::string arn{};  ///< with the version
    std::string code_sha256{};
    std::uint64_t code_size = 0, unzipped_size = 0;
    bool operator==(const layer_reference&) const = default;
};

/// AWS's LayerVersion.
struct layer_version {
    std::string name{};
    std::uint64_t version = 0;
    std::string layer_arn{}, version_arn{};
    std::string description{}, license_info{};
    std::vector<std::string> compatible_runtimes{}, compatible_architectures{};
    std::string created_date{};  ///< "2023-04-05T06:07:08.123+0000"
    std::string code_sha256{};   ///< base64
    std::uint64_t code_size = 0, unzipped_size = 0;
    bool operator==(const layer_version&) const = default;
};

struct publish_layer_request {
    std::string layer_name{};  ///< plain, or an ARN without a version
    std::string zip_file{};    ///< the bytes
    std::string description{}, license_info{};
    std::vector<std::string> compatible_runtimes{}, compatible_architectures{};
};

/// Which layers a listing shows; empty: all.
struct layer_filter {
    std::string compatible_runtime{}, compatible_architecture{};
};

/// Of ListLayers (the newest version of each that matches, by name) or ListLayerVersions (the
/// newest first).
struct layer_page {
    std::vector<layer_version> layers{};
    std::string next_marker{};
};

}  // namespace hearth
