/// The operations on code signing configurations, and their shapes.

#include "http/handlers.hpp"
#include "http/json_reader.hpp"

namespace hearth::http::handlers {
namespace {

using boost::beast::http::status;

shaped<code_signing_request> read_code_signing(std::string_view body, bool is_new) {
    return read_document(body, [&](const reader& r) {
        code_signing_request request{.description = r.text("Description")};
        if (const auto publishers = r.object("AllowedPublishers"))
            request.allowed_publishers = publishers->texts("SigningProfileVersionArns");
        if (is_new && !request.allowed_publishers) must_not_be_null("allowedPublishers");
        if (const auto policies = r.object("CodeSigningPolicies"))
            request.untrusted_artifact_on_deployment =
                policies->text("UntrustedArtifactOnDeployment");
        return request;
    });
}

json::object shown(const code_signing_config& c) {
    json::object o{{"CodeSigningConfigId", c.id},
                   {"CodeSigningConfigArn", c.arn},
                   {"AllowedPublishers",
                    {{"SigningProfileVersionArns", json::value_from(c.allowed_publishers)}}},
                   {"CodeSigningPolicies",
                    {{"UntrustedArtifactOnDeployment", c.untrusted_artifact_on_deployment}}},
                   {"LastModified", c.last_modified}};
    if (!c.description.empty()) o["Description"] = c.description;
    return o;
}

std::string write_code_signing(const code_signing_config& c) {
    return json::serialize(json::object{{"CodeSigningConfig", shown(c)}});
}

std::string write_of_function(std::string_view asked, const std::string& arn) {
    json::object o{{"FunctionName", json::string_view(asked.data(), asked.size())}};
    if (!arn.empty()) o["CodeSigningConfigArn"] = arn;
    return json::serialize(o);
}

}  // namespace

reply create_code_signing_config(const call& c) {
    const auto request = read_code_signing(c.body, true);
    if (request.has_error()) return refused(request.error());
    return answer(c.control.create_code_signing_config(*request), write_code_signing,
                  status::created);
}

reply update_code_signing_config(const call& c) {
    const auto request = read_code_signing(c.body, false);
    if (request.has_error()) return refused(request.error());
    return answer(c.control.update_code_signing_config(c.asked.argument, *request),
                  write_code_signing);
}

reply get_code_signing_config(const call& c) {
    return answer(c.control.get_code_signing_config(c.asked.argument), write_code_signing);
}

reply delete_code_signing_config(const call& c) {
    return answer_nothing(c.control.delete_code_signing_config(c.asked.argument));
}

reply list_code_signing_configs(const call& c) {
    const auto items = max_items(c.asked);
    if (items.has_error()) return make_error(aws_error::serialization, items.error().message());
    return answer(c.control.list_code_signing_configs(c.asked.parameter("Marker"), *items),
                  [](const code_signing_page& page) {
                      json::array configs;
                      for (const auto& each : page.configs) configs.push_back(shown(each));
                      json::object o{{"CodeSigningConfigs", std::move(configs)}};
                      if (!page.next_marker.empty()) o["NextMarker"] = page.next_marker;
                      return json::serialize(o);
                  });
}

reply list_functions_by_code_signing_config(const call& c) {
    const auto items = max_items(c.asked);
    if (items.has_error()) return make_error(aws_error::serialization, items.error().message());
    return answer(c.control.list_functions_by_code_signing_config(
                      c.asked.argument, c.asked.parameter("Marker"), *items),
                  [](const function_arn_page& page) {
                      json::object o{{"FunctionArns", json::value_from(page.function_arns)}};
                      if (!page.next_marker.empty()) o["NextMarker"] = page.next_marker;
                      return json::serialize(o);
                  });
}

reply put_function_code_signing_config(const call& c) {
    const auto arn = read_document(c.body, [](const reader& r) {
        return r.required_text("CodeSigningConfigArn", "codeSigningConfigArn");
    });
    if (arn.has_error()) return refused(arn.error());
    const auto put = c.control.put_function_code_signing_config(c.asked.argument, *arn);
    if (put.has_error()) return make_error(put.error());
    return {.body = write_of_function(c.asked.argument, *arn)};
}

reply get_function_code_signing_config(const call& c) {
    return answer(c.control.get_function_code_signing_config(c.asked.argument),
                  [&](const std::string& arn) { return write_of_function(c.asked.argument, arn); });
}

reply delete_function_code_signing_config(const call& c) {
    return answer_nothing(c.control.put_function_code_signing_config(c.asked.argument, {}));
}

}  // namespace hearth::http::handlers
