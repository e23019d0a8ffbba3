#pragma once

/// A queue as a mapping's source needs it: this server's own, or one at another endpoint.
///
/// Handlers are called on their associated executor, never inside the initiating call. The object
/// may go while calls are under way.

#include <hearth/error.hpp>
#include <hearth/queue.hpp>
#include <hearth/queue_endpoint.hpp>

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::control {

class queue_client {
  public:
    virtual ~queue_client() = default;

    /// A cancellation ends the wait with what there is: nothing.
    virtual void async_receive(receive_options options, queue_service::receive_handler handler) = 0;
    /// 1 to 10 of a call.
    virtual void async_remove(std::vector<std::string> handles,
                              queue_service::each_handler handler) = 0;
    virtual void async_change_visibility(std::vector<visibility_change> changes,
                                         queue_service::each_handler handler) = 0;
    /// Blocks, for the disk or the network. @errors queue_errc::queue_does_not_exist
    virtual result<queue_attributes> attributes() = 0;
};

/// Of this server; it need not be there.
std::unique_ptr<queue_client> make_local_queue(queue_service service, std::string name);

/// @errors errc::invalid_argument: the URL is none
result<void> check_endpoint(const queue_endpoint& at);

/// The queue of that ARN, at an endpoint that was checked. What waits for the network waits on the
/// executor, without a thread; that one has one thread. Connections are used again.
std::unique_ptr<queue_client> make_remote_queue(boost::asio::any_io_executor executor,
                                                const queue_endpoint& at,
                                                std::string_view arn);

}  // namespace hearth::control
