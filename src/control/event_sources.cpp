#include "control/event_sources.hpp"

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/paging.hpp"
#include "control/queue_source.hpp"
#include "control/record_json.hpp"
#include "control/stream_source.hpp"

#include <utility>

namespace hearth::control {

namespace {

const std::string document_kind = "event-source-mapping";

error no_mapping() { return {errc::not_found, "The resource you requested does not exist."}; }

result<std::vector<event_pattern>> filters_of(const event_source_mapping& m) {
    std::vector<event_pattern> filters;
    for (const std::string& each : m.filters) {
        HEARTH_TRY(auto pattern, event_pattern::parse(each));
        filters.push_back(std::move(pattern));
    }
    return filters;
}

}  // namespace

event_source_ptr event_sources::make(event_source_mapping m, std::vector<event_pattern> filters) {
    if (is_stream(m))
        return std::make_shared<stream_source>(all_, std::move(m), std::move(filters));
    return std::make_shared<queue_source>(all_, std::move(m), std::move(filters));
}

result<void> event_sources::load() {
    HEARTH_TRY(const auto documents, all_.owner.storage_->load_documents(document_kind));
    const std::scoped_lock lock(all_.mutex);
    for (const std::string& each : documents) {
        HEARTH_TRY(auto mapping, mapping_from_json(each));
        HEARTH_TRY(auto filters, filters_of(mapping));
        std::string uuid = mapping.uuid;
        all_.sources.emplace(std::move(uuid), make(std::move(mapping), std::move(filters)));
    }
    return {};
}

void event_sources::start() {
    const std::scoped_lock lock(all_.mutex);
    running_ = true;
    for (const auto& [uuid, s] : all_.sources) {
        if (s->mapping().enabled) s->start();
        s->wake();
    }
}

void event_sources::pause() {
    const std::scoped_lock lock(all_.mutex);
    running_ = false;
    for (const auto& [uuid, s] : all_.sources) {
        s->stop();
        s->wake();
    }
}

void event_sources::stop() {
    pause();
    // All that is under way counts as work on the thread, and a source that was stopped sets no
    // timer.
    all_.thread.join();
}

result<void> event_sources::put(event_source_mapping m) {
    HEARTH_TRY(auto filters, filters_of(m));
    HEARTH_CHECK(all_.owner.storage_->put_document(document_kind, m.uuid, to_json(m)));
    const bool is_enabled = m.enabled;
    const std::scoped_lock lock(all_.mutex);
    event_source_ptr& s = all_.sources[m.uuid];
    if (s)
        s->change(std::move(m), std::move(filters));
    else
        s = make(std::move(m), std::move(filters));
    if (running_ && is_enabled)
        s->start();
    else
        s->stop();
    s->wake();
    return {};
}

result<event_source_mapping> event_sources::remove(std::string_view uuid) {
    HEARTH_TRY(event_source_mapping m, get(uuid));
    HEARTH_CHECK(all_.owner.storage_->remove_document(document_kind, m.uuid));
    // Should a batch that is still under way leave a place behind, that goes with its shard.
    if (is_stream(m)) HEARTH_CHECK(all_.owner.streams_.remove_consumer(m.uuid));
    const std::scoped_lock lock(all_.mutex);
    if (const auto at = all_.sources.find(uuid); at != all_.sources.end()) {
        at->second->remove();
        at->second->wake();
    }
    m.state = event_source_state::deleting;
    return m;
}

result<event_source_mapping> event_sources::get(std::string_view uuid) const {
    const std::scoped_lock lock(all_.mutex);
    const auto at = all_.sources.find(uuid);
    if (at == all_.sources.end()) return no_mapping();
    return at->second->shown();
}

event_source_mapping_page event_sources::list(
    std::string_view marker,
    std::size_t max_items,
    const std::function<bool(const event_source_mapping&)>& wanted) const {
    event_source_mapping_page page;
    event_source_mapping one;
    const std::scoped_lock lock(all_.mutex);
    page.next_marker = fill_page(all_.sources, marker, max_items, page.mappings,
                                 [&](const event_source_ptr& s) -> const event_source_mapping* {
                                     if (!wanted(s->mapping())) return nullptr;
                                     one = s->shown();
                                     return &one;
                                 });
    return page;
}

std::size_t event_sources::size() const {
    const std::scoped_lock lock(all_.mutex);
    return all_.sources.size();
}

void event_sources::add_to(hearth::metrics& m) const {
    const std::scoped_lock lock(all_.mutex);
    for (const auto& [uuid, s] : all_.sources) m.event_sources.push_back(s->metrics());
}

}  // namespace hearth::control
