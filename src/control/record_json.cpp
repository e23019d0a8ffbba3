#include "control/record_json.hpp"

#include <boost/json.hpp>

#include <concepts>
#include <type_traits>

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
    v("layers", s.layers), v("tenant_isolation", s.tenant_isolation);
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

template <class Visitor, class Alias>
void describe_alias(Visitor& v, Alias& a) {
    v("alias_arn", a.alias_arn), v("name", a.name), v("function_version", a.function_version);
    v("description", a.description), v("revision_id", a.revision_id);
    v("additional_version_weights", a.additional_version_weights);
}

template <class Visitor, class Attributes>
void describe_attributes(Visitor& v, Attributes& a) {
    v("tags", a.tags), v("last_version", a.last_version);
    v("published_description", a.published_description), v("aliases", a.aliases);
    v("reserved_concurrency", a.reserved_concurrency), v("provisioned", a.provisioned);
    v("event_invoke", a.event_invoke), v("urls", a.urls), v("policies", a.policies);
    v("runtime_management", a.runtime_management), v("scaling", a.scaling);
    v("recursive_loop", a.recursive_loop);
    v("code_signing_config_arn", a.code_signing_config_arn);
}

/// T itself, or what is const of it: the two directions.
template <class T, class What>
concept is_a = std::same_as<std::remove_const_t<T>, What>;

template <class Visitor, is_a<provisioned_request> Request>
void describe_item(Visitor& v, Request& r) {
    v("requested", r.requested), v("last_modified", r.last_modified);
}

template <class Visitor, is_a<event_invoke_config> Config>
void describe_item(Visitor& v, Config& c) {
    v("function_arn", c.function_arn), v("maximum_retry_attempts", c.maximum_retry_attempts);
    v("maximum_event_age", c.maximum_event_age), v("on_success", c.on_success);
    v("on_failure", c.on_failure), v("last_modified", c.last_modified);
}

template <class Visitor, is_a<cors_settings> Cors>
void describe_item(Visitor& v, Cors& c) {
    v("allow_credentials", c.allow_credentials), v("allow_headers", c.allow_headers);
    v("allow_methods", c.allow_methods), v("allow_origins", c.allow_origins);
    v("expose_headers", c.expose_headers), v("max_age", c.max_age);
}

template <class Visitor, is_a<function_url_config> Url>
void describe_item(Visitor& v, Url& u) {
    v("url_id", u.url_id), v("function_arn", u.function_arn), v("auth_type", u.auth_type);
    v("invoke_mode", u.invoke_mode), v("cors", u.cors), v("creation_time", u.creation_time);
    v("last_modified_time", u.last_modified_time);
}

template <class Visitor, is_a<policy_statement> Statement>
void describe_item(Visitor& v, Statement& s) {
    v("id", s.id), v("document", s.document);
}

template <class Visitor, is_a<resource_policy> Policy>
void describe_item(Visitor& v, Policy& p) {
    v("revision_id", p.revision_id), v("statements", p.statements);
}

template <class Visitor, is_a<layer_reference> Reference>
void describe_item(Visitor& v, Reference& r) {
    v("arn", r.arn), v("code_sha256", r.code_sha256), v("code_size", r.code_size);
    v("unzipped_size", r.unzipped_size);
}

template <class Visitor, is_a<stored_layer> Layer>
void describe_item(Visitor& v, Layer& l) {
    v("name", l.layer.name), v("version", l.layer.version), v("layer_arn", l.layer.layer_arn);
    v("version_arn", l.layer.version_arn), v("description", l.layer.description);
    v("license_info", l.layer.license_info);
    v("compatible_runtimes", l.layer.compatible_runtimes);
    v("compatible_architectures", l.layer.compatible_architectures);
    v("created_date", l.layer.created_date), v("code_sha256", l.layer.code_sha256);
    v("code_size", l.layer.code_size), v("unzipped_size", l.layer.unzipped_size);
    v("policy_revision", l.policy.revision_id), v("policy", l.policy.statements);
    v("deleted", l.deleted);
}

template <class Visitor, is_a<runtime_management_config> Config>
void describe_item(Visitor& v, Config& c) {
    v("function_arn", c.function_arn), v("update_runtime_on", c.update_runtime_on);
    v("runtime_version_arn", c.runtime_version_arn);
}

template <class Visitor, is_a<function_scaling_config> Config>
void describe_item(Visitor& v, Config& c) {
    v("min", c.min_execution_environments), v("max", c.max_execution_environments);
}

