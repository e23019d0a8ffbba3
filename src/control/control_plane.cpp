#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/event_sources.hpp"
#include "control/events.hpp"
#include "control/rules.hpp"
#include "image/package_image.hpp"
#include "logs/log_store.hpp"

#include <hearth/control.hpp>
#include <hearth/observer.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>
#include <fmt/format.h>

#include <time.h>

#include <algorithm>
#include <iterator>

namespace hearth {

using control::entry;
using control::entry_ptr;
using control::version_entry;

std::string_view to_string(function_state s) noexcept {
    switch (s) {
        case function_state::pending:
            return "Pending";
        case function_state::active:
            return "Active";
        case function_state::failed:
            return "Failed";
    }
    return "";
}

std::string_view to_string(update_status s) noexcept {
    switch (s) {
        case update_status::successful:
            return "Successful";
        case update_status::failed:
            return "Failed";
        case update_status::in_progress:
            return "InProgress";
    }
    return "";
}

namespace control {

room_listener tell_of_room(std::shared_ptr<observer> told) {
    if (!told) return {};
    return [told = std::move(told)](const std::string& message) {
        // Whoever writes may hold a lock.
        boost::asio::post(boost::asio::system_executor(), [told, message] {
            told->on_log({log_record::severity::warning, "control", message});
        });
    };
}

std::string timestamp_now() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    tm utc{};
    ::gmtime_r(&now.tv_sec, &utc);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}+0000", utc.tm_year + 1900,
                       utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                       now.tv_nsec / 1'000'000);
}

}  // namespace control

control_plane::impl::impl(control_options o,
                          worker::worker& w,
                          std::unique_ptr<control::storage> s,
                          std::shared_ptr<queue_service::impl> q,
                          std::shared_ptr<stream_service::impl> streams)
    : options_(std::move(o)),
      worker_(w),
      runtimes_(options_.guest_root, options_.runtime_directory, options_.interpreter_version),
      hosts_({&w}),
      storage_(std::move(s)),
      routing_(
          static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count())),
      queue_thread_(std::move(q)),
      queues_(queue_thread_),
      stream_thread_(std::move(streams)),
      streams_(stream_thread_),
      activations_(std::max<std::size_t>(options_.activation_threads, 1)) {}

control_plane::impl::~impl() {
    draining_ = true;
    if (rules_) rules_->stop();
    if (event_sources_) event_sources_->stop();
    if (events_) events_->stop();
    queue_thread_->stop();
    stream_thread_->stop();
    loads_.join();
    activations_.join();
}

void control_plane::impl::tell(std::string_view message) const {
    if (options_.observer)
        options_.observer->on_log({log_record::severity::warning, "control", message});
}

result<void> control_plane::impl::store(const entry& e,
                                        const version_entry& v,
                                        const control::stored_version& next) {
    if (!e.durable) return {};
    return &v == e.latest.get() ? storage_->put({next, e.attributes})
                                : storage_->put_version(next.current);
}

result<void> control_plane::impl::store(const entry& e, const control::function_attributes& next) {
    if (!e.durable) return {};
    return storage_->put({e.latest->stored, next});
}

result<void> control_plane::impl::change_attributes(const entry_ptr& e,
                                                    control::function_attributes next) {
    HEARTH_CHECK(store(*e, next));
    const auto guard = registry_.lock();
    registry_.set_attributes_locked(*e, std::move(next));
    return {};
}

control_plane::control_plane(std::unique_ptr<impl> i) noexcept : impl_(std::move(i)) {}
control_plane::~control_plane() = default;

