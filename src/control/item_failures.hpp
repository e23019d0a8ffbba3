#pragma once

/// What a function says of a batch's items (ReportBatchItemFailures). Pure.
///
/// Source: Lambda Developer Guide, "Implementing partial batch responses".

#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace hearth::control {

/// The batchItemFailures of an answer, of the items `ids`. Nothing: the whole batch counts as
/// failed, because the answer is not JSON, or names an item in a wrong way or one that was not
/// in the batch.
std::optional<std::set<std::string, std::less<>>> item_failures(
    std::string_view answer, const std::set<std::string, std::less<>>& ids);

}  // namespace hearth::control