template <class Visitor, is_a<code_signing_config> Config>
void describe_item(Visitor& v, Config& c) {
    v("id", c.id), v("arn", c.arn), v("description", c.description);
    v("allowed_publishers", c.allowed_publishers);
    v("untrusted_artifact_on_deployment", c.untrusted_artifact_on_deployment);
    v("last_modified", c.last_modified);
}

template <class Visitor, is_a<rule_target> Target>
void describe_item(Visitor& v, Target& t) {
    v("id", t.id), v("arn", t.arn), v("input", t.input), v("role_arn", t.role_arn);
}

template <class Visitor, is_a<event_rule> Rule>
void describe_item(Visitor& v, Rule& r) {
    v("name", r.name), v("arn", r.arn), v("schedule_expression", r.schedule_expression);
    v("description", r.description), v("role_arn", r.role_arn), v("enabled", r.enabled);
    v("since", r.since), v("targets", r.targets), v("tags", r.tags);
}

template <class Visitor, is_a<api_integration> Integration>
void describe_item(Visitor& v, Integration& i) {
    v("id", i.id), v("uri", i.uri), v("function_arn", i.function_arn);
    v("payload_format", i.payload_format), v("description", i.description);
    v("timeout_ms", i.timeout_ms), v("managed", i.managed);
}

template <class Visitor, is_a<api_route> Route>
void describe_item(Visitor& v, Route& r) {
    v("id", r.id), v("key", r.key), v("target", r.target);
    v("operation_name", r.operation_name), v("managed", r.managed);
    v("authorizer_id", r.authorizer_id);
}

template <class Visitor, is_a<api_authorizer> Authorizer>
void describe_item(Visitor& v, Authorizer& a) {
    v("id", a.id), v("name", a.name), v("uri", a.uri), v("function_arn", a.function_arn);
    v("payload_format", a.payload_format), v("simple_responses", a.simple_responses);
    v("identity_sources", a.identity_sources), v("result_ttl", a.result_ttl);
}

template <class Visitor, is_a<api_stage> Stage>
void describe_item(Visitor& v, Stage& s) {
    v("name", s.name), v("description", s.description), v("variables", s.variables);
    v("tags", s.tags), v("created_date", s.created_date);
    v("last_updated_date", s.last_updated_date), v("managed", s.managed);
}

template <class Visitor, is_a<http_api> Api>
void describe_item(Visitor& v, Api& a) {
    v("id", a.id), v("name", a.name), v("description", a.description), v("version", a.version);
    v("cors", a.cors), v("created_date", a.created_date), v("tags", a.tags);
    v("integrations", a.integrations), v("routes", a.routes), v("stages", a.stages);
    v("authorizers", a.authorizers);
}

template <class Visitor, is_a<event_source_mapping> Mapping>
void describe_item(Visitor& v, Mapping& m) {
    v("uuid", m.uuid), v("arn", m.arn), v("event_source_arn", m.event_source_arn);
    v("function_arn", m.function_arn), v("batch_size", m.batch_size);
    v("maximum_batching_window", m.maximum_batching_window);
    v("maximum_concurrency", m.maximum_concurrency), v("filters", m.filters);
    v("function_response_types", m.function_response_types), v("tags", m.tags);
    v("starting_position", m.starting_position);
    v("starting_position_timestamp", m.starting_position_timestamp);
    v("parallelization_factor", m.parallelization_factor);
    v("maximum_retry_attempts", m.maximum_retry_attempts);
    v("maximum_record_age", m.maximum_record_age);
    v("bisect_batch_on_function_error", m.bisect_batch_on_function_error);
    v("tumbling_window", m.tumbling_window);
    v("on_failure", m.on_failure), v("enabled", m.enabled), v("last_modified", m.last_modified);
}

