#include "pool/idle_list.hpp"

#include <catch2/catch.hpp>

#include <memory>

using namespace std::chrono_literals;
using list = hearth::pool::idle_list<std::unique_ptr<int>>;

namespace {
const auto start = list::time_point{} + 100h;
std::unique_ptr<int> item(int n) { return std::make_unique<int>(n); }
}  // namespace

TEST_CASE("the newest idle item is reused first") {
    list l;
    l.push(item(1), start);
    l.push(item(2), start + 1s);
    CHECK(**l.take_newest() == 2);
    CHECK(**l.take_newest() == 1);
    CHECK_FALSE(l.take_newest());
}

TEST_CASE("the oldest idle item is given up first") {
    list l;
    l.push(item(1), start);
    l.push(item(2), start + 1s);
    CHECK(*l.oldest_since() == start);
    CHECK(**l.take_oldest() == 1);
    CHECK(*l.oldest_since() == start + 1s);
}

TEST_CASE("items expire exactly when they have been idle for the ttl") {
    list l;
    for (int i = 0; i < 5; ++i) l.push(item(i), start + i * 1s);
    CHECK(l.expire(start + 9s, 10s).empty());
    CHECK(l.expire(start + 11s, 10s).size() == 2);
    CHECK(l.size() == 3);
    CHECK(l.expire(start + 100s, 10s, 2).size() == 1);
    CHECK(l.size() == 2);
}
