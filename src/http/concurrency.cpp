/// Reserved and provisioned concurrency.

#include "http/handlers.hpp"

namespace hearth::http::handlers {

using boost::beast::http::status;

reply put_function_concurrency(const call& c) {
    const auto reserved = read_reserved_concurrency(c.body);
    if (reserved.has_error()) return refused(reserved.error());
    const auto put = c.control.put_function_concurrency(c.asked.argument, *reserved);
    if (put.has_error()) return make_error(put.error());
    return {.body = write_reserved_concurrency(*reserved)};
}

reply get_function_concurrency(const call& c) {
    return answer(c.control.get_function_concurrency(c.asked.argument), write_reserved_concurrency);
}

reply delete_function_concurrency(const call& c) {
    return answer_nothing(c.control.delete_function_concurrency(c.asked.argument));
}

reply put_provisioned_concurrency_config(const call& c) {
    const auto requested = read_provisioned_concurrency(c.body);
    if (requested.has_error()) return refused(requested.error());
    return answer(c.control.put_provisioned_concurrency(c.asked.argument,
                                                        c.asked.parameter("Qualifier"), *requested),
                  write_provisioned_concurrency, status::accepted);
}

reply get_provisioned_concurrency_config(const call& c) {
    return answer(
        c.control.get_provisioned_concurrency(c.asked.argument, c.asked.parameter("Qualifier")),
        write_provisioned_concurrency);
}

reply delete_provisioned_concurrency_config(const call& c) {
    return answer_nothing(
        c.control.delete_provisioned_concurrency(c.asked.argument, c.asked.parameter("Qualifier")));
}

reply list_provisioned_concurrency_configs(const call& c) {
    const auto items = max_items(c.asked);
    if (items.has_error()) return make_error(aws_error::serialization, items.error().message());
    return answer(c.control.list_provisioned_concurrency(c.asked.argument,
                                                         c.asked.parameter("Marker"), *items),
                  [](const provisioned_concurrency_page& page) { return write_page(page); });
}

}  // namespace hearth::http::handlers
