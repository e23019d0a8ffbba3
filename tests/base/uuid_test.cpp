// Ids drawn several at a time.

#include "base/uuid.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

/// RFC 9562: 8-4-4-4-12 hexadecimal digits, version 4, variant 10.
bool is_version_4(std::string_view id) {
    if (id.size() != 36 || id[14] != '4' || std::string_view("89ab").find(id[19]) == id.npos)
        return false;
    for (std::size_t i = 0; i < id.size(); ++i) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? id[i] != '-' : !std::isxdigit(static_cast<unsigned char>(id[i]))) return false;
    }
    return true;
}

}  // namespace

TEST_CASE("a source's ids are random UUIDs, each given once, by any thread") {
    constexpr std::size_t each = 1000;
    hearth::uuid_source source;
    std::vector<std::string> drawn[2];
    {
        std::vector<std::jthread> threads;
        for (auto& mine : drawn)
            threads.emplace_back([&] {
                for (std::size_t i = 0; i < each; ++i) mine.push_back(source.next());
            });
    }
    std::set<std::string> all;
    for (const auto& mine : drawn) {
        CHECK(std::ranges::all_of(mine, is_version_4));
        all.insert(mine.begin(), mine.end());
    }
    CHECK(all.size() == 2 * each);
}
