#include "worker/extensions.hpp"

#include "base/uuid.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hearth::worker {
namespace {

namespace json = boost::json;

std::string_view name_of(extensions::stage s) {
    constexpr std::string_view names[] = {"Started", "Registered", "Ready",
                                          "Running", "Failed",     "Exited"};
    return names[static_cast<std::size_t>(s)];
}

extensions::answer refused(std::string_view type, std::string_view message) {
    return {403, plain_error_document(type, message), {}};
}

extensions::answer wrong_state(extensions::stage from,
                               std::string_view to,
                               std::string_view extension) {
    return refused("Extension.InvalidExtensionState",
                   fmt::format("State transition from {} to {} failed for extension {}. Error: "
                               "State transition is not allowed",
                               name_of(from), to, extension));
}

/// {"events":["INVOKE","SHUTDOWN"]} as bits, or why it is refused.
std::uint8_t read_events(std::string_view body, bool external, extensions::answer& refusal) {
    boost::system::error_code ec;
    const auto value = json::parse({body.data(), body.size()}, ec);
    const auto bad = [&](std::string_view what) {
        refusal = refused("InvalidRequestFormat", what);
        return std::uint8_t{0};
    };
    if (ec || !value.is_object())
        return bad(R"(the body is not a JSON object like {"events":["INVOKE","SHUTDOWN"]})");
    std::uint8_t events = 0;
    const auto* list = value.as_object().if_contains("events");
    if (!list || list->is_null()) return 0;
    if (!list->is_array()) return bad("events is not a list");
    for (const auto& entry : list->as_array()) {
        if (!entry.is_string()) return bad("events has something that is no text");
        const std::string_view name(entry.as_string().data(), entry.as_string().size());
        if (name == "INVOKE") {
            events |= static_cast<std::uint8_t>(extensions::event::invoke);
        } else if (name == "SHUTDOWN" && external) {
            events |= static_cast<std::uint8_t>(extensions::event::shutdown);
        } else {
            refusal = refused(
                "Extension.InvalidEventType",
                name == "SHUTDOWN"
                    ? "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension (an external "
                      "extension registers under its file's name in /opt/extensions)"
                    : fmt::format("{}: InvalidEventType", name.substr(0, 64)));
            return 0;
        }
    }
    return events;
}

}  // namespace

void extensions::expect(std::string name, std::int32_t process) {
    one& e = all_.emplace_back();
    e.name = std::move(name);
    e.process = process;
}

bool extensions::all_registered() const noexcept { return missing().empty(); }

std::string_view extensions::missing() const noexcept {
    const auto it = std::ranges::find_if(all_, [](const one& e) { return e.at == stage::started; });
    return it == all_.end() ? std::string_view() : std::string_view(it->name);
}

bool extensions::all_wait() const noexcept {
    return std::ranges::all_of(all_, [](const one& e) { return e.waits.has_value(); });
}

bool extensions::any_for(event what) const noexcept {
    return std::ranges::any_of(all_, [&](const one& e) { return hears(e, what); });
}

extensions::answer extensions::add(std::string_view name, bool account_id, std::string_view body) {
    if (name.empty()) return refused("Extension.InvalidExtensionName", "Empty extension name");
    if (!function_)
        return refused("Extension.RegistrationClosed", "Extension registration closed already");
    auto it = std::ranges::find(all_, name, &one::name);
    const bool external = it != all_.end() && it->process != 0;
    answer a;
    const std::uint8_t events = read_events(body, external, a);
    if (a.status != 200) return a;
    if (external) {
        if (it->at != stage::started) return wrong_state(it->at, "Registered", it->name);
    } else if (it != all_.end()) {
        return refused("Extension.InvalidExtensionState",
                       "Extension with this name already registered");
    } else if (all_.size() >= max_extensions) {
        return refused("Extension.TooManyExtensions",
                       fmt::format("Extension limit ({}) reached", max_extensions));
    } else {
        it = all_.emplace(all_.end());
        it->name = std::string(name);
    }
    it->identifier = make_uuid();
    it->events = events;
    it->at = stage::registered;
    json::object o{{"functionName", function_->name},
                   {"functionVersion", function_->version},
                   {"handler", function_->handler}};
    if (account_id) o["accountId"] = function_->account_id;
    a.body = json::serialize(o);
    a.identifier = it->identifier;
    return a;
}

