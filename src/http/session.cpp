#include "http/session.hpp"

#include "http/api_gateway.hpp"
#include "http/authentication.hpp"
#include "http/aws_error.hpp"
#include "http/beast_text.hpp"
#include "http/browser_request.hpp"
#include "http/cloudwatch_logs.hpp"
#include "http/cors.hpp"
#include "http/event_rules.hpp"
#include "http/function_url.hpp"
#include "http/json_protocol.hpp"
#include "http/management.hpp"
#include "http/own_host.hpp"
#include "http/page.hpp"
#include "http/sqs_wire.hpp"
#include "http/text.hpp"
#include "http/url_streaming_call.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/http/rfc7230.hpp>

#include <array>
#include <charconv>
#include <chrono>

namespace hearth::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace beast_http = boost::beast::http;
using namespace std::chrono_literals;

/// Room for a client context, an Authorization header and a session token.
constexpr std::uint32_t max_header = 32 * 1024;
/// A 50 MB zip in base64 with its JSON around it.
constexpr std::uint64_t max_package_body = 70ull << 20;
constexpr std::uint64_t max_other_body = 1ull << 20;
/// Of a put of 5 MiB, in base64, 500 records' names and keys around it.
constexpr std::uint64_t max_records_body = 10ull << 20;
/// What is read and thrown away so that a client that sends too much can read why it was refused.
constexpr std::size_t max_discarded = 128u << 20;
/// A body or an answer gets a minute, and a second for each of these.
constexpr std::uint64_t slowest_bytes_per_second = 32 * 1024;
/// Bodies up to this size arrive with their header or right after it: the header's deadline serves
/// them too.
constexpr std::uint64_t small_body = 64 * 1024;

bool is_of_function(operation op) {
    return op == operation::function_url || op == operation::http_api;
}

bool is_invocation(operation op) {
    return op == operation::invoke || op == operation::invoke_async ||
           op == operation::invoke_with_response_stream;
}

/// Room for what a client sends before its body, mostly.
constexpr std::size_t header_chunk = 4 * 1024;
constexpr std::size_t body_chunk = 64 * 1024;

/// Larger bodies are hashed on another thread: about half a millisecond.
constexpr std::size_t inline_hash = 256 * 1024;
constexpr std::string_view basic_scheme = "Basic ";

std::uint64_t body_limit(const std::optional<route>& asked, aws_service service) {
    if (service == aws_service::kinesis) return max_records_body;
    if (!asked) return max_other_body;
    switch (asked->op) {
        case operation::invoke:
        case operation::invoke_async:
        case operation::function_url:
        case operation::http_api:
        case operation::invoke_with_response_stream:
            return max_payload;
        case operation::create_function:
        case operation::update_function_code:
        case operation::publish_layer_version:
            return max_package_body;
        default:
            return max_other_body;
    }
}

reply too_large(const std::optional<route>& asked, aws_service service) {
    if (asked && (is_invocation(asked->op) || is_of_function(asked->op)))
        return make_error(
            aws_error::request_too_large,
            "Request must be smaller than 6291456 bytes for the InvokeFunction operation");
    const std::string name = asked ? " for the " + std::string(asked->name) + " operation" : "";
    return make_error(aws_error::request_entity_too_large,
                      "Request must be smaller than " + std::to_string(body_limit(asked, service)) +
                          " bytes" + name);
}

}  // namespace

session::session(std::shared_ptr<server::impl> owner, asio::ip::tcp::socket socket)
    : owner_(std::move(owner)), connection_(std::move(socket), owner_->tls_.get()) {}

session::~session() { owner_->remove(this); }

std::chrono::seconds session::time_for(std::uint64_t bytes) {
    return 60s + std::chrono::seconds(bytes / slowest_bytes_per_second);
}

void session::start() {
    connection_.set_owner(weak_from_this());
    asio::dispatch(connection_.get_executor(), [self = shared_from_this()] {
        self->connection_.is_tls() ? self->shake_hands() : self->read_header();
    });
}

void session::shake_hands() {
    if (stopping_) return close();
    reading_ = true;
    connection_.expires_after(owner_->options_.idle_timeout);
    connection_.async_handshake([self = shared_from_this()](error_code ec) {
        if (ec) return self->close();
        self->read_header();
    });
}

void session::stop() {
    asio::dispatch(connection_.get_executor(), [self = shared_from_this()] {
        self->stopping_ = true;
        if (self->reading_) return self->close();
        self->long_poll_.emit(asio::cancellation_type::all);
        if (self->stream_) self->stream_->hurry();
    });
}

