#pragma once

/// {"Records": […]}, the event that a batch of messages or records is to a function.

#include <cstddef>
#include <ranges>
#include <string>
#include <string_view>

namespace hearth::control {

inline constexpr std::string_view records_head = "{\"Records\":[", records_tail = "]}";
/// Beside the records' own bytes, each with its comma.
inline constexpr std::size_t records_frame = records_head.size() + records_tail.size();
/// What a function is given at most.
inline constexpr std::size_t max_records_event = std::size_t{6} << 20;

/// `text_of`: an item's JSON.
template <std::ranges::forward_range Items, class TextOf>
std::string records_event(const Items& items, TextOf text_of) {
    std::size_t size = records_frame;
    for (const auto& each : items) size += text_of(each).size() + 1;
    std::string event;
    event.reserve(size);
    event += records_head;
    bool is_first = true;
    for (const auto& each : items) {
        if (!is_first) event += ',';
        is_first = false;
        event += text_of(each);
    }
    event += records_tail;
    return event;
}

}  // namespace hearth::control
