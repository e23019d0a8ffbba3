#pragma once

/// EventBridge's operations for scheduled rules (botocore events/2015-10-07) over the control
/// plane's rules (hearth/event_rule.hpp): JSON 1.1, the operation in X-Amz-Target. Blocks for the
/// disk. Every other operation of the service is refused by its name.

#include "http/reply.hpp"

#include <hearth/control.hpp>
#include <hearth/http/access_key.hpp>

#include <string_view>
#include <vector>

namespace hearth::http::event_rules {

/// `by`: whose request it is; null: anyone's.
reply answer(control_plane& control,
             std::string_view operation,
             std::string_view body,
             const access_key* by);

/// "events:PutRule", …: what access keys may be allowed.
std::vector<std::string_view> action_names();

}  // namespace hearth::http::event_rules
