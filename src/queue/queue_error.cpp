#include <hearth/queue.hpp>

namespace hearth {
namespace {

class category final : public boost::system::error_category {
  public:
    [[nodiscard]] const char* name() const noexcept override { return "hearth.queue"; }
    [[nodiscard]] std::string message(int value) const override {
        switch (static_cast<queue_errc>(value)) {
            case queue_errc::queue_does_not_exist:
                return "the queue does not exist";
            case queue_errc::queue_name_exists:
                return "a queue of that name exists with other attributes";
            case queue_errc::invalid_attribute_name:
                return "a queue has no such attribute";
            case queue_errc::invalid_attribute_value:
                return "the attribute cannot have that value";
            case queue_errc::invalid_parameter_value:
                return "a parameter is out of range";
            case queue_errc::missing_parameter:
                return "a parameter is missing";
            case queue_errc::invalid_message_contents:
                return "the message holds characters that are not allowed";
            case queue_errc::receipt_handle_is_invalid:
                return "the receipt handle is not one of this queue";
            case queue_errc::message_not_inflight:
                return "the message is not in flight";
            case queue_errc::over_limit:
                return "too many messages of the queue are in flight";
            case queue_errc::purge_queue_in_progress:
                return "the queue was purged within the last 60 seconds";
            case queue_errc::empty_batch_request:
                return "the batch has no entry";
            case queue_errc::too_many_entries_in_batch_request:
                return "the batch has more than 10 entries";
            case queue_errc::batch_request_too_long:
                return "the batch has more than 256 KiB";
            case queue_errc::batch_entry_ids_not_distinct:
                return "two entries of the batch have the same id";
            case queue_errc::invalid_batch_entry_id:
                return "an entry's id is malformed";
            case queue_errc::unsupported_operation:
                return "the operation is not supported";
        }
        return "unknown error";
    }
};

}  // namespace

const boost::system::error_category& queue_error_category() noexcept {
    static const category c;
    return c;
}

}  // namespace hearth
