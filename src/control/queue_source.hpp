#pragma once

/// The source of a mapping from a queue. The decisions are queue_poller's; here they meet queues
/// and functions.

#include "control/event_source.hpp"
#include "control/queue_client.hpp"
#include "control/queue_poller.hpp"

#include <boost/asio/cancellation_signal.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace hearth::control {

class queue_source final : public event_source {
  public:
    queue_source(event_source_context& all,
                 event_source_mapping m,
                 std::vector<event_pattern> filters);

    void start() override { poller_.start(); }
    void stop() override { poller_.stop(); }
    [[nodiscard]] event_source_metrics metrics() const override;

  private:
    void configure() override;
    [[nodiscard]] bool idle() const override { return poller_.idle(); }
    [[nodiscard]] std::size_t bytes() const override { return poller_.bytes(); }
    std::optional<time_point> plan(time_point now, bool has_room) override;
    void act() override;

    void perform(queue_poller::receive r);
    void perform(queue_poller::cancel_receive);
    void perform(queue_poller::invoke i);
    void perform(queue_poller::remove r);
    void perform(queue_poller::release r);
    void on_received(const error& failed, std::vector<queue_message> messages);
    void on_invoked(std::uint64_t batch, const error& failed, const response& r);
    /// It cannot receive now, and tries again a little later.
    void hold(const error& why);
    /// Why the function cannot be invoked, if it cannot. @errors as control_plane::impl::admit
    [[nodiscard]] result<void> check_function(const std::string& arn) const;
    [[nodiscard]] std::shared_ptr<queue_source> self();

    const std::unique_ptr<queue_client> queue_;
    // Under the mutex.
    queue_poller poller_;
    std::uint64_t polled_ = 0, filtered_out_ = 0, deleted_ = 0;
    // The thread's.
    std::vector<queue_poller::action> todo_;
    boost::asio::cancellation_signal cancel_receive_;
};

}  // namespace hearth::control
