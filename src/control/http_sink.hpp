#pragma once

/// Brings a record to an HTTP endpoint: POST, application/json, no TLS, no redirects. Taken is what
/// is answered with a status from 200 to 299.

#include "control/destination.hpp"

#include <hearth/error.hpp>

#include <boost/asio/awaitable.hpp>

#include <string>

namespace hearth::control {

/// One attempt, of some seconds at most, as part of the trace, where there is one. The error says
/// what the endpoint did instead of taking it.
boost::asio::awaitable<error> post_record(http_destination to,
                                          std::string record,
                                          std::string trace_header);

}  // namespace hearth::control