/// What the attributes hold by qualifier.
template <class T>
using item_map = std::map<std::string, T, std::less<>>;
using alias_map = std::map<std::string, alias_configuration, std::less<>>;
using weight_map = std::map<std::string, double>;

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
    void operator()(const char* name, const weight_map& map) { to[name] = json::value_from(map); }
    void operator()(const char* name, const std::optional<std::uint64_t>& n) {
        if (n) to[name] = *n;
    }
    void operator()(const char* name, std::int64_t n) { to[name] = n; }
    void operator()(const char* name, bool b) { to[name] = b; }
    template <class T>
    void operator()(const char* name, const std::optional<T>& item) {
        if (!item) return;
        writer inner{to[name].emplace_object()};
        describe_item(inner, *item);
    }
    template <class T>
    void operator()(const char* name, const item_map<T>& map) {
        json::object& object = to[name].emplace_object();
        for (const auto& [key, each] : map) {
            writer item{object[key].emplace_object()};
            describe_item(item, each);
        }
    }
    template <class T>
    void operator()(const char* name, const std::vector<T>& list) {
        json::array& array = to[name].emplace_array();
        for (const T& each : list) {
            writer item{array.emplace_back(json::object()).get_object()};
            describe_item(item, each);
        }
    }
    void operator()(const char* name, const alias_map& map) {
        json::array& array = to[name].emplace_array();
        for (const auto& [key, alias] : map) {
            writer item{array.emplace_back(json::object()).get_object()};
            describe_alias(item, alias);
        }
    }
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
    void operator()(const char* name, weight_map& map) { get(name, map); }
    void operator()(const char* name, std::optional<std::uint64_t>& n) {
        if (from.contains(name)) get(name, n.emplace());
    }
    void operator()(const char* name, std::int64_t& n) { get(name, n); }
    void operator()(const char* name, bool& b) { get(name, b); }
    template <class T>
    void operator()(const char* name, std::optional<T>& item) {
        const json::value* value = from.if_contains(name);
        if (!value) return;
        reader inner{value->as_object()};
        describe_item(inner, item.emplace());
    }
    template <class T>
    void operator()(const char* name, item_map<T>& map) {
        const json::value* value = from.if_contains(name);
        if (!value) return;
        for (const auto& [key, each] : value->as_object()) {
            reader item{each.as_object()};
            describe_item(item, map[std::string(key)]);
        }
    }
    template <class T>
    void operator()(const char* name, std::vector<T>& list) {
        const json::value* value = from.if_contains(name);
        if (!value) return;
        for (const json::value& each : value->as_array()) {
            reader item{each.as_object()};
            describe_item(item, list.emplace_back());
        }
    }
    void operator()(const char* name, alias_map& map) {
        const json::value* value = from.if_contains(name);
        if (!value) return;
        for (const json::value& each : value->as_array()) {
            alias_configuration alias;
            reader item{each.as_object()};
            describe_alias(item, alias);
            map.insert_or_assign(alias.name, std::move(alias));
        }
    }
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

/// What `read` makes of the document, or why it is damaged.
template <class Read>
auto read_record(std::string_view text, Read read_document)
    -> result<decltype(read_document(json::value()))> {
    try {
        return read_document(json::parse(json::string_view(text.data(), text.size())));
    } catch (const std::exception& e) {
        return error(errc::storage_failed,
                     std::string("a stored function is damaged: ") + e.what());
    }
}

template <class Item>
std::string item_to_json(const Item& item) {
    json::object document;
    writer w{document};
    describe_item(w, item);
    return json::serialize(document);
}

template <class Item>
result<Item> item_from_json(std::string_view text) {
    return read_record(text, [](const json::value& document) {
        Item item;
        reader r{document.as_object()};
        describe_item(r, item);
        return item;
    });
}

}  // namespace

std::string to_json(const stored_function& function) {
    json::object document;
    document["current"] = written(function.latest.current);
    if (function.latest.update) document["update"] = written(*function.latest.update);
    writer w{document};
    describe_attributes(w, function.attributes);
    return json::serialize(document);
}

std::string to_json(const function_configuration& version) {
    return json::serialize(written(version));
}

std::string to_json(const stored_layer& layer) { return item_to_json(layer); }

std::string to_json(const code_signing_config& config) { return item_to_json(config); }

std::string to_json(const event_rule& rule) { return item_to_json(rule); }

result<event_rule> rule_from_json(std::string_view text) {
    return item_from_json<event_rule>(text);
}

std::string to_json(const http_api& api) { return item_to_json(api); }

result<http_api> api_from_json(std::string_view text) { return item_from_json<http_api>(text); }

std::string to_json(const event_source_mapping& mapping) { return item_to_json(mapping); }

result<event_source_mapping> mapping_from_json(std::string_view text) {
    return item_from_json<event_source_mapping>(text);
}

result<stored_layer> layer_from_json(std::string_view text) {
    return item_from_json<stored_layer>(text);
}

result<code_signing_config> code_signing_from_json(std::string_view text) {
    return item_from_json<code_signing_config>(text);
}

result<stored_function> from_json(std::string_view text) {
    return read_record(text, [](const json::value& document) {
        stored_function function;
        function.latest.current = read(document.at("current"));
        if (const json::value* update = document.as_object().if_contains("update"))
            function.latest.update = read(*update);
        reader r{document.as_object()};
        describe_attributes(r, function.attributes);
        return function;
    });
}

result<function_configuration> version_from_json(std::string_view text) {
    return read_record(text, [](const json::value& document) { return read(document); });
}

}  // namespace hearth::control
