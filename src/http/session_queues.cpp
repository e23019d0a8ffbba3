// Requests for Amazon SQS on a session.

#include "http/beast_text.hpp"
#include "http/request_target.hpp"
#include "http/session.hpp"
#include "http/sqs.hpp"

#include <utility>
#include <variant>

namespace hearth::http {

void session::call_queues() {
    auto read = sqs::read(owner_->control_,
                          {.service = service_,
                           .path = split_target(view(parser_->get().target())).path,
                           .request_id = request_id_,
                           .origin = origin(),
                           .trace_header = std::string(view(parser_->get()["X-Amzn-Trace-Id"])),
                           .by = proof_.key},
                          parser_->get().body());
    if (auto* refused = std::get_if<reply>(&read)) return respond(std::move(*refused));
    const auto call = std::get<sqs::call_ptr>(std::move(read));
    if (!sqs::waits_for_disk(*call))
        return sqs::start(owner_->control_, call, connection_.get_executor(), long_poll_.slot(),
                          [self = shared_from_this()](reply r) { self->respond(std::move(r)); });
    answer_elsewhere([this, call] { return sqs::answer(owner_->control_, *call); });
}

}  // namespace hearth::http
