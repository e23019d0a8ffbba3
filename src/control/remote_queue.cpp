#include "base/complete.hpp"
#include "control/queue_client.hpp"

#include <hearth/version.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/detail/base64.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace hearth::control {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace json = boost::json;
using steady = std::chrono::steady_clock;

namespace {

/// For connecting, and for an answer beside what the request itself waits.
constexpr std::chrono::seconds patience{10};
/// Where the queue is and how long it hides its messages is asked for so often.
constexpr std::chrono::seconds attributes_validity{60};
constexpr std::size_t max_answer = std::size_t{32} << 20;

/// Connections beyond so many, and those that nobody has used for so long, are not kept: the other
/// side will have closed them.
constexpr std::size_t max_idle = 8;
constexpr std::chrono::seconds idle_validity{30};

struct link {
    link(const asio::any_io_executor& executor, asio::ssl::context& tls) : stream(executor, tls) {}
    asio::ssl::stream<beast::tcp_stream> stream;  ///< its next layer alone where there is no TLS
    beast::flat_buffer buffer{max_answer};
    steady::time_point idle_since{};
};
using link_ptr = std::unique_ptr<link>;

/// Connections that wait to be used again.
class idle_links {
  public:
    /// The last one that was used, as that is the most likely to be open still. Null: none.
    link_ptr take() {
        const auto oldest = steady::now() - idle_validity;
        std::erase_if(links_, [&](const link_ptr& each) { return each->idle_since < oldest; });
        if (links_.empty()) return nullptr;
        link_ptr last = std::move(links_.back());
        links_.pop_back();
        return last;
    }
    void give(link_ptr l) {
        if (links_.size() >= max_idle) return;
        beast::get_lowest_layer(l->stream).expires_never();
        l->idle_since = steady::now();
        links_.push_back(std::move(l));
    }

  private:
    std::vector<link_ptr> links_;
};

/// One queue elsewhere, for calls on one executor that has one thread.
struct remote {
    queue_endpoint at;
    std::string host, port, authority;  ///< of the URL
    bool is_tls = false;
    std::string account, name;  ///< of the ARN
    asio::ssl::context tls{asio::ssl::context::tls_client};
    idle_links links{};

