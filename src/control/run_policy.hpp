#pragma once

/// How a function's environments are kept and isolated. The API of AWS has a field for tenants
/// only, so a function may say it in its environment variables; these stand above what `deploy` was
/// given:
///
///   HEARTH_SNAPSHOT   on | off
///   HEARTH_ISOLATION  environment | invocation | tenant
///   HEARTH_NETWORK    none | all | a list: see net/policy.hpp

#include <hearth/error.hpp>
#include <hearth/pool_policy.hpp>

#include <map>
#include <string>

namespace hearth::control {

struct run_policy {
    pool_policy pool;
    hearth::isolation isolation = isolation::environment;
    bool snapshot = true;
    std::string network = "none";
};

/// @errors errc::invalid_argument: a value that is none of the above
result<run_policy> with_variables(run_policy policy,
                                  const std::map<std::string, std::string>& environment);

}  // namespace hearth::control
