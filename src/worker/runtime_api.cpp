#include "worker/runtime_api.hpp"

#include "worker/credentials.hpp"
#include "worker/failure.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <utility>

namespace hearth::worker {
namespace {

namespace http = boost::beast::http;

constexpr std::string_view prefix = "/2018-06-01/runtime/";
constexpr std::string_view extension_prefix = "/2020-01-01/extension/";
constexpr std::string_view accepted = R"({"status":"OK"})";
constexpr std::size_t max_chunk_line = 1024;
constexpr std::size_t max_pipelined = 64 * 1024;

std::string_view reason(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 202:
            return "Accepted";
        case 400:
            return "Bad Request";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 413:
            return "Request Entity Too Large";
        case 431:
            return "Request Header Fields Too Large";
        case 503:
            return "Service Unavailable";
    }
    return "Error";
}

std::string document(std::string_view message, std::string_view type) {
    return fmt::format(R"({{"errorMessage":"{}","errorType":"{}"}})", message, type);
}

/// A caller's text in a header line: control characters would end the line.
void append_header(std::string& out, std::string_view name, std::string_view value) {
    if (value.empty()) return;
    out.append(name).append(": ");
    for (char ch : value) {
        const auto u = static_cast<unsigned char>(ch);
        if (u >= 0x20 && u != 0x7f) out.push_back(ch);
    }
    out.append("\r\n");
}

/// The field's text; empty: it is not there.
template <class Message>
std::string field_of(const Message& message, std::string_view name) {
    const auto it = message.find(boost::beast::string_view(name.data(), name.size()));
    return it == message.end() ? std::string() : std::string(it->value());
}

/// Nothing when it is not base64.
std::string from_base64(std::string_view text) {
    if (text.empty() || text.size() % 4 != 0) return {};
    std::string bytes(text.size() / 4 * 3, '\0');
    const int n = ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                    reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()));
    if (n < 0) return {};
    // It counts what '=' stands for.
    bytes.resize(static_cast<std::size_t>(n) - (text.ends_with("==") ? 2 : text.ends_with('=')));
    return bytes;
}

std::string_view name_of(int stage) {
    constexpr std::string_view names[] = {
        "Started",      "InitError",    "Ready",     "Ready",
        "ResponseSent", "RestoreReady", "Restoring", "RuntimeRestoreErrorState"};
    return names[stage];
}

}  // namespace

void runtime_api::receive(connection c, std::string& bytes) {
    channel& ch = channels_[c];
    if (ch.state == reading::dead) {
        bytes.clear();
        return;
    }
    if (ch.input.empty())
        ch.input.swap(bytes);
    else
        ch.input.append(bytes);
    bytes.clear();
    advance(c, ch);
}

void runtime_api::closed(connection c) {
    channels_.erase(c);
    forget_wait(c);
    std::erase_if(output_, [c](const output& o) { return o.to == c; });
}

void runtime_api::offer(guest::native_event event, bool stream) {
    event_ = std::move(event);
    deliveries_ = 0;
    stream_ = stream;
    streaming_on_.reset();
    streamed_.clear();
    streamed_type_.clear();
    // One that restores takes its event when it asks; one that failed never does.
    if (stage_ == stage::started || stage_ == stage::running || stage_ == stage::responded)
        stage_ = stage::ready;
    if (pending_.empty()) return;
    const connection c = pending_.front();
    pending_.erase(pending_.begin());
    channel& ch = channels_[c];
    ch.state = reading::head;
    deliver(c, ch);
    advance(c, ch);  // what was pipelined behind it
}

void runtime_api::restored() {
    if (!restore_next_) return;
    const connection c = *restore_next_;
    restore_next_.reset();
    stage_ = stage::restoring;
    channel& ch = channels_[c];
    ch.state = reading::head;
    respond(c, ch, 200, {});
    advance(c, ch);  // what was pipelined behind it
}

