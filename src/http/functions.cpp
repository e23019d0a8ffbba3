/// Functions: created, read, listed, changed, deleted; the account they are in.

#include "http/authentication.hpp"
#include "http/handlers.hpp"

#include <hearth/sigv4.hpp>

#include <chrono>

namespace hearth::http {
namespace {

using boost::beast::http::status;

std::string code_link(const call& c, const function_configuration& f) {
    std::string path = "/_hearth/functions/" + f.function_name;
    if (f.version != "$LATEST") path += ":" + f.version;
    return link_to(c, path + "/code.zip");
}

/// Versions are shown with theirs where UpdateFunctionCode published one.
std::string write_updated(const function_configuration& c) {
    return write_configuration(c, c.version == "$LATEST" ? std::string_view() : c.version);
}

}  // namespace

std::string link_to(const call& c, const std::string& path) {
    if (!c.by) return std::string(c.origin) + path;
    const std::pair<std::string_view, std::string_view> host[] = {
        {"host", c.origin.substr(c.origin.find("//") + 2)}};
    return std::string(c.origin) +
           sigv4::presign({"GET", path, host}, {c.by->access_key_id, c.by->secret_access_key},
                          {"us-east-1", "lambda"}, std::chrono::system_clock::now(),
                          std::chrono::minutes(10));
}

namespace handlers {

reply get_function(const call& c) {
    const auto found = c.control.get_function(c.asked.argument, c.asked.parameter("Qualifier"));
    return answer(found, [&](const function_description& d) {
        std::string location;
        if (d.has_zip && !c.origin.empty()) location = code_link(c, d.configuration);
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
    if (auto no = denied(c.by, c.control, "CreateFunction", request->function_name)) return *no;
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