std::string_view session::header(beast_http::field name) const {
    const auto value = parser_->get()[name];
    return {value.data(), value.size()};
}

std::string session::origin() const {
    const std::string_view host = header(beast_http::field::host);
    if (!is_authority(host)) return {};
    return (connection_.is_tls() ? "https://" : "http://") + std::string(host);
}

void session::read_header() {
    if (stopping_) return close();
    parser_.emplace();
    parser_->header_limit(max_header);
    parser_->body_limit(max_package_body);
    reading_ = true;
    wants_body_ = false;
    connection_.expires_after(owner_->options_.idle_timeout);
    if (buffer_.size() == 0) return receive();
    // However many requests came at once, none is answered within the other's answer.
    asio::post(connection_.get_executor(), [self = shared_from_this()] { self->parse(); });
}

void session::parse() {
    const auto is_enough = [&] {
        return wants_body_ ? parser_->is_done() : parser_->is_header_done();
    };
    error_code ec;
    while (!is_enough()) {
        if (buffer_.size() == 0 || ec == beast_http::error::need_more) return receive();
        buffer_.consume(parser_->put(buffer_.data(), ec));
        if (ec && ec != beast_http::error::need_more) break;
    }
    if (!wants_body_) return on_header(ec);
    on_body(ec);
}

void session::receive() {
    connection_.async_read_some(buffer_.prepare(wants_body_ ? body_chunk : header_chunk),
                                [self = shared_from_this()](error_code ec, std::size_t size) {
                                    self->on_received(ec, size);
                                });
}

void session::on_received(error_code ec, std::size_t size) {
    buffer_.commit(size);
    if (!ec) return parse();
    if (ec == asio::error::eof)
        ec = parser_->got_some() ? beast_http::error::partial_message
                                 : beast_http::error::end_of_stream;
    if (!wants_body_) return on_header(ec);
    on_body(ec);
}

void session::on_header(error_code ec) {
    asked_.reset();
    service_ = {};
    authenticator_ = owner_->current_authenticator();
    request_id_ = owner_->control_.new_request_id();
    trace_id_.clear();
    if (ec) return on_malformed(ec);
    const auto& request = parser_->get();
    const std::string_view target(request.target().data(), request.target().size());
    asked_ = find_own_route(url_host, header(beast_http::field::host), target);
    if (!asked_) asked_ = find_own_route(api_host, header(beast_http::field::host), target);
    if (!asked_) asked_ = find_route(request.method(), target);
    if (!asked_ && api_gateway::is_for(target))
        service_ = {aws_service::api_gateway, protocol::rest_json, {}};
    else if (!asked_ && request.method() == beast_http::verb::post)
        service_ =
            find_service(view(request["X-Amz-Target"]), header(beast_http::field::content_type));
    if (!check_origin() || !authenticate()) return;
    if (const auto length = parser_->content_length();
        length && *length > body_limit(asked_, service_.service))
        return respond(too_large(asked_, service_.service), true);
    parser_->body_limit(body_limit(asked_, service_.service));

    if (!beast::iequals(to_beast(header(beast_http::field::expect)), "100-continue"))
        return read_body();
    static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    connection_.async_write(asio::buffer(go_on.data(), go_on.size()), time_for(0),
                            [self = shared_from_this()](error_code failed) {
                                if (failed) return self->close();
                                self->read_body();
                            });
}

sigv4::request session::signed_part(
    std::vector<std::pair<std::string_view, std::string_view>>& views) const {
    const auto& request = parser_->get();
    views.clear();
    for (const auto& field : request)
        views.emplace_back(view(field.name_string()), view(field.value()));
    return {view(request.method_string()), view(request.target()), views};
}

bool session::check_origin() {
    const std::string_view host = header(beast_http::field::host);
    const std::string_view origin = header(beast_http::field::origin);
    std::optional<std::string> why;
    if (asked_ && is_of_function(asked_->op)) {
        // By its own host name it is another origin than the API's and says itself who may call.
        if (!asked_->by_own_host && !origin.empty())
            why = "Requests from web pages (with an Origin header) are refused";
    } else if (!authenticator_->is_on() && !host.empty() && !is_own_name(host)) {
        // On loopback and without keys, a name of a page's own must not lead here.
        why = "This server has no access keys, so it is called localhost or by its address, not '" +
              printable(host.substr(0, 256)) + "'";
    } else if (!asked_ || asked_->op != operation::get_page) {
        why = refuse_other_origin({.method = view(parser_->get().method_string()),
                                   .host = host,
                                   .origin = origin,
                                   .sec_fetch_site = view(parser_->get()["Sec-Fetch-Site"])});
    }
    if (why) respond(make_error(aws_error::access_denied, *why), !parser_->is_done());
    return !why;
}

