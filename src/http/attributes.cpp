/// Tags and event-invoke configurations.

#include "http/handlers.hpp"

namespace hearth::http::handlers {

reply tag_resource(const call& c) {
    const auto tags = read_tags(c.body);
    if (tags.has_error()) return refused(tags.error());
    return answer_nothing(c.control.tag_resource(c.asked.argument, *tags));
}

reply untag_resource(const call& c) {
    std::vector<std::string> keys;
    for (const auto& [name, value] : c.asked.query)
        if (name == "tagKeys") keys.push_back(value);
    return answer_nothing(c.control.untag_resource(c.asked.argument, keys));
}

reply list_tags(const call& c) { return answer(c.control.list_tags(c.asked.argument), write_tags); }

reply put_event_invoke_config(const call& c) {
    auto request = read_event_invoke(c.body);
    if (request.has_error()) return refused(request.error());
    request->function_name = c.asked.argument;
    request->qualifier = c.asked.parameter("Qualifier");
    return answer(c.control.put_event_invoke_config(*request), write_event_invoke);
}

reply update_event_invoke_config(const call& c) {
    auto request = read_event_invoke(c.body);
    if (request.has_error()) return refused(request.error());
    request->function_name = c.asked.argument;
    request->qualifier = c.asked.parameter("Qualifier");
    return answer(c.control.update_event_invoke_config(*request), write_event_invoke);
}

reply get_event_invoke_config(const call& c) {
    return answer(
        c.control.get_event_invoke_config(c.asked.argument, c.asked.parameter("Qualifier")),
        write_event_invoke);
}

reply delete_event_invoke_config(const call& c) {
    return answer_nothing(
        c.control.delete_event_invoke_config(c.asked.argument, c.asked.parameter("Qualifier")));
}

reply list_event_invoke_configs(const call& c) {
    const auto items = max_items(c.asked);
    if (items.has_error()) return make_error(aws_error::serialization, items.error().message());
    return answer(
        c.control.list_event_invoke_configs(c.asked.argument, c.asked.parameter("Marker"), *items),
        [](const event_invoke_page& page) { return write_page(page); });
}

}  // namespace hearth::http::handlers
