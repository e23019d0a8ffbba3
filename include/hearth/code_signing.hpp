#pragma once

/// Code signing configurations: stored, given to functions and shown. Signatures are not looked at,
/// whatever a configuration says of untrusted packages.

#include <optional>
#include <string>
#include <vector>

namespace hearth {

struct code_signing_config {
    std::string id{};  ///< "csc-" and 17 of [0-9a-f]
    std::string arn{};
    std::string description{};
    std::vector<std::string> allowed_publishers{};          ///< ARNs of signing profiles' versions
    std::string untrusted_artifact_on_deployment = "Warn";  ///< or "Enforce"
    std::string last_modified{};
    bool operator==(const code_signing_config&) const = default;
};

/// Fields without a value: not given.
struct code_signing_request {
    std::optional<std::string> description{}, untrusted_artifact_on_deployment{};
    std::optional<std::vector<std::string>> allowed_publishers{};
};

struct code_signing_page {
    std::vector<code_signing_config> configs{};
    std::string next_marker{};
};

/// Of ListFunctionsByCodeSigningConfig.
struct function_arn_page {
    std::vector<std::string> function_arns{};
    std::string next_marker{};
};

}  // namespace hearth