bool session::authenticate() {
    proof_ = {};
    if (asked_ && (asked_->op == operation::get_page || asked_->op == operation::http_api))
        return true;
    // A function URL is for everybody, unless it says otherwise; a browser's preflight is never
    // signed.
    if (asked_ && asked_->op == operation::function_url) {
        const auto config = owner_->control_.find_function_url(asked_->argument);
        const bool is_preflight = parser_->get().method() == beast_http::verb::options;
        if (config.has_error() || config->auth_type == "NONE" || is_preflight ||
            !authenticator_->is_on())
            return true;
    }
    const std::string_view authorization = header(beast_http::field::authorization);
    // In the clear only where nobody listens, and only for what a scraper asks.
    const bool may_be_basic = asked_ && asked_->op == operation::get_metrics &&
                              (connection_.is_tls() || connection_.peer_is_loopback()) &&
                              beast::iequals(to_beast(authorization.substr(0, basic_scheme.size())),
                                             to_beast(basic_scheme));
    std::vector<std::pair<std::string_view, std::string_view>> views;
    auto who = may_be_basic && authenticator_->is_on()
                   ? authenticator_->basic(authorization)
                   : authenticator_->begin(signed_part(views), signing_name(service_.service),
                                           std::chrono::system_clock::now());
    if (auto* refused = std::get_if<reply>(&who)) {
        respond(std::move(*refused), !parser_->is_done());
        return false;
    }
    proof_ = std::get<authenticator::proof>(std::move(who));
    return true;
}

void session::read_body() {
    if (parser_->is_done()) return on_body({});
    const auto length = parser_->content_length();
    if (!length || *length > small_body)
        connection_.expires_after(time_for(body_limit(asked_, service_.service)));
    wants_body_ = true;
    parser_->eager(true);
    parse();
}

void session::on_malformed(error_code ec) {
    if (ec == beast_http::error::body_limit)
        return respond(too_large(asked_, service_.service), true);
    if (ec == beast_http::error::header_limit || ec == beast_http::error::buffer_overflow)
        return respond(
            make_error(aws_error::header_too_large, "The request's headers are too large"), true);
    // A connection that ends or falls silent between requests is no fault; within one, nobody is
    // left to tell.
    if (ec == beast_http::error::end_of_stream || ec == beast_http::error::partial_message ||
        ec.category() != beast_http::make_error_code(beast_http::error::bad_method).category())
        return close();
    respond(make_error(aws_error::invalid_request_content,
                       "The HTTP request is malformed: " + ec.message()),
            true);
}

void session::on_body(error_code ec) {
    if (ec) return on_malformed(ec);
    reading_ = false;
    connection_.expires_never();
    if (!proof_.needs_body) return dispatch();
    if (parser_->get().body().size() <= inline_hash)
        return check_body(sigv4::payload_hash(parser_->get().body()));
    // A package takes a while to hash.
    run_elsewhere([self = shared_from_this()] {
        const std::string hash = sigv4::payload_hash(self->parser_->get().body());
        asio::post(self->connection_.get_executor(), [self, hash] { self->check_body(hash); });
    });
}

void session::check_body(const std::string& hash) {
    std::vector<std::pair<std::string_view, std::string_view>> views;
    if (auto refused = authenticator_->finish(proof_, signed_part(views), hash))
        return respond(std::move(*refused));
    dispatch();
}

void session::dispatch() {
    if (service_.service == aws_service::sqs) return call_queues();
    if (service_.service == aws_service::kinesis) return call_streams();
    if (service_.service != aws_service::lambda) return call_service();
    if (!asked_)
        return respond(make_error(aws_error::unknown_operation,
                                  "The Lambda API has no operation " +
                                      std::string(parser_->get().method_string()) + " " +
                                      std::string(parser_->get().target().substr(0, 256))));
    if (asked_->op == operation::function_url) return invoke_url();
    if (asked_->op == operation::http_api) return invoke_api();
    if (asked_->op == operation::get_page)
        return respond(get_page(asked_->argument, header(beast_http::field::if_none_match)));
    if (auto refused = denied(proof_.key, owner_->control_, *asked_))
        return respond(std::move(*refused));
    if (is_invocation(asked_->op)) return invoke();
    const auto answer = [this] {
        return manage(owner_->control_, *asked_, parser_->get().body(), origin(), proof_.key);
    };
    waits_for_disk(asked_->op) ? answer_elsewhere(answer) : respond(answer());
}

