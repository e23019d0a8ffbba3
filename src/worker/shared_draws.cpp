#include "worker/shared_draws.hpp"

#include "sandbox/shared_randomness.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <iterator>

namespace hearth::worker {

std::optional<std::string> describe_shared_draws(const detail::snapshot_image& image,
                                                 const detail::random_record& given) {
    constexpr std::size_t shown = 8;
    const auto found = detail::find_shared_randomness(image, given);
    std::size_t places = 0;
    std::string list;
    for (const auto& place : found.places) {
        // What libc made of AT_RANDOM at the start, its stack canary, is in every program.
        if (place.from != detail::random_record::source::drawn) continue;
        if (++places > shown) continue;
        fmt::format_to(std::back_inserter(list), "{}{} bytes at {:#x} in {}",
                       list.empty() ? "" : ", ", place.length, place.address.value,
                       place.mapping.empty() ? "anonymous memory" : place.mapping);
    }
    if (places == 0) return std::nullopt;
    if (places > shown) fmt::format_to(std::back_inserter(list), " and {} more", places - shown);
    return fmt::format(
        "random bytes that init drew are in the snapshot, the same for every "
        "environment: {}{}; draw them again after a restore",
        list, found.complete && given.complete() ? "" : " (more were not looked for)");
}

}  // namespace hearth::worker
