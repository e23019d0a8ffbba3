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

/// For as long as it takes on a slow machine.
template <class Condition>
bool eventually(Condition holds) {
    for (int i = 0; i < 3000; ++i) {
        if (holds()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
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

/// Of the function "f", without a region or account being asked for.
inline const std::string arn = "arn:aws:lambda:us-east-1:000000000000:function:f";

/// A control plane without a data directory, over the fake worker.
struct control_fixture {
    fake_worker worker;
    std::unique_ptr<control_plane> control = control_plane::create({}, worker).value();
    ~control_fixture() { worker.release(); }

    void create(const std::string& name, const std::string& mode = "echo") {
        control->create_function(creation(name, mode)).value();
        settle(*control, name);
    }
    function_configuration publish(const std::string& name) {
        const auto made = control->publish_version({.function_name = name}).value();
        return settle(*control, name + ":" + made.version);
    }
    /// So that the next `publish` has something to publish.
    void change(const std::string& name, const std::string& description) {
        update_function_configuration_request u;
        u.function_name = name;
        u.description = description;
        control->update_function_configuration(std::move(u)).value();
        settle(*control, name);
    }
};

}  // namespace hearth::test
