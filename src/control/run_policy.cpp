#include "control/run_policy.hpp"

#include "net/policy.hpp"

namespace hearth::control {
namespace {

error unknown_value(const std::string& variable, const std::string& value, const char* allowed) {
    return {errc::invalid_argument,
            "The environment variable " + variable + " is '" + value + "'; it must be " + allowed};
}

}  // namespace

result<run_policy> with_variables(run_policy policy,
                                  const std::map<std::string, std::string>& environment) {
    if (const auto v = environment.find("HEARTH_SNAPSHOT"); v != environment.end()) {
        if (v->second != "on" && v->second != "off")
            return unknown_value(v->first, v->second, "'on' or 'off'");
        policy.snapshot = v->second == "on";
    }
    if (const auto v = environment.find("HEARTH_ISOLATION"); v != environment.end()) {
        if (v->second == "environment")
            policy.isolation = isolation::environment;
        else if (v->second == "invocation")
            policy.isolation = isolation::invocation;
        else if (v->second == "tenant")
            policy.isolation = isolation::tenant;
        else
            return unknown_value(v->first, v->second, "'environment', 'invocation' or 'tenant'");
    }
    if (const auto v = environment.find("HEARTH_NETWORK"); v != environment.end()) {
        if (const auto parsed = net::policy::parse(v->second); parsed.has_error())
            return error(errc::invalid_argument,
                         "The environment variable HEARTH_NETWORK: " + parsed.error().message());
        policy.network = v->second;
    }
    return policy;
}

}  // namespace hearth::control
