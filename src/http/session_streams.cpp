// Requests for Amazon Kinesis on a session.

#include "http/kinesis.hpp"
#include "http/session.hpp"

#include <memory>
#include <utility>

namespace hearth::http {

void session::call_streams() {
    // Elsewhere, as requests and answers may be large.
    run_elsewhere([self = shared_from_this()] {
        kinesis::start(
            self->owner_->control_, self->service_, self->parser_->get().body(), self->proof_.key,
            self->connection_.get_executor(),
            [self](kinesis::answer write) { self->answer_elsewhere(std::move(write)); },
            [self](std::unique_ptr<shard_subscription> s) {
                self->stream_ = std::move(s);
                self->read_stream();
            });
    });
}

}  // namespace hearth::http
