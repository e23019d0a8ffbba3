/// The operations on event source mappings: what they take, and what they refuse.

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/event_pattern.hpp"
#include "control/event_sources.hpp"
#include "control/validation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace hearth {

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

constexpr std::uint64_t default_batch_size = 10;
constexpr std::size_t max_filters = 5;

error refused(std::string why) { return {errc::invalid_argument, std::move(why)}; }

result<void> check_range(std::string_view member,
                         std::uint64_t value,
                         std::uint64_t least,
                         std::uint64_t most) {
    if (value < least)
        return violation(member, std::to_string(value),
                         fmt::format("Member must have value greater than or equal to {}", least));
    if (value > most)
        return violation(member, std::to_string(value),
                         fmt::format("Member must have value less than or equal to {}", most));
    return {};
}

/// What needs neither the queue nor the function.
result<void> check(const event_source_mapping& m) {
    const bool is_fifo = m.event_source_arn.ends_with(".fifo");
    HEARTH_CHECK(check_range("batchSize", m.batch_size, 1, 10'000));
    HEARTH_CHECK(check_range("maximumBatchingWindowInSeconds", m.maximum_batching_window, 0, 300));
    if (m.maximum_concurrency)
        HEARTH_CHECK(
            check_range("scalingConfig.maximumConcurrency", *m.maximum_concurrency, 2, 1000));
    if (is_fifo && m.batch_size > 10)
        return refused("Batch size must not exceed 10 for FIFO queues");
    if (is_fifo && m.maximum_batching_window > 0)
        return refused("Batching window is not supported for FIFO queues");
    if (m.batch_size > 10 && m.maximum_batching_window == 0)
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

/// arn:aws:SERVICE:…
std::string_view service_of(std::string_view arn) {
    if (!arn.starts_with("arn:")) return {};
    arn.remove_prefix(4);
    arn.remove_prefix(std::min(arn.find(':'), arn.size() - 1) + 1);
    return arn.substr(0, arn.find(':'));
}

result<void> check_source(std::string_view arn) {
    constexpr std::pair<std::string_view, std::string_view> others[] = {
        {"kinesis", "Amazon Kinesis"}, {"dynamodb", "Amazon DynamoDB"}, {"kafka", "Amazon MSK"},
        {"mq", "Amazon MQ"},           {"rds", "Amazon DocumentDB"},
    };
    if (arn.empty()) return refused("Unrecognized event source.");
    const std::string_view service = service_of(arn);
    if (service == "sqs") return {};
    for (const auto& [name, product] : others)
        if (service == name)
            return error(errc::unsupported,
                         fmt::format("Event sources of {} are not implemented by this server yet: "
                                     "its event sources are queues of its own",
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

/// That both are there and that a message is not given to another while the function has it.
/// Blocks for the disk.
result<void> check_ends(const control_plane::impl& impl, const event_source_mapping& m) {
    HEARTH_TRY(const auto name, impl.parse(m.function_arn, {}));
    const auto function = impl.find_version(name);
    if (function.has_error()) return refused("Function does not exist");
    std::chrono::milliseconds timeout{};
    {
        const auto guard = impl.registry_.lock();
        timeout = function->version->candidate().settings.timeout;
    }
    const std::string queue = impl.queues_.name_of(m.event_source_arn);
    const auto attributes = queue.empty()
                                ? result<queue_attributes>(queue_errc::queue_does_not_exist)
                                : impl.queues_.attributes(queue);
    if (attributes.has_error()) {
        if (attributes.error().code() != make_error_code(queue_errc::queue_does_not_exist))
            return attributes.error();
        return refused(
            "Error occurred while ReceiveMessage. SQS Error Code: "
            "AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does "
            "not exist.");
    }
    std::int64_t visibility = 0;
    const std::string& text = attributes->at("VisibilityTimeout");
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
    return error(errc::already_exists,
                 fmt::format("An event source mapping with SQS arn (\" {} \") and function (\" {} "
                             "\") already exists. Please update or delete the existing mapping "
                             "with UUID {}",
                             m.event_source_arn, function.substr(function.find(":function:") + 10),
                             same.mappings.front().uuid));
}

std::int64_t now_ms() {
    return std::chrono::floor<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace

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
    m.batch_size = r.batch_size.value_or(default_batch_size);
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
    HEARTH_CHECK(impl_->event_sources_->put(m));
    m.last_processing_result = "No records processed";
    return m;
}

result<event_source_mapping> control_plane::update_event_source_mapping(
    const update_event_source_mapping_request& r) {
    if (impl_->draining_) return error(errc::shutting_down);
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(event_source_mapping m, impl_->event_sources_->get(r.uuid));
    if (m.state == event_source_state::deleting)
        return error(errc::conflict,
                     "Cannot update the event source mapping because it is in use.");
    const bool was_enabled = m.enabled;
    if (r.function_name) {
        HEARTH_TRY(m.function_arn, function_arn_of(*impl_, *r.function_name));
    }
    if (r.batch_size) m.batch_size = *r.batch_size;
    if (r.maximum_batching_window) m.maximum_batching_window = *r.maximum_batching_window;
    if (r.maximum_concurrency) {
        m.maximum_concurrency = r.maximum_concurrency;
        if (*r.maximum_concurrency == 0) m.maximum_concurrency.reset();
    }
    if (r.filters) m.filters = *r.filters;
    if (r.function_response_types) m.function_response_types = *r.function_response_types;
    if (r.enabled) m.enabled = *r.enabled;
    m.last_modified = now_ms();
    HEARTH_CHECK(check(m));
    if (r.function_name) {
        HEARTH_CHECK(check_ends(*impl_, m));
        HEARTH_CHECK(check_alone(*impl_->event_sources_, m));
    }
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
