#include "control/registry.hpp"

namespace hearth::control {

entry_ptr registry::find(std::string_view name) const {
    const auto guard = lock();
    return find_locked(name);
}

entry_ptr registry::find_locked(std::string_view name) const {
    const auto at = entries_.find(name);
    return at == entries_.end() ? nullptr : at->second;
}

void registry::insert(const std::string& name, entry_ptr e) {
    const auto guard = lock();
    entry_ptr& place = entries_[name];
    if (place) remove_urls(*place);
    place.swap(e);  // what was there is destroyed after the lock
    add_urls(*place);
}

void registry::set_attributes_locked(entry& e, function_attributes next) {
    remove_urls(e);
    e.attributes = std::move(next);
    add_urls(e);
}

void registry::add_urls(const entry& e) {
    for (const auto& [qualifier, url] : e.attributes.urls) urls_.insert_or_assign(url.url_id, url);
}

void registry::remove_urls(const entry& e) {
    for (const auto& [qualifier, url] : e.attributes.urls) urls_.erase(url.url_id);
}

result<function_url_config> registry::find_url(std::string_view url_id) const {
    const auto guard = lock();
    if (const auto at = urls_.find(url_id); at != urls_.end()) return at->second;
    return error(errc::not_found, "There is no function URL of that id here");
}

void registry::erase(std::string_view name) {
    entry_ptr last;  // destroyed after the lock: it may terminate environments
    const auto guard = lock();
    if (const auto at = entries_.find(name); at != entries_.end()) {
        last = std::move(at->second);
        remove_urls(*last);
        entries_.erase(at);
    }
}

std::size_t registry::size() const {
    const auto guard = lock();
    return entries_.size();
}

void registry::visit_after(std::string_view marker,
                           const std::function<bool(const entry&)>& visit) const {
    const auto guard = lock();
    for (auto at = marker.empty() ? entries_.begin() : entries_.upper_bound(marker);
         at != entries_.end() && visit(*at->second); ++at) {
    }
}

void registry::visit_from(std::string_view first,
                          const std::function<bool(const entry&)>& visit) const {
    const auto guard = lock();
    for (auto at = entries_.lower_bound(first); at != entries_.end() && visit(*at->second); ++at) {
    }
}

std::uint64_t registry::total_code_size() const {
    std::uint64_t total = 0;
    visit_after({}, [&](const entry& e) {
        e.each_version([&](const version_entry& v) {
            total += v.stored.current.code_size;
            if (v.stored.update && v.stored.update->code_sha256 != v.stored.current.code_sha256)
                total += v.stored.update->code_size;
        });
        return true;
    });
    return total;
}

bool registry::uses_package(std::string_view code_sha256) const {
    bool used = false;
    visit_after({}, [&](const entry& e) {
        if (!e.durable) return true;
        e.each_version([&](const version_entry& v) {
            const auto look = [&](const std::string& sha256) { used |= sha256 == code_sha256; };
            each_package(v.stored.current, look);
            if (v.stored.update) each_package(*v.stored.update, look);
        });
        return !used;
    });
    return used;
}

}  // namespace hearth::control
