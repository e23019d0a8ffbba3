#pragma once

#include <string>
#include <string_view>

namespace hearth {

/// Whose things these are: what ARNs are made of.
struct identity {
    std::string region, account;

    /// arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE
    [[nodiscard]] std::string arn(std::string_view service, std::string_view resource) const {
        std::string text = "arn:aws:";
        text.append(service).append(":").append(region).append(":").append(account).append(":");
        return text.append(resource);
    }
    /// The resource in an ARN of that service, region and account; empty in any other text.
    [[nodiscard]] std::string_view resource_in(std::string_view service,
                                               std::string_view text) const {
        const std::string prefix = arn(service, {});
        return text.starts_with(prefix) ? text.substr(prefix.size()) : std::string_view();
    }
};

}  // namespace hearth
