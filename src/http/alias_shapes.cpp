/// The shapes of versions and aliases.

#include "http/json_reader.hpp"

namespace hearth::http {
namespace {

std::optional<std::map<std::string, double>> weights(const reader& r) {
    const auto routing = r.object("RoutingConfig");
    if (!routing) return std::nullopt;
    return routing->number_map("AdditionalVersionWeights")
        .value_or(std::map<std::string, double>());
}

json::object alias_object(const alias_configuration& a) {
    json::object o{{"AliasArn", a.alias_arn},
                   {"Name", a.name},
                   {"FunctionVersion", a.function_version},
                   {"Description", a.description},
                   {"RevisionId", a.revision_id}};
    if (!a.additional_version_weights.empty())
        o["RoutingConfig"] = {
            {"AdditionalVersionWeights", json::value_from(a.additional_version_weights)}};
    return o;
}

}  // namespace

shaped<publish_version_request> read_publish_version(std::string_view body) {
    return read_document(body.empty() ? "{}" : body, [](const reader& r) {
        publish_version_request request;
        request.code_sha256 = r.text("CodeSha256").value_or("");
        request.revision_id = r.text("RevisionId").value_or("");
        request.description = r.text("Description");
        return request;
    });
}

shaped<create_alias_request> read_create_alias(std::string_view body) {
    return read_document(body, [](const reader& r) {
        create_alias_request request;
        request.name = r.required_text("Name", "name");
        request.function_version = r.required_text("FunctionVersion", "functionVersion");
        request.description = r.text("Description").value_or("");
        if (auto given = weights(r)) request.additional_version_weights = std::move(*given);
        return request;
    });
}

shaped<update_alias_request> read_update_alias(std::string_view body) {
    return read_document(body, [](const reader& r) {
        update_alias_request request;
        request.revision_id = r.text("RevisionId").value_or("");
        request.function_version = r.text("FunctionVersion");
        request.description = r.text("Description");
        request.additional_version_weights = weights(r);
        return request;
    });
}

std::string write_alias(const alias_configuration& a) { return json::serialize(alias_object(a)); }

std::string write_page(const alias_page& page) {
    json::array aliases;
    for (const auto& each : page.aliases) aliases.push_back(alias_object(each));
    json::object o{{"Aliases", std::move(aliases)}};
    if (!page.next_marker.empty()) o["NextMarker"] = page.next_marker;
    return json::serialize(o);
}

}  // namespace hearth::http
