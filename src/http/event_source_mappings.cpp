/// The operations on event source mappings, and their shapes.

#include "http/handlers.hpp"
#include "http/json_reader.hpp"

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::http::handlers {
namespace {

using boost::beast::http::status;

/// Numbers below zero are out of every range.
std::optional<std::uint64_t> count(const reader& r, std::string_view name, std::string_view shown) {
    const auto n = r.number(name);
    if (!n) return std::nullopt;
    if (*n < 0)
        refuse(errc::invalid_argument, "1 validation error detected: Value '" + std::to_string(*n) +
                                           "' at '" + std::string(shown) +
                                           "' failed to satisfy constraint: Member must have "
                                           "value greater than or equal to 0");
    return static_cast<std::uint64_t>(*n);
}

/// In AWS's words.
[[noreturn]] void refuse_foreign(std::string_view member) {
    refuse(errc::invalid_argument, "Unsupported " + std::string(member) +
                                       " parameter for given event source mapping type.");
}

/// Of brokers; and what a mapping may have at AWS and not here.
void refuse_others(const reader& r) {
    for (const std::string_view each :
         {"Topics", "Queues", "SourceAccessConfigurations", "SelfManagedEventSource",
          "AmazonManagedKafkaEventSourceConfig", "SelfManagedKafkaEventSourceConfig",
          "DocumentDBEventSourceConfig"})
        if (r.says_something(each)) refuse_foreign(each);
    for (const std::string_view each :
         {"KMSKeyArn", "MetricsConfig", "LoggingConfig", "ProvisionedPollerConfig"})
        if (r.says_something(each))
            refuse(errc::unsupported, std::string(each) +
                                          " of an event source mapping is not implemented by this "
                                          "server yet");
}

/// Empty: it is taken away.
std::optional<std::string> on_failure(const reader& r) {
    const auto config = r.object("DestinationConfig");
    if (!config) return std::nullopt;
    if (config->says_something("OnSuccess")) refuse_foreign("DestinationConfig");
    const auto failure = config->object("OnFailure");
    return failure ? failure->text("Destination").value_or("") : std::string();
}

/// What both requests say of streams.
template <class Request>
void read_stream_members(const reader& r, Request& request) {
    request.parallelization_factor = count(r, "ParallelizationFactor", "parallelizationFactor");
    request.maximum_retry_attempts = r.number("MaximumRetryAttempts");
    request.maximum_record_age = r.number("MaximumRecordAgeInSeconds");
    if (r.find("BisectBatchOnFunctionError"))
        request.bisect_batch_on_function_error = r.flag("BisectBatchOnFunctionError");
    request.tumbling_window = count(r, "TumblingWindowInSeconds", "tumblingWindowInSeconds");
    request.on_failure = on_failure(r);
}

/// Seconds since 1970, perhaps with a fraction.
std::optional<std::int64_t> milliseconds(const reader& r, std::string_view name) {
    const json::value* v = r.find(name);
    if (!v) return std::nullopt;
    boost::system::error_code ec;
    const double seconds = v->to_number<double>(ec);
    constexpr double most = 9e12;  // milliseconds of it are a whole number still
    if (ec || !(seconds >= 0 && seconds <= most)) wrong_type(name, "a time in seconds since 1970");
    return static_cast<std::int64_t>(std::llround(seconds * 1000));
}

/// An empty ScalingConfig takes away what there was: zero.
std::optional<std::uint64_t> concurrency(const reader& r) {
    const auto scaling = r.object("ScalingConfig");
    if (!scaling) return std::nullopt;
    const auto most = count(*scaling, "MaximumConcurrency", "scalingConfig.maximumConcurrency");
    if (most == std::uint64_t{0})
        refuse(errc::invalid_argument,
               "1 validation error detected: Value '0' at 'scalingConfig.maximumConcurrency' "
               "failed to satisfy constraint: Member must have value greater than or equal to 2");
    return most.value_or(0);
}

std::optional<std::vector<std::string>> filters(const reader& r) {
    const auto criteria = r.object("FilterCriteria");
    if (!criteria) return std::nullopt;
    std::vector<std::string> patterns;
    const json::value* list = criteria->find("Filters");
    if (!list) return patterns;
    if (!list->is_array()) wrong_type("Filters", "a list");
    for (const json::value& each : list->get_array()) {
        if (!each.is_object()) wrong_type("Filters", "a list of objects");
        patterns.push_back(reader(each.get_object()).text("Pattern").value_or(""));
    }
    return patterns;
}

shaped<create_event_source_mapping_request> read_create(std::string_view body) {
    return read_document(body, [](const reader& r) {
        create_event_source_mapping_request request;
        request.function_name = r.required_text("FunctionName", "functionName");
        // A source of another kind is refused for itself, and not for what belongs to it.
        request.event_source_arn = r.text("EventSourceArn").value_or("");
        const bool is_queue = request.event_source_arn.starts_with("arn:aws:sqs:");
        if (is_queue || request.event_source_arn.starts_with("arn:aws:kinesis:")) refuse_others(r);
        request.starting_position = r.text("StartingPosition").value_or("");
        request.starting_position_timestamp = milliseconds(r, "StartingPositionTimestamp");
        read_stream_members(r, request);
        request.batch_size = count(r, "BatchSize", "batchSize");
        request.maximum_batching_window =
            count(r, "MaximumBatchingWindowInSeconds", "maximumBatchingWindowInSeconds");
        request.maximum_concurrency = concurrency(r);
        if (request.maximum_concurrency == std::uint64_t{0}) request.maximum_concurrency.reset();
        request.filters = filters(r).value_or(std::vector<std::string>());
        request.function_response_types =
            r.texts("FunctionResponseTypes").value_or(std::vector<std::string>());
        request.tags = r.text_map("Tags").value_or(std::map<std::string, std::string>());
        request.enabled = !r.find("Enabled") || r.flag("Enabled");
        return request;
    });
}

shaped<update_event_source_mapping_request> read_update(std::string_view body) {
    return read_document(body, [](const reader& r) {
        refuse_others(r);
        update_event_source_mapping_request request;
        read_stream_members(r, request);
        request.function_name = r.text("FunctionName");
        request.batch_size = count(r, "BatchSize", "batchSize");
        request.maximum_batching_window =
            count(r, "MaximumBatchingWindowInSeconds", "maximumBatchingWindowInSeconds");
        request.maximum_concurrency = concurrency(r);
        request.filters = filters(r);
        request.function_response_types = r.texts("FunctionResponseTypes");
        if (r.find("Enabled")) request.enabled = r.flag("Enabled");
        return request;
    });
}

json::object shown(const event_source_mapping& m) {
    const std::string_view state = to_string(m.state);
    json::object o{
        {"UUID", m.uuid},
        {"EventSourceMappingArn", m.arn},
        {"EventSourceArn", m.event_source_arn},
        {"FunctionArn", m.function_arn},
        {"BatchSize", m.batch_size},
        {"MaximumBatchingWindowInSeconds", m.maximum_batching_window},
        {"FunctionResponseTypes", json::value_from(m.function_response_types)},
        {"LastModified", static_cast<double>(m.last_modified) / 1000},
        {"LastProcessingResult", m.last_processing_result},
        {"State", json::string_view(state.data(), state.size())},
        {"StateTransitionReason", m.starting_position.empty() ? "USER_INITIATED" : "User action"}};
    if (m.maximum_concurrency)
        o["ScalingConfig"] = json::object{{"MaximumConcurrency", *m.maximum_concurrency}};
    if (!m.starting_position.empty()) {
        o["StartingPosition"] = m.starting_position;
        if (m.starting_position == "AT_TIMESTAMP")
            o["StartingPositionTimestamp"] =
                static_cast<double>(m.starting_position_timestamp) / 1000;
        o["ParallelizationFactor"] = m.parallelization_factor;
        o["MaximumRetryAttempts"] = m.maximum_retry_attempts;
        o["MaximumRecordAgeInSeconds"] = m.maximum_record_age;
        o["BisectBatchOnFunctionError"] = m.bisect_batch_on_function_error;
        o["TumblingWindowInSeconds"] = m.tumbling_window;
        json::object destination;
        if (!m.on_failure.empty()) destination["Destination"] = m.on_failure;
        o["DestinationConfig"] = json::object{{"OnFailure", std::move(destination)}};
    }
    if (!m.filters.empty()) {
        json::array patterns;
        for (const std::string& each : m.filters)
            patterns.push_back(json::object{{"Pattern", each}});
        o["FilterCriteria"] = json::object{{"Filters", std::move(patterns)}};
    }
    return o;
}

std::string write(const event_source_mapping& m) { return json::serialize(shown(m)); }

}  // namespace

reply create_event_source_mapping(const call& c) {
    const auto request = read_create(c.body);
    if (request.has_error()) return refused(request.error());
    return answer(c.control.create_event_source_mapping(*request), write, status::accepted);
}

reply update_event_source_mapping(const call& c) {
    auto request = read_update(c.body);
    if (request.has_error()) return refused(request.error());
    request->uuid = c.asked.argument;
    return answer(c.control.update_event_source_mapping(*request), write, status::accepted);
}

reply get_event_source_mapping(const call& c) {
    return answer(c.control.get_event_source_mapping(c.asked.argument), write);
}

reply delete_event_source_mapping(const call& c) {
    return answer(c.control.delete_event_source_mapping(c.asked.argument), write, status::accepted);
}

reply list_event_source_mappings(const call& c) {
    const auto items = max_items(c.asked);
    if (items.has_error()) return make_error(aws_error::serialization, items.error().message());
    return answer(c.control.list_event_source_mappings(c.asked.parameter("EventSourceArn"),
                                                       c.asked.parameter("FunctionName"),
                                                       c.asked.parameter("Marker"), *items),
                  [](const event_source_mapping_page& page) {
                      json::array mappings;
                      for (const auto& each : page.mappings) mappings.push_back(shown(each));
                      json::object o{{"EventSourceMappings", std::move(mappings)}};
                      if (!page.next_marker.empty()) o["NextMarker"] = page.next_marker;
                      return json::serialize(o);
                  });
}

}  // namespace hearth::http::handlers
