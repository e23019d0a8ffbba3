#pragma once

#include "fake_worker.hpp"
#include "temporary_directory.hpp"
#include "zip_maker.hpp"

#include <hearth/control.hpp>

#include <chrono>
#include <thread>

namespace hearth::test {

/// A package that passes check_entry_point anywhere.
inline std::string script_zip(const std::string& text = "") {
    return zip_maker().file("bootstrap", "#!/bin/sh\n" + text, 0755).bytes();
}

inline create_function_request creation(const std::string& name, const std::string& mode = "echo") {
    create_function_request r;
    r.function_name = name;
    r.zip_file = script_zip();
    r.settings.role = "arn:aws:iam::000000000000:role/r";
    r.settings.handler = "bootstrap";
    r.settings.environment = {{"MODE", mode}};
    return r;
}

/// Polls until the function is neither Pending nor being updated.
inline function_configuration settle(const control_plane& control, const std::string& name) {
    for (int i = 0; i < 1000; ++i) {
        auto d = control.get_function(name);
        if (d && d->configuration.state != function_state::pending &&
            d->configuration.last_update != update_status::in_progress)
            return d->configuration;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    throw std::runtime_error(name + " never settled");
}

}  // namespace hearth::test
