#include "http/service.hpp"

namespace hearth::http {
namespace {

struct known_target {
    std::string_view prefix;
    aws_service service;
};
constexpr known_target targets[] = {
    {"AmazonSQS.", aws_service::sqs},
    {"AWSEvents.", aws_service::events},
    {"Kinesis_20131202.", aws_service::kinesis},
    {"Logs_20140328.", aws_service::logs},
};

}  // namespace

service_call find_service(std::string_view target, std::string_view content_type) noexcept {
    for (const known_target& each : targets) {
        if (!target.starts_with(each.prefix)) continue;
        const bool is_cbor = each.service == aws_service::kinesis &&
                             content_type.starts_with("application/x-amz-cbor");
        return {each.service, is_cbor ? protocol::cbor : protocol::json,
                target.substr(each.prefix.size())};
    }
    // The query protocol is SQS's alone among those served.
    if (target.empty() && content_type.starts_with("application/x-www-form-urlencoded"))
        return {aws_service::sqs, protocol::query, {}};
    return {};
}

std::string_view signing_name(aws_service s) noexcept {
    switch (s) {
        case aws_service::api_gateway:
            return "apigateway";
        case aws_service::events:
            return "events";
        case aws_service::kinesis:
            return "kinesis";
        case aws_service::logs:
            return "logs";
        case aws_service::sqs:
            return "sqs";
        case aws_service::lambda:
            break;
    }
    return "lambda";
}

}  // namespace hearth::http
