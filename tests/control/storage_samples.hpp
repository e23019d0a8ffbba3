#pragma once

#include "control/storage.hpp"
#include "image/sha256.hpp"

#include <chrono>
#include <string>

namespace hearth::test {

using namespace hearth::literals;

/// A function of which nothing is what it is by default.
inline control::stored_function sample(const std::string& name, const std::string& package) {
    control::stored_function f;
    auto& c = f.latest.current;
    c.function_name = name;
    c.function_arn = "arn:aws:lambda:us-east-1:000000000000:function:" + name;
    c.settings.role = "arn:aws:iam::000000000000:role/r";
    c.settings.handler = "h";
    c.settings.description = "d \"quoted\" \xC3\xBC";
    c.settings.timeout = std::chrono::milliseconds(1500);
    c.settings.memory = 256_MiB;
    c.settings.environment = {{"A1", "x"}, {"B1", ""}};
    c.settings.vpc.subnet_ids = {"subnet-1"};
    c.settings.file_systems = {{"arn:aws:x", "/mnt/a"}};
    c.settings.logging = {"JSON", "INFO", "WARN", "group"};
    c.settings.tenant_isolation = "PER_TENANT";
    c.code_sha256 = image::to_base64(image::sha256_of(package));
    c.code_size = package.size();
    c.state = function_state::active;
    c.last_update = update_status::failed;
    c.last_update_reason = "why";
    f.attributes.tags = {{"team", "a"}};
    return f;
}

/// What a package is called.
inline std::string hex(const std::string& package) {
    return image::to_hex(image::sha256_of(package));
}

}  // namespace hearth::test
