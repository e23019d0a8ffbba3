#pragma once

/// A queue's attributes: which there are, what each may be, and what they mean. Pure.
///
/// Source: CreateQueue and SetQueueAttributes in the Amazon SQS API Reference.

#include <hearth/queue.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::queues {

/// Valid: `values` has been checked, and the rest is read from it.
struct settings {
    queue_attributes values{};  ///< those that can be set, defaults among them
    bool is_fifo = false;
    bool deduplicates_by_content = false;
    bool deduplicates_in_group = false;
    std::chrono::seconds delay{}, visibility{}, wait{}, retention{};
    std::size_t max_bytes = 0;
    std::string dead_letter_target{};  ///< an ARN; empty: none
    std::uint32_t max_receives = 0;
    enum class sources { all, none, listed } allowed_sources = sources::all;
    std::vector<std::string> listed_sources{};  ///< ARNs
};

/// @errors invalid_parameter_value
result<void> check_queue_name(std::string_view name, bool is_fifo);

/// A new queue's. @errors invalid_attribute_name, invalid_attribute_value
result<settings> make_settings(const queue_attributes& given);
/// @errors and the same for what cannot be changed any more
result<settings> change_settings(const settings& from, const queue_attributes& changes);
/// Of `values` as they were kept.
settings read_settings(queue_attributes values);

/// A JSON object of strings, to keep attributes and tags in.
std::string to_json(const std::map<std::string, std::string, std::less<>>& values);
std::map<std::string, std::string, std::less<>> from_json(std::string_view text);

}  // namespace hearth::queues
