#include "control/record_json.hpp"

#include <boost/json.hpp>

namespace hearth::control {
namespace {

namespace json = boost::json;
using string_map = std::map<std::string, std::string>;

// One list of fields serves both directions: `describe` visits each member with its name, and the
// visitor writes or reads it.
template <class Visitor, class Settings>
void describe_settings(Visitor& v, Settings& s) {
    v("runtime", s.runtime), v("role", s.role), v("handler", s.handler);
    v("description", s.description), v("timeout_ms", s.timeout), v("memory", s.memory);
    v("ephemeral_storage", s.ephemeral_storage), v("environment", s.environment);
    v("subnet_ids", s.vpc.subnet_ids), v("security_group_ids", s.vpc.security_group_ids);
    v("dead_letter_target_arn", s.dead_letter_target_arn), v("kms_key_arn", s.kms_key_arn);
    v("tracing_mode", s.tracing_mode), v("snap_start", s.snap_start);
    v("log_format", s.logging.log_format), v("log_group", s.logging.log_group);
    v("application_log_level", s.logging.application_log_level);
    v("system_log_level", s.logging.system_log_level), v("file_systems", s.file_systems);
}

template <class Visitor, class Configuration>
void describe(Visitor& v, Configuration& c) {
    v("function_name", c.function_name), v("function_arn", c.function_arn), v("version", c.version);
    v("code_size", c.code_size), v("code_sha256", c.code_sha256);
    v("last_modified", c.last_modified), v("revision_id", c.revision_id);
    v("state", c.state), v("state_reason", c.state_reason);
    v("state_reason_code", c.state_reason_code), v("last_update", c.last_update);
    v("last_update_reason", c.last_update_reason);
    v("last_update_reason_code", c.last_update_reason_code);
    describe_settings(v, c.settings);
}

struct writer {
    json::object& to;

    void operator()(const char* name, const std::string& s) { to[name] = s; }
    void operator()(const char* name, std::uint64_t n) { to[name] = n; }
    void operator()(const char* name, byte_count n) { to[name] = n.bytes(); }
    void operator()(const char* name, std::chrono::milliseconds t) { to[name] = t.count(); }
    void operator()(const char* name, function_state s) { to[name] = static_cast<int>(s); }
    void operator()(const char* name, update_status s) { to[name] = static_cast<int>(s); }
    void operator()(const char* name, const std::vector<std::string>& list) {
        to[name] = json::value_from(list);
    }
    void operator()(const char* name, const string_map& map) { to[name] = json::value_from(map); }
    void operator()(const char* name, const std::vector<file_system_settings>& list) {
        json::array& array = to[name].emplace_array();
        for (const auto& each : list)
            array.push_back(json::object{{"arn", each.arn}, {"path", each.local_mount_path}});
    }
};

/// Throws boost::system::system_error for a wrong type; caught in `from_json`.
struct reader {
    const json::object& from;

    template <class T>
    void get(const char* name, T& into) {
        if (const json::value* value = from.if_contains(name)) into = json::value_to<T>(*value);
    }
    void operator()(const char* name, std::string& s) { get(name, s); }
    void operator()(const char* name, std::uint64_t& n) { get(name, n); }
    void operator()(const char* name, std::vector<std::string>& list) { get(name, list); }
    void operator()(const char* name, string_map& map) { get(name, map); }
    void operator()(const char* name, byte_count& n) {
        std::uint64_t bytes = n.bytes();
        get(name, bytes);
        n = byte_count(bytes);
    }
    void operator()(const char* name, std::chrono::milliseconds& t) {
        std::int64_t count = t.count();
        get(name, count);
        t = std::chrono::milliseconds(count);
    }
    void operator()(const char* name, function_state& s) { enumerator(name, s, 2); }
    void operator()(const char* name, update_status& s) { enumerator(name, s, 2); }
    void operator()(const char* name, std::vector<file_system_settings>& list) {
        const json::value* value = from.if_contains(name);
        if (!value) return;
        for (const json::value& each : value->as_array())
            list.push_back({json::value_to<std::string>(each.at("arn")),
                            json::value_to<std::string>(each.at("path"))});
    }
    template <class Enum>
    void enumerator(const char* name, Enum& into, int last) {
        int number = static_cast<int>(into);
        get(name, number);
        if (number < 0 || number > last) throw std::out_of_range(name);
        into = static_cast<Enum>(number);
    }
};

json::object written(const function_configuration& c) {
    json::object to;
    writer w{to};
    describe(w, c);
    return to;
}

function_configuration read(const json::value& from) {
    function_configuration c;
    reader r{from.as_object()};
    describe(r, c);
    return c;
}

}  // namespace

std::string to_json(const stored_function& function) {
    json::object document;
    document["current"] = written(function.current);
    if (function.update) document["update"] = written(*function.update);
    document["tags"] = json::value_from(function.tags);
    return json::serialize(document);
}

result<stored_function> from_json(std::string_view text) {
    try {
        const json::value document = json::parse(json::string_view(text.data(), text.size()));
        stored_function function;
        function.current = read(document.at("current"));
        if (const json::value* update = document.as_object().if_contains("update"))
            function.update = read(*update);
        function.tags = json::value_to<string_map>(document.at("tags"));
        return function;
    } catch (const std::exception& e) {
        return error(errc::storage_failed,
                     std::string("a stored function is damaged: ") + e.what());
    }
}

}  // namespace hearth::control
