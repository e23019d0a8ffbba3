#include "control/event_source.hpp"

#include "control/control_plane_impl.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

namespace hearth::control {

namespace asio = boost::asio;

std::string_view service_of(std::string_view arn) {
    if (!arn.starts_with("arn:")) return {};
    arn.remove_prefix(4);
    arn.remove_prefix(std::min(arn.find(':'), arn.size() - 1) + 1);
    return arn.substr(0, arn.find(':'));
}

std::string_view region_of(std::string_view arn) {
    for (int i = 0; i < 3; ++i) arn.remove_prefix(std::min(arn.find(':'), arn.size() - 1) + 1);
    return arn.substr(0, arn.find(':'));
}

bool is_stream(const event_source_mapping& m) {
    return service_of(m.event_source_arn) == "kinesis";
}

bool is_consumer(const event_source_mapping& m) {
    return is_stream(m) && m.event_source_arn.find("/consumer/") != std::string::npos;
}

std::string stream_of(const stream_service& streams, const event_source_mapping& m) {
    return is_consumer(m) ? streams.stream_of_consumer(m.event_source_arn)
                          : streams.name_of(m.event_source_arn);
}

event_source::event_source(event_source_context& all,
                           event_source_mapping m,
                           std::vector<event_pattern> filters)
    : uuid_(m.uuid),
      all_(all),
      mapping_(std::move(m)),
      filters_(std::move(filters)),
      timer_(all.thread.get_executor()) {
    mapping_.last_processing_result = "No records processed";
}

event_source_mapping event_source::shown() const {
    event_source_mapping m = mapping_;
    m.state = deleting_   ? event_source_state::deleting
              : m.enabled ? event_source_state::enabled
              : !idle()   ? event_source_state::disabling
                          : event_source_state::disabled;
    return m;
}

void event_source::change(event_source_mapping m, std::vector<event_pattern> filters) {
    m.last_processing_result = std::move(mapping_.last_processing_result);
    mapping_ = std::move(m);
    filters_ = std::move(filters);
    configure();
}

void event_source::remove() {
    deleting_ = true;
    stop();
}

void event_source::wake() {
    asio::post(all_.thread, [self = shared_from_this()] { self->pump(); });
}

void event_source::say(const error& why) {
    mapping_.last_processing_result = "PROBLEM: " + why.message();
}

void event_source::say(const error& failed, bool is_answered) {
    if (failed.code()) return say(failed);
    mapping_.last_processing_result = is_answered ? "OK" : "PROBLEM: Function call failed";
}

std::string event_source::function_arn() const {
    const std::scoped_lock lock(all_.mutex);
    return mapping_.function_arn;
}

bool event_source::wants(const boost::json::object& form) const {
    return filters_.empty() || std::ranges::any_of(filters_, [&](const event_pattern& each) {
               return each.matches(form);
           });
}

event_source_metrics event_source::metrics_head() const {
    return {.uuid = uuid_,
            .event_source_arn = mapping_.event_source_arn,
            .function_arn = mapping_.function_arn};
}

void event_source::pump() {
    std::optional<time_point> next;
    {
        const std::scoped_lock lock(all_.mutex);
        const bool has_room = all_.bytes < event_source_context::max_bytes;
        next = plan(std::chrono::steady_clock::now(), has_room);
        all_.bytes = all_.bytes - charged_ + bytes();
        charged_ = bytes();
        const auto self = shared_from_this();
        if (!has_room && std::ranges::find(all_.starved, self) == all_.starved.end())
            all_.starved.push_back(self);
        if (deleting_ && idle()) all_.sources.erase(uuid_);
    }
    if (next) {
        timer_.expires_at(*next);
        timer_.async_wait([self = shared_from_this()](boost::system::error_code ec) {
            if (!ec) self->pump();
        });
    } else {
        timer_.cancel();
    }
    act();
    if (all_.bytes < event_source_context::max_bytes)
        for (const event_source_ptr& each : std::exchange(all_.starved, {})) each->wake();
}

}  // namespace hearth::control