/// A wait whose connection is gone can be taken up on another one.
void runtime_api::forget_wait(connection c) {
    std::erase(pending_, c);
    extensions_.forget(c);
    std::erase(wants_credentials_, c);
    if (restore_next_ != c) return;
    restore_next_.reset();
    stage_ = stage::started;
}

std::vector<runtime_api::output> runtime_api::take_output() { return std::exchange(output_, {}); }
std::optional<runtime_api::reply> runtime_api::take_reply() {
    return std::exchange(reply_, std::nullopt);
}
std::optional<runtime_api::reply> runtime_api::take_init_error() {
    return std::exchange(init_error_, std::nullopt);
}
std::optional<runtime_api::reply> runtime_api::take_restore_error() {
    return std::exchange(restore_error_, std::nullopt);
}

void runtime_api::advance(connection c, channel& ch) {
    while (step(c, ch)) {
    }
    if (ch.state == reading::blocked && ch.input.size() > max_pipelined) {
        bad_request(c, ch, 400, "too much was sent behind a pending request");
    } else if (ch.state != reading::dead && buffered() > buffer_limit) {
        bad_request(c, ch, 503, "too many bodies at once");
    }
    if (ch.state == reading::dead) {
        forget_wait(c);
        ch.input = {};
        ch.body = {};
    }
}

std::size_t runtime_api::buffered() const noexcept {
    std::size_t sum = 0;
    for (const auto& [c, ch] : channels_) sum += ch.input.size() + ch.body.size();
    return sum;
}

/// One step of a connection; false when it needs more bytes or may not go on.
bool runtime_api::step(connection c, channel& ch) {
    switch (ch.state) {
        case reading::blocked:
        case reading::dead:
            return false;
        case reading::head:
            return read_head(c, ch);
        case reading::body:
        case reading::chunk_data: {
            const bool sized = ch.state == reading::body;
            const auto n =
                static_cast<std::size_t>(std::min<std::uint64_t>(ch.remaining, ch.input.size()));
            ch.remaining -= n;
            ch.body_size += n;
            if (n && n == ch.input.size() && ch.body.empty() && ch.keep_body &&
                ch.body_size <= max_payload) {
                ch.body = std::move(ch.input);
                ch.input.clear();
            } else {
                take_body(c, ch, std::string_view(ch.input).substr(0, n));
                ch.input.erase(0, n);
            }
            if (ch.remaining) return false;
            if (sized)
                finish(c, ch);
            else
                ch.state = reading::chunk_end;
            return true;
        }
        case reading::chunk_end:
            if (ch.input.size() < 2) return false;
            if (!ch.input.starts_with("\r\n")) {
                bad_request(c, ch, 400, "malformed chunk");
                return false;
            }
            ch.input.erase(0, 2);
            ch.state = reading::chunk_size;
            return true;
        case reading::chunk_size:
        case reading::trailer:
            return read_chunk_line(c, ch);
    }
    return false;
}

void runtime_api::take_body(connection c, channel& ch, std::string_view bytes) {
    if (ch.head.streaming) {
        // Asked each time: somebody may have answered on another connection meanwhile.
        if (acceptable(ch.head) && streaming_on_ == c && ch.body_size <= max_streamed)
            streamed_.append(bytes);
        return;
    }
    if (ch.keep_body && ch.body_size <= max_payload)
        ch.body.append(bytes);
    else if (!ch.body.empty())
        ch.body = {};  // too large: only counted from here on
}

