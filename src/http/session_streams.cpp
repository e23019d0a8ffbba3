// Requests for Amazon Kinesis on a session.

#include "http/kinesis.hpp"
#include "http/session.hpp"

#include <boost/asio/post.hpp>

#include <utility>

namespace hearth::http {

namespace asio = boost::asio;

void session::call_streams() {
    // Elsewhere, as requests and answers may be large.
    const auto write = [self = shared_from_this()](const kinesis::answer& a) {
        const bool taken = self->owner_->submit([self, a] {
            asio::post(self->connection_.get_executor(),
                       [self, r = a()]() mutable { self->respond(std::move(r)); });
        });
        if (!taken) asio::post(self->connection_.get_executor(), [self] { self->close(); });
    };
    const bool taken = owner_->submit([self = shared_from_this(), write] {
        kinesis::start(self->owner_->control_, self->service_, self->parser_->get().body(),
                       self->proof_.key, self->connection_.get_executor(), write);
    });
    if (!taken) close();
}

}  // namespace hearth::http