    // Known for a while.
    std::string url{};
    std::chrono::seconds visibility{};
    steady::time_point known_until{};
};
using remote_ptr = std::shared_ptr<remote>;

struct location {
    std::string host, port, authority;
    bool is_tls = false;
};

std::optional<location> read_url(const std::string& text) {
    const auto u = boost::urls::parse_uri(text);
    if (u.has_error() || u->host().empty() || u->has_userinfo() || u->has_query()) return {};
    if (!u->path().empty() && u->path() != "/") return {};
    location l;
    l.is_tls = u->scheme() == "https";
    if (!l.is_tls && u->scheme() != "http") return {};
    l.host = u->host_address();
    l.port = u->has_port() ? std::string(u->port()) : l.is_tls ? "443" : "80";
    l.authority = u->encoded_host_and_port();
    return l;
}

/// The fifth and sixth part: arn:aws:sqs:REGION:ACCOUNT:NAME.
std::pair<std::string, std::string> account_and_name(std::string_view arn) {
    const auto name = arn.rfind(':');
    const auto account = arn.rfind(':', name - 1);
    return {std::string(arn.substr(account + 1, name - account - 1)),
            std::string(arn.substr(name + 1))};
}

error failure(const remote& r, std::string_view what, std::string_view why) {
    return {errc::io_failed, fmt::format("{} {}: {}", r.at.url, what, why)};
}

json::string_view view(std::string_view s) { return {s.data(), s.size()}; }

// ---- Requests ----

using request = beast::http::request<beast::http::string_body>;
using answer_parser = beast::http::response_parser<beast::http::string_body>;

request make_request(const remote& r, std::string_view operation, std::string body) {
    request q(beast::http::verb::post, "/", 11);
    q.set(beast::http::field::host, r.authority);
    q.set(beast::http::field::user_agent, std::string("hearth/") + version());
    q.set(beast::http::field::content_type, "application/x-amz-json-1.0");
    q.set("X-Amz-Target", "AmazonSQS." + std::string(operation));
    q.body() = std::move(body);
    if (!r.at.credentials.access_key_id.empty()) {
        std::vector<std::pair<std::string_view, std::string_view>> headers;
        for (const auto& each : q)
            headers.emplace_back(std::string_view(each.name_string()),
                                 std::string_view(each.value()));
        for (const auto& [name, value] :
             sigv4::sign({"POST", "/", headers}, sigv4::payload_hash(q.body()), r.at.credentials,
                         {r.at.region, "sqs"}, std::chrono::system_clock::now()))
            q.set(name, value);
    }
    q.prepare_payload();
    return q;
}

/// What the endpoint says where it refuses.
error refusal(const remote& r, std::string_view operation, unsigned status, std::string_view body) {
    boost::system::error_code ec;
    const json::value said = json::parse(view(body), ec);
    std::string type = std::to_string(status), message(body.substr(0, 200));
    if (!ec && said.is_object()) {
        const auto text = [&](const char* member) {
            const json::value* const v = said.get_object().if_contains(member);
            return v && v->is_string() ? std::string(v->get_string()) : std::string();
        };
        if (std::string t = text("__type"); !t.empty()) type = t.substr(t.rfind('#') + 1);
        message = text("message").empty() ? text("Message") : text("message");
    }
    if (type == "QueueDoesNotExist" || type == "AWS.SimpleQueueService.NonExistentQueue")
        return {make_error_code(queue_errc::queue_does_not_exist),
                "The specified queue does not exist."};
    return failure(r, "refuses " + std::string(operation), type + ": " + message);
}

// GCC 12 takes Asio's frame allocator for a mismatch.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

constexpr auto outcome = asio::as_tuple(asio::use_awaitable);

template <class Stream>
asio::awaitable<error_code> exchange(Stream& stream,
                                     beast::flat_buffer& buffer,
                                     const request& q,
                                     answer_parser& answer,
                                     std::chrono::seconds wait) {
    beast::get_lowest_layer(stream).expires_after(wait + patience);
    const auto [broken, sent] = co_await beast::http::async_write(stream, q, outcome);
    if (broken) co_return broken;
    const auto [silent, got] = co_await beast::http::async_read(stream, buffer, answer, outcome);
    co_return silent;
}

asio::awaitable<result<link_ptr>> connect(remote_ptr r) {
    const auto executor = co_await asio::this_coro::executor;
    asio::ip::tcp::resolver resolver(executor);
    const auto [unknown, addresses] = co_await resolver.async_resolve(r->host, r->port, outcome);
    if (unknown) co_return failure(*r, "cannot be resolved", unknown.message());
    auto made = std::make_unique<link>(executor, r->tls);
    auto& stream = made->stream;
    beast::get_lowest_layer(stream).expires_after(patience);
    const auto [absent, address] =
        co_await beast::get_lowest_layer(stream).async_connect(addresses, outcome);
    if (absent) co_return failure(*r, "cannot be reached", absent.message());
    if (!r->is_tls) co_return std::move(made);
    SSL_set_tlsext_host_name(stream.native_handle(), r->host.c_str());
    stream.set_verify_callback(asio::ssl::host_name_verification(r->host));
    const auto [strange] = co_await stream.async_handshake(asio::ssl::stream_base::client, outcome);
    if (strange) co_return failure(*r, "cannot be trusted", strange.message());
    co_return std::move(made);
}

asio::awaitable<result<json::value>> ask(remote_ptr r,
                                         std::string operation,
                                         json::object input,
                                         std::chrono::seconds wait) {
    const request q = make_request(*r, operation, json::serialize(input));
    std::optional<answer_parser> answer;
    for (;;) {
        link_ptr l = r->links.take();
        const bool is_used = l != nullptr;
        if (!l) {
            auto made = co_await connect(r);
            if (made.has_error()) co_return made.error();
            l = std::move(*made);
        }
        answer.emplace();
        answer->body_limit(max_answer);
        error_code broken;
        if (r->is_tls)
            broken = co_await exchange(l->stream, l->buffer, q, *answer, wait);
        else
            broken = co_await exchange(l->stream.next_layer(), l->buffer, q, *answer, wait);
        if (!broken) {
            if (answer->get().keep_alive() && l->buffer.size() == 0) r->links.give(std::move(l));
            break;
        }
        // It had been closed, or was about to be. No call does harm when it comes twice: what is
        // received and lost comes again.
        const bool was_closed = broken != asio::error::operation_aborted &&
                                broken != beast::error::timeout && !answer->got_some();
        if (is_used && was_closed) continue;
        co_return failure(*r, "does not answer", broken.message());
    }
    const unsigned status = answer->get().result_int();
    const std::string& body = answer->get().body();
    if (status != 200) co_return refusal(*r, operation, status, body);
    boost::system::error_code ec;
    json::value said = json::parse(body.empty() ? "{}" : body, ec);
    if (ec || !said.is_object()) co_return failure(*r, "answers what is no JSON", ec.message());
    co_return said;
}

asio::awaitable<result<queue_attributes>> fetch_attributes(remote_ptr r) {
    json::object which{{"QueueName", r->name}, {"QueueOwnerAWSAccountId", r->account}};
    const auto found = co_await ask(r, "GetQueueUrl", std::move(which), {});
    if (found.has_error()) co_return found.error();
    const json::value* const url = found->get_object().if_contains("QueueUrl");
    if (!url || !url->is_string()) co_return failure(*r, "answers", "no QueueUrl");
    r->url = std::string(url->get_string());
    json::object what{{"QueueUrl", r->url}, {"AttributeNames", json::array{"All"}}};
    const auto said = co_await ask(r, "GetQueueAttributes", std::move(what), {});
    if (said.has_error()) co_return said.error();
    queue_attributes all;
    if (const json::value* const given = said->get_object().if_contains("Attributes");
        given && given->is_object())
        for (const auto& [name, value] : given->get_object())
            if (value.is_string()) all.emplace(std::string(name), std::string(value.get_string()));
    std::int64_t seconds = 0;
    const std::string& text = all["VisibilityTimeout"];
    std::from_chars(text.data(), text.data() + text.size(), seconds);
    r->visibility = std::chrono::seconds(seconds);
    r->known_until = steady::now() + attributes_validity;
    co_return all;
}

// ---- Messages ----

std::string text_in(const json::object& o, const char* member) {
    const json::value* const v = o.if_contains(member);
    return v && v->is_string() ? std::string(v->get_string()) : std::string();
}

std::int64_t number_in(const json::object& o, const char* member) {
    const std::string text = text_in(o, member);
    std::int64_t n = 0;
    std::from_chars(text.data(), text.data() + text.size(), n);
    return n;
}

std::string from_base64(const std::string& text) {
    namespace base64 = beast::detail::base64;
    std::string bytes(base64::decoded_size(text.size()), '\0');
    bytes.resize(base64::decode(bytes.data(), text.data(), text.size()).first);
    return bytes;
}

queue_message read_message(const json::object& o, queue_time hidden_until) {
    const json::value* const system = o.if_contains("Attributes");
    const json::object& about =
        system && system->is_object() ? system->get_object() : json::object();
    const auto time = [&](const char* member) {
        return queue_time(std::chrono::milliseconds(number_in(about, member)));
    };
    queue_message m{.message_id = text_in(o, "MessageId"),
                    .receipt_handle = text_in(o, "ReceiptHandle"),
                    .body = text_in(o, "Body"),
                    .body_md5 = text_in(o, "MD5OfBody"),
                    .trace_header = text_in(about, "AWSTraceHeader"),
                    .group_id = text_in(about, "MessageGroupId"),
                    .deduplication_id = text_in(about, "MessageDeduplicationId"),
                    .sequence_number = text_in(about, "SequenceNumber"),
                    .sender_id = text_in(about, "SenderId"),
                    .dead_letter_source = text_in(about, "DeadLetterQueueSourceArn"),
                    .sent = time("SentTimestamp"),
                    .first_received = time("ApproximateFirstReceiveTimestamp"),
                    .hidden_until = hidden_until};
    m.receive_count = static_cast<std::uint32_t>(number_in(about, "ApproximateReceiveCount"));
    const json::value* const given = o.if_contains("MessageAttributes");
    if (!given || !given->is_object()) return m;
    for (const auto& [name, value] : given->get_object()) {
        if (!value.is_object()) continue;
        message_attribute a{.type = text_in(value.get_object(), "DataType")};
        a.value = a.type.starts_with("Binary")
                      ? from_base64(text_in(value.get_object(), "BinaryValue"))
                      : text_in(value.get_object(), "StringValue");
        m.attributes.emplace(std::string(name), std::move(a));
    }
    return m;
}

asio::awaitable<result<std::vector<queue_message>>> receive(remote_ptr r, receive_options options) {
    // What was cancelled says so in the outcome.
    co_await asio::this_coro::throw_if_cancelled(false);
    if (steady::now() >= r->known_until) {
        const auto known = co_await fetch_attributes(r);
        if (known.has_error()) co_return known.error();
    }
    const auto wait = options.wait.value_or(std::chrono::seconds());
    json::object input{{"QueueUrl", r->url},
                       {"MaxNumberOfMessages", options.max_messages},
                       {"WaitTimeSeconds", wait.count()},
                       {"AttributeNames", json::array{"All"}},
                       {"MessageAttributeNames", json::array{"All"}}};
    const auto said = co_await ask(r, "ReceiveMessage", std::move(input), wait);
    if (said.has_error()) {
        r->known_until = {};
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none)
            co_return std::vector<queue_message>();
        co_return said.error();
    }
    const auto hidden_until =
        std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()) +
        r->visibility;
    std::vector<queue_message> messages;
    if (const json::value* const given = said->get_object().if_contains("Messages");
        given && given->is_array())
        for (const json::value& each : given->get_array())
            if (each.is_object()) messages.push_back(read_message(each.get_object(), hidden_until));
    co_return messages;
}

