#pragma once

/// For those who test a function: what it drew before its snapshot and still has, in a sentence.

#include "sandbox/random_record.hpp"
#include "sandbox/snapshot_image.hpp"

#include <optional>
#include <string>

namespace hearth::worker {

/// Nothing: no random bytes that were drawn stand in the snapshot. Takes some 5 ms for each MiB.
std::optional<std::string> describe_shared_draws(const detail::snapshot_image& image,
                                                 const detail::random_record& given);

}  // namespace hearth::worker
