#pragma once

#include "metrics_page.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace hearth::cli {

/// One picture of `hearth top`, as lines. Rates are those between the two pages; without an earlier
/// one they are left out. Functions beyond `max_lines` are only counted.
std::vector<std::string> top_frame(const std::string& endpoint,
                                   const metrics_page& now,
                                   const metrics_page* before,
                                   std::size_t max_lines);

}  // namespace hearth::cli
