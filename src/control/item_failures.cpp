#include "control/item_failures.hpp"

#include <boost/json.hpp>

namespace hearth::control {

namespace json = boost::json;

std::optional<std::set<std::string, std::less<>>> item_failures(
    std::string_view answer, const std::set<std::string, std::less<>>& ids) {
    using failures = std::set<std::string, std::less<>>;
    boost::system::error_code ec;
    const json::value said = json::parse({answer.data(), answer.size()}, ec);
    if (ec) return std::nullopt;
    if (said.is_null()) return failures();
    const json::object* o = said.if_object();
    if (!o) return std::nullopt;
    const json::value* list = o->if_contains("batchItemFailures");
    if (!list || list->is_null()) return failures();
    if (!list->is_array()) return std::nullopt;
    failures found;
    for (const json::value& each : list->get_array()) {
        const json::object* item = each.if_object();
        const json::value* id = item ? item->if_contains("itemIdentifier") : nullptr;
        if (!id || !id->is_string()) return std::nullopt;
        const std::string_view text(id->get_string().data(), id->get_string().size());
        if (!ids.contains(text)) return std::nullopt;  // an empty one too
        found.emplace(text);
    }
    return found;
}

}  // namespace hearth::control
