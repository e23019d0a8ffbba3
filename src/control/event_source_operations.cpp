/// The operations on event source mappings: what they take, and what they refuse.

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/destination.hpp"
#include "control/event_pattern.hpp"
#include "control/event_sources.hpp"
#include "control/validation.hpp"

#include <boost/asio/system_executor.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <type_traits>
#include <utility>
#include <variant>

namespace hearth {

using control::is_stream;
using control::service_of;
using control::violation;

std::string_view to_string(event_source_state s) noexcept {
    switch (s) {
        case event_source_state::creating:
            return "Creating";
        case event_source_state::enabling:
            return "Enabling";
        case event_source_state::enabled:
            return "Enabled";
        case event_source_state::updating:
            return "Updating";
        case event_source_state::disabling:
            return "Disabling";
        case event_source_state::disabled:
            return "Disabled";
        case event_source_state::deleting:
            return "Deleting";
    }
    return "";
}

namespace {

constexpr std::uint64_t default_batch_size = 10, default_stream_batch_size = 100;
constexpr std::size_t max_filters = 5;

error refused(std::string why) { return {errc::invalid_argument, std::move(why)}; }

template <class Number>
result<void> check_range(std::string_view member,
                         Number value,
                         std::type_identity_t<Number> least,
                         std::type_identity_t<Number> most) {
    if (value < least)
        return violation(member, std::to_string(value),
                         fmt::format("Member must have value greater than or equal to {}", least));
    if (value > most)
        return violation(member, std::to_string(value),
                         fmt::format("Member must have value less than or equal to {}", most));
    return {};
}

/// In AWS's words.
error foreign(std::string_view member) {
    return refused(
        fmt::format("Unsupported {} parameter for given event source mapping type.", member));
}

result<void> check_stream(const event_source_mapping& m) {
    if (m.starting_position != "TRIM_HORIZON" && m.starting_position != "LATEST" &&
        m.starting_position != "AT_TIMESTAMP")
        return violation("startingPosition", m.starting_position,
                         "Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, "
                         "TRIM_HORIZON]");
    HEARTH_CHECK(check_range("parallelizationFactor", m.parallelization_factor, 1, 10));
    HEARTH_CHECK(check_range("maximumRetryAttempts", m.maximum_retry_attempts, -1, 10'000));
    HEARTH_CHECK(check_range("maximumRecordAgeInSeconds", m.maximum_record_age, -1, 604'800));
    if (m.maximum_record_age >= 0 && m.maximum_record_age < 60)
        return refused("MaximumRecordAgeInSeconds is -1, or from 60 to 604800");
    HEARTH_CHECK(check_range("tumblingWindowInSeconds", m.tumbling_window, 0, 900));
    if (m.tumbling_window > 0 && m.parallelization_factor > 1)
        return refused(
            "A tumbling window goes with a ParallelizationFactor of 1: a shard has one state");
    if (m.maximum_concurrency) return foreign("ScalingConfig");
    if (m.on_failure.empty()) return {};
    HEARTH_TRY(const auto where, control::parse_destination(m.on_failure));
    if (std::holds_alternative<control::function_destination>(where))
        return refused("The destination ARN " + m.on_failure +
                       " names a function: what a mapping gives up goes to a standard queue "
                       "(arn:aws:sqs:REGION:ACCOUNT:NAME), a directory of files "
                       "(arn:aws:s3:::BUCKET) or an HTTP endpoint "
                       "(arn:aws:http:::HOST:PORT/PATH)");
    return {};
}

/// What is said of a queue's mapping that only a stream's can have; empty: nothing.
template <class Request>
std::string_view stream_member_of(const Request& r) {
    if (r.parallelization_factor) return "ParallelizationFactor";
    if (r.maximum_retry_attempts) return "MaximumRetryAttempts";
    if (r.maximum_record_age) return "MaximumRecordAgeInSeconds";
    if (r.bisect_batch_on_function_error.value_or(false)) return "BisectBatchOnFunctionError";
    if (r.tumbling_window.value_or(0) > 0) return "TumblingWindowInSeconds";
    if (r.on_failure && !r.on_failure->empty()) return "DestinationConfig";
    return {};
}

/// What needs neither the source nor the function.
result<void> check(const event_source_mapping& m) {
    // A stream's name may end so too.
    const bool is_fifo = !is_stream(m) && m.event_source_arn.ends_with(".fifo");
    HEARTH_CHECK(check_range("batchSize", m.batch_size, 1, 10'000));
    HEARTH_CHECK(check_range("maximumBatchingWindowInSeconds", m.maximum_batching_window, 0, 300));
    if (m.maximum_concurrency)
        HEARTH_CHECK(
            check_range("scalingConfig.maximumConcurrency", *m.maximum_concurrency, 2, 1000));
    if (is_stream(m)) HEARTH_CHECK(check_stream(m));
    if (is_fifo && m.batch_size > 10)
        return refused("Batch size must not exceed 10 for FIFO queues");
    if (is_fifo && m.maximum_batching_window > 0)
        return refused("Batching window is not supported for FIFO queues");
    if (!is_stream(m) && m.batch_size > 10 && m.maximum_batching_window == 0)
        return refused(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is "
            "greater than 10");
    if (m.function_response_types.size() > 1)
        return violation("functionResponseTypes", std::to_string(m.function_response_types.size()),
                         "Member must have length less than or equal to 1");
    for (const std::string& each : m.function_response_types)
        if (each != "ReportBatchItemFailures")
            return violation("functionResponseTypes", each,
                             "Member must satisfy enum value set: [ReportBatchItemFailures]");
    if (m.filters.size() > max_filters)
        return refused(fmt::format(
            "Invalid filter pattern definition. There are {} filters, and there may be {}",
            m.filters.size(), max_filters));
    for (const std::string& each : m.filters) HEARTH_CHECK(control::event_pattern::parse(each));
    return control::check_tags(m.tags);
}

result<void> check_source(std::string_view arn) {
    constexpr std::pair<std::string_view, std::string_view> others[] = {
        {"dynamodb", "Amazon DynamoDB"},
        {"kafka", "Amazon MSK"},
        {"mq", "Amazon MQ"},
        {"rds", "Amazon DocumentDB"},
    };
    if (arn.empty()) return refused("Unrecognized event source.");
    const std::string_view service = service_of(arn);
    if (service == "sqs") return {};
    if (service == "kinesis") return {};
    for (const auto& [name, product] : others)
        if (service == name)
            return error(errc::unsupported,
                         fmt::format("Event sources of {} are not implemented by this server yet: "
                                     "its event sources are queues and streams of its own",
                                     product));
    return refused(
        "Unrecognized event source, must be kinesis, dynamodb stream or sqs. "
        "Unsupported source arn: " +
        std::string(arn));
}

result<std::string> function_arn_of(const control_plane::impl& impl, std::string_view name) {
    HEARTH_TRY(const auto parsed, impl.parse(name, {}));
    return impl.arn_of(parsed.name, parsed.qualifier);
}

error no_stream(const event_source_mapping& m) {
    return refused((control::is_consumer(m) ? "Consumer not found: " : "Stream not found: ") +
                   m.event_source_arn);
}

result<void> check_stream_ends(const control_plane::impl& impl, const event_source_mapping& m) {
    if (!m.on_failure.empty()) HEARTH_CHECK(impl.check_outcome_target(m.on_failure, {}));
    const auto found = [&]() -> result<void> {
        if (control::is_consumer(m)) HEARTH_CHECK(impl.streams_.find_consumer(m.event_source_arn));
        HEARTH_CHECK(impl.streams_.find(control::stream_of(impl.streams_, m)));
        return {};
    }();
    if (!found.has_error()) return {};
    if (found.error().code() != make_error_code(stream_errc::resource_not_found))
        return found.error();
    return no_stream(m);
}

/// That both are there and that a message is not given to another while the function has it.
/// Blocks for the disk.
result<void> check_ends(const control_plane::impl& impl, const event_source_mapping& m) {
    HEARTH_TRY(const auto name, impl.parse(m.function_arn, {}));
    const auto function = impl.find_version(name);
    if (function.has_error()) return refused("Function does not exist");
    if (control::isolates_tenants(impl, *function))
        return refused(
            "Event source mappings are not supported for functions with tenant isolation mode.");
    std::chrono::milliseconds timeout{};
    {
        const auto guard = impl.registry_.lock();
        timeout = function->version->candidate().settings.timeout;
    }
    if (is_stream(m)) return check_stream_ends(impl, m);
    auto queue = impl.queue_at(m.event_source_arn, boost::asio::system_executor());
    const auto attributes =
        queue.has_error() ? result<queue_attributes>(queue.error()) : (*queue)->attributes();
    if (attributes.has_error()) {
        if (attributes.error() == errc::io_failed)
            return refused("Error occurred while ReceiveMessage. " + attributes.error().message());
        if (attributes.error().code() != make_error_code(queue_errc::queue_does_not_exist))
            return attributes.error();
        return refused(
            "Error occurred while ReceiveMessage. SQS Error Code: "
            "AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does "
            "not exist.");
    }
    std::int64_t visibility = 0;
    const auto said = attributes->find("VisibilityTimeout");
    const std::string text = said == attributes->end() ? std::string() : said->second;
    std::from_chars(text.data(), text.data() + text.size(), visibility);
    if (std::chrono::seconds(visibility) < timeout)
        return refused(fmt::format(
            "Queue visibility timeout: {} seconds is less than Function timeout: {} seconds",
            visibility, std::chrono::ceil<std::chrono::seconds>(timeout).count()));
    return {};
}

/// Another mapping between the same two.
result<void> check_alone(const control::event_sources& all, const event_source_mapping& m) {
    const auto same = all.list({}, 1, [&](const event_source_mapping& each) {
        return each.uuid != m.uuid && each.event_source_arn == m.event_source_arn &&
               each.function_arn == m.function_arn;
    });
    if (same.mappings.empty()) return {};
    const std::string_view function = m.function_arn;
    if (is_stream(m))
        return error(
            errc::already_exists,
            fmt::format("The event source arn (\" {} \") and function (\" {} \") provided "
                        "mapping already exists. Please update or delete the existing "
                        "mapping with UUID {}",
                        m.event_source_arn, function.substr(function.find(":function:") + 10),
                        same.mappings.front().uuid));
    return error(errc::already_exists,
                 fmt::format("An event source mapping with SQS arn (\" {} \") and function (\" {} "
                             "\") already exists. Please update or delete the existing mapping "
                             "with UUID {}",
                             m.event_source_arn, function.substr(function.find(":function:") + 10),
                             same.mappings.front().uuid));
}

result<void> take_stream_members(const create_event_source_mapping_request& r,
                                 event_source_mapping& m) {
    if (!is_stream(m)) {
        if (!r.starting_position.empty() || r.starting_position_timestamp)
            return refused("StartingPosition is not valid for SQS event sources.");
        if (const auto member = stream_member_of(r); !member.empty()) return foreign(member);
        return {};
    }
    if (r.starting_position.empty())
        return refused(
            "StartingPosition must not be null for an event source that is a stream: "
            "TRIM_HORIZON, LATEST or AT_TIMESTAMP");
    if (r.starting_position != "AT_TIMESTAMP" && r.starting_position_timestamp)
        return refused("Timestamp only valid with StartingPosition AT_TIMESTAMP");
    if (r.starting_position == "AT_TIMESTAMP" && !r.starting_position_timestamp)
        return refused("Need to specify a timestamp");
    m.starting_position = r.starting_position;
    m.starting_position_timestamp = r.starting_position_timestamp.value_or(0);
    m.parallelization_factor = r.parallelization_factor.value_or(1);
    m.maximum_retry_attempts = r.maximum_retry_attempts.value_or(-1);
    m.maximum_record_age = r.maximum_record_age.value_or(-1);
    m.bisect_batch_on_function_error = r.bisect_batch_on_function_error.value_or(false);
    m.tumbling_window = r.tumbling_window.value_or(0);
    m.on_failure = r.on_failure.value_or("");
    return {};
}

result<void> change_stream_members(const update_event_source_mapping_request& r,
                                   event_source_mapping& m) {
    if (!is_stream(m)) {
        if (const auto member = stream_member_of(r); !member.empty()) return foreign(member);
        return {};
    }
    if (r.parallelization_factor) m.parallelization_factor = *r.parallelization_factor;
    if (r.maximum_retry_attempts) m.maximum_retry_attempts = *r.maximum_retry_attempts;
    if (r.maximum_record_age) m.maximum_record_age = *r.maximum_record_age;
    if (r.bisect_batch_on_function_error)
        m.bisect_batch_on_function_error = *r.bisect_batch_on_function_error;
    if (r.tumbling_window) m.tumbling_window = *r.tumbling_window;
    if (r.on_failure) m.on_failure = *r.on_failure;
    return {};
}

/// The mapping's places in the stream's shards. Blocks for the disk.
result<void> begin(stream_service& streams, const event_source_mapping& m) {
    using kind = shard_position::kind;
    shard_position from;
    if (m.starting_position == "LATEST") from.from = kind::latest;
    if (m.starting_position == "AT_TIMESTAMP")
        from = {.from = kind::at_time,
                .time = stream_time(std::chrono::milliseconds(m.starting_position_timestamp))};
    const auto begun = streams.start_consumer(control::stream_of(streams, m), m.uuid, from);
    if (begun.has_error() &&
        begun.error().code() == make_error_code(stream_errc::resource_not_found))
        return no_stream(m);
    return begun;
}

std::int64_t now_ms() {
    return std::chrono::floor<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace

result<std::unique_ptr<control::queue_client>> control_plane::impl::queue_at(
    std::string_view arn, const boost::asio::any_io_executor& executor) const {
    if (std::string own = queues_.name_of(arn); !own.empty())
        return control::make_local_queue(queues_, std::move(own));
    for (const queue_endpoint& each : options_.queue_endpoints)
        if (each.region == control::region_of(arn))
            return control::make_remote_queue(executor, each, arn);
    return error(queue_errc::queue_does_not_exist);
}

result<event_source_mapping> control_plane::create_event_source_mapping(
    const create_event_source_mapping_request& r) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_CHECK(check_source(r.event_source_arn));
    event_source_mapping m;
    m.uuid = control::make_uuid();
    m.arn = fmt::format("arn:aws:lambda:{}:{}:event-source-mapping:{}", impl_->options_.region,
                        impl_->options_.account_id, m.uuid);
    m.event_source_arn = r.event_source_arn;
    HEARTH_TRY(m.function_arn, function_arn_of(*impl_, r.function_name));
    m.batch_size =
        r.batch_size.value_or(is_stream(m) ? default_stream_batch_size : default_batch_size);
    HEARTH_CHECK(take_stream_members(r, m));
    m.maximum_batching_window = r.maximum_batching_window.value_or(0);
    m.maximum_concurrency = r.maximum_concurrency;
    m.filters = r.filters;
    m.function_response_types = r.function_response_types;
    m.tags = r.tags;
    m.enabled = r.enabled;
    m.last_modified = now_ms();
    HEARTH_CHECK(check(m));
    HEARTH_CHECK(check_ends(*impl_, m));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_CHECK(check_alone(*impl_->event_sources_, m));
    if (impl_->event_sources_->size() >= control::event_sources::max_mappings)
        return refused(fmt::format("There are {} event source mappings, and there may be no more",
                                   control::event_sources::max_mappings));
    if (is_stream(m)) HEARTH_CHECK(begin(impl_->streams_, m));
    if (const auto kept = impl_->event_sources_->put(m); kept.has_error()) {
        if (is_stream(m)) (void)impl_->streams_.remove_consumer(m.uuid);
        return kept.error();
    }
    m.last_processing_result = "No records processed";
    return m;
}

result<event_source_mapping> control_plane::update_event_source_mapping(
    const update_event_source_mapping_request& r) {
    if (impl_->draining_) return error(errc::shutting_down);
    bool was_enabled = false;
    const auto changed = [&]() -> result<event_source_mapping> {
        HEARTH_TRY(event_source_mapping m, impl_->event_sources_->get(r.uuid));
        if (m.state == event_source_state::deleting)
            return error(errc::conflict,
                         "Cannot update the event source mapping because it is in use.");
        was_enabled = m.enabled;
        if (r.function_name) {
            HEARTH_TRY(m.function_arn, function_arn_of(*impl_, *r.function_name));
        }
        if (r.batch_size) m.batch_size = *r.batch_size;
        if (r.maximum_batching_window) m.maximum_batching_window = *r.maximum_batching_window;
        if (r.maximum_concurrency) {
            m.maximum_concurrency = r.maximum_concurrency;
            if (*r.maximum_concurrency == 0) m.maximum_concurrency.reset();
        }
        HEARTH_CHECK(change_stream_members(r, m));
        if (r.filters) m.filters = *r.filters;
        if (r.function_response_types) m.function_response_types = *r.function_response_types;
        if (r.enabled) m.enabled = *r.enabled;
        m.last_modified = now_ms();
        HEARTH_CHECK(check(m));
        return m;
    };
    HEARTH_TRY(event_source_mapping m, changed());
    const bool other_ends = r.function_name || r.on_failure;
    // Before others' changes have to wait: a queue elsewhere takes its time.
    if (other_ends) HEARTH_CHECK(check_ends(*impl_, m));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(m, changed());  // as it is by now
    if (other_ends) HEARTH_CHECK(check_alone(*impl_->event_sources_, m));
    HEARTH_CHECK(impl_->event_sources_->put(m));
    m.state = m.enabled == was_enabled ? event_source_state::updating
              : m.enabled              ? event_source_state::enabling
                                       : event_source_state::disabling;
    return m;
}

result<event_source_mapping> control_plane::get_event_source_mapping(std::string_view uuid) const {
    return impl_->event_sources_->get(uuid);
}

result<event_source_mapping> control_plane::delete_event_source_mapping(std::string_view uuid) {
    if (impl_->draining_) return error(errc::shutting_down);
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const auto m, impl_->event_sources_->get(uuid));
    if (m.state == event_source_state::deleting)
        return error(errc::conflict,
                     "Cannot delete the event source mapping because it is in use.");
    return impl_->event_sources_->remove(uuid);
}

result<event_source_mapping_page> control_plane::list_event_source_mappings(
    std::string_view event_source_arn,
    std::string_view function_name,
    std::string_view marker,
    std::size_t max_items) const {
    HEARTH_TRY(max_items, control::page_size(max_items));
    std::string function_arn;
    if (!function_name.empty()) {
        HEARTH_TRY(function_arn, function_arn_of(*impl_, function_name));
    }
    return impl_->event_sources_->list(marker, max_items, [&](const event_source_mapping& m) {
        return (event_source_arn.empty() || m.event_source_arn == event_source_arn) &&
               (function_arn.empty() || m.function_arn == function_arn);
    });
}

}  // namespace hearth
