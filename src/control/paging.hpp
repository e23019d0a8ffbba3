#pragma once

/// A list operation's page of what a map holds by the names that markers are.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::control {

/// Adds to `items` those after `marker` (empty: from the first on) for which `select`, given the
/// value, has a pointer to what is shown and not null; until there are `max_items`.
/// @return the next page's marker, the last one's key; empty when nothing is left
template <class Map, class Item, class Select>
std::string fill_page(const Map& all,
                      std::string_view marker,
                      std::size_t max_items,
                      std::vector<Item>& items,
                      Select select) {
    std::string last;
    for (auto at = marker.empty() ? all.begin() : all.upper_bound(marker); at != all.end(); ++at) {
        const Item* const shown = select(at->second);
        if (!shown) continue;
        if (items.size() == max_items) return last;
        items.push_back(*shown);
        last = at->first;
    }
    return {};
}

template <class Map, class Item>
std::string fill_page(const Map& all,
                      std::string_view marker,
                      std::size_t max_items,
                      std::vector<Item>& items) {
    return fill_page(all, marker, max_items, items, [](const Item& each) { return &each; });
}

}  // namespace hearth::control