result<std::unique_ptr<control_plane>> control_plane::create(control_options options,
                                                             worker::worker& worker) {
    for (const queue_endpoint& each : options.queue_endpoints) {
        HEARTH_CHECK(control::check_endpoint(each));
        if (each.region == options.region)
            return error(errc::invalid_argument, "The queues of the region " + each.region +
                                                     " are this server's own: an endpoint is of "
                                                     "another region");
    }
    std::unique_ptr<control::storage> storage;
    if (options.data_directory.empty()) {
        storage = control::open_memory_storage();
    } else {
        HEARTH_TRY(storage, control::open_sqlite_storage(options.data_directory,
                                                         control::tell_of_room(options.observer)));
    }
    HEARTH_TRY(auto functions, storage->load());
    const auto file = [&](const char* name) {
        return options.data_directory.empty() ? std::filesystem::path()
                                              : options.data_directory / name;
    };
    const identity who{options.region, options.account_id};
    HEARTH_TRY(auto queues, queues::open_service(file("queues.db"), {who}, wall_now,
                                                 control::tell_of_room(options.observer)));
    HEARTH_TRY(auto streams, streams::open_service(file("streams.db"), who, wall_now,
                                                   control::tell_of_room(options.observer)));
    auto self = std::make_unique<impl>(std::move(options), worker, std::move(storage),
                                       std::move(queues), std::move(streams));
    HEARTH_TRY(auto layers, self->storage_->load_layers());
    for (auto& each : layers) {
        auto& versions = self->layers_[each.layer.name];
        versions.emplace(each.layer.version, std::move(each));
    }
    HEARTH_TRY(auto signing, self->storage_->load_code_signing());
    for (auto& each : signing) self->code_signing_.emplace(each.arn, std::move(each));
    HEARTH_TRY(self->apis_, http_apis::open(*self->storage_, self->options_.region,
                                            self->options_.account_id));
    HEARTH_TRY(self->events_, control::events::open(*self));
    std::vector<std::string> names;
    for (const auto& f : functions) names.push_back(f.function.latest.current.function_name);
    self->hosts_.keep_snapshots(names);
    for (auto& f : functions) {
        auto e = std::make_shared<entry>(f.function.latest.current.function_name);
        e->attributes = std::move(f.function.attributes);
        e->latest->stored = std::move(f.function.latest);
        for (auto& [number, configuration] : f.versions) {
            auto& version = e->published[number] = std::make_shared<version_entry>();
            version->stored.current = std::move(configuration);
        }
        self->registry_.insert(e->name(), e);
        const auto take_up = [&](const control::version_ptr& v) {
            if (v->in_transition()) self->start_activation({e, v}, v->generation);
        };
        take_up(e->latest);
        for (const auto& [number, version] : e->published) take_up(version);
        // What is kept free or ready is so without waiting for an invocation.
        if (e->attributes.reserved_concurrency || !e->attributes.provisioned.empty() ||
            !e->attributes.scaling.empty())
            self->apply_provisioned(e);
    }
    HEARTH_CHECK(self->open_rules());
    self->event_sources_ = std::make_unique<control::event_sources>(*self);
    HEARTH_CHECK(self->event_sources_->load());
    self->events_->start();
    self->rules_->start();
    self->event_sources_->start();
    return std::unique_ptr<control_plane>(new control_plane(std::move(self)));
}

result<std::string> control_plane::function_arn(std::string_view name) const {
    HEARTH_TRY(const control::function_name parsed, control::parse_function_name(name));
    return impl_->arn_of(parsed.name);
}

const std::string& control_plane::account_id() const noexcept { return impl_->options_.account_id; }
const std::string& control_plane::region() const noexcept { return impl_->options_.region; }
std::string control_plane::new_request_id() const { return impl_->request_ids_.next(); }

account_settings control_plane::get_account_settings() const {
    return {.total_code_size_limit = impl_->options_.code_storage_limit.bytes(),
            .code_size_unzipped_limit = image::max_unzipped,
            .code_size_zipped_limit = image::max_zipped,
            .concurrent_executions = impl_->options_.account_concurrency,
            .unreserved_concurrent_executions = impl_->unreserved(),
            .total_code_size = impl_->total_code_size(),
            .function_count = impl_->registry_.size()};
}

const function_logs* control_plane::logs() const noexcept { return impl_->options_.logs.get(); }

http_apis& control_plane::apis() const noexcept { return *impl_->apis_; }

queue_service& control_plane::queues() const noexcept { return impl_->queues_; }
stream_service& control_plane::streams() const noexcept { return impl_->streams_; }

std::size_t control_plane::size() const { return impl_->registry_.size(); }

hearth::metrics control_plane::metrics() const {
    hearth::metrics m = impl_->worker_.metrics();
    // The worker does not know those that nobody has called since a restart.
    std::vector<function_metrics> others;
    std::vector<std::pair<std::string, std::uint64_t>> stopped;
    m.functions = 0;
    impl_->registry_.visit_after({}, [&, known = m.by_function.cbegin()](const entry& e) mutable {
        const std::string& name = e.name();
        while (known != m.by_function.cend() && known->name < name) ++known;
        if (known == m.by_function.cend() || known->name != name) others.push_back({.name = name});
        if (e.recursive_dropped > 0) stopped.emplace_back(name, e.recursive_dropped);
        ++m.functions;
        return true;
    });
    if (!others.empty()) {
        m.by_function.insert(m.by_function.end(), std::move_iterator(others.begin()),
                             std::move_iterator(others.end()));
        std::ranges::sort(m.by_function, {}, &function_metrics::name);
    }
    for (auto f = m.by_function.begin(); const auto& [name, times] : stopped) {
        f = std::ranges::lower_bound(f, m.by_function.end(), name, {}, &function_metrics::name);
        f->recursive_dropped = times;
    }
    impl_->events_->add_to(m);
    if (impl_->options_.logs) m.logs = impl_->options_.logs->metrics();
    const control::rules::counts rules = impl_->rules_->counted();
    impl_->event_sources_->add_to(m);
    m.rules_fired = rules.fired;
    m.rule_events_delivered = rules.delivered;
    m.rule_events_failed = rules.failed;
    return m;
}

std::vector<recent_invocation> control_plane::recent_invocations(std::uint64_t after) const {
    return impl_->worker_.recent_invocations(after);
}

void control_plane::drain() {
    impl_->draining_ = true;
    impl_->rules_->stop();
    impl_->event_sources_->pause();
    impl_->events_->pause();
    // Not loads_: it still completes what is refused from now on.
    impl_->activations_.join();
}

}  // namespace hearth
