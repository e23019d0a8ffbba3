#include "http/management.hpp"

#include "http/aws_error.hpp"
#include "http/metrics_text.hpp"
#include "http/shapes.hpp"

#include <algorithm>
#include <charconv>

namespace hearth::http {
namespace {

using boost::beast::http::status;

reply refused(const shape_fault& fault) {
    switch (fault.what) {
        case shape_fault::kind::not_json:
            return make_error(aws_error::invalid_request_content,
                              "Could not parse request body into json: " + fault.why.message());
        case shape_fault::kind::wrong_type:
            return make_error(aws_error::serialization, fault.why.message());
        case shape_fault::kind::refused:
            break;
    }
    return make_error(fault.why);
}

/// "name:qualifier" and ?Qualifier= mean the same.
std::string_view shown_qualifier(const route& asked) {
    if (const auto given = asked.parameter("Qualifier"); !given.empty()) return given;
    return asked.argument.ends_with(":$LATEST") ? "$LATEST" : "";
}

/// Only what can stand in a URL's authority; anything else gives no link.
bool is_authority(std::string_view host) {
    return !host.empty() && host.size() <= 255 && std::ranges::all_of(host, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view(".-:[]_").find(c) != std::string_view::npos;
    });
}

reply get_function(control_plane& control, const route& asked, std::string_view host) {
    auto found = control.get_function(asked.argument, asked.parameter("Qualifier"));
    if (found.has_error()) return make_error(found.error());
    std::string location;
    if (found->has_zip && is_authority(host))
        location = "http://" + std::string(host) + "/_hearth/functions/" +
                   found->configuration.function_name + "/code.zip";
    return {.body = write_description(*found, shown_qualifier(asked), location)};
}

reply get_configuration(control_plane& control, const route& asked) {
    auto found = control.get_function(asked.argument, asked.parameter("Qualifier"));
    if (found.has_error()) return make_error(found.error());
    return {.body = write_configuration(found->configuration, shown_qualifier(asked))};
}

reply list_functions(control_plane& control, const route& asked) {
    std::size_t max_items = 50;
    if (const auto text = asked.parameter("MaxItems"); !text.empty()) {
        const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), max_items);
        if (ec != std::errc() || end != text.data() + text.size())
            return make_error(aws_error::serialization, "MaxItems must be an integer");
    }
    if (const auto version = asked.parameter("FunctionVersion");
        !version.empty() && version != "ALL")
        return make_error(aws_error::validation, "1 validation error detected: Value '" +
                                                     std::string(version) +
                                                     "' at 'functionVersion' failed to satisfy "
                                                     "constraint: Member must satisfy enum value "
                                                     "set: [ALL]");
    auto page = control.list_functions(asked.parameter("Marker"), max_items);
    if (page.has_error()) return make_error(page.error());
    return {.body = write_page(*page)};
}

reply create_function(control_plane& control, std::string_view body) {
    auto request = read_create_function(body);
    if (request.has_error()) return refused(request.error());
    auto created = control.create_function(std::move(*request));
    if (created.has_error()) return make_error(created.error());
    return {.status = status::created, .body = write_configuration(*created)};
}

reply update_code(control_plane& control, const route& asked, std::string_view body) {
    auto request = read_update_function_code(body);
    if (request.has_error()) return refused(request.error());
    request->function_name = asked.argument;
    auto updated = control.update_function_code(std::move(*request));
    if (updated.has_error()) return make_error(updated.error());
    return {.body = write_configuration(*updated)};
}

reply update_configuration(control_plane& control, const route& asked, std::string_view body) {
    auto request = read_update_function_configuration(body);
    if (request.has_error()) return refused(request.error());
    request->function_name = asked.argument;
    auto updated = control.update_function_configuration(std::move(*request));
    if (updated.has_error()) return make_error(updated.error());
    return {.body = write_configuration(*updated)};
}

reply delete_function(control_plane& control, const route& asked) {
    auto deleted = control.delete_function(asked.argument, asked.parameter("Qualifier"));
    if (deleted.has_error()) return make_error(deleted.error());
    return {.status = status::no_content};
}

reply download(control_plane& control, const route& asked) {
    auto zip = control.read_package(asked.argument);
    if (zip.has_error()) return make_error(zip.error());
    return {.body = std::move(*zip), .content_type = "application/zip"};
}

}  // namespace

bool waits_for_disk(operation op) noexcept {
    switch (op) {
        case operation::create_function:
        case operation::update_function_code:
        case operation::update_function_configuration:
        case operation::delete_function:
        case operation::download_code:
        case operation::get_metrics:  // a thousand functions are megabytes of text
            return true;
        default:
            return false;
    }
}

reply manage(control_plane& control,
             const route& asked,
             std::string_view body,
             std::string_view host) {
    switch (asked.op) {
        case operation::get_metrics:
            return {.body = write_metrics(control.metrics()),
                    .content_type = std::string(metrics_content_type)};
        case operation::get_function:
            return get_function(control, asked, host);
        case operation::get_function_configuration:
            return get_configuration(control, asked);
        case operation::list_functions:
            return list_functions(control, asked);
        case operation::create_function:
            return create_function(control, body);
        case operation::update_function_code:
            return update_code(control, asked, body);
        case operation::update_function_configuration:
            return update_configuration(control, asked, body);
        case operation::delete_function:
            return delete_function(control, asked);
        case operation::get_account_settings:
            return {.body = write_account_settings(control.get_account_settings())};
        case operation::download_code:
            return download(control, asked);
        case operation::invoke:
        case operation::absent:
            break;
    }
    return make_error(aws_error::not_implemented,
                      std::string(asked.name) + " is not implemented by this server yet");
}

}  // namespace hearth::http