void session::invoke() {
    const auto take =
        asked_->op == operation::invoke_async ? read_async_invocation : read_invocation;
    auto read = take(parser_->get(), std::move(parser_->get().body()), request_id_);
    if (auto* refused = std::get_if<reply>(&read)) return respond(std::move(*refused));
    auto& what = std::get<invocation>(read);
    const std::string_view qualifier = asked_->parameter("Qualifier");
    if (what.type == invocation::kind::dry_run) {
        const auto admitted = owner_->control_.check_invoke(asked_->argument, qualifier);
        if (admitted.has_error()) return respond(make_error(admitted.error()));
        return respond({.status = beast_http::status::no_content});
    }
    trace_id_ = what.options.trace_id;
    const bool streaming = asked_->op == operation::invoke_with_response_stream;
    if (streaming && what.type == invocation::kind::event)
        return respond(make_error(aws_error::invalid_parameter_value,
                                  "A response stream is of the InvocationType RequestResponse"));
    if (streaming) return invoke_streaming(std::move(what));
    if (what.type == invocation::kind::event) {
        owner_->control_.async_enqueue(
            asked_->argument, std::move(what.payload), std::move(what.options), qualifier,
            asio::bind_executor(
                connection_.get_executor(),
                [self = shared_from_this()](const error& failure, const std::string&) {
                    self->respond(failure.code() ? make_error(failure)
                                                 : reply{.status = beast_http::status::accepted});
                }));
        return;
    }
    owner_->control_.async_invoke(
        asked_->argument, std::move(what.payload), std::move(what.options), qualifier,
        asio::bind_executor(connection_.get_executor(),
                            [self = shared_from_this(), log_tail = what.log_tail](
                                const error& failure, response r) {
                                self->on_invoked(failure, std::move(r), log_tail);
                            }));
}

void session::on_invoked(const error& failure, response r, bool log_tail) {
    respond(failure.code() ? write_failure(failure, r.log_tail, log_tail)
                           : write_response(std::move(r), log_tail));
}

void session::invoke_url() {
    auto& request = parser_->get();
    auto config = owner_->control_.find_function_url(asked_->argument);
    if (config.has_error()) return respond(make_error(config.error()));
    if (auto answer = preflight(config->cors, request)) return respond(std::move(*answer));
    if (config->auth_type != "NONE") {
        std::optional<reply> forbidden =
            proof_.key
                ? denied(proof_.key, owner_->control_, "InvokeFunctionUrl", config->function_arn)
                : make_error(aws_error::access_denied, "Forbidden");
        if (forbidden) {
            add_cors(config->cors, request, *forbidden);
            return respond(std::move(*forbidden));
        }
    }
    std::string event = write_url_event(*config, asked_->by_own_host, request, make_context());
    if (event.size() > max_payload) return respond(too_large(asked_, service_.service));
    invoke_options options{.request_id = request_id_, .trace_id = trace_id_};
    const std::string function = config->function_arn;
    if (config->invoke_mode == "RESPONSE_STREAM") {
        reply also;
        add_url_headers(*config, also);
        stream_ = std::make_unique<url_streaming_call>(std::move(*config), std::move(also));
        return start_stream(function, std::move(event), std::move(options), {});
    }
    owner_->control_.async_invoke(
        function, std::move(event), std::move(options), {},
        asio::bind_executor(connection_.get_executor(),
                            [self = shared_from_this(), config = std::move(*config)](
                                const error& failure, const response& r) {
                                self->on_url_invoked(config, failure, r);
                            }));
}

request_context session::make_context() {
    trace_id_ = trace_of(parser_->get(), request_id_);
    return {.target = asked_->second,
            .request_id = request_id_,
            .trace_id = trace_id_,
            .source_ip = connection_.peer_address(),
            .milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(
                                std::chrono::system_clock::now().time_since_epoch())
                                .count(),
            .is_tls = connection_.is_tls()};
}

void session::on_url_invoked(const function_url_config& config,
                             const error& failure,
                             const response& r) {
    reply answer = failure.code() ? write_url_failure(failure) : read_url_response(config, r);
    add_url_headers(config, answer);
    respond(std::move(answer));
}

