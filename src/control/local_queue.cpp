#include "control/queue_client.hpp"

#include <utility>

namespace hearth::control {

namespace {

class local_queue final : public queue_client {
  public:
    local_queue(queue_service service, std::string name)
        : service_(std::move(service)), name_(std::move(name)) {}

    void async_receive(receive_options options, queue_service::receive_handler handler) override {
        service_.async_receive(name_, options, std::move(handler));
    }
    void async_remove(std::vector<std::string> handles,
                      queue_service::each_handler handler) override {
        service_.async_remove(name_, std::move(handles), std::move(handler));
    }
    void async_change_visibility(std::vector<visibility_change> changes,
                                 queue_service::each_handler handler) override {
        service_.async_change_visibility(name_, std::move(changes), std::move(handler));
    }
    result<queue_attributes> attributes() override { return service_.attributes(name_); }

  private:
    queue_service service_;
    const std::string name_;
};

}  // namespace

std::unique_ptr<queue_client> make_local_queue(queue_service service, std::string name) {
    return std::make_unique<local_queue>(std::move(service), std::move(name));
}

}  // namespace hearth::control
