/// The shapes of tags and of event-invoke configurations.

#include "http/json_reader.hpp"

namespace hearth::http {
namespace {

std::optional<std::uint64_t> whole_number(const reader& r, const char* name, const char* shown) {
    const auto n = r.number(name);
    if (!n) return std::nullopt;
    if (*n < 0)
        refuse(errc::invalid_argument, "1 validation error detected: Value '" + std::to_string(*n) +
                                           "' at '" + shown +
                                           "' failed to satisfy constraint: Member must have "
                                           "value greater than or equal to 0");
    return static_cast<std::uint64_t>(*n);
}

json::object event_invoke_object(const event_invoke_config& c) {
    const auto destination = [](const std::string& arn) {
        json::object o;
        if (!arn.empty()) o["Destination"] = arn;
        return o;
    };
    json::object o{
        {"LastModified", c.last_modified},
        {"FunctionArn", c.function_arn},
        {"DestinationConfig",
         {{"OnSuccess", destination(c.on_success)}, {"OnFailure", destination(c.on_failure)}}}};
    if (c.maximum_retry_attempts) o["MaximumRetryAttempts"] = *c.maximum_retry_attempts;
    if (c.maximum_event_age) o["MaximumEventAgeInSeconds"] = *c.maximum_event_age;
    return o;
}

}  // namespace

shaped<std::map<std::string, std::string>> read_tags(std::string_view body) {
    return read_document(body, [](const reader& r) {
        auto tags = r.text_map("Tags");
        if (!tags) must_not_be_null("tags");
        return std::move(*tags);
    });
}

shaped<event_invoke_request> read_event_invoke(std::string_view body) {
    return read_document(body, [](const reader& r) {
        event_invoke_request request;
        request.maximum_retry_attempts =
            whole_number(r, "MaximumRetryAttempts", "maximumRetryAttempts");
        request.maximum_event_age =
            whole_number(r, "MaximumEventAgeInSeconds", "maximumEventAgeInSeconds");
        if (const auto config = r.object("DestinationConfig")) {
            request.has_destinations = true;
            if (const auto on = config->object("OnSuccess"))
                request.on_success = on->text("Destination").value_or("");
            if (const auto on = config->object("OnFailure"))
                request.on_failure = on->text("Destination").value_or("");
        }
        return request;
    });
}

std::string write_tags(const std::map<std::string, std::string>& tags) {
    return json::serialize(json::object{{"Tags", json::value_from(tags)}});
}

std::string write_event_invoke(const event_invoke_config& c) {
    return json::serialize(event_invoke_object(c));
}

std::string write_page(const event_invoke_page& page) {
    json::array configs;
    for (const auto& each : page.configs) configs.push_back(event_invoke_object(each));
    json::object o{{"FunctionEventInvokeConfigs", std::move(configs)}};
    if (!page.next_marker.empty()) o["NextMarker"] = page.next_marker;
    return json::serialize(o);
}

}  // namespace hearth::http