bool runtime_api::read_chunk_line(connection c, channel& ch) {
    const auto end = ch.input.find("\r\n");
    if (end == std::string::npos) {
        // A trailer may hold an error document.
        if (ch.input.size() > (ch.state == reading::trailer ? max_head : max_chunk_line))
            bad_request(c, ch, 400, "malformed chunk");
        return false;
    }
    if (ch.state == reading::trailer) {
        take_trailer(ch.head, std::string_view(ch.input).substr(0, end));
        ch.input.erase(0, end + 2);
        if (end == 0) finish(c, ch);
        return true;
    }
    std::uint64_t size = 0;
    std::size_t i = 0;
    for (; i < end; ++i) {
        const char d = ch.input[i];
        unsigned digit = 0;
        if (d >= '0' && d <= '9')
            digit = static_cast<unsigned>(d - '0');
        else if (d >= 'a' && d <= 'f')
            digit = static_cast<unsigned>(d - 'a' + 10);
        else if (d >= 'A' && d <= 'F')
            digit = static_cast<unsigned>(d - 'A' + 10);
        else
            break;
        if (size >> 40) break;  // far beyond any body
        size = size * 16 + digit;
    }
    const bool extension =
        i < end && (ch.input[i] == ';' || ch.input[i] == ' ' || ch.input[i] == '\t');
    if (i == 0 || (i < end && !extension)) {
        bad_request(c, ch, 400, "malformed chunk");
        return false;
    }
    ch.input.erase(0, end + 2);
    ch.remaining = size;
    ch.state = size ? reading::chunk_data : reading::trailer;
    return true;
}

/// Lambda guide, "Response streaming for custom runtimes": an error in the midst of a response.
void runtime_api::take_trailer(request& r, std::string_view line) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const std::string_view name = line.substr(0, colon);
    std::string_view value = line.substr(colon + 1);
    value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
    if (boost::beast::iequals(name, "Lambda-Runtime-Function-Error-Type"))
        r.late_error_type = std::string(value);
    else if (boost::beast::iequals(name, "Lambda-Runtime-Function-Error-Body"))
        r.late_error_body = from_base64(value);
}

bool runtime_api::read_head(connection c, channel& ch) {
    // Empty lines before a request line are to be ignored (RFC 9112, 2.2).
    std::size_t skip = 0;
    while (ch.input.size() >= skip + 2 && ch.input.compare(skip, 2, "\r\n") == 0) skip += 2;
    if (skip) ch.input.erase(0, skip);
    const auto end = ch.input.find("\r\n\r\n");
    if (end == std::string::npos || end > max_head) {
        if (ch.input.size() > max_head) bad_request(c, ch, 431, "the request's head is too large");
        return false;
    }

    http::request_parser<http::empty_body> parser;
    parser.skip(true);
    parser.body_limit(boost::none);
    parser.header_limit(max_head + 4);
    boost::beast::error_code ec;
    parser.put(boost::asio::buffer(ch.input.data(), end + 4), ec);
    if (ec || !parser.is_header_done()) {
        bad_request(c, ch, 400, "malformed HTTP request");
        return false;
    }
    ch.input.erase(0, end + 4);

    const auto& message = parser.get();
    const auto view = [](auto v) { return std::string_view(v.data(), v.size()); };
    request& r = ch.head;
    r = {};
    r.http_1_0 = message.version() < 11;
    r.keep_alive = message.keep_alive();
    std::string_view path = view(message.target());
    path = path.substr(0, path.find('?'));
    http::verb method = message.method();
    if (path.starts_with(prefix)) {
        path.remove_prefix(prefix.size());
        constexpr std::string_view invocation = "invocation/";
        http::verb wanted = http::verb::post;
        if (path == "invocation/next") {
            r.what = target::next;
            wanted = http::verb::get;
        } else if (path == "init/error") {
            r.what = target::init_error;
        } else if (restore_ && path == "restore/next") {
            r.what = target::restore_next;
            wanted = http::verb::get;
        } else if (restore_ && path == "restore/error") {
            r.what = target::restore_error;
        } else if (path.starts_with(invocation)) {
            path.remove_prefix(invocation.size());
            const auto slash = path.find('/');
            const auto verb =
                slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
            if (slash != 0 && (verb == "response" || verb == "error")) {
                r.what = verb == "response" ? target::response : target::error;
                r.id = std::string(path.substr(0, slash));
            }
        }
        if (r.what != target::unknown && method != wanted) r.what = target::wrong_method;
    } else if (path.starts_with(extension_prefix)) {
        path.remove_prefix(extension_prefix.size());
        http::verb wanted = http::verb::post;
        if (path == "register") {
            r.what = target::extension_register;
            r.account_id = field_of(message, "Lambda-Extension-Accept-Feature") == "accountId";
        } else if (path == "event/next") {
            r.what = target::extension_next;
            wanted = http::verb::get;
        } else if (path == "init/error") {
            r.what = target::extension_init_error;
        } else if (path == "exit/error") {
            r.what = target::extension_exit_error;
        }
        if (r.what != target::unknown && method != wanted) r.what = target::wrong_method;
        r.extension =
            field_of(message, r.what == target::extension_register ? "Lambda-Extension-Name"
                                                                   : "Lambda-Extension-Identifier");
        r.error_type = field_of(message, "Lambda-Extension-Function-Error-Type");
    } else if (path == credentials_path) {
        r.what = method == http::verb::get ? target::credentials : target::wrong_method;
        r.extension = field_of(message, "Authorization");
    } else if (path == "/2022-07-01/telemetry" || path == "/2020-08-15/logs") {
        r.what = method != http::verb::put ? target::wrong_method
                 : path.ends_with("logs")  ? target::logs
                                           : target::telemetry;
    }
    if (auto it = message.find("Lambda-Runtime-Function-Error-Type"); it != message.end())
        r.error_type = std::string(view(it->value()));
    if (auto it = message.find("Lambda-Runtime-Function-Response-Mode");
        stream_ && !streaming_on_ && r.what == target::response && acceptable(r) &&
        it != message.end() && boost::beast::iequals(it->value(), "streaming")) {
        r.streaming = true;
        streaming_on_ = c;
        const auto type = message.find(http::field::content_type);
        streamed_type_ =
            type == message.end() ? "application/octet-stream" : std::string(view(type->value()));
    }

    ch.body = {};
    ch.body_size = 0;
    ch.remaining = 0;
    ch.keep_body = !r.streaming && acceptable(r);
    const auto length = parser.content_length();
    const bool chunked = parser.chunked();
    if (auto it = message.find(http::field::expect);
        it != message.end() && boost::beast::iequals(it->value(), "100-continue") && !r.http_1_0 &&
        (chunked || length.value_or(0) > 0) && ch.input.empty())
        output_.push_back({c, "HTTP/1.1 100 Continue\r\n\r\n", false});
    if (chunked) {
        ch.state = reading::chunk_size;
    } else if (length.value_or(0) > 0) {
        ch.remaining = *length;
        ch.state = reading::body;
        if (ch.keep_body && *length <= max_payload)
            ch.body.reserve(ch.input.empty() ? 0 : static_cast<std::size_t>(*length));
    } else {
        finish(c, ch);
    }
    return true;
}

