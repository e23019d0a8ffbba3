/// The shapes of reserved and provisioned concurrency.

#include "http/json_reader.hpp"

#include <algorithm>

namespace hearth::http {
namespace {

/// AWS's integers have 32 bits.
constexpr std::int64_t most = 0x7fff'ffff;

shaped<std::size_t> read_executions(std::string_view body, const char* name, const char* shown) {
    return read_document(body, [&](const reader& r) {
        const auto n = r.number(name);
        if (!n) must_not_be_null(shown);
        if (*n < 0)
            refuse(errc::invalid_argument,
                   "1 validation error detected: Value '" + std::to_string(*n) + "' at '" + shown +
                       "' failed to satisfy constraint: Member must have value greater than or "
                       "equal to 0");
        return static_cast<std::size_t>(std::min(*n, most));
    });
}

json::object provisioned_object(const provisioned_concurrency& p) {
    const std::string_view status = to_string(p.status);
    json::object o{{"RequestedProvisionedConcurrentExecutions", p.requested},
                   {"AvailableProvisionedConcurrentExecutions", p.available},
                   {"AllocatedProvisionedConcurrentExecutions", p.available},
                   {"Status", json::string_view(status.data(), status.size())},
                   {"LastModified", p.last_modified}};
    if (!p.status_reason.empty()) o["StatusReason"] = printable(p.status_reason);
    return o;
}

}  // namespace

shaped<std::size_t> read_reserved_concurrency(std::string_view body) {
    return read_executions(body, "ReservedConcurrentExecutions", "reservedConcurrentExecutions");
}

shaped<std::size_t> read_provisioned_concurrency(std::string_view body) {
    return read_executions(body, "ProvisionedConcurrentExecutions",
                           "provisionedConcurrentExecutions");
}

std::string write_reserved_concurrency(std::optional<std::size_t> reserved) {
    json::object o;
    if (reserved) o["ReservedConcurrentExecutions"] = *reserved;
    return json::serialize(o);
}

std::string write_provisioned_concurrency(const provisioned_concurrency& p) {
    return json::serialize(provisioned_object(p));
}

std::string write_page(const provisioned_concurrency_page& page) {
    json::array configs;
    for (const auto& each : page.configs) {
        json::object o = provisioned_object(each);
        o["FunctionArn"] = each.function_arn;
        configs.push_back(std::move(o));
    }
    json::object o{{"ProvisionedConcurrencyConfigs", std::move(configs)}};
    if (!page.next_marker.empty()) o["NextMarker"] = page.next_marker;
    return json::serialize(o);
}

}  // namespace hearth::http
