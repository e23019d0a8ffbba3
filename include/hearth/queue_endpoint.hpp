#pragma once

/// Where queues are that this server does not have: any endpoint that speaks Amazon SQS's JSON
/// protocol. An event source mapping of a queue whose ARN is of that region receives there
/// (event_source_mapping.hpp).

#include <hearth/sigv4.hpp>

#include <string>

namespace hearth {

struct queue_endpoint {
    /// Of the queues' ARNs, and of the signatures; not this server's own.
    std::string region{};
    /// "https://sqs.eu-west-1.amazonaws.com"; certificates are checked with the system's.
    std::string url{};
    sigv4::credentials credentials{};  ///< without: requests are not signed
};

}  // namespace hearth
