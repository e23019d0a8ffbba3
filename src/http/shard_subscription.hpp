#pragma once

/// SubscribeToShard: a shard's records as events, as they come, for five minutes. Of a shard that
/// was read to its end the last event names its children. An event without records comes now and
/// then, which tells that the connection still lives.
///
/// @source Kinesis Data Streams developer guide, "Developing enhanced fan-out consumers with the
///   Kinesis Data Streams API"; service model, SubscribeToShardEventStream.

#include "http/reply.hpp"
#include "http/streaming_call.hpp"

#include <hearth/data_stream.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/json/object.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace hearth::http {

/// A page of records as GetRecords and SubscribeToShard have them in common.
boost::json::object write_records(const record_page& page);

class shard_subscription final : public streaming_call {
  public:
    static constexpr std::chrono::milliseconds usual_lifetime = std::chrono::minutes(5);

    shard_subscription(stream_service streams,
                       std::string consumer_arn,
                       std::string iterator,
                       std::chrono::milliseconds lifetime = usual_lifetime);

    void async_read(const boost::asio::any_io_executor& executor, read_handler handler) override;
    void stop_reading() noexcept override { hurry(); }
    /// Ends a read that waits, and with it the stream.
    void hurry() noexcept override;

    std::optional<std::string> take(std::string bytes) override { return bytes; }
    [[nodiscard]] reply head() const override;
    [[nodiscard]] std::optional<reply> whole() override { return std::nullopt; }
    [[nodiscard]] std::optional<std::string> rest() const override { return std::string(); }

  private:
    /// What a read that waits shares with the subscription, which may go before it ends.
    struct state;
    std::shared_ptr<state> state_;
};

}  // namespace hearth::http