/// A batch whose entries have their places as their ids.
asio::awaitable<result<std::vector<result<void>>>> settle(remote_ptr r,
                                                          std::string operation,
                                                          json::array entries) {
    const std::size_t n = entries.size();
    if (r->url.empty()) {
        const auto known = co_await fetch_attributes(r);
        if (known.has_error()) co_return known.error();
    }
    json::object input{{"QueueUrl", r->url}, {"Entries", std::move(entries)}};
    const auto said = co_await ask(r, std::move(operation), std::move(input), {});
    if (said.has_error()) co_return said.error();
    std::vector<result<void>> outcomes(n);
    if (const json::value* const failed = said->get_object().if_contains("Failed");
        failed && failed->is_array())
        for (const json::value& each : failed->get_array()) {
            if (!each.is_object()) continue;
            const auto i = static_cast<std::size_t>(number_in(each.get_object(), "Id"));
            if (i < n)
                outcomes[i] = failure(*r, text_in(each.get_object(), "Code"),
                                      text_in(each.get_object(), "Message"));
        }
    co_return outcomes;
}

template <class T>
void start(const asio::any_io_executor& executor,
           asio::awaitable<result<T>> work,
           asio::any_completion_handler<void(error, T)> handler) {
    const auto slot = asio::get_associated_cancellation_slot(handler);
    auto back = tracked_executor(handler);
    asio::co_spawn(executor, std::move(work),
                   asio::bind_cancellation_slot(
                       slot, [back = std::move(back), handler = std::move(handler)](
                                 const std::exception_ptr& thrown, result<T> done) mutable {
                           if (thrown) done = error(errc::io_failed, "out of memory");
                           if (done.has_error())
                               complete(std::move(back), std::move(handler), done.error(), T());
                           else
                               complete(std::move(back), std::move(handler), error(),
                                        std::move(*done));
                       }));
}

