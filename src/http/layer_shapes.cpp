/// The shapes of layers.

#include "http/json_reader.hpp"

namespace hearth::http {
namespace {

json::object listed(const layer_version& l) {
    json::object o{{"LayerVersionArn", l.version_arn},
                   {"Version", l.version},
                   {"Description", l.description},
                   {"CreatedDate", l.created_date}};
    if (!l.compatible_runtimes.empty())
        o["CompatibleRuntimes"] = json::value_from(l.compatible_runtimes);
    if (!l.compatible_architectures.empty())
        o["CompatibleArchitectures"] = json::value_from(l.compatible_architectures);
    if (!l.license_info.empty()) o["LicenseInfo"] = l.license_info;
    return o;
}

void add_marker(const layer_page& page, json::object& to) {
    if (!page.next_marker.empty()) to["NextMarker"] = page.next_marker;
}

}  // namespace

shaped<publish_layer_request> read_publish_layer(std::string_view body) {
    return read_document(body, [](const reader& r) {
        const auto list = [&](const char* name) {
            return r.texts(name).value_or(std::vector<std::string>());
        };
        const auto content = r.object("Content");
        if (!content) must_not_be_null("content");
        return publish_layer_request{.zip_file = zip_file(*content),
                                     .description = r.text("Description").value_or(""),
                                     .license_info = r.text("LicenseInfo").value_or(""),
                                     .compatible_runtimes = list("CompatibleRuntimes"),
                                     .compatible_architectures = list("CompatibleArchitectures")};
    });
}

std::string write_layer(const layer_version& l, std::string_view location) {
    json::object o = listed(l);
    o["LayerArn"] = l.layer_arn;
    json::object content{{"CodeSha256", l.code_sha256}, {"CodeSize", l.code_size}};
    if (!location.empty())
        content["Location"] = json::string_view(location.data(), location.size());
    o["Content"] = std::move(content);
    return json::serialize(o);
}

std::string write_layers(const layer_page& page) {
    json::array layers;
    for (const layer_version& each : page.layers)
        layers.push_back({{"LayerName", each.name},
                          {"LayerArn", each.layer_arn},
                          {"LatestMatchingVersion", listed(each)}});
    json::object o{{"Layers", std::move(layers)}};
    add_marker(page, o);
    return json::serialize(o);
}

std::string write_layer_versions(const layer_page& page) {
    json::array versions;
    for (const layer_version& each : page.layers) versions.push_back(listed(each));
    json::object o{{"LayerVersions", std::move(versions)}};
    add_marker(page, o);
    return json::serialize(o);
}

}  // namespace hearth::http
