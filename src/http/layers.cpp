/// The operations on layers.

#include "http/handlers.hpp"

#include <charconv>

namespace hearth::http::handlers {
namespace {

using boost::beast::http::status;

/// Of the path; zero, which no version has, where it is none.
std::uint64_t version_of(const call& c) {
    const std::string& text = c.asked.second;
    std::uint64_t n = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
    return ec == std::errc() && end == text.data() + text.size() ? n : 0;
}

layer_filter filter_of(const call& c) {
    return {std::string(c.asked.parameter("CompatibleRuntime")),
            std::string(c.asked.parameter("CompatibleArchitecture"))};
}

auto shown_to(const call& c) {
    return [&c](const layer_version& l) {
        std::string location;
        if (!c.origin.empty())
            location = link_to(
                c, "/_hearth/layers/" + l.name + "/" + std::to_string(l.version) + "/content.zip");
        return write_layer(l, location);
    };
}

}  // namespace

reply publish_layer_version(const call& c) {
    auto request = read_publish_layer(c.body);
    if (request.has_error()) return refused(request.error());
    request->layer_name = c.asked.argument;
    return answer(c.control.publish_layer_version(std::move(*request)), shown_to(c),
                  status::created);
}

reply get_layer_version(const call& c) {
    return answer(c.control.get_layer_version(c.asked.argument, version_of(c)), shown_to(c));
}

reply get_layer_version_by_arn(const call& c) {
    return answer(c.control.get_layer_version_by_arn(c.asked.parameter("Arn")), shown_to(c));
}

reply list_layers(const call& c) {
    const auto items = max_items(c.asked);
    if (items.has_error()) return make_error(aws_error::serialization, items.error().message());
    return answer(c.control.list_layers(filter_of(c), c.asked.parameter("Marker"), *items),
                  write_layers);
}

reply list_layer_versions(const call& c) {
    const auto items = max_items(c.asked);
    if (items.has_error()) return make_error(aws_error::serialization, items.error().message());
    return answer(c.control.list_layer_versions(c.asked.argument, filter_of(c),
                                                c.asked.parameter("Marker"), *items),
                  write_layer_versions);
}

reply delete_layer_version(const call& c) {
    return answer_nothing(c.control.delete_layer_version(c.asked.argument, version_of(c)));
}

reply download_layer(const call& c) {
    auto zip = c.control.read_layer(c.asked.argument, version_of(c));
    if (zip.has_error()) return make_error(zip.error());
    return {.body = std::move(*zip), .content_type = "application/zip"};
}

reply add_layer_version_permission(const call& c) {
    auto request = read_permission(c.body);
    if (request.has_error()) return refused(request.error());
    request->revision_id = c.asked.parameter("RevisionId");
    return answer(
        c.control.add_layer_permission(c.asked.argument, version_of(c), *request),
        [](const policy_description& p) { return write_policy(p, "Statement"); }, status::created);
}

reply remove_layer_version_permission(const call& c) {
    return answer_nothing(c.control.remove_layer_permission(
        c.asked.argument, version_of(c), c.asked.third, c.asked.parameter("RevisionId")));
}

reply get_layer_version_policy(const call& c) {
    return answer(c.control.get_layer_policy(c.asked.argument, version_of(c)),
                  [](const policy_description& p) { return write_policy(p, "Policy"); });
}

}  // namespace hearth::http::handlers
