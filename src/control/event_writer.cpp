#include "control/event_writer.hpp"

#include <span>
#include <utility>

namespace hearth::control {

event_writer::event_writer(event_store& store) : store_(store), thread_([this] { run(); }) {}

event_writer::~event_writer() { stop(); }

void event_writer::stop() {
    waiting_.stop();
    if (thread_.joinable()) thread_.join();
}

result<void> event_writer::submit(event_change change, bool urgent, handler done) {
    std::size_t bytes = 0;
    for (const queued_event& e : change.add) bytes += e.payload.size();
    using answer = commit_queue<job>::verdict;
    switch (waiting_.push({std::move(change), std::move(done)}, bytes, urgent, max_waiting_bytes)) {
        case answer::taken:
            return {};
        case answer::full:
            return error(errc::throttled,
                         "CallerRateLimitExceeded: more events wait for the disk than it can take");
        case answer::stopped:
            break;
    }
    return error(errc::shutting_down);
}

void event_writer::run() {
    for (;;) {
        std::vector<job> batch = waiting_.take();
        if (batch.empty()) return;
        write(std::move(batch));
    }
}

void event_writer::write(std::vector<job> batch) {
    std::vector<const event_change*> changes;
    changes.reserve(batch.size());
    for (const job& j : batch) changes.push_back(&j.change);
    const result<void> together = store_.apply(changes);
    for (std::size_t i = 0; i < batch.size(); ++i) {
        error e;
        // What cannot be written takes nothing else with it: on a full disk removals still go.
        if (together.has_error()) {
            const auto alone =
                batch.size() == 1 ? together : store_.apply(std::span(changes).subspan(i, 1));
            if (alone.has_error()) e = alone.error();
        }
        std::move(batch[i].done)(std::move(e));
    }
}

}  // namespace hearth::control
