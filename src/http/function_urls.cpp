/// The operations on function URL configurations.

#include "http/handlers.hpp"

namespace hearth::http::handlers {
reply create_function_url_config(const call& c) {
    auto request = read_create_function_url(c.body);
    if (request.has_error()) return refused(request.error());
    request->function_name = c.asked.argument;
    request->qualifier = c.asked.parameter("Qualifier");
    return answer(
        c.control.create_function_url_config(*request),
        [&](const function_url_config& u) { return write_function_url(u, c.origin, true); },
        boost::beast::http::status::created);
}

reply update_function_url_config(const call& c) {
    auto request = read_update_function_url(c.body);
    if (request.has_error()) return refused(request.error());
    request->function_name = c.asked.argument;
    request->qualifier = c.asked.parameter("Qualifier");
    return answer(
        c.control.update_function_url_config(*request),
        [&](const function_url_config& u) { return write_function_url(u, c.origin, false); });
}

reply get_function_url_config(const call& c) {
    return answer(
        c.control.get_function_url_config(c.asked.argument, c.asked.parameter("Qualifier")),
        [&](const function_url_config& u) { return write_function_url(u, c.origin, false); });
}

reply delete_function_url_config(const call& c) {
    return answer_nothing(
        c.control.delete_function_url_config(c.asked.argument, c.asked.parameter("Qualifier")));
}

reply list_function_url_configs(const call& c) {
    const auto items = max_items(c.asked);
    if (items.has_error()) return make_error(aws_error::serialization, items.error().message());
    return answer(
        c.control.list_function_url_configs(c.asked.argument, c.asked.parameter("Marker"), *items),
        [&](const function_url_page& page) { return write_page(page, c.origin); });
}

}  // namespace hearth::http::handlers
