/// Functions: created, read, listed, changed, deleted; the account they are in.

#include "http/handlers.hpp"

namespace hearth::http {
namespace {

using boost::beast::http::status;

/// Versions are shown with theirs where UpdateFunctionCode published one.
std::string write_updated(const function_configuration& c) {
    return write_configuration(c, c.version == "$LATEST" ? std::string_view() : c.version);
}

}  // namespace

namespace handlers {

reply get_function(const call& c) {
    const auto found = c.control.get_function(c.asked.argument, c.asked.parameter("Qualifier"));
    return answer(found, [&](const function_description& d) {
        std::string location;
        if (d.has_zip && !c.origin.empty()) {
            location = std::string(c.origin) + "/_hearth/functions/" +
                       d.configuration.function_name;
            if (d.configuration.version != "$LATEST") location += ":" + d.configuration.version;
            location += "/code.zip";
        }
        return write_description(d, location);
    });
}

reply get_function_configuration(const call& c) {
    const auto found = c.control.get_function(c.asked.argument, c.asked.parameter("Qualifier"));
    return answer(found, [](const function_description& d) {
        return write_configuration(d.configuration, d.qualifier);
    });
}

reply list_functions(const call& c) {
    const auto items = max_items(c.asked);
    if (items.has_error()) return make_error(aws_error::serialization, items.error().message());
    const auto version = c.asked.parameter("FunctionVersion");
    if (!version.empty() && version != "ALL")
        return make_error(aws_error::validation, "1 validation error detected: Value '" +
                                                     std::string(version) +
                                                     "' at 'functionVersion' failed to satisfy "
                                                     "constraint: Member must satisfy enum value "
                                                     "set: [ALL]");
    const bool all = version == "ALL";
    return answer(c.control.list_functions(c.asked.parameter("Marker"), *items, all),
                  [&](const function_page& page) { return write_page(page, "Functions", all); });
}

reply create_function(const call& c) {
    auto request = read_create_function(c.body);
    if (request.has_error()) return refused(request.error());
    return answer(
        c.control.create_function(std::move(*request)),
        [](const function_configuration& f) { return write_configuration(f); }, status::created);
}

reply update_function_code(const call& c) {
    auto request = read_update_function_code(c.body);
    if (request.has_error()) return refused(request.error());
    request->function_name = c.asked.argument;
    return answer(c.control.update_function_code(std::move(*request)), write_updated);
}

reply update_function_configuration(const call& c) {
    auto request = read_update_function_configuration(c.body);
    if (request.has_error()) return refused(request.error());
    request->function_name = c.asked.argument;
    return answer(c.control.update_function_configuration(std::move(*request)), write_updated);
}

reply delete_function(const call& c) {
    return answer_nothing(
        c.control.delete_function(c.asked.argument, c.asked.parameter("Qualifier")));
}

reply get_account_settings(const call& c) {
    return {.body = write_account_settings(c.control.get_account_settings())};
}

reply download_code(const call& c) {
    auto zip = c.control.read_package(c.asked.argument);
    if (zip.has_error()) return make_error(zip.error());
    return {.body = std::move(*zip), .content_type = "application/zip"};
}

}  // namespace handlers
}  // namespace hearth::http
