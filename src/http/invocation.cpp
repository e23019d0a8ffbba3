#include "http/invocation.hpp"

#include "http/aws_error.hpp"
#include "http/text.hpp"

#include <hearth/init_failure.hpp>

#include <boost/json.hpp>


namespace hearth::http {
namespace {

namespace beast_http = boost::beast::http;

/// Of the header's text (service model, InvocationRequest$ClientContext).
constexpr std::size_t max_client_context = 3583;
constexpr std::size_t max_tenant_id = 256;  // service model, TenantId

std::string_view header(const beast_http::fields& headers, const char* name) {
    const auto at = headers.find(name);
    return at == headers.end() ? std::string_view()
                               : std::string_view(at->value().data(), at->value().size());
}

reply invalid(std::string_view message) {
    return make_error(aws_error::invalid_parameter_value, message);
}

bool is_id(std::string_view text, std::size_t digits) {
    return text.size() == digits && text.find_first_not_of("0123456789abcdef") == text.npos &&
           text.find_first_not_of('0') != text.npos;
}

/// "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"; a later version may have more behind.
std::string from_traceparent(std::string_view value) {
    constexpr std::size_t size = 55;
    if (value.size() < size || value[2] != '-' || value[35] != '-' || value[52] != '-' ||
        value.starts_with("ff") || (value.starts_with("00") && value.size() != size) ||
        (value.size() > size && value[size] != '-'))
        return {};
    const std::string_view trace = value.substr(3, 32), parent = value.substr(36, 16);
    const std::string_view hex = "0123456789abcdef";
    const auto flags = hex.find(value[54]);
    if (!is_id(trace, 32) || !is_id(parent, 16) || flags == hex.npos) return {};
    std::string id = "Root=1-";
    id.append(trace.substr(0, 8)).append("-").append(trace.substr(8));
    id.append(";Parent=").append(parent).append(flags & 1 ? ";Sampled=1" : ";Sampled=0");
    return id;
}

}  // namespace

std::string trace_of(const beast_http::fields& headers, std::string_view request_id) {
    const std::string_view trace = header(headers, "X-Amzn-Trace-Id");
    if (!trace.empty() && trace.size() <= max_trace_id) return std::string(trace);
    if (auto other = from_traceparent(header(headers, "traceparent")); !other.empty()) return other;
    return make_trace_id(request_id);
}

std::variant<invocation, reply> read_invocation(const beast_http::fields& headers,
                                                std::string body,
                                                std::string request_id) {
    invocation i;
    i.options.request_id = std::move(request_id);
    const std::string_view type = header(headers, "X-Amz-Invocation-Type");
    if (type == "Event") {
        i.type = invocation::kind::event;
    } else if (type == "DryRun") {
        i.type = invocation::kind::dry_run;
    } else if (!type.empty() && type != "RequestResponse") {
        return invalid("Unknown InvocationType '" + std::string(type) +
                       "': RequestResponse, Event or DryRun");
    }
    const std::string_view log_type = header(headers, "X-Amz-Log-Type");
    if (!log_type.empty() && log_type != "None" && log_type != "Tail")
        return invalid("Unknown LogType '" + std::string(log_type) + "': None or Tail");
    i.log_tail = log_type == "Tail";
    if (const auto tenant = header(headers, "X-Amz-Tenant-Id"); !tenant.empty()) {
        if (tenant.size() > max_tenant_id)
            return invalid("A tenant id (X-Amz-Tenant-Id) has at most 256 characters");
        i.options.tenant_id = tenant;
    }
    if (!header(headers, "X-Amz-Durable-Execution-Name").empty())
        return invalid(
            "Durable functions (X-Amz-Durable-Execution-Name) are not supported by this server "
            "yet");

    if (const auto context = header(headers, "X-Amz-Client-Context"); !context.empty()) {
        if (context.size() > max_client_context)
            return make_error(aws_error::invalid_request_content,
                              "Client context must be at most 3583 bytes of Base64");
        auto decoded = from_base64(context);
        if (!decoded || !json_fault(*decoded).empty())
            return make_error(aws_error::invalid_request_content,
                              "Client context must be a valid Base64-encoded JSON object.");
        i.options.client_context = std::move(*decoded);
    }
    i.options.trace_id = trace_of(headers, i.options.request_id);

    if (body.size() > max_payload)
        return make_error(
            aws_error::request_too_large,
            "Request must be smaller than 6291456 bytes for the InvokeFunction operation");
    if (i.type == invocation::kind::event && body.size() > max_event_payload)
        return make_error(aws_error::request_entity_too_large,
                          std::to_string(body.size()) +
                              " byte payload is too large for the Event invocation type (limit " +
                              std::to_string(max_event_payload) + " bytes)");
    if (body.empty()) body = "{}";  // as AWS does for an invocation without a payload
    if (const std::string fault = json_fault(body); !fault.empty())
        return make_error(aws_error::invalid_request_content,
                          "Could not parse request body into json: " + fault);
    i.payload = std::move(body);
    return i;
}

std::variant<invocation, reply> read_async_invocation(const beast_http::fields& headers,
                                                      std::string body,
                                                      std::string request_id) {
    beast_http::fields same = headers;
    same.set("X-Amz-Invocation-Type", "Event");
    return read_invocation(same, std::move(body), std::move(request_id));
}

reply write_response(response r, bool log_tail) {
    reply out{.body = std::move(r.payload)};
    out.headers.emplace_back("X-Amz-Executed-Version", r.executed_version.empty()
                                                           ? "$LATEST"
                                                           : std::move(r.executed_version));
    if (!r.function_error.empty())
        out.headers.emplace_back("X-Amz-Function-Error", std::move(r.function_error));
    if (log_tail) out.headers.emplace_back("X-Amz-Log-Result", to_base64(r.log_tail));
    return out;
}

reply write_failure(const error& e, std::string_view log_tail, bool show_log) {
    if (!(e == errc::init_failed)) return make_error(e);
    return write_response(failed_init(e, log_tail), show_log);
}

response failed_init(const error& e, std::string_view log_tail) {
    // The sentence may be the runtime's own error document.
    const std::string message = e.message();
    response r;
    r.function_error = "Unhandled";
    r.log_tail = log_tail;
    if (message.starts_with('{') && json_fault(message).empty()) {
        r.payload = message;
    } else {
        const init_failure said = init_failure_in(message);
        r.payload = boost::json::serialize(
            boost::json::object{{"errorMessage", printable(std::string(said.message))},
                                {"errorType", std::string(said.type)}});
    }
    return r;
}

}  // namespace hearth::http