void session::add_url_headers(const function_url_config& config, reply& to) const {
    add_cors(config.cors, parser_->get(), to);
    // Under the API's own name a function's page must not act as this server's.
    if (!asked_->by_own_host) to.headers.emplace_back("Content-Security-Policy", "sandbox");
}

void session::call_service() {
    answer_elsewhere([this] {
        control_plane& control = owner_->control_;
        const auto& request = parser_->get();
        const std::string_view body = request.body();
        if (service_.service == aws_service::logs)
            return cloudwatch_logs::answer(control, service_.operation, body, proof_.key);
        if (service_.service == aws_service::events)
            return event_rules::answer(control, service_.operation, body, proof_.key);
        return api_gateway::answer(control, {request.method(), view(request.target()), origin()},
                                   body, proof_.key);
    });
}

void session::run_elsewhere(std::function<void()> job) {
    if (owner_->submit(std::move(job))) return;
    asio::dispatch(connection_.get_executor(), [self = shared_from_this()] { self->close(); });
}

void session::answer_elsewhere(std::function<reply()> make) {
    run_elsewhere([self = shared_from_this(), make = std::move(make)] {
        asio::post(self->connection_.get_executor(),
                   [self, r = make()]() mutable { self->respond(std::move(r)); });
    });
}

void session::respond(reply r, bool rest_unread) {
    reading_ = false;
    // An error that was found before the service was asked.
    if (service_.how != protocol::rest_json && r.content_type == reply().content_type)
        r = service_.service == aws_service::sqs ? sqs::translate(service_.how, r, request_id_)
                                                 : json_protocol::translate(r);
    const auto& request = parser_->get();
    const bool is_close = rest_unread || stopping_ || !parser_->is_done() || !parser_->keep_alive();
    const bool is_head = request.method() == beast_http::verb::head;
    beast_http::response<beast_http::empty_body> out(r.status, request.version() == 10 ? 10u : 11u);
    set_fields(out, r);
    out.keep_alive(!is_close);
    const bool has_body =
        r.status != beast_http::status::no_content && r.status != beast_http::status::not_modified;
    body_ = has_body ? std::move(r.body) : std::string();
    if (has_body) out.content_length(body_.size());
    if (is_head) body_.clear();  // the length stays, the body does not
    write_head(out);
    connection_.async_write(
        std::array{asio::buffer(head_), asio::buffer(body_)}, time_for(body_.size()),
        [self = shared_from_this(), close = is_close || is_head, rest_unread](error_code ec) {
            self->on_written(ec, close, rest_unread);
        });
}

void session::write_head(const beast_http::response_header<>& from) {
    head_.assign(from.version() == 10 ? "HTTP/1.0 " : "HTTP/1.1 ");
    std::array<char, 3> code{};
    std::to_chars(code.begin(), code.end(), from.result_int());
    head_.append(code.begin(), code.end()).append(" ").append(view(from.reason())).append("\r\n");
    for (const auto& field : from)
        head_.append(view(field.name_string()))
            .append(": ")
            .append(view(field.value()))
            .append("\r\n");
    head_.append("\r\n");
}

void session::set_fields(beast_http::fields& out, const reply& r) const {
    for (const auto& [name, value] : r.own_headers) out.insert(name, value);
    out.set("x-amzn-RequestId", request_id_);
    if (!trace_id_.empty()) out.set("X-Amzn-Trace-Id", trace_id_);
    for (const auto& [name, value] : r.headers) out.set(to_beast(name), value);
    if (r.status != beast_http::status::no_content)
        out.set(beast_http::field::content_type, r.content_type);
}

void session::on_written(error_code ec, bool is_close, bool rest_unread) {
    body_ = {};  // it may be large, and the connection idle for a while
    if (ec) return close();
    if (!is_close) return read_header();
    reading_ = true;
    connection_.expires_after(10s);
    // Closing with unread input would reset the connection, and the client might lose the answer.
    // Within TLS what still comes would be an error of the farewell, so there is none.
    buffer_.clear();
    if (rest_unread && connection_.is_tls()) return discard_rest(max_discarded);
    connection_.async_finish_sending([self = shared_from_this(), rest_unread](error_code) {
        rest_unread ? self->discard_rest(max_discarded) : self->close();
    });
}

void session::discard_rest(std::size_t limit) {
    connection_.async_read_some(buffer_.prepare(body_chunk),
                                [self = shared_from_this(), limit](error_code ec, std::size_t n) {
                                    if (ec || n >= limit) return self->close();
                                    self->discard_rest(limit - n);
                                });
}

void session::close() {
    reading_ = false;
    connection_.close();
}

}  // namespace hearth::http
