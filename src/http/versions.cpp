/// Versions and aliases.

#include "http/handlers.hpp"

namespace hearth::http::handlers {

using boost::beast::http::status;

reply publish_version(const call& c) {
    auto request = read_publish_version(c.body);
    if (request.has_error()) return refused(request.error());
    request->function_name = c.asked.argument;
    return answer(
        c.control.publish_version(std::move(*request)),
        [](const function_configuration& f) { return write_configuration(f, f.version); },
        status::created);
}

reply list_versions(const call& c) {
    const auto items = max_items(c.asked);
    if (items.has_error()) return make_error(aws_error::serialization, items.error().message());
    return answer(c.control.list_versions(c.asked.argument, c.asked.parameter("Marker"), *items),
                  [](const function_page& page) { return write_page(page, "Versions", true); });
}

reply create_alias(const call& c) {
    auto request = read_create_alias(c.body);
    if (request.has_error()) return refused(request.error());
    request->function_name = c.asked.argument;
    return answer(c.control.create_alias(std::move(*request)), write_alias, status::created);
}

reply get_alias(const call& c) {
    return answer(c.control.get_alias(c.asked.argument, c.asked.second), write_alias);
}

reply update_alias(const call& c) {
    auto request = read_update_alias(c.body);
    if (request.has_error()) return refused(request.error());
    request->function_name = c.asked.argument;
    request->name = c.asked.second;
    return answer(c.control.update_alias(std::move(*request)), write_alias);
}

reply delete_alias(const call& c) {
    return answer_nothing(c.control.delete_alias(c.asked.argument, c.asked.second));
}

reply list_aliases(const call& c) {
    const auto items = max_items(c.asked);
    if (items.has_error()) return make_error(aws_error::serialization, items.error().message());
    return answer(c.control.list_aliases(c.asked.argument, c.asked.parameter("FunctionVersion"),
                                         c.asked.parameter("Marker"), *items),
                  [](const alias_page& page) { return write_page(page); });
}

}  // namespace hearth::http::handlers