bool runtime_api::acceptable(const request& r) const {
    switch (r.what) {
        case target::response:
        case target::error:
            return stage_ == stage::running && event_ && r.id == event_->request_id;
        case target::init_error:
            return stage_ == stage::started || stage_ == stage::restoring;
        case target::restore_error:
            return stage_ == stage::restoring;
        case target::extension_register:
            return extensions_.is_open();
        default:
            return false;
    }
}

void runtime_api::finish(connection c, channel& ch) {
    ch.state = reading::head;
    switch (ch.head.what) {
        case target::next:
            if (stage_ == stage::init_failed || stage_ == stage::restore_ready ||
                stage_ == stage::restore_failed)
                return refuse_transition(c, ch, "Ready");
            if (stage_ != stage::running) stage_ = stage::ready;
            if (event_ && ++deliveries_ > max_deliveries) return refuse_transition(c, ch, "Ready");
            if (event_) return deliver(c, ch);  // offered, or asked for again while it runs
            ch.state = reading::blocked;
            pending_.push_back(c);
            return;
        case target::response:
            return accept_reply(c, ch, false);
        case target::error:
            return accept_reply(c, ch, true);
        case target::init_error:
            // While it restores this is restore/error by another name, as for Lambda's emulator.
            if (stage_ != stage::started && stage_ != stage::restoring)
                return refuse_transition(c, ch, "InitError");
            return accept_setup_error(c, ch);
        case target::restore_next:
            // "Ready" is what the emulator names as the state that was asked for.
            if (stage_ != stage::started) return refuse_transition(c, ch, "Ready");
            stage_ = stage::restore_ready;
            restore_next_ = c;
            ch.state = reading::blocked;
            return;
        case target::restore_error:
            if (stage_ != stage::restoring)
                return refuse_transition(c, ch, "RuntimeRestoreErrorState");
            return accept_setup_error(c, ch);
        case target::unknown:
            return respond(c, ch, 404, "404 page not found\n");
        case target::wrong_method:
            return respond(c, ch, 405, {});
        case target::extension_register:
        case target::extension_next:
        case target::extension_init_error:
        case target::extension_exit_error:
            return answer_extension(c, ch);
        case target::telemetry:
            return respond(c, ch, 202,
                           document("Telemetry API is not supported", "Telemetry.NotSupported"));
        case target::logs:
            return respond(c, ch, 202, document("Logs API is not supported", "Logs.NotSupported"));
        case target::credentials:
            // So that a function which fetches URLs for others does not fetch this one.
            if (token_.empty() || ch.head.extension != token_)
                return respond(c, ch, 404, "cannot get credentials for the provided token\n");
            ch.state = reading::blocked;
            wants_credentials_.push_back(c);
            return;
    }
}

