#pragma once

/// The part of CloudWatch Logs that `aws logs tail` and its like ask for, over the functions' logs
/// (hearth/logs.hpp): JSON 1.1, the operation in X-Amz-Target. Blocks for the disk. What it knows
/// of patterns stands in log_filter.hpp; every other operation of the service is refused by its
/// name.
///
/// Beyond AWS: a page is bounded by what was read too, so that one may be empty and still have a
/// nextToken. Messages are found by the time they were written, which is their ingestionTime.

#include "http/reply.hpp"

#include <hearth/control.hpp>
#include <hearth/http/access_key.hpp>

#include <string_view>
#include <vector>

namespace hearth::http::cloudwatch_logs {

/// `by`: whose request it is; null: anyone's.
reply answer(const control_plane& control,
             std::string_view operation,
             std::string_view body,
             const access_key* by);

/// "logs:FilterLogEvents", …: what access keys may be allowed.
std::vector<std::string_view> action_names();

}  // namespace hearth::http::cloudwatch_logs
