#pragma once

/// The source of a mapping from a stream. What is done with a shard is shard_poller's decision;
/// here pollers meet shards, functions and destinations. A shard begins when its parents were read
/// to their end; the places are kept by the stream (data_stream.hpp), for a consumer of the
/// mapping's UUID.

#include "control/event_source.hpp"
#include "control/shard_poller.hpp"

#include <boost/asio/cancellation_signal.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hearth::control {

class stream_source final : public event_source {
  public:
    stream_source(event_source_context& all,
                  event_source_mapping m,
                  std::vector<event_pattern> filters);

    void start() override { wanted_ = true; }
    void stop() override;
    [[nodiscard]] event_source_metrics metrics() const override;

  private:
    struct shard {
        shard(std::string i, std::string from, shard_poller::settings s)
            : id(std::move(i)), poller(std::move(s)), iterator(std::move(from)) {}

        const std::string id;
        shard_poller poller;  ///< under the mutex
        // The thread's.
        std::string iterator;
        boost::asio::cancellation_signal cancel_read;
    };
    using shard_ptr = std::shared_ptr<shard>;

    /// Begins anew, where it has come to, with what is said now.
    void configure() override { clear(); }
    [[nodiscard]] bool idle() const override;
    [[nodiscard]] std::size_t bytes() const override;
    std::optional<time_point> plan(time_point now, bool has_room) override;
    void act() override;

    // Under the mutex.
    /// All shards are to stop and then to go.
    void clear();
    [[nodiscard]] shard_poller::settings settings(std::string_view shard_id) const;
    /// The shard, at the consumer's place in it.
    [[nodiscard]] shard_ptr make(const consumer_shard& from) const;

    void list();
    void on_listed(const error& failed, std::vector<consumer_shard> shards);
    void perform(const shard_ptr& s, shard_poller::read r);
    void perform(const shard_ptr& s, shard_poller::cancel_read);
    void perform(const shard_ptr& s, shard_poller::invoke i);
    void perform(const shard_ptr& s, shard_poller::discard d);
    void perform(const shard_ptr& s, shard_poller::checkpoint c);
    void on_read(const shard_ptr& s, const error& failed, record_page page);
    void on_invoked(const shard_ptr& s,
                    std::uint64_t batch,
                    const error& failed,
                    const response& r);
    [[nodiscard]] std::shared_ptr<stream_source> self();

    const std::string stream_;
    const std::string consumer_arn_;  ///< empty: the stream is read without being registered
    // Under the mutex.
    std::map<std::string, shard_ptr, std::less<>> shards_;  ///< those that are read, by id
    bool wanted_ = false, clearing_ = false;
    bool must_list_ = true, listing_ = false;
    time_point no_list_before_{};
    std::string role_;
    std::uint64_t polled_ = 0, filtered_out_ = 0;
    shard_poller::counts counted_;  ///< of shards that have gone
    // The thread's.
    bool list_now_ = false;
    std::vector<std::pair<shard_ptr, shard_poller::action>> todo_;
};

}  // namespace hearth::control