void runtime_api::answer_extension(connection c, channel& ch) {
    const request& r = ch.head;
    std::optional<extensions::answer> a;
    if (r.what == target::extension_register) {
        a = extensions_.add(r.extension, r.account_id, ch.body);
        ch.body = {};
    } else if (r.what == target::extension_next) {
        a = extensions_.next(r.extension, c);
    } else {
        a = extensions_.fail(r.extension, r.error_type, r.what == target::extension_init_error);
    }
    if (!a) {
        ch.state = reading::blocked;
        return;
    }
    std::string headers;
    append_header(headers, "Lambda-Extension-Identifier", a->identifier);
    respond(c, ch, a->status, a->body, headers);
}

void runtime_api::tell_extensions(extensions::event what, std::string document) {
    for (const connection c : extensions_.tell(what, document)) {
        channel& ch = channels_[c];
        ch.state = reading::head;
        respond(c, ch, 200, document);
        advance(c, ch);  // what was pipelined behind it
    }
}

void runtime_api::tell_of_invocation(const guest::native_event& event) {
    using enum extensions::event;
    if (!extensions_.any_for(invoke)) return;
    const boost::json::object o{
        {"eventType", "INVOKE"},
        {"deadlineMs", event.deadline_ms},
        {"requestId", event.request_id},
        {"invokedFunctionArn", event.function_arn},
        {"tracing", {{"type", "X-Amzn-Trace-Id"}, {"value", event.trace_id}}}};
    tell_extensions(invoke, boost::json::serialize(o));
}

void runtime_api::accept_setup_error(connection c, channel& ch) {
    const bool init = stage_ == stage::started;
    stage_ = init ? stage::init_failed : stage::restore_failed;
    reply& error = (init ? init_error_ : restore_error_).emplace();
    error = reply{true, std::move(ch.head.error_type), std::move(ch.body)};
    if (ch.body_size > max_payload) error.payload.clear();
    ch.body = {};
    respond(c, ch, 202, accepted);
}

void runtime_api::accept_reply(connection c, channel& ch, bool failed) {
    if (stage_ != stage::running || !event_)
        return refuse_transition(c, ch, failed ? "InvocationErrorResponse" : "InvocationResponse");
    if (ch.head.id != event_->request_id)
        return respond(c, ch, 400, document("Invalid request ID", "InvalidRequestID"));
    stage_ = stage::responded;
    event_.reset();
    if (const auto most = ch.head.streaming ? max_streamed : max_payload; ch.body_size > most) {
        reply_ = reply{
            true, "Function.ResponseSizeTooLarge",
            document(
                fmt::format(
                    "Response payload size exceeded maximum allowed payload size ({} bytes).",
                    most),
                "Function.ResponseSizeTooLarge")};
        return respond(
            c, ch, 413,
            document(fmt::format("Exceeded maximum allowed payload size ({} bytes).", most),
                     "RequestEntityTooLarge"));
    }
    if (request& r = ch.head; !failed && !r.late_error_type.empty()) {
        failed = true;
        r.error_type = std::move(r.late_error_type);
        ch.body = r.late_error_body.empty()
                      ? plain_error_document(r.error_type, "the response ended with an error")
                      : std::move(r.late_error_body);
    }
    reply_ =
        reply{failed, failed ? std::move(ch.head.error_type) : std::string(), std::move(ch.body)};
    ch.body = {};
    respond(c, ch, 202, accepted);
}