extensions::one* extensions::find(std::string_view identifier, answer& refusal) {
    if (identifier.empty()) {
        refusal = refused("Extension.MissingExtensionIdentifier",
                          "Missing Lambda-Extension-Identifier header");
        return nullptr;
    }
    const auto it = std::ranges::find(all_, identifier, &one::identifier);
    if (it != all_.end()) return &*it;
    refusal = refused("Extension.UnknownExtensionIdentifier",
                      fmt::format("Unknown extension {}", identifier.substr(0, 64)));
    return nullptr;
}

std::optional<extensions::answer> extensions::next(std::string_view identifier, connection c) {
    answer a;
    one* e = find(identifier, a);
    if (!e) return a;
    if (e->at != stage::registered && e->at != stage::running)
        return wrong_state(e->at, "Ready", e->name);
    if (e->owed) {
        e->owed = false;
        e->at = stage::running;
        a.body = document_;
        return a;
    }
    e->at = stage::ready;
    e->waits = c;
    return std::nullopt;
}

extensions::answer extensions::fail(std::string_view identifier,
                                    std::string_view error_type,
                                    bool init) {
    answer a;
    one* e = find(identifier, a);
    if (!e) return a;
    if (error_type.empty())
        return refused("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found");
    // Where it waits on another connection exit/error is allowed, as in the emulator.
    const bool may = init ? e->at == stage::registered : e->at != stage::failed;
    if (!may) return wrong_state(e->at, init ? "InitError" : "ExitError", e->name);
    e->at = stage::failed;
    e->waits.reset();
    e->owed = false;
    if (!failure_)
        failure_ = failure{init ? "Extension.InitError" : "Extension.ExitError",
                           fmt::format("extension {}: {}", e->name, error_type.substr(0, 512))};
    a.status = 202;
    a.body = R"({"status":"OK"})";
    return a;
}

void extensions::forget(connection c) noexcept {
    for (one& e : all_) {
        if (e.waits != c) continue;
        e.waits.reset();
        if (e.at == stage::ready) e.at = stage::running;
    }
}

std::vector<extensions::connection> extensions::tell(event what, std::string document) {
    document_ = std::move(document);
    std::vector<connection> now;
    for (one& e : all_) {
        e.owed = false;
        if (!hears(e, what)) continue;
        e.owed = !e.waits;
        if (e.waits) {
            now.push_back(*e.waits);
            e.at = stage::running;
        }
        e.waits.reset();
    }
    return now;
}

bool extensions::done_with(event what) const noexcept {
    return std::ranges::all_of(all_, [&](const one& e) { return !hears(e, what) || e.waits; });
}

std::optional<failure> extensions::ended(std::int32_t process, const guest::exit_status& status) {
    const auto it = std::ranges::find_if(
        all_, [&](const one& e) { return e.process == process && e.process != 0; });
    if (it == all_.end()) return std::nullopt;
    it->at = stage::ended;
    it->waits.reset();
    if (auto said = take_failure()) return said;
    return failure{"Extension.Crash",
                   fmt::format("extension {}: {}", it->name, how_it_ended(status))};
}

std::string extensions::init_lines() const {
    std::string out;
    for (const one& e : all_) {
        out += fmt::format("EXTENSION\tName: {}\tState: {}\tEvents: [", e.name, name_of(e.at));
        if (wants(e, event::invoke)) out += "INVOKE";
        if (wants(e, event::invoke) && wants(e, event::shutdown)) out += ',';
        if (wants(e, event::shutdown)) out += "SHUTDOWN";
        out += "]\n";
    }
    return out;
}

}  // namespace hearth::worker
