#pragma once

#include <functional>
#include <string>

namespace hearth {

/// Hears when a database takes in nothing more for want of room on its disk, and when it does
/// again: once each. Called by whoever uses the database, in the midst of that.
using room_listener = std::function<void(const std::string& message)>;

}  // namespace hearth
