#include "control/event_store.hpp"

#include <map>
#include <mutex>
#include <utility>

namespace hearth::control {
namespace {

/// For runtimes without a data directory: events that wait are lost with the process.
class memory_events final : public event_store {
  public:
    explicit memory_events(std::size_t max_bytes) : max_bytes_(max_bytes) {}

    result<void> apply(std::span<const event_change* const> changes) override {
        const std::scoped_lock lock(mutex_);
        std::size_t more = 0;
        for (const event_change* change : changes)
            for (const queued_event& e : change->add) more += e.payload.size();
        if (more != 0 && bytes_ + more > max_bytes_)
            return error(errc::no_room, "the events that wait hold " + std::to_string(bytes_) +
                                            " bytes of memory, the limit is " +
                                            std::to_string(max_bytes_) +
                                            ": with a data directory they would be on disk");
        for (const event_change* change : changes) write(*change);
        return {};
    }

    result<reading> read(std::string_view lane,
                         event_time now,
                         std::size_t want,
                         std::size_t max_bytes,
                         const std::set<std::uint64_t>& skip) override {
        const std::scoped_lock lock(mutex_);
        reading found;
        const auto waiting = lanes_.find(lane);
        if (waiting == lanes_.end()) return found;
        std::size_t bytes = 0;
        for (const auto& [due, id] : waiting->second) {
            if (skip.contains(id)) continue;
            if (due > now || found.events.size() >= want || bytes >= max_bytes) {
                found.next_due = due;
                break;
            }
            found.events.push_back(events_.at(id));
            bytes += found.events.back().payload.size();
        }
        return found;
    }

    result<std::vector<std::string>> lanes() override {
        const std::scoped_lock lock(mutex_);
        std::vector<std::string> names;
        for (const auto& [name, waiting] : lanes_) names.push_back(name);
        return names;
    }

    [[nodiscard]] std::uint64_t size() const override {
        const std::scoped_lock lock(mutex_);
        return events_.size();
    }

  private:
    // With mutex_ held.
    void write(const event_change& change) {
        if (!change.drop_function.empty())
            for (auto at = events_.begin(); at != events_.end();) {
                const queued_event& e = (at++)->second;
                if (function_of(e.lane) == change.drop_function &&
                    !(change.spare_awaiting && e.awaits_deploy))
                    remove(e.id);
            }
        if (change.remove) remove(change.remove);
        if (change.postpone)
            if (const auto at = events_.find(change.postpone->id); at != events_.end()) {
                queued_event& e = at->second;
                auto& waiting = lanes_.at(e.lane);
                waiting.erase({e.due, e.id});
                e.due = change.postpone->due;
                e.failures = change.postpone->failures, e.setbacks = change.postpone->setbacks;
                waiting.emplace(e.due, e.id);
            }
        for (const queued_event& given : change.add) {
            queued_event& e = events_[next_id_] = given;
            e.id = next_id_++;
            bytes_ += e.payload.size();
            lanes_[e.lane].emplace(e.due, e.id);
        }
    }

    void remove(std::uint64_t id) {
        const auto at = events_.find(id);
        if (at == events_.end()) return;
        const queued_event& e = at->second;
        bytes_ -= e.payload.size();
        const auto waiting = lanes_.find(e.lane);
        waiting->second.erase({e.due, id});
        if (waiting->second.empty()) lanes_.erase(waiting);
        events_.erase(at);
    }

    const std::size_t max_bytes_;
    mutable std::mutex mutex_;  // a leaf; guards all below
    std::map<std::uint64_t, queued_event> events_;
    std::map<std::string, std::set<std::pair<event_time, std::uint64_t>>, std::less<>> lanes_;
    std::size_t bytes_ = 0;
    std::uint64_t next_id_ = 1;
};

}  // namespace

std::unique_ptr<event_store> open_memory_events(std::size_t max_bytes) {
    return std::make_unique<memory_events>(max_bytes);
}

}  // namespace hearth::control
