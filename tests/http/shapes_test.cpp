#include "http/shapes.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

using namespace hearth;
using namespace hearth::literals;
using namespace std::chrono_literals;

TEST_CASE("every member of CreateFunction that AWS echoes is read and echoed") {
    const auto request = http::read_create_function(R"({
        "FunctionName": "f", "Runtime": "provided.al2", "Role": "r", "Handler": "h", "Code": {"ZipFile": "Zm9v"},
        "Description": "d", "Timeout": 7, "MemorySize": 300, "Publish": false, "PackageType": "Zip",
        "VpcConfig": {"SubnetIds": ["s"], "SecurityGroupIds": ["g"]}, "DeadLetterConfig": {"TargetArn": "arn:q"},
        "Environment": {"Variables": {"AB": "1"}}, "KMSKeyArn": "arn:k", "TracingConfig": {"Mode": "Active"},
        "Tags": {"t": "v"}, "Layers": ["arn:l"], "FileSystemConfigs": [{"Arn": "a", "LocalMountPath": "/mnt/x"}],
        "Architectures": ["x86_64"], "EphemeralStorage": {"Size": 600}, "SnapStart": {"ApplyOn": "PublishedVersions"},
        "LoggingConfig": {"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "SystemLogLevel": "DEBUG", "LogGroup": "lg"},
        "SomethingNew": {"x": 1}, "CodeSigningConfigArn": null})");
    REQUIRE(request.has_value());
    CHECK(request->zip_file == "foo");
    CHECK(request->tags.at("t") == "v");
    CHECK(request->settings.timeout == 7s);
    CHECK(request->settings.memory == 300_MiB);

    function_configuration c;
    c.function_name = "f";
    c.settings = request->settings;
    c.state = function_state::failed;
    c.state_reason = "because";
    c.state_reason_code = "FunctionError";
    const auto o = boost::json::parse(http::write_configuration(c));
    CHECK(o.at("Runtime").as_string() == "provided.al2");
    CHECK(o.at("Timeout").as_int64() == 7);
    CHECK(o.at("MemorySize").as_int64() == 300);
    CHECK(o.at("VpcConfig").at("SubnetIds").at(0).as_string() == "s");
    CHECK(o.at("DeadLetterConfig").at("TargetArn").as_string() == "arn:q");
    CHECK(o.at("Environment").at("Variables").at("AB").as_string() == "1");
    CHECK(o.at("KMSKeyArn").as_string() == "arn:k");
    CHECK(o.at("Layers").at(0).at("Arn").as_string() == "arn:l");
    CHECK(o.at("TracingConfig").at("Mode").as_string() == "Active");
    CHECK(o.at("FileSystemConfigs").at(0).at("LocalMountPath").as_string() == "/mnt/x");
    CHECK(o.at("Architectures").at(0).as_string() == "x86_64");
    CHECK(o.at("EphemeralStorage").at("Size").as_int64() == 600);
    CHECK(o.at("SnapStart").at("ApplyOn").as_string() == "PublishedVersions");
    CHECK(o.at("LoggingConfig").at("ApplicationLogLevel").as_string() == "WARN");
    CHECK(o.at("LoggingConfig").at("LogGroup").as_string() == "lg");
    CHECK(o.at("State").as_string() == "Failed");
    CHECK(o.at("StateReason").as_string() == "because");
    CHECK(o.at("PackageType").as_string() == "Zip");
    CHECK(o.at("Version").as_string() == "$LATEST");
    CHECK_FALSE(o.as_object().contains("LastUpdateStatusReason"));
}

TEST_CASE("what was never set is left out") {
    const auto o = boost::json::parse(http::write_configuration({})).as_object();
    for (const char* name : {"VpcConfig", "DeadLetterConfig", "Environment", "KMSKeyArn",
                             "FileSystemConfigs", "StateReason", "TenancyConfig"})
        CHECK_FALSE(o.contains(name));
}

TEST_CASE("a part of a second is rounded up, for AWS knows whole ones") {
    function_configuration c;
    c.settings.timeout = 1500ms;
    CHECK(boost::json::parse(http::write_configuration(c)).at("Timeout").as_int64() == 2);
}

TEST_CASE("an update says only what it changes") {
    const auto u = http::read_update_function_configuration(R"({"Timeout": 9, "Environment": {}})");
    REQUIRE(u.has_value());
    CHECK(u->timeout == 9s);
    CHECK(u->environment.has_value());
    CHECK(u->environment->empty());
    CHECK_FALSE(u->memory.has_value());
    CHECK_FALSE(u->role.has_value());
    CHECK_FALSE(u->vpc.has_value());
}
