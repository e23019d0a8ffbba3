#pragma once

/// The chain of requests that an invocation belongs to, as its X-Amzn-Trace-Id carries it:
///
///     Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0;Lineage=1:a87bd80c:3|2:68fd508a:2
///
/// Each function of the chain has an entry: its place among them, a hash of its ARN, and how often
/// it was invoked again. Functions hand the header on by their SDKs, so who goes round in a loop
/// comes back with a number that grows. With one function this is what AWS's own headers look like;
/// the list is the X-Ray Developer Guide's ("Tracing header"), which leaves its meaning to Lambda.
///
/// What comes from outside is hostile: what is no entry is left out, and a chain's first
/// `max_visited` functions alone are counted, so a header stays short. Pure.
///
/// Source: Lambda Developer Guide, "Use Lambda recursive loop detection to prevent infinite loops".

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::control {

/// In one chain; the next is stopped. AWS: "approximately 16 times".
inline constexpr std::uint32_t max_visits = 16;
inline constexpr std::size_t max_visited = 12;
inline constexpr std::size_t max_trace_header = 1024;

/// How often the function was invoked in the header's chain.
[[nodiscard]] std::uint32_t visits(std::string_view trace_header, std::string_view function_arn);

/// The header with one more of its invocations.
[[nodiscard]] std::string with_visit(std::string_view trace_header, std::string_view function_arn);

/// What several requests together cause: the first one's header, with each function's highest count
/// in any of them. Those that could be no header are passed over. Empty: there was none.
[[nodiscard]] std::string merged_trace(const std::vector<std::string_view>& trace_headers);

}  // namespace hearth::control
