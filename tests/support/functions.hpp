#pragma once

/// A worker and versions of guest functions in it.

#include "image/package_image.hpp"
#include "worker/worker.hpp"

#include <hearth/package.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <utility>

namespace functions {

inline std::shared_ptr<const hearth::image::package_image> code(const std::string& guest) {
    return hearth::image::package_image::load(
               hearth::package::elf(std::string(HEARTH_GUESTS_DIR) + "/" + guest))
        .value();
}

inline hearth::worker::version_spec spec(const std::string& guest) {
    hearth::worker::version_spec s;
    s.function_name = guest;
    s.function_arn = "arn:aws:lambda:us-east-1:000000000000:function:" + guest;
    s.code = code(guest);
    s.handler = "bootstrap";
    s.memory = hearth::byte_count(128u << 20);
    s.timeout = std::chrono::seconds(10);
    s.ephemeral_storage = hearth::byte_count(512u << 20);
    return s;
}

inline hearth::worker::worker_options options() {
    hearth::worker::worker_options o;
    o.vcpu_threads = 2;
    o.region = "us-east-1";
    return o;
}

inline std::unique_ptr<hearth::worker::worker> make(hearth::worker::worker_options o = options()) {
    return hearth::worker::worker::create(std::move(o)).value();
}

inline hearth::worker::invocation event(std::string payload) {
    static std::atomic<int> serial{0};
    hearth::worker::invocation i;
    i.request_id = "00000000-0000-4000-8000-" + std::to_string(100000000000 + serial++);
    i.payload = std::move(payload);
    i.invoked_arn = "arn:invoked";
    return i;
}

}  // namespace functions