void runtime_api::deliver(connection c, channel& ch) {
    stage_ = stage::running;
    const guest::native_event& e = *event_;
    std::string out;
    out.reserve(512 + e.payload.size());
    out.append("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n");
    append_header(out, "Lambda-Runtime-Aws-Request-Id", e.request_id);
    fmt::format_to(std::back_inserter(out), "Lambda-Runtime-Deadline-Ms: {}\r\n", e.deadline_ms);
    append_header(out, "Lambda-Runtime-Invoked-Function-Arn", e.function_arn);
    append_header(out, "Lambda-Runtime-Trace-Id", e.trace_id);
    append_header(out, "Lambda-Runtime-Client-Context", e.client_context);
    append_header(out, "Lambda-Runtime-Aws-Tenant-Id", e.tenant_id);
    if (!ch.head.keep_alive)
        out.append("Connection: close\r\n");
    else if (ch.head.http_1_0)
        out.append("Connection: keep-alive\r\n");
    fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n\r\n", e.payload.size());
    out.append(e.payload);
    const bool close = !ch.head.keep_alive;
    if (close) ch.state = reading::dead;
    output_.push_back({c, std::move(out), close});
}

void runtime_api::give_credentials(std::string_view text) {
    for (const connection c : std::exchange(wants_credentials_, {})) {
        channel& ch = channels_[c];
        ch.state = reading::head;
        respond(c, ch, 200, text);
        advance(c, ch);  // what was pipelined behind it; more of it is for the next time
    }
}

void runtime_api::tell_of_shutdown(std::string_view why, std::int64_t deadline_ms) {
    const boost::json::object o{
        {"eventType", "SHUTDOWN"},
        {"shutdownReason", boost::json::string_view(why.data(), why.size())},
        {"deadlineMs", deadline_ms}};
    tell_extensions(extensions::event::shutdown, boost::json::serialize(o));
}

void runtime_api::respond(
    connection c, channel& ch, int status, std::string_view body, std::string_view headers) {
    if (status >= 400 && ++ch.refused > max_refused) ch.head.keep_alive = false;
    std::string out;
    out.reserve(160 + body.size());
    fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", status, reason(status));
    if (!body.empty())
        append_header(out, "Content-Type",
                      body.starts_with('{') ? "application/json" : "text/plain; charset=utf-8");
    out.append(headers);
    if (!ch.head.keep_alive)
        out.append("Connection: close\r\n");
    else if (ch.head.http_1_0)
        out.append("Connection: keep-alive\r\n");
    fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n\r\n", body.size());
    out.append(body);
    const bool close = !ch.head.keep_alive;
    if (close) ch.state = reading::dead;
    output_.push_back({c, std::move(out), close});
}

void runtime_api::refuse_transition(connection c, channel& ch, std::string_view to) {
    respond(c, ch, 403,
            document(fmt::format("State transition from {} to {} failed for runtime. Error: State "
                                 "transition is not allowed",
                                 name_of(static_cast<int>(stage_)), to),
                     "InvalidStateTransition"));
}

void runtime_api::bad_request(connection c, channel& ch, int status, std::string_view message) {
    ch.head = {};
    ch.head.keep_alive = false;
    respond(c, ch, status,
            document(message, status == 503 ? "ServiceUnavailable" : "InvalidRequest"));
}

}  // namespace hearth::worker