remote_ptr make_remote(const queue_endpoint& at, std::string_view arn) {
    auto r = std::make_shared<remote>();
    r->at = at;
    if (auto where = read_url(at.url)) {
        r->host = std::move(where->host), r->port = std::move(where->port);
        r->authority = std::move(where->authority), r->is_tls = where->is_tls;
    }
    std::tie(r->account, r->name) = account_and_name(arn);
    error_code ignored;  // then no certificate is good
    r->tls.set_default_verify_paths(ignored);
    r->tls.set_verify_mode(asio::ssl::verify_peer);
    return r;
}

class remote_queue final : public queue_client {
  public:
    remote_queue(asio::any_io_executor executor, const queue_endpoint& at, std::string_view arn)
        : executor_(std::move(executor)), remote_(make_remote(at, arn)), arn_(arn) {}

    void async_receive(receive_options options, queue_service::receive_handler handler) override {
        start<std::vector<queue_message>>(executor_, receive(remote_, options), std::move(handler));
    }
    void async_remove(std::vector<std::string> handles,
                      queue_service::each_handler handler) override {
        json::array entries;
        for (std::string& each : handles)
            entries.push_back(json::object{{"Id", std::to_string(entries.size())},
                                           {"ReceiptHandle", std::move(each)}});
        start<std::vector<result<void>>>(executor_,
                                         settle(remote_, "DeleteMessageBatch", std::move(entries)),
                                         std::move(handler));
    }
    void async_change_visibility(std::vector<visibility_change> changes,
                                 queue_service::each_handler handler) override {
        json::array entries;
        for (visibility_change& each : changes)
            entries.push_back(json::object{{"Id", std::to_string(entries.size())},
                                           {"ReceiptHandle", std::move(each.receipt_handle)},
                                           {"VisibilityTimeout", each.timeout.count()}});
        start<std::vector<result<void>>>(
            executor_, settle(remote_, "ChangeMessageVisibilityBatch", std::move(entries)),
            std::move(handler));
    }
    result<queue_attributes> attributes() override {
        asio::io_context io(1);
        result<queue_attributes> got;
        // On an executor of its own, with connections of its own.
        asio::co_spawn(io, fetch_attributes(make_remote(remote_->at, arn_)),
                       [&](const std::exception_ptr& thrown, result<queue_attributes> done) {
                           got = thrown ? error(errc::io_failed, "out of memory") : std::move(done);
                       });
        io.run();
        return got;
    }

  private:
    const asio::any_io_executor executor_;
    const remote_ptr remote_;
    const std::string arn_;
};

}  // namespace

result<void> check_endpoint(const queue_endpoint& at) {
    if (at.region.empty())
        return error(errc::invalid_argument, "The endpoint " + at.url + " is of no region");
    if (!read_url(at.url))
        return error(errc::invalid_argument, "'" + at.url +
                                                 "' is not the URL of an endpoint, such as "
                                                 "https://sqs.eu-west-1.amazonaws.com");
    return {};
}

std::unique_ptr<queue_client> make_remote_queue(asio::any_io_executor executor,
                                                const queue_endpoint& at,
                                                std::string_view arn) {
    return std::make_unique<remote_queue>(std::move(executor), at, arn);
}

}  // namespace hearth::control
